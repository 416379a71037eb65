"""The REST endpoints to rules and to receivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from alerts.alerts_shown import may_see_names
from alerts.api_alert_editions import alert_editions_of
from alerts.api_serializers import (
    ReceiverSerializer,
    RuleFields,
    RulePreviewSerializer,
    RuleSerializer,
    TriedSerializer,
)
from alerts.models import AlertRule, AlertSeverity, Receiver
from alerts.rule_kinds import KINDS
from alerts.services import receiver_edits, rule_edits
from foundation.api_input import NoBody
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from foundation.etags import IF_MATCH, edition_etag
from foundation.languages import in_readers_language


class RuleFilter(django_filters.FilterSet):
    """By kind and severity."""

    kind = django_filters.ChoiceFilter(choices=[(name, name) for name in KINDS])
    severity = django_filters.ChoiceFilter(choices=AlertSeverity.choices)
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="A part of the name.")

    class Meta:
        model = AlertRule
        fields: list[str] = []


class _EditedViewSet(DeclaredQuery, viewsets.GenericViewSet[Any]):
    """What rules and receivers have in common."""

    lookup_value_regex = r"[0-9]{1,18}"
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None
    further_rights: Sequence[str] = ()

    def list(self, request: Request) -> Response:
        """By name."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer_class()(page, many=True).data)

    def _shown(self, pk: int, *, status: int = 200) -> Response:
        row = self.get_queryset().get(pk=pk)
        return Response(self.get_serializer_class()(row).data, status=status, headers={"ETag": edition_etag(row)})

    def _validated(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        asked = self.get_serializer_class()(data=request.data, partial=partial)
        asked.is_valid(raise_exception=True)
        values: dict[str, Any] = asked.validated_data
        return values


class AlertRuleViewSet(_EditedViewSet):
    """Alert rules, by name."""

    queryset = AlertRule.objects.all()
    serializer_class: Any = RuleSerializer
    filterset_class: type[django_filters.FilterSet] | None = RuleFilter

    def get_queryset(self) -> QuerySet[AlertRule]:
        """What the caller may see."""
        rows: QuerySet[AlertRule] = AlertRule.objects.visible_to(self.request.user)
        return rows.prefetch_related("receivers").order_by("name", "pk")

    @extend_schema(responses=RuleSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One rule."""
        return self._shown(int(pk))

    @extend_schema(responses={201: RuleSerializer})
    def create(self, request: Request) -> Response:
        """Make a rule; it is evaluated within seconds."""
        row = rule_edits.create_rule(self._validated(request), by=signed_in(request), at=clock.now())
        return self._shown(row.pk, status=201)

    @extend_schema(parameters=[IF_MATCH], responses=RuleSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change one; fields left out stay. Switched off its alerts end."""
        row = self.get_queryset().get(pk=int(pk))
        values = self._validated(request, partial=True)
        rule_edits.update_rule(
            row.pk, values, by=signed_in(request), at=clock.now(), editions=alert_editions_of(request)
        )
        return self._shown(row.pk)

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete one; its alerts end, and stay as history."""
        row = self.get_queryset().get(pk=int(pk))
        rule_edits.delete_rule(row, by=signed_in(request), at=clock.now())
        return Response(status=204)

    @extend_schema(
        operation_id="alert_rules_preview", request=RuleFields, responses=RulePreviewSerializer, filters=False
    )
    @action(
        detail=False,
        methods=["post"],
        right="view",
        further_rights=("agents.view_agent",),
        url_path="preview",
        serializer_class=RuleFields,
        filterset_class=None,
    )
    def preview_rule(self, request: Request) -> Response:
        """What such a rule would find now. Nothing is saved."""
        asked = RuleFields(data=request.data)
        asked.is_valid(raise_exception=True)
        rule = AlertRule(**asked.validated_data)
        found = rule_edits.preview_rule(rule, clock.now(), by=signed_in(request))
        context = {"sees_names": may_see_names(request.user, rule.kind)}
        preview = {"alerts": found, "count": sum(subject.count for subject in found)}
        return Response(RulePreviewSerializer(preview, context=context).data)


class ReceiverFilter(django_filters.FilterSet):
    """By kind."""

    kind = django_filters.ChoiceFilter(choices=Receiver.Kind.choices)

    class Meta:
        model = Receiver
        fields: list[str] = []


class ReceiverViewSet(_EditedViewSet):
    """Receivers of notices, by name."""

    queryset = Receiver.objects.all()
    serializer_class: Any = ReceiverSerializer
    filterset_class: type[django_filters.FilterSet] | None = ReceiverFilter

    def get_queryset(self) -> QuerySet[Receiver]:
        """What the caller may see."""
        rows: QuerySet[Receiver] = Receiver.objects.visible_to(self.request.user)
        return rows.order_by("name", "pk")

    @extend_schema(responses=ReceiverSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One receiver."""
        return self._shown(int(pk))

    @extend_schema(responses={201: ReceiverSerializer})
    def create(self, request: Request) -> Response:
        """Make a receiver."""
        row = receiver_edits.create_receiver(self._validated(request), by=signed_in(request), at=clock.now())
        return self._shown(row.pk, status=201)

    @extend_schema(parameters=[IF_MATCH], responses=ReceiverSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change one; fields left out stay."""
        row = self.get_queryset().get(pk=int(pk))
        values = self._validated(request, partial=True)
        receiver_edits.update_receiver(
            row.pk, values, by=signed_in(request), at=clock.now(), editions=alert_editions_of(request)
        )
        return self._shown(row.pk)

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete one with its deliveries."""
        receiver_edits.delete_receiver(self.get_queryset().get(pk=int(pk)), by=signed_in(request))
        return Response(status=204)

    @extend_schema(operation_id="receivers_test", request=None, responses=TriedSerializer)
    @action(detail=True, methods=["post"], right="change", url_path="test", serializer_class=NoBody)
    def send_test(self, request: Request, pk: str) -> Response:
        """Send a test notice now and say what came of it."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        row = self.get_queryset().get(pk=int(pk))
        tried = receiver_edits.try_receiver(row, by=signed_in(request), at=clock.now())
        said = in_readers_language(tried.problem) if tried.problem else ""
        result = {"accepted": tried.problem is None, "status_code": tried.status, "problem": said}
        return Response(TriedSerializer(result).data)

"""The REST endpoints to alerts, silences and deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from alerts.api_serializers import (
    AcknowledgeRequest,
    AlertSerializer,
    DeliverySerializer,
    NewSilence,
    SilenceSerializer,
)
from alerts.bell import bell
from alerts.models import Alert, AlertDelivery, AlertSeverity, Silence
from alerts.services import acknowledging, delivering, silencing
from foundation.api_input import NoBody
from foundation.api_query import DeclaredQuery
from foundation.clock import clock

_TRUTH = [(value, value) for value in ("true", "false")]


class AlertFilter(django_filters.FilterSet):
    """By state, severity, rule, and whether somebody has it."""

    state = django_filters.ChoiceFilter(choices=Alert.State.choices)
    severity = django_filters.ChoiceFilter(choices=AlertSeverity.choices)
    rule = django_filters.NumberFilter(field_name="rule_id", min_value=1, max_value=2**63 - 1, help_text="Its id.")
    acknowledged = django_filters.ChoiceFilter(choices=_TRUTH, method="by_acknowledged")
    silenced = django_filters.ChoiceFilter(choices=_TRUTH, method="by_silenced")

    class Meta:
        model = Alert
        fields: list[str] = []

    def by_acknowledged(self, queryset: QuerySet[Alert], _name: str, value: str) -> QuerySet[Alert]:
        """Those that somebody has, or nobody."""
        return queryset.filter(acknowledged_at__isnull=value == "false")

    def by_silenced(self, queryset: QuerySet[Alert], _name: str, value: str) -> QuerySet[Alert]:
        """Those that are silenced, or not."""
        return queryset.filter(silence__isnull=value == "false")


class _Listed(DeclaredQuery, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """What the three have in common."""

    lookup_value_regex = r"[0-9]{1,18}"
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None
    further_rights: Sequence[str] = ()

    def get_serializer_context(self) -> dict[str, Any]:
        """With one time for all rows."""
        return {**super().get_serializer_context(), "now": clock.now()}


class AlertViewSet(_Listed):
    """Alerts, the newest first; those that are over too."""

    queryset = Alert.objects.all()
    serializer_class: Any = AlertSerializer
    filterset_class: type[django_filters.FilterSet] | None = AlertFilter

    def get_queryset(self) -> QuerySet[Alert]:
        """What the caller may see."""
        rows: QuerySet[Alert] = Alert.objects.visible_to(self.request.user)
        return rows.order_by("-pk")

    @extend_schema(operation_id="alerts_acknowledge", request=AcknowledgeRequest, responses=AlertSerializer)
    @action(detail=True, methods=["post"], right="change", serializer_class=AcknowledgeRequest)
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Take it upon oneself: it is repeated no more. 409 when it does not fire or somebody has it."""
        asked = AcknowledgeRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        row = acknowledging.acknowledge(
            int(pk), note=asked.validated_data["note"], by=signed_in(request), at=clock.now()
        )
        bell.forget()
        return Response(AlertSerializer(row, context=self.get_serializer_context()).data)


class SilenceFilter(django_filters.FilterSet):
    """By whether they hold."""

    active = django_filters.ChoiceFilter(choices=_TRUTH, method="by_active", help_text="In force.")

    class Meta:
        model = Silence
        fields: list[str] = []

    def by_active(self, queryset: QuerySet[Silence], _name: str, value: str) -> QuerySet[Silence]:
        """Those that hold now, or that are over."""
        active = Silence.objects.active(clock.now()).order_by().values("pk")
        return queryset.filter(pk__in=active) if value == "true" else queryset.exclude(pk__in=active)


class SilenceViewSet(_Listed):
    """Silences, the newest first."""

    queryset = Silence.objects.all()
    serializer_class: Any = SilenceSerializer
    filterset_class: type[django_filters.FilterSet] | None = SilenceFilter

    def get_queryset(self) -> QuerySet[Silence]:
        """What the caller may see."""
        rows: QuerySet[Silence] = Silence.objects.visible_to(self.request.user)
        return rows.order_by("-pk")

    @extend_schema(request=NewSilence, responses={201: SilenceSerializer})
    def create(self, request: Request) -> Response:
        """Send alerts that it matches to nobody until it expires."""
        asked = NewSilence(data=request.data)
        asked.is_valid(raise_exception=True)
        row = silencing.create_silence(asked.validated_data, by=signed_in(request), at=clock.now())
        bell.forget()
        return Response(SilenceSerializer(row, context=self.get_serializer_context()).data, status=201)

    @extend_schema(operation_id="silences_end", request=None, responses=SilenceSerializer)
    @action(detail=True, methods=["post"], right="change", serializer_class=NoBody)
    def end(self, request: Request, pk: str) -> Response:
        """End it now. 409 when it is over."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        row = silencing.end_silence(int(pk), by=signed_in(request), at=clock.now())
        bell.forget()
        return Response(SilenceSerializer(row, context=self.get_serializer_context()).data)


class DeliveryFilter(django_filters.FilterSet):
    """By state, receiver and alert."""

    state = django_filters.ChoiceFilter(choices=AlertDelivery.State.choices)
    receiver = django_filters.NumberFilter(field_name="receiver_id", min_value=1, max_value=2**63 - 1)
    alert = django_filters.NumberFilter(field_name="alert_id", min_value=1, max_value=2**63 - 1)

    class Meta:
        model = AlertDelivery
        fields: list[str] = []


class AlertDeliveryViewSet(_Listed):
    """Notices to receivers, the newest first."""

    queryset = AlertDelivery.objects.all()
    serializer_class: Any = DeliverySerializer
    filterset_class: type[django_filters.FilterSet] | None = DeliveryFilter

    def get_queryset(self) -> QuerySet[AlertDelivery]:
        """What the caller may see."""
        rows: QuerySet[AlertDelivery] = AlertDelivery.objects.visible_to(self.request.user)
        return rows.select_related("receiver").order_by("-pk")

    @extend_schema(operation_id="alert_deliveries_retry", request=None, responses=DeliverySerializer)
    @action(detail=True, methods=["post"], right="change", serializer_class=NoBody)
    def retry(self, request: Request, pk: str) -> Response:
        """Try one that was given up once more. 409 for any other."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        row = delivering.retry(int(pk), by=signed_in(request), at=clock.now())
        return Response(DeliverySerializer(row).data)

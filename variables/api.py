"""The REST endpoints to variables and to secrets, whose values are written and never read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, viewsets
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from foundation.api_input import Flag, StrictSerializer, Text, Whole
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from foundation.secrecy import showing_secret
from variables.models import NAME_PATTERN, Secret, Variable
from variables.services import value_edits
from variables.services.value_edits import LONGEST_VALUE, Change
from variables.value_users import Rerendering

DRY_RUN = OpenApiParameter(
    "dry_run",
    enum=["true", "false"],
    default="false",
    description="`true`: nothing is saved; the answer is 200 and says which configurations would be rendered anew.",
)


@extend_schema_field(OpenApiTypes.OBJECT)
class LabelsField(serializers.JSONField):
    """A map, or Kubernetes' matchLabels and matchExpressions; judged by the service."""


class RerenderingSerializer(serializers.Serializer[Rerendering]):
    """What a change does to one configuration."""

    name = serializers.CharField()
    agents = serializers.IntegerField(help_text="Agents that should run it now.")
    changes = serializers.IntegerField(help_text="Of these, agents that get other files.")
    failures = serializers.IntegerField(help_text="Of these, agents for which its templates have no result then.")


class ChangeSerializer(serializers.Serializer[Change]):
    """What a change would do."""

    rerendered = RerenderingSerializer(many=True, source="effects")


class _ValueSerializer(StrictSerializer):
    description = Text(required=False, allow_blank=True, max_length=2_000)
    used_by = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="Names of configurations that use it."
    )
    updated_at = serializers.DateTimeField(read_only=True)
    updated_by = serializers.CharField(read_only=True)


class VariableSerializer(_ValueSerializer):
    """One value of a variable, and the agents it is for."""

    id = serializers.IntegerField(read_only=True)
    name = Text(max_length=100, help_text=f"`{NAME_PATTERN}`; in files `{{{{ vars.name }}}}`.")
    value = Text(required=False, allow_blank=True, trim_whitespace=False, max_length=LONGEST_VALUE)
    selector = LabelsField(required=False)
    match_all = Flag(required=False)
    priority = Whole(required=False, min_value=-(2**31), max_value=2**31 - 1)

    def to_representation(self, instance: Variable) -> dict[str, Any]:
        """With who uses it."""
        return {
            "id": instance.pk,
            "name": instance.name,
            "value": instance.value,
            "selector": instance.selector,
            "match_all": instance.match_all,
            "priority": instance.priority,
            "description": instance.description,
            "used_by": _used_by(self, f"vars.{instance.name}"),
            "updated_at": self.fields["updated_at"].to_representation(instance.updated_at),
            "updated_by": instance.updated_by,
        }


class SecretSerializer(_ValueSerializer):
    """A secret without its value."""

    name = Text(max_length=100, help_text=f"`{NAME_PATTERN}`; in files `{{{{ secrets.name }}}}`.")
    value = Text(
        required=False,
        write_only=True,
        trim_whitespace=False,
        max_length=LONGEST_VALUE,
        help_text="Never shown again. Left out in an edit, it stays.",
    )
    has_value = serializers.BooleanField(read_only=True)

    def to_representation(self, instance: Secret) -> dict[str, Any]:
        """With who uses it."""
        return {
            "name": instance.name,
            "has_value": bool(instance.encrypted),
            "description": instance.description,
            "used_by": _used_by(self, f"secrets.{instance.name}"),
            "updated_at": self.fields["updated_at"].to_representation(instance.updated_at),
            "updated_by": instance.updated_by.get_username() if instance.updated_by else "",
        }


class ChangedVariable(VariableSerializer):
    """A variable just written, with what was rendered anew for it."""

    rerendered = RerenderingSerializer(many=True, read_only=True)


class ChangedSecret(SecretSerializer):
    """A secret just written, with what was rendered anew for it."""

    rerendered = RerenderingSerializer(many=True, read_only=True)


class VariableFilter(django_filters.FilterSet):
    """By name."""

    name = django_filters.CharFilter()
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="A part of the name.")

    class Meta:
        model = Variable
        fields: list[str] = []


class SecretFilter(django_filters.FilterSet):
    """By name."""

    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="A part of the name.")

    class Meta:
        model = Secret
        fields: list[str] = []


class _ValueViewSet(DeclaredQuery, viewsets.GenericViewSet[Any]):
    """Reading and writing of both; with ``?dry_run=true`` only what a change would do is told."""

    group = ""

    def list(self, request: Request) -> Response:
        """By name."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([self._shown(row) for row in self._with_users(page)])

    def known_query(self) -> set[str]:
        """``dry_run`` where something is written."""
        return super().known_query() | ({"dry_run"} if self.request.method not in ("GET", "HEAD", "OPTIONS") else set())

    def _with_users(self, rows: Sequence[Any]) -> Sequence[Any]:
        users = value_edits.users_of([f"{self.group}.{row.name}" for row in rows])
        for row in rows:
            row.used_by = users[f"{self.group}.{row.name}"]
        return rows

    def _shown(self, row: Any) -> dict[str, Any]:
        return dict(self.get_serializer_class()(row).data)

    def _one(self, row: Any) -> Response:
        return Response(self._shown(self._with_users([row])[0]))

    def _validated(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        serializer = self.get_serializer_class()(data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def _is_dry_run(self) -> bool:
        word = self.request.query_params.get("dry_run", "false")
        if word not in ("true", "false"):
            raise ValidationError({"dry_run": [_("Say true or false.")]})
        return word == "true"

    def _said(self, change: Change, *, status: int = 200) -> Response:
        effects = dict(ChangeSerializer(change).data)
        if change.row is None:
            return Response(effects)
        return Response({**self._shown(self._with_users([change.row])[0]), **effects}, status=status)

    def _deleted(self, row: Any, request: Request) -> Response:
        dry_run = self._is_dry_run()
        change = value_edits.delete(row, by=signed_in(request), at=clock.now(), dry_run=dry_run)
        return self._said(change) if dry_run else Response(status=204)


class VariableViewSet(_ValueViewSet):
    """Variables, by name and priority."""

    queryset = Variable.objects.all()
    serializer_class = VariableSerializer
    filterset_class = VariableFilter
    lookup_value_regex = "[0-9]{1,18}"
    group = "vars"

    def get_queryset(self) -> QuerySet[Variable]:
        """What the caller may see."""
        return Variable.objects.visible_to(self.request.user).order_by("name", "-priority", "pk")

    @extend_schema(operation_id="variables_retrieve")
    def retrieve(self, request: Request, pk: str) -> Response:
        """One value."""
        return self._one(self.get_object())

    @extend_schema(parameters=[DRY_RUN], responses={201: ChangedVariable, 200: ChangeSerializer})
    def create(self, request: Request) -> Response:
        """Make one; agents whose files change with it get them."""
        values = self._validated(request)
        change = value_edits.save_variable(
            None, values, by=signed_in(request), at=clock.now(), dry_run=self._is_dry_run()
        )
        return self._said(change, status=201)

    @extend_schema(parameters=[DRY_RUN], responses=ChangedVariable)
    def update(self, request: Request, pk: str) -> Response:
        """Replace one: fields left out get their defaults."""
        row = self.get_object()
        values = {"value": "", "selector": {}, "priority": 0, "description": "", **self._validated(request)}
        values.setdefault("match_all", not values["selector"])
        return self._said(self._saved(row, values, request))

    @extend_schema(parameters=[DRY_RUN], responses=ChangedVariable)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change one: fields left out stay."""
        return self._said(self._saved(self.get_object(), self._validated(request, partial=True), request))

    @extend_schema(parameters=[DRY_RUN])
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete one. 409 for the last value of a name that is used."""
        return self._deleted(self.get_object(), request)

    def _saved(self, row: Variable, values: dict[str, Any], request: Request) -> Change:
        return value_edits.save_variable(row, values, by=signed_in(request), at=clock.now(), dry_run=self._is_dry_run())


class SecretViewSet(_ValueViewSet):
    """Secrets by name, without their values."""

    queryset = Secret.objects.all()
    serializer_class = SecretSerializer
    filterset_class = SecretFilter
    lookup_field = "name"
    lookup_value_regex = r"[^/]+"
    group = "secrets"

    def get_queryset(self) -> QuerySet[Secret]:
        """What the caller may see."""
        return Secret.objects.visible_to(self.request.user).select_related("updated_by").order_by("name")

    def get_object(self) -> Secret:
        """The secret named in the URL. Raises `NotFound`."""
        name = str(self.kwargs["name"])
        row = None if "\x00" in name else self.get_queryset().filter(name=name).first()
        if row is None:
            raise NotFound
        return row

    @extend_schema(operation_id="secrets_retrieve")
    def retrieve(self, request: Request, name: str) -> Response:
        """One secret."""
        return self._one(self.get_object())

    @extend_schema(parameters=[DRY_RUN], responses={201: ChangedSecret, 200: ChangeSerializer})
    def create(self, request: Request) -> Response:
        """Make one."""
        values = self._validated(request)
        return self._said(self._saved(None, values, request), status=201)

    @extend_schema(parameters=[DRY_RUN], responses=ChangedSecret)
    def update(self, request: Request, name: str) -> Response:
        """Replace one: a description left out becomes empty; a value left out stays."""
        return self._said(self._saved(self.get_object(), {"description": "", **self._validated(request)}, request))

    @extend_schema(parameters=[DRY_RUN], responses=ChangedSecret)
    def partial_update(self, request: Request, name: str) -> Response:
        """Change one: fields left out stay. Agents whose files change with the value get them."""
        return self._said(self._saved(self.get_object(), self._validated(request, partial=True), request))

    @extend_schema(parameters=[DRY_RUN])
    def destroy(self, request: Request, name: str) -> Response:
        """Delete one. 409 for one that is used."""
        return self._deleted(self.get_object(), request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """No cache on the way keeps anything about secrets."""
        return showing_secret(super().finalize_response(request, response, *args, **kwargs))

    def _saved(self, row: Secret | None, values: dict[str, Any], request: Request) -> Change:
        return value_edits.save_secret(row, values, by=signed_in(request), at=clock.now(), dry_run=self._is_dry_run())


def _used_by(serializer: serializers.BaseSerializer[Any], use: str) -> list[str]:
    known: list[str] | None = getattr(serializer.instance, "used_by", None)
    return value_edits.users_of([use])[use] if known is None else known

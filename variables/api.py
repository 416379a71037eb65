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
from foundation.languages import in_readers_language
from foundation.secrecy import showing_secret
from rollouts.api_serializers import PlannedStageSerializer
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


_REPLACE = "A rollout of a configuration that uses it and has not ended is ended, instead of being in the way (409)."
# An id or a name, which does not begin with a digit.
VALUE_KEY = f"[0-9]{{1,18}}|{NAME_PATTERN.strip('^$')}"
VALUE = OpenApiParameter(
    "id",
    {"type": "string", "pattern": f"^({VALUE_KEY})$"},
    OpenApiParameter.PATH,
    description="The id of a value, or the name of a variable that has one value; 409 when it has several.",
)
REPLACE = OpenApiParameter("replace_rollout", enum=["true", "false"], default="false", description=_REPLACE)


class RerenderingSerializer(serializers.Serializer[Rerendering]):
    """What a change does to one configuration."""

    name = serializers.CharField()
    agents = serializers.IntegerField(help_text="Agents that should run it now.")
    changes = serializers.IntegerField(help_text="Of these, agents that get other files.")
    failures = serializers.IntegerField(help_text="Of these, agents for which its templates have no result then.")


class ValueRolloutSerializer(serializers.Serializer[Rerendering]):
    """A configuration that gets the change in stages."""

    id = serializers.IntegerField(
        source="planned.rollout.pk", default=None, allow_null=True, help_text="Of the rollout; null in a dry run."
    )
    configuration = serializers.CharField(source="name")
    policy = serializers.SerializerMethodField()
    agents = serializers.IntegerField(source="planned.agents", help_text="Agents whom it concerns.")
    stages = PlannedStageSerializer(many=True, source="planned.stages")

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_policy(self, effect: Rerendering) -> dict[str, Any]:
        """As a policy is written."""
        return effect.planned.policy.as_json() if effect.planned is not None else {}


class ObstacleSerializer(serializers.Serializer[Rerendering]):
    """Why a configuration refuses the change, unless rollouts are replaced."""

    configuration = serializers.CharField(source="name")
    code = serializers.CharField(source="obstacle.message.problem_code")
    message = serializers.SerializerMethodField()

    def get_message(self, effect: Rerendering) -> str:
        """In the reader's language."""
        return "" if effect.obstacle is None else in_readers_language(effect.obstacle)


class ChangeSerializer(serializers.Serializer[Change]):
    """What a change would do."""

    rerendered = RerenderingSerializer(many=True, source="effects")
    rollouts = ValueRolloutSerializer(
        many=True, help_text="What goes out in stages, by the policies of configurations."
    )
    obstacles = ObstacleSerializer(many=True, source="obstructed", help_text="Empty unless it is a dry run.")


class _ValueSerializer(StrictSerializer):
    description = Text(required=False, allow_blank=True, max_length=2_000)
    replace_rollout = Flag(required=False, write_only=True, help_text=_REPLACE)
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
    rollouts = ValueRolloutSerializer(many=True, read_only=True)


class ChangedSecret(SecretSerializer):
    """A secret just written, with what was rendered anew for it."""

    rerendered = RerenderingSerializer(many=True, read_only=True)
    rollouts = ValueRolloutSerializer(many=True, read_only=True)


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
        """``dry_run`` where something is written; what has no body says ``replace_rollout`` here too."""
        method = self.request.method
        known = set() if method in ("GET", "HEAD", "OPTIONS") else {"dry_run"}
        return super().known_query() | known | ({"replace_rollout"} if method == "DELETE" else set())

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

    def _says(self, name: str) -> bool:
        word = self.request.query_params.get(name, "false")
        if word not in ("true", "false"):
            raise ValidationError({name: [_("Say true or false.")]})
        return word == "true"

    def _is_dry_run(self) -> bool:
        return self._says("dry_run")

    def _said(self, change: Change, *, status: int = 200) -> Response:
        named = self.request.user.has_perm("agents.view_agent")
        effects = dict(ChangeSerializer(change, context={"names_agents": named}).data)
        if change.row is None:
            return Response(effects)
        del effects["obstacles"]
        return Response({**self._shown(self._with_users([change.row])[0]), **effects}, status=status)

    def _deleted(self, row: Any, request: Request) -> Response:
        dry_run = self._is_dry_run()
        change = value_edits.delete(
            row, by=signed_in(request), at=clock.now(), dry_run=dry_run, replace=self._says("replace_rollout")
        )
        return self._said(change) if dry_run else Response(status=204)


class VariableViewSet(_ValueViewSet):
    """Variables, by name and priority."""

    queryset = Variable.objects.all()
    serializer_class = VariableSerializer
    filterset_class = VariableFilter
    lookup_value_regex = VALUE_KEY
    group = "vars"

    def get_queryset(self) -> QuerySet[Variable]:
        """What the caller may see."""
        return Variable.objects.visible_to(self.request.user).order_by("name", "-priority", "pk")

    def get_object(self) -> Variable:
        """The value that the URL names. Raises `Variable.DoesNotExist`, `SharedName`."""
        return value_edits.variable_called(str(self.kwargs["pk"]), self.get_queryset())

    @extend_schema(operation_id="variables_retrieve", parameters=[VALUE])
    def retrieve(self, request: Request, pk: str) -> Response:
        """One value."""
        return self._one(self.get_object())

    @extend_schema(parameters=[DRY_RUN], responses={201: ChangedVariable, 200: ChangeSerializer})
    def create(self, request: Request) -> Response:
        """Make one; agents whose files change with it get them."""
        values = self._validated(request)
        return self._said(self._saved(None, values, request), status=201)

    @extend_schema(parameters=[VALUE, DRY_RUN], responses=ChangedVariable)
    def update(self, request: Request, pk: str) -> Response:
        """Replace one: fields left out get their defaults."""
        row = self.get_object()
        values = {"value": "", "selector": {}, "priority": 0, "description": "", **self._validated(request)}
        values.setdefault("match_all", not values["selector"])
        return self._said(self._saved(row, values, request))

    @extend_schema(parameters=[VALUE, DRY_RUN], responses=ChangedVariable)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change one: fields left out stay."""
        return self._said(self._saved(self.get_object(), self._validated(request, partial=True), request))

    @extend_schema(parameters=[VALUE, DRY_RUN, REPLACE])
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete one. 409 for the last value of a name that is used."""
        return self._deleted(self.get_object(), request)

    def _saved(self, row: Variable | None, values: dict[str, Any], request: Request) -> Change:
        options: dict[str, Any] = {"by": signed_in(request), "at": clock.now(), "dry_run": self._is_dry_run()}
        return value_edits.save_variable(row, values, replace=values.pop("replace_rollout", False), **options)


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

    @extend_schema(parameters=[DRY_RUN, REPLACE])
    def destroy(self, request: Request, name: str) -> Response:
        """Delete one. 409 for one that is used."""
        return self._deleted(self.get_object(), request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """No cache on the way keeps anything about secrets."""
        return showing_secret(super().finalize_response(request, response, *args, **kwargs))

    def _saved(self, row: Secret | None, values: dict[str, Any], request: Request) -> Change:
        options: dict[str, Any] = {"by": signed_in(request), "at": clock.now(), "dry_run": self._is_dry_run()}
        return value_edits.save_secret(row, values, replace=values.pop("replace_rollout", False), **options)


def _used_by(serializer: serializers.BaseSerializer[Any], use: str) -> list[str]:
    known: list[str] | None = getattr(serializer.instance, "used_by", None)
    return value_edits.users_of([use])[use] if known is None else known

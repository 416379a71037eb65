"""The REST endpoint to the rollouts of one configuration: what was and is rolled out of it, and rolling out a revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from configurations.models import RELEASE_SUBJECT, Configuration
from configurations.services.publishing import ReleasePlan, default_policy
from configurations.services.revision_rollouts import roll_out_revision
from foundation.api_input import Flag, StrictSerializer, Text, Whole
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from rollouts.api import rollout_shown
from rollouts.api_serializers import POLICY_PROPERTIES, RolloutDetail, RolloutSerializer
from rollouts.filters import RolloutStateFilter
from rollouts.former_names import present_names
from rollouts.models import Rollout
from rollouts.policies import parse_policy


def _policy_field(name: str) -> Any:
    """One field of a policy, which is judged as a whole by `rollouts.policies`."""
    kind = type("PolicyPart", (serializers.JSONField,), {})
    return extend_schema_field(POLICY_PROPERTIES[name])(kind)(required=False, allow_null=name == "window")


class RolloutRequest(StrictSerializer):
    """Which revision to roll out, and how: the fields of a policy.

    Without ``stages`` the policy of the configuration holds, else the site's, but for what is said here.
    """

    revision = Whole(required=False, min_value=1, max_value=2**31 - 1, help_text="By default the newest one.")
    stages = _policy_field("stages")
    gate = _policy_field("gate")
    max_in_flight = _policy_field("max_in_flight")
    window = _policy_field("window")
    approval = _policy_field("approval")
    on_gate_failure = _policy_field("on_gate_failure")
    note = Text(max_length=500, required=False, allow_blank=True, help_text="Of the revision that is made for it.")
    force = Flag(required=False, help_text="Also when a Collector would refuse that revision.")
    replace_rollout = Flag(
        required=False, help_text="End a rollout that has not ended, instead of being refused for it."
    )

    def to_internal_value(self, data: Any) -> Any:
        """Also by the former names of a policy's fields."""
        return super().to_internal_value(present_names(data))

    def plan(self, configuration: Configuration) -> ReleasePlan:
        """How the revision goes out, of valid data. Raises `InvalidPolicy`."""
        values: Mapping[str, Any] = self.validated_data
        replace = values.get("replace_rollout", False)
        said = {name: values[name] for name in POLICY_PROPERTIES if name in values}
        if not said:
            return ReleasePlan(by_default=True, staged=True, replace=replace)
        default = None if "stages" in said else default_policy(configuration)
        return ReleasePlan(parse_policy({**(default.as_json() if default else {}), **said}), replace=replace)


class ConfigurationRolloutViewSet(DeclaredQuery, mixins.ListModelMixin, viewsets.GenericViewSet[Any]):
    """The rollouts of one configuration; each is found under ``/rollouts`` too, where people act on it."""

    queryset = Rollout.objects.all()
    serializer_class = RolloutSerializer
    filterset_class = RolloutStateFilter
    # Rollouts are made by publishing, which is a change of the configuration; see `accounts.authentication.ModelPermissions`.
    right = "view"

    @property
    def further_rights(self) -> Sequence[str]:
        """To see the configuration; to change it for a rollout."""
        return [f"configurations.{'change' if self.request.method == 'POST' else 'view'}_configuration"]

    def get_queryset(self) -> QuerySet[Rollout]:
        """The newest first. Raises `Configuration.DoesNotExist`."""
        rollouts = Rollout.objects.visible_to(self.request.user).order_by("-pk")
        return rollouts.of(RELEASE_SUBJECT, self._configuration().pk)

    @extend_schema(operation_id="configurations_rollouts_list")
    def list(self, request: Request, **_kwargs: str) -> Response:
        """The newest first."""
        return super().list(request)

    @extend_schema(
        operation_id="configurations_rollouts_create", request=RolloutRequest, responses={201: RolloutDetail}
    )
    def create(self, request: Request, **_kwargs: str) -> Response:
        """Roll out a revision: what it says goes out as a new one, in stages.

        404 for a revision that there is not; 409 for one that everybody has, and while another rollout has not ended.
        """
        configuration = self._configuration()
        asked = RolloutRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        rollout = roll_out_revision(
            configuration.name,
            asked.validated_data.get("revision"),
            by=signed_in(request),
            at=clock.now(),
            plan=asked.plan(configuration),
            note=asked.validated_data.get("note", ""),
            force=asked.validated_data.get("force", False),
        )
        return Response(rollout_shown(rollout), status=201)

    def _configuration(self) -> Configuration:
        name = str(self.kwargs.get("name", "")).replace("\x00", "\ufffd")
        return Configuration.objects.visible_to(self.request.user).get(name=name)

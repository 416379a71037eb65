"""The REST endpoints to drafts: of one configuration, and of all; saving reaches nobody, publishing does."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.api_secrets import SECRETS, SecretsOnDemand
from configurations.api_draft_serializers import (
    DraftOfConfiguration,
    DraftSerializer,
    DraftSummary,
    NewDraftSerializer,
    PublishRequest,
    RebaseRequest,
    edition_problem,
)
from configurations.api_force import FORCE, forced
from configurations.api_preconditions import IF_MATCH, Preconditions, etag_of
from configurations.api_serializers import ConfigurationSerializer, NewConfiguration, drafted, findings_json, plan_of
from configurations.models import Configuration, ConfigurationDraft
from configurations.previewing import targeting_findings
from configurations.services import draft_saving
from configurations.services.draft_errors import DraftGone
from configurations.services.draft_saving import Base, draft_in
from configurations.services.drafts import Draft, blank_over, draft_of
from configurations.services.edit_errors import StaleRevision
from configurations.services.publishing import BasedOn
from foundation.clock import clock


class DraftViewSet(SecretsOnDemand, viewsets.GenericViewSet[Any]):
    """All drafts. Rights are those on configurations: *change*, and *add* where there is none yet."""

    queryset = Configuration.objects.all()
    serializer_class = DraftSerializer
    lookup_value_regex = "[0-9]{1,18}"
    filter_backends = []
    reveals = frozenset({"retrieve"})

    @property
    def right(self) -> str | None:
        """See `accounts.authentication.ModelPermissions`."""
        if self.request.method in ("GET", "HEAD", "OPTIONS"):
            return None
        if getattr(self, "action", None) == "create":
            return self.right_to_create
        return "add" if self._row is not None and self._row.base_edition is None else "change"

    right_to_create = "add"

    @cached_property
    def _row(self) -> ConfigurationDraft | None:
        """The draft named in the URL."""
        key = self.kwargs.get("pk")
        return None if key is None else self.get_queryset().filter(pk=min(int(key), 2**63 - 1)).first()

    def get_queryset(self) -> QuerySet[Any]:
        """What the caller may see."""
        return ConfigurationDraft.objects.visible_to(self.request.user).with_present()

    def get_object(self) -> ConfigurationDraft:
        """The draft named in the URL. Raises `DraftGone`."""
        if self._row is None:
            raise DraftGone
        return self._row

    @extend_schema(operation_id="drafts_list", responses=DraftSummary(many=True))
    def list(self, request: Request, **_kwargs: str) -> Response:
        """The newest first, without what they want."""
        page = self.paginate_queryset(self.get_queryset().listed())  # type: ignore[attr-defined]
        return self.get_paginated_response(DraftSummary(page, many=True).data)

    @extend_schema(operation_id="drafts_retrieve", parameters=[SECRETS])
    def retrieve(self, request: Request, **_kwargs: str) -> Response:
        """One draft; its ETag changes with every save. Secrets are hidden unless asked for."""
        row = self.get_object()
        self.reveal_if_asked(row, f"draft {row.pk}")
        return self._shown(row)

    @extend_schema(operation_id="drafts_create", request=NewDraftSerializer, responses={201: DraftSerializer})
    def create(self, request: Request) -> Response:
        """Save the draft of a configuration that does not exist yet."""
        values = self._validated(NewDraftSerializer)
        row = draft_saving.save_new_draft(
            values["name"],
            drafted(values, Draft()),
            by=signed_in(request),
            at=clock.now(),
            note=values.get("note", ""),
        )
        return self._shown(row, status=201)

    @extend_schema(operation_id="drafts_update", parameters=[IF_MATCH])
    def update(self, request: Request, **_kwargs: str) -> Response:
        """Replace what the draft wants: fields left out get their defaults, the note and the name stay."""
        return self._edit(keep=False)

    @extend_schema(operation_id="drafts_partial_update", parameters=[IF_MATCH])
    def partial_update(self, request: Request, **_kwargs: str) -> Response:
        """Change the draft: fields left out stay."""
        return self._edit(keep=True)

    @extend_schema(operation_id="drafts_destroy", parameters=[IF_MATCH])
    def destroy(self, request: Request, **_kwargs: str) -> Response:
        """Discard it."""
        editions = Preconditions.of(request).editions
        draft_saving.discard_draft(self.get_object().pk, by=signed_in(request), editions=editions)
        return Response(status=204)

    @extend_schema(
        operation_id="drafts_publish",
        parameters=[IF_MATCH, FORCE],
        request=PublishRequest,
        responses={200: NewConfiguration, 201: NewConfiguration},
    )
    @action(detail=True, methods=["post"], serializer_class=PublishRequest, query=["force"])
    def publish(self, request: Request, **_kwargs: str) -> Response:
        """Make it the newest revision, or the configuration, and start its rollout; the draft ends.

        By the policy that is set; where that is *at once*, in one stage of everybody. With `release: at_once` there is no rollout.
        409 when the configuration moved on, or has a rollout that has not ended.
        """
        row = self.get_object()
        values = self._validated(PublishRequest)
        configuration, findings = draft_saving.publish_draft(
            row.pk,
            by=signed_in(request),
            at=clock.now(),
            editions=self._editions(values),
            note=values.get("note"),
            force=forced(request, values),
            plan=plan_of(values, staged=True),
        )
        shown = Configuration.objects.select_related("current").with_matched_agents().get(pk=configuration.pk)
        body = dict(ConfigurationSerializer(shown).data)
        told = [*findings, *targeting_findings(shown)]
        body["warnings"] = findings_json(told, name_agents=request.user.has_perm("agents.view_agent"))
        status = 201 if row.base_edition is None else 200
        return Response(body, status=status, headers={"ETag": etag_of(shown)})

    @extend_schema(
        operation_id="drafts_rebase", parameters=[IF_MATCH], request=RebaseRequest, responses=DraftSerializer
    )
    @action(detail=True, methods=["post"], serializer_class=RebaseRequest)
    def rebase(self, request: Request, **_kwargs: str) -> Response:
        """Take the newest revision as what the draft starts from; what it wants stays."""
        row = self.get_object()
        values = self._validated(RebaseRequest)
        based = draft_saving.rebase_draft(
            row.pk,
            by=signed_in(request),
            at=clock.now(),
            editions=self._editions(values),
            onto=BasedOn(values.get("revision")),
        )
        return self._shown(based)

    # --- Shared ------------------------------------------------------------------------------------------------

    def _edit(self, *, keep: bool) -> Response:
        row = self.get_object()
        values = self._validated(DraftSerializer)
        by = signed_in(self.request)
        base = draft_in(row).edited_by(by)
        editions = self._editions(values)
        named = {"name": row.name, **values}
        edited = draft_saving.edit_draft(
            row.pk,
            drafted(named, base if keep else blank_over(base)),
            by=by,
            at=clock.now(),
            # Whatever it is meant for, it is made of what was just read.
            editions={row.edition} if editions is None else editions,
            note=values.get("note"),
            name=values.get("name"),
        )
        return self._shown(edited)

    def _validated(self, kind: Any) -> dict[str, Any]:
        serializer = kind(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def _editions(self, values: dict[str, Any]) -> Collection[int] | None:
        """Which editions of the draft the request is based on. Raises `ValidationError` when it does not say."""
        wanted = Preconditions.of(self.request)
        named = {values["edition"]} if "edition" in values else None
        if not wanted.must_exist and named is None:
            raise ValidationError(edition_problem())
        if wanted.editions is None or named is None:
            return named if wanted.editions is None else wanted.editions
        return wanted.editions & named

    def _shown(self, row: ConfigurationDraft, *, status: int = 200) -> Response:
        body = DraftSerializer(row, context={"secrets_shown": self.secrets_shown}).data
        return Response(body, status=status, headers={"ETag": etag_of(row, secrets_shown=self.secrets_shown)})


@extend_schema_view(
    **{
        name: extend_schema(exclude=True)
        for name in ("retrieve", "update", "partial_update", "destroy", "publish", "rebase")
    }
)
class ConfigurationDraftViewSet(DraftViewSet):
    """The drafts of one configuration, by its name; single ones as under ``/drafts``, where they are documented."""

    right_to_create = "change"

    def get_queryset(self) -> QuerySet[Any]:
        """Of that name."""
        name = str(self.kwargs.get("name", ""))
        return super().get_queryset().filter(name=name.replace("\x00", "\ufffd"))

    @extend_schema(operation_id="configurations_drafts_list", responses=DraftSummary(many=True))
    def list(self, request: Request, **_kwargs: str) -> Response:
        """The newest first, without what they want; none when there is no such configuration."""
        return super().list(request)

    @extend_schema(
        operation_id="configurations_drafts_create", request=DraftOfConfiguration, responses={201: DraftSerializer}
    )
    def create(self, request: Request, name: str = "") -> Response:
        """Save a draft: fields left out are as they are in the configuration. It reaches nobody."""
        configuration = self._configuration(name)
        values = self._validated(DraftOfConfiguration)
        if values.get("name", name) != name:
            raise ValidationError({"name": [_("The name of a configuration cannot change.")]})
        by = signed_in(request)
        row = draft_saving.save_draft(
            name,
            drafted(values, draft_of(configuration).edited_by(by)),
            by=by,
            at=clock.now(),
            base=_base(configuration, values.get("base_revision")),
            note=values.get("note", ""),
        )
        return self._shown(row, status=201)

    def _configuration(self, name: str) -> Configuration:
        """Raises `Configuration.DoesNotExist`."""
        visible = Configuration.objects.visible_to(self.request.user).select_related("current")
        return visible.get(name=name.replace("\x00", "\ufffd"))


def _base(configuration: Configuration, revision: int | None) -> Base:
    """What a draft that was written over ``revision`` starts from, by default what was just read.

    Raises `StaleRevision` for one that never was.
    """
    present = Base.of(configuration)
    if revision is None or revision == present.revision:
        return present
    if revision > present.revision:
        raise StaleRevision(expected=revision, current=present.revision)
    # Which edition that was is not known; it is not the present one.
    return Base(revision, 0)

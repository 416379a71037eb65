"""The REST endpoint to deleted configurations: looked at, restored, or deleted for good."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.api_secrets import SECRETS, SecretsOnDemand
from configurations.api_draft_serializers import DeletedSerializer, DeletedSummary, RestoreRequest
from configurations.api_preconditions import etag_of
from configurations.api_serializers import ConfigurationSerializer
from configurations.models import Configuration, DeletedConfiguration
from configurations.services.keeping_deleted import DeletedGone, delete_for_good
from configurations.services.restoring_deleted import restore_configuration
from foundation.clock import clock


class DeletedConfigurationViewSet(SecretsOnDemand, viewsets.GenericViewSet[Any]):
    """Deleted configurations. Rights are those on configurations: restoring needs *add*, deleting for good *delete*."""

    queryset = Configuration.objects.all()
    serializer_class = DeletedSerializer
    lookup_value_regex = "[0-9]{1,18}"
    filter_backends = []
    right: str | None = None
    reveals = frozenset({"retrieve"})

    def get_queryset(self) -> QuerySet[Any]:
        """What the caller may see."""
        return DeletedConfiguration.objects.visible_to(self.request.user)

    def get_object(self) -> DeletedConfiguration:
        """The one in the URL. Raises `DeletedGone`."""
        key = min(int(self.kwargs["pk"]), 2**63 - 1)
        row: DeletedConfiguration | None = self.get_queryset().filter(pk=key).first()
        if row is None:
            raise DeletedGone
        return row

    @extend_schema(operation_id="deleted_configurations_list", responses=DeletedSummary(many=True))
    def list(self, request: Request) -> Response:
        """The last deleted first, without their files."""
        page = self.paginate_queryset(DeletedConfiguration.objects.visible_to(request.user).listed())
        return self.get_paginated_response(DeletedSummary(page, many=True).data)

    @extend_schema(operation_id="deleted_configurations_retrieve", parameters=[SECRETS])
    def retrieve(self, request: Request, pk: str) -> Response:
        """One with the files that were live. Secrets are hidden unless asked for."""
        row = self.get_object()
        shown = self.reveal_if_asked(row, f"revision {row.present.get('number', 0)}")
        return Response(DeletedSerializer(row, context={"secrets_shown": shown}).data)

    @extend_schema(operation_id="deleted_configurations_destroy")
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete it for good."""
        delete_for_good(self.get_object().pk, by=signed_in(request))
        return Response(status=204)

    @extend_schema(
        operation_id="deleted_configurations_restore", request=RestoreRequest, responses={201: ConfigurationSerializer}
    )
    @action(detail=True, methods=["post"], right="add", serializer_class=RestoreRequest)
    def restore(self, request: Request, pk: str) -> Response:
        """Make it anew, with its revisions as history, and disabled: no agent gets anything by it."""
        row = self.get_object()
        asked = RestoreRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        name = asked.validated_data.get("name", "")
        made = restore_configuration(row.pk, by=signed_in(request), at=clock.now(), name=name)
        shown = Configuration.objects.select_related("current").with_matched_agents().get(pk=made.pk)
        return Response(ConfigurationSerializer(shown).data, status=201, headers={"ETag": etag_of(shown)})

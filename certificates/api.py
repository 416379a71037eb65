"""The REST endpoints to agents' certificates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from certificates.filters import CertificateFilter
from certificates.models import LONGEST_REASON, AgentCertificate
from certificates.services import deciding
from foundation.api_input import StrictSerializer, Text
from foundation.api_query import DeclaredQuery
from foundation.clock import clock


class CertificateSerializer(serializers.ModelSerializer[AgentCertificate]):
    """A request, and the certificate once there is one. ``instance_uid`` is the agent's present one, ``null`` when it is gone."""

    instance_uid = serializers.SerializerMethodField()
    named_uid = serializers.UUIDField(source="instance_uid", help_text="The uid that the certificate names.")
    decided_by = serializers.CharField(source="decided_by_name")

    class Meta:
        model = AgentCertificate
        fields = [
            "id", "instance_uid", "named_uid", "state", "key_sha256", "key_type", "requests", "requested_at", "decided_at",
            "decided_by", "reason", "serial_number", "not_before", "not_after", "offered_at", "used_at", "revoked_at",
            "certificate",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": "string", "format": "uuid", "nullable": True})
    def get_instance_uid(self, row: AgentCertificate) -> str | None:
        """The agent."""
        return None if row.agent is None else str(row.agent.instance_uid)


class SeenKeySerializer(StrictSerializer):
    """Which key was looked at: an agent may have asked with another one since."""

    key_sha256 = Text(max_length=64)


class RevocationSerializer(StrictSerializer):
    """Why."""

    reason = Text(max_length=LONGEST_REASON)


class DenialSerializer(SeenKeySerializer, RevocationSerializer):
    """Which key, and why not; the agent is told."""


class CertificateViewSet(DeclaredQuery, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """Certificates of agents and requests for them, the newest first."""

    queryset = AgentCertificate.objects.all()
    serializer_class: type[serializers.BaseSerializer[Any]] = CertificateSerializer
    filterset_class: type[django_filters.FilterSet] | None = CertificateFilter
    lookup_value_regex = r"[0-9]{1,18}"
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None

    def get_queryset(self) -> QuerySet[AgentCertificate]:
        """What the caller may see."""
        return AgentCertificate.objects.visible_to(self.request.user).select_related("agent").order_by("-pk")

    @extend_schema(operation_id="certificates_approve", request=SeenKeySerializer, responses=CertificateSerializer)
    @action(detail=True, methods=["post"], right="change", serializer_class=SeenKeySerializer)
    def approve(self, request: Request, pk: str) -> Response:
        """Have it signed. 409 when it does not wait for approval, or is about another key."""
        return self._decided(request, pk, deciding.approve_certificate)

    @extend_schema(operation_id="certificates_deny", request=DenialSerializer, responses=CertificateSerializer)
    @action(detail=True, methods=["post"], right="change", serializer_class=DenialSerializer)
    def deny(self, request: Request, pk: str) -> Response:
        """Tell the agent no. 409 when it does not wait for approval, or is about another key."""
        return self._decided(request, pk, deciding.deny_certificate)

    @extend_schema(operation_id="certificates_revoke", request=RevocationSerializer, responses=CertificateSerializer)
    @action(detail=True, methods=["post"], right="change", serializer_class=RevocationSerializer)
    def revoke(self, request: Request, pk: str) -> Response:
        """Refuse it from now on, and close the connection it opened. 409 when it is not issued."""
        return self._decided(request, pk, deciding.revoke_certificate)

    def _decided(self, request: Request, pk: str, decide: Callable[..., AgentCertificate]) -> Response:
        """What the body of this action says goes to ``decide`` as it is."""
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        row = decide(int(pk), by=signed_in(request), at=clock.now(), **asked.validated_data)
        return Response(CertificateSerializer(row).data)

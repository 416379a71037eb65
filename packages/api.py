"""The REST endpoint to packages and their versions. Files are `api_files`' business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.models import Agent
from foundation.api_query import DeclaredQuery, one_of
from foundation.clock import clock
from foundation.etags import IF_MATCH, edition_etag
from packages.api_editions import editions_of
from packages.api_serializers import (
    InstallationSerializer,
    PackageSerializer,
    ReleasedSerializer,
    ReleaseRequest,
    VersionSerializer,
)
from packages.models import Installation, Package, PackageVersion
from packages.packages_shown import counted, versions_of
from packages.services import package_edits, version_releases
from rollouts.api_releasing import LARGEST, NUMBER, SEES_AGENTS, version_plan_of
from rollouts.api_serializers import RolloutSummary

_STATUS = OpenApiParameter(
    "status", OpenApiTypes.STR, enum=Installation.Status.values, description="Only installations that stand so."
)
_STATUS_VERSION = OpenApiParameter("version", OpenApiTypes.STR, description="Only of this version.")


class PackageFilter(django_filters.FilterSet):
    """By name and kind."""

    name = django_filters.CharFilter(help_text="The whole name.")
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="A part of the name.")
    kind = django_filters.ChoiceFilter(choices=Package.Kind.choices)

    class Meta:
        model = Package
        fields: list[str] = []


class PackageViewSet(DeclaredQuery, viewsets.GenericViewSet[Any]):
    """Packages, by name and priority."""

    queryset = Package.objects.all()
    serializer_class: Any = PackageSerializer
    filterset_class: type[django_filters.FilterSet] | None = PackageFilter
    lookup_value_regex = r"[0-9]{1,18}"
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None
    further_rights: Sequence[str] = ()

    def get_queryset(self) -> QuerySet[Package]:
        """What the caller may see."""
        return counted(Package.objects.visible_to(self.request.user)).order_by("name", "-priority", "pk")

    def list(self, request: Request) -> Response:
        """By name."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(PackageSerializer(page, many=True).data)

    @extend_schema(responses=PackageSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One package."""
        return self._shown(self.package(pk).pk)

    @extend_schema(responses={201: PackageSerializer})
    def create(self, request: Request) -> Response:
        """Make a package; it reaches nobody before a version is released."""
        asked = PackageSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        row = package_edits.create_package(asked.validated_data, by=signed_in(request), at=clock.now())
        return self._shown(row.pk, status=201)

    @extend_schema(parameters=[IF_MATCH], responses=PackageSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change one; fields left out stay. Agents that it gains or loses are matched anew."""
        row = self.package(pk)
        asked = PackageSerializer(data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        package_edits.update_package(
            row.pk, asked.validated_data, by=signed_in(request), at=clock.now(), editions=editions_of(request)
        )
        return self._shown(row.pk)

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete one with its versions and files. 409 while agents should have it."""
        package_edits.delete_package(self.package(pk), by=signed_in(request), at=clock.now())
        return Response(status=204)

    @extend_schema(operation_id="packages_versions_list", responses=VersionSerializer(many=True), filters=False)
    @action(detail=True, lists=True, filterset_class=None, serializer_class=VersionSerializer)
    def versions(self, request: Request, pk: str) -> Response:
        """All versions with their files, the newest first."""
        page = self.paginate_queryset(versions_of(self.package(pk)))
        return self.get_paginated_response(VersionSerializer(page, many=True).data)

    @extend_schema(
        operation_id="packages_versions_create", request=VersionSerializer, responses={201: VersionSerializer}
    )
    @versions.mapping.post
    def add_version(self, request: Request, pk: str) -> Response:
        """Add a version without files."""
        package = self.package(pk)
        asked = VersionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        row = package_edits.add_version(package, **asked.validated_data, by=signed_in(request), at=clock.now())
        return self._version_shown(package, row.number, status=201)

    @extend_schema(operation_id="packages_versions_retrieve", parameters=[NUMBER], responses=VersionSerializer)
    @action(
        detail=True,
        url_path=r"versions/(?P<number>[0-9]{1,9})",
        filterset_class=None,
        serializer_class=VersionSerializer,
    )
    def version(self, request: Request, pk: str, number: str) -> Response:
        """One version with its files."""
        return self._version_shown(self.package(pk), int(number))

    @extend_schema(operation_id="packages_versions_destroy", parameters=[NUMBER], responses={204: None})
    @version.mapping.delete
    def delete_version(self, request: Request, pk: str, number: str) -> Response:
        """Delete one with its files. 409 for one that is in force, or that an agent should have."""
        row = version_of(self.package(pk), number)
        package_edits.delete_version(row, by=signed_in(request), at=clock.now())
        return Response(status=204)

    @extend_schema(
        operation_id="packages_versions_release",
        parameters=[NUMBER],
        request=ReleaseRequest,
        responses=ReleasedSerializer,
    )
    @action(
        detail=True,
        methods=["post"],
        right="change",
        url_path=r"versions/(?P<number>[0-9]{1,9})/release",
        filterset_class=None,
        serializer_class=ReleaseRequest,
    )
    def release(self, request: Request, pk: str, number: str) -> Response:
        """Make a version what agents should have, a former one too. 409 where there is nothing to release."""
        package = self.package(pk)
        asked = ReleaseRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        plan = version_plan_of(dict(asked.validated_data))
        row = version_of(package, number)
        rollout = version_releases.publish_version(row, by=signed_in(request), at=clock.now(), plan=plan)
        shown = self._version_shown(package, int(number)).data
        return Response({"version": shown, "rollout": RolloutSummary(rollout).data if rollout else None})

    @extend_schema(
        operation_id="packages_agents_list",
        responses=InstallationSerializer(many=True),
        parameters=[_STATUS, _STATUS_VERSION],
        filters=False,
    )
    @action(
        detail=True,
        lists=True,
        filterset_class=None,
        further_rights=SEES_AGENTS,
        query=["status", "version"],
        serializer_class=InstallationSerializer,
    )
    def agents(self, request: Request, pk: str) -> Response:
        """The agents that should have it, and how far they are."""
        seen = Agent.objects.visible_to(request.user)
        rows = Installation.objects.filter(package=self.package(pk), agent__in=seen.order_by().values("pk"))
        if status := one_of(request, "status", Installation.Status.values):
            rows = rows.filter(status=status)
        if version := request.query_params.get("version"):
            rows = rows.filter(version__version=version)
        page = self.paginate_queryset(rows.select_related("agent", "package", "version").order_by("pk"))
        return self.get_paginated_response(InstallationSerializer(page, many=True).data)

    def package(self, pk: str) -> Package:
        """Raises `Package.DoesNotExist`, which is answered as 404."""
        return Package.objects.visible_to(self.request.user).get(pk=int(pk))

    def _shown(self, pk: int, *, status: int = 200) -> Response:
        row = self.get_queryset().get(pk=pk)
        return Response(PackageSerializer(row).data, status=status, headers={"ETag": edition_etag(row)})

    def _version_shown(self, package: Package, number: int, *, status: int = 200) -> Response:
        row = versions_of(package).filter(number=number).first()
        if row is None:
            raise NotFound
        return Response(VersionSerializer(row).data, status=status)


def version_of(package: Package, number: str) -> PackageVersion:
    """Raises `NotFound`."""
    row = PackageVersion.objects.filter(package=package, number=min(int(number), LARGEST)).first()
    if row is None:
        raise NotFound
    return row

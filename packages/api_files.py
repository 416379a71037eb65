"""The REST endpoints to files of packages: uploads as they come, addresses of others, downloads; and to one agent's packages."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from accounts.authentication import signed_in
from agents.api_of_agent import INSTANCE_UID, OfAgentView
from foundation.api_input import NoBody
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from foundation.messages import Message
from packages.api import version_of
from packages.api_serializers import (
    AddressSerializer,
    ArtefactSerializer,
    FileFactsSerializer,
    InstallationSerializer,
    UploadForm,
)
from packages.downloads import served
from packages.errors import FileTooLarge, NoSuchFile
from packages.installation_outcome import best_platform
from packages.models import Artefact, Installation, Package, PackageVersion
from packages.services import installing_again, uploading
from packages.services.store import Source
from packages.services.uploading import FileFacts
from rollouts.api_releasing import NUMBER

RAW = "application/octet-stream"
# What a form has beside the file.
_FORM_BYTES = 64 * 1024
_PACKAGE = OpenApiParameter("id", {"type": "integer"}, OpenApiParameter.PATH)
_FILE = OpenApiParameter("file_id", {"type": "integer"}, OpenApiParameter.PATH)
_FACTS = tuple(FileFactsSerializer().fields)
FACT_PARAMETERS = [
    OpenApiParameter(name, OpenApiTypes.STR, description=f"Of a raw body. {field.help_text or ''}".strip())
    for name, field in FileFactsSerializer().fields.items()
]


def _defaults(name: str) -> list[Any]:
    """Classes that every view has, which the type stub takes for their names."""
    return list(getattr(api_settings, name))


class RawParser(BaseParser):
    """Says that raw bodies are taken; they are read where they are stored, and never here."""

    media_type = RAW

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Nothing is read."""
        return {}


class AnyRenderer(BaseRenderer):
    """Lets a client ask for whatever it likes of a download."""

    media_type, format = "*/*", "file"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> Any:
        """Problems have a renderer of their own."""
        return b""


class _PackageView(DeclaredQuery, GenericAPIView[Any]):
    """A view below one package's URL."""

    queryset = Package.objects.all()
    serializer_class: Any = ArtefactSerializer
    filter_backends = []
    pagination_class = None

    def package(self, pk: str) -> Package:
        """Raises `Package.DoesNotExist`."""
        return Package.objects.visible_to(self.request.user).get(pk=int(pk))


class FilesView(_PackageView):
    """Add a file to a version: a raw body with its facts in the query, a form, or the address of another place as JSON."""

    parser_classes = [*_defaults("DEFAULT_PARSER_CLASSES"), MultiPartParser, RawParser]
    right = "change"
    query = _FACTS

    @extend_schema(
        operation_id="packages_files_put",
        parameters=[_PACKAGE, NUMBER, *FACT_PARAMETERS],
        request={RAW: OpenApiTypes.BINARY},
        responses={201: ArtefactSerializer},
    )
    def put(self, request: Request, pk: str, number: str) -> Response:
        """A raw body, which is stored as it comes in."""
        return self._added(request, version_of(self.package(pk), number))

    @extend_schema(
        operation_id="packages_files_create",
        parameters=[_PACKAGE, NUMBER, *FACT_PARAMETERS],
        request={"application/json": AddressSerializer, "multipart/form-data": UploadForm},
        responses={201: ArtefactSerializer},
    )
    def post(self, request: Request, pk: str, number: str) -> Response:
        """A form with a file, or the https address of one that somebody else keeps."""
        return self._added(request, version_of(self.package(pk), number))

    def _added(self, request: Request, version: PackageVersion) -> Response:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.PACKAGE_MAX_SIZE + _FORM_BYTES:
            raise FileTooLarge(
                Message("package-too-large", "The file is larger than {most} bytes.", most=settings.PACKAGE_MAX_SIZE)
            )
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        by, at = signed_in(request), clock.now()
        if kind == RAW:
            facts = self._facts(
                FileFactsSerializer, {name: request.query_params[name] for name in request.query_params}
            )
            row = uploading.add_file(version, cast("Source", request), facts, by=by, at=at)
        elif kind == "multipart/form-data":
            file = request.FILES.get("file")
            if file is None or len(request.FILES) != 1:
                raise ValidationError({"file": [_("Send one file under this name.")]})
            sent: Any = request.data
            given = {name: str(value) for name, value in sent.items() if name not in ("file", "csrfmiddlewaretoken")}
            facts = self._facts(FileFactsSerializer, {"filename": file.name or "", **given})
            row = uploading.add_file(version, cast("Source", file), facts, by=by, at=at)
        elif kind == "application/json" and request.method == "POST":
            row = uploading.add_address(version, self._facts(AddressSerializer, request.data), by=by, at=at)
        else:
            raise UnsupportedMediaType(kind)
        return Response(ArtefactSerializer(row).data, status=201)

    def _facts(self, kind: type[serializers.Serializer[Any]], data: Any) -> FileFacts:
        asked = kind(data=data)
        asked.is_valid(raise_exception=True)
        return FileFacts(**asked.validated_data)


class FileView(_PackageView):
    """One file of a version."""

    right = "change"

    @extend_schema(
        operation_id="packages_files_destroy", parameters=[_PACKAGE, NUMBER, _FILE], request=None, responses={204: None}
    )
    def delete(self, request: Request, pk: str, number: str, file_id: str) -> Response:
        """Take it away. 409 for a file of a version that was released."""
        version = version_of(self.package(pk), number)
        uploading.delete_artefact(version.artefacts.get(pk=int(file_id)), by=signed_in(request))
        return Response(status=204)


class DownloadView(_PackageView):
    """The file of a version for a platform, for people and programs with the right to see packages."""

    query = ("version", "os_type", "architecture")
    renderer_classes = [*_defaults("DEFAULT_RENDERER_CLASSES"), AnyRenderer]

    @extend_schema(
        operation_id="packages_download",
        parameters=[
            _PACKAGE,
            OpenApiParameter("version", OpenApiTypes.STR, description="The newest one without it."),
            OpenApiParameter("os_type", OpenApiTypes.STR),
            OpenApiParameter("architecture", OpenApiTypes.STR),
        ],
        responses={
            (200, RAW): OpenApiTypes.BINARY,
            (206, RAW): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="The file has this ETag."),
            416: OpenApiResponse(description="There is no such range of it."),
        },
    )
    def get(self, request: Request, pk: str) -> HttpResponseBase:
        """The file that fits the platform closest; with Range a part of it."""
        versions = PackageVersion.objects.filter(package=self.package(pk))
        if name := request.query_params.get("version"):
            versions = versions.filter(version=name)
        version = versions.order_by("-number").first()
        found = {(row.os_type, row.architecture): row for row in version.artefacts.all()} if version else {}
        asked = {name: request.query_params.get(name, "") for name in ("os_type", "architecture")}
        platform = best_platform(found, **asked)
        artefact: Artefact | None = None if platform is None else found[platform]
        if artefact is None or not artefact.key:
            raise NoSuchFile(
                Message("package-no-file", "There is no such version, or no file of it here for this platform.")
            )
        return served(request._request, artefact)  # noqa: SLF001  Django's, which the answer is made for


class _AgentView(OfAgentView):
    serializer_class: Any = InstallationSerializer
    further_rights = ("packages.view_package",)


class InstallationsView(_AgentView):
    """What one agent should have installed, and how far it is."""

    @extend_schema(
        operation_id="agents_installations", parameters=[INSTANCE_UID], responses=InstallationSerializer(many=True)
    )
    def get(self, request: Request, instance_uid: str) -> Response:
        """By name; what the agent itself says it has is under its ``packages``."""
        rows = Installation.objects.filter(agent=self.agent(instance_uid)).order_by("package__name", "pk")
        return Response(InstallationSerializer(rows.select_related("agent", "package", "version"), many=True).data)


class InstallAgainView(_AgentView):
    """Have an agent try once more what it has not installed."""

    right = "change"
    serializer_class = NoBody

    @extend_schema(
        operation_id="agents_installations_retry",
        parameters=[INSTANCE_UID],
        request=None,
        responses=InstallationSerializer(many=True),
    )
    def post(self, request: Request, instance_uid: str) -> Response:
        """409 when it has installed all that it should have."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        agent = self.agent(instance_uid)
        installing_again.install_again(agent.pk, by=signed_in(request), at=clock.now())
        rows = Installation.objects.filter(agent=agent).select_related("agent", "package", "version")
        return Response(InstallationSerializer(rows.order_by("package__name", "pk"), many=True).data)

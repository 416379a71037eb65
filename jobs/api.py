"""The REST endpoint to jobs: one's own, and to administrators all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from accounts.authentication import signed_in
from foundation.api_input import NoBody, Said
from foundation.api_query import DeclaredQuery
from jobs.job_downloads import job_file_response
from jobs.models import Job, JobFile, JobResult
from jobs.outcomes import Outcome
from jobs.services.starting import cancel_job, retry_job


class JobFileSerializer(serializers.ModelSerializer[JobFile]):
    """The file that a job made."""

    url = serializers.SerializerMethodField(help_text="Where it is downloaded, by whoever may see the job.")

    class Meta:
        model = JobFile
        fields = ["url", "filename", "size", "expires_at"]
        read_only_fields = fields

    def get_url(self, file: JobFile) -> str:
        """Below the root of the portal."""
        return reverse("job-file", args=[file.job_id])


class JobSerializer(serializers.ModelSerializer[Job]):
    """A job, and how far it is."""

    title = Said(source="title_message")
    error = Said(source="error_message", allow_null=True, help_text="Why it failed, or why its last slice did.")
    started_by = serializers.CharField(source="started_by_name")
    file = JobFileSerializer(
        source="offered_file", read_only=True, allow_null=True, help_text="Of an export that is done, while it is kept."
    )
    percent = serializers.IntegerField(allow_null=True, help_text="Null while nobody knows how much there is.")

    class Meta:
        model = Job
        fields = [
            "id", "kind", "title", "state", "total", "done", "skipped", "failed", "percent", "error", "parameters",
            "attempt", "started_by", "created_at", "began_at", "run_after", "ended_at", "file",
        ]  # fmt: skip
        read_only_fields = fields


class JobResultSerializer(serializers.ModelSerializer[JobResult]):
    """What became of one item, such as an agent, which ``item`` names by its uid."""

    message = Said(source="said", allow_null=True)

    class Meta:
        model = JobResult
        fields = ["item", "name", "outcome", "message"]
        read_only_fields = fields


class JobFilter(django_filters.FilterSet):
    """By kind, state, and whose they are."""

    kind = django_filters.CharFilter(help_text="Such as agents.relabel.")
    state = django_filters.MultipleChoiceFilter(
        choices=Job.State.choices, help_text="Any of these: given several times."
    )
    mine = django_filters.ChoiceFilter(
        choices=[("true", "true")], method="by_mine", help_text="Only those that the caller started."
    )

    class Meta:
        model = Job
        fields: list[str] = []

    def by_mine(self, queryset: QuerySet[Job], _name: str, _value: str) -> QuerySet[Job]:
        """Whose they are."""
        return queryset.filter(started_by=self.request.user.pk)


class JobResultFilter(django_filters.FilterSet):
    """By what became of the items."""

    outcome = django_filters.MultipleChoiceFilter(
        choices=[(item.value, item.value) for item in Outcome], help_text="Any of these: given several times."
    )

    class Meta:
        model = JobResult
        fields: list[str] = []


class AnyFile(BaseRenderer):
    """Lets a client ask for whatever it likes of a download; problems have a renderer of their own."""

    media_type, format = "*/*", "file"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> Any:
        """Nothing is left to do."""
        return b""


class JobViewSet(DeclaredQuery, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """Jobs, the newest first."""

    queryset = Job.objects.all()
    serializer_class: type[serializers.BaseSerializer[Any]] = JobSerializer
    filterset_class: type[django_filters.FilterSet] | None = JobFilter
    # Whose they are decides, not a right.
    permission_classes = [IsAuthenticated]
    lookup_value_regex = r"[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[Any]:
        """What the caller may see; what they see they may cancel and retry."""
        if getattr(self, "swagger_fake_view", False):
            return self.queryset.none()
        return Job.objects.visible_to(self.request.user).select_related("file").order_by("-pk")

    @extend_schema(operation_id="jobs_results_list", responses=JobResultSerializer(many=True))
    @action(
        detail=True,
        lists=True,
        filterset_class=JobResultFilter,
        serializer_class=JobResultSerializer,
        queryset=JobResult.objects.all(),
    )
    def results(self, request: Request, pk: str) -> Response:
        """What became of each item, in order. Of very large jobs only the first 10,000 that were done have one."""
        rows = self.filter_queryset(self._job(pk).results.order_by("pk"))
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(JobResultSerializer(page, many=True).data)

    @extend_schema(operation_id="jobs_cancel", request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"], serializer_class=NoBody, filterset_class=None)
    def cancel(self, request: Request, pk: str) -> Response:
        """End it, after the slice that runs now if one does; what was done stays. 409 when it has ended."""
        return self._acted(request, pk, cancel_job)

    @extend_schema(operation_id="jobs_retry", request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"], serializer_class=NoBody, filterset_class=None)
    def retry(self, request: Request, pk: str) -> Response:
        """Go on where a failed or cancelled job stopped; 409 for any other."""
        return self._acted(request, pk, retry_job)

    @extend_schema(
        operation_id="jobs_file",
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/jsonl"): OpenApiTypes.STR,
        },
    )
    @action(detail=True, filterset_class=None, renderer_classes=[*api_settings.DEFAULT_RENDERER_CLASSES, AnyFile])
    def file(self, request: Request, pk: str) -> HttpResponseBase:
        """The file that it made, to whom the job belongs while they may see what is in it. 404 before it is done, 410 later."""
        return job_file_response(request._request, self._job(pk), by=signed_in(request))  # noqa: SLF001

    def _job(self, pk: str) -> Job:
        """Raises `Job.DoesNotExist`, which is answered as 404."""
        found: Job = self.get_queryset().get(pk=int(pk))
        return found

    def _acted(self, request: Request, pk: str, act: Callable[..., Job]) -> Response:
        NoBody(data=request.data).is_valid(raise_exception=True)
        job = act(self._job(pk).pk, by=signed_in(request))
        return Response(JobSerializer(job).data)

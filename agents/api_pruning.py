"""``POST /api/v1/agents:prune``: delete what is kept no longer, as a job."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.models import Agent
from agents.services.pruning import start_pruning
from foundation.api_input import NoBody
from foundation.api_query import DeclaredQuery
from jobs.api import JobSerializer


class PruneView(DeclaredQuery, GenericAPIView[Any]):
    """Pruning now."""

    queryset = Agent.objects.all()
    serializer_class = NoBody
    filter_backends = []
    pagination_class = None
    right: str | None = "delete"

    @extend_schema(
        operation_id="agents_prune",
        request=None,
        responses={202: OpenApiResponse(JobSerializer, description="The job; `Location` is its address.")},
    )
    def post(self, request: Request) -> Response:
        """Start a job that deletes what the settings say is kept no longer: history, agents that are gone, and so on.

        While such a job is under way, it is that one.
        """
        NoBody(data=request.data).is_valid(raise_exception=True)
        job = start_pruning(signed_in(request))
        where = request.build_absolute_uri(reverse("job-detail", args=[job.pk]))
        return Response(JobSerializer(job).data, status=202, headers={"Location": where})

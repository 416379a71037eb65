"""The base of REST views below one agent's URL, in whatever app."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView

from agents.models import Agent
from foundation.api_query import DeclaredQuery

INSTANCE_UID = OpenApiParameter("instance_uid", OpenApiTypes.UUID, OpenApiParameter.PATH)


class OfAgentView(DeclaredQuery, GenericAPIView[Any]):
    """A view below one agent's URL."""

    queryset = Agent.objects.all()
    serializer_class: Any = None
    filter_backends = []
    pagination_class = None

    def get_object(self) -> Agent:
        """As `agent`, for whoever asks what can be done here (OPTIONS)."""
        return self.agent(str(self.kwargs["instance_uid"]))

    def agent(self, instance_uid: str) -> Agent:
        """The agent named in the URL. Raises `NotFound`, `Agent.DoesNotExist`."""
        try:
            uid = UUID(instance_uid)
        except ValueError:
            raise NotFound from None
        return Agent.objects.visible_to(self.request.user).get(instance_uid=uid)

"""The REST endpoint to one's own preferences."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from accounts.models import User
from accounts.preferences import preferences_of, save_preferences, time_zones
from foundation.api_input import StrictSerializer, Text
from foundation.api_query import DeclaredQuery
from foundation.languages import in_readers_language
from foundation.messages import Message


class PreferencesSerializer(StrictSerializer):
    """How a person wants the portal. An empty language or time zone is the browser's or the server's."""

    language = serializers.ChoiceField([code for code, _name in settings.LANGUAGES], allow_blank=True, required=False)
    time_zone = Text(
        max_length=64,
        allow_blank=True,
        required=False,
        help_text="Such as `Europe/Berlin`; times in pages are shown in it.",
    )
    density = serializers.ChoiceField(User.Density.choices, required=False)
    start_page = serializers.ChoiceField(User.StartPage.choices, required=False)
    shortcuts = serializers.BooleanField(required=False, help_text="Whether single keys lead somewhere.")

    def validate_time_zone(self, value: str) -> str:
        """Raises `ValidationError` for a name that is none."""
        if value and value not in time_zones():
            said = Message("time-zone-unknown", "There is no such time zone; use a name such as Europe/Berlin.")
            raise serializers.ValidationError(in_readers_language(said))
        return value


class PreferencesView(DeclaredQuery, GenericAPIView[Any]):
    """One's own preferences."""

    serializer_class = PreferencesSerializer
    permission_classes = [IsAuthenticated]
    filter_backends = []
    pagination_class = None

    @extend_schema(operation_id="me_preferences_retrieve")
    def get(self, request: Request) -> Response:
        """Those of whoever asks."""
        return Response(PreferencesSerializer(preferences_of(signed_in(request))).data)

    @extend_schema(operation_id="me_preferences_partial_update")
    def patch(self, request: Request) -> Response:
        """Change those that are named; the others stay."""
        asked = PreferencesSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        person = signed_in(request)
        save_preferences(person, asked.validated_data)
        return Response(PreferencesSerializer(preferences_of(person)).data)

"""The REST endpoint to enrolment tokens: made, listed, revoked; the text is in the answer that makes one, and nowhere else."""

from __future__ import annotations

from typing import Any, cast

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from accounts.lifetimes import UnclearExpiry, parse_expiry
from accounts.services import Never
from agents.filters import FactFilter
from enrolment.errors import InvalidToken, TokenNameTaken
from enrolment.models import LONGEST_NAME, LONGEST_REASON, MOST_USES, ApprovalRule, EnrolmentToken
from enrolment.services.tokens import DEFAULT_DAYS, TokenWish, issue_enrolment_token, revoke_enrolment_token
from foundation.api_input import StrictSerializer, Text, Whole
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from foundation.languages import in_readers_language


class EnrolmentTokenSerializer(serializers.ModelSerializer[EnrolmentToken]):
    """A token without its text. Its agents: ``GET /api/v1/agents?enrolled_by=NAME``."""

    labels = serializers.DictField(child=serializers.CharField(allow_blank=True))
    created_by = serializers.CharField(source="created_by_name")
    revoked_by = serializers.CharField(source="revoked_by_name")
    active = serializers.SerializerMethodField()

    class Meta:
        model = EnrolmentToken
        fields = (
            "id", "name", "number", "active", "labels", "approval_rule", "max_uses", "uses", "expires_at", "created_by",
            "created_at", "last_used_at", "revoked_at", "revoked_by", "revoke_reason",
        )  # fmt: skip
        read_only_fields = fields

    def get_active(self, token: EnrolmentToken) -> bool:
        """Whether it may bring a further agent."""
        return token.state().denial_of_new(clock.now(), uses=token.uses, max_uses=token.max_uses) is None


class IssuedEnrolmentToken(EnrolmentTokenSerializer):
    """The only answer that has the text."""

    token = serializers.CharField(read_only=True)

    class Meta(EnrolmentTokenSerializer.Meta):
        fields = (*EnrolmentTokenSerializer.Meta.fields, "token")  # type: ignore[assignment]


class EnrolmentTokenRequest(StrictSerializer):
    """What the token shall be."""

    name = Text(max_length=LONGEST_NAME, help_text="Of no other token, revoked ones included.")
    # Judged by `agents.labels`, like what people type into forms.
    labels = serializers.DictField(default=dict, help_text="Labels of the agents it brings, which win over their own.")
    max_uses = Whole(
        default=None, allow_null=True, min_value=1, max_value=MOST_USES, help_text="Most agents; `null` for any number."
    )
    expires = Text(
        max_length=40,
        default=f"{DEFAULT_DAYS}d",
        help_text="Days such as `30d`, a date such as `2030-01-31`, or `never`.",
    )
    approval_rule = serializers.ChoiceField(
        choices=ApprovalRule.choices, default=ApprovalRule.SITE, help_text="Whether its agents wait for approval."
    )

    def wish(self) -> TokenWish:
        """What was asked for. Raises `ValidationError` for an end that is none."""
        values = self.validated_data
        try:
            end = parse_expiry(values["expires"], at=clock.now())
        except UnclearExpiry as error:
            raise serializers.ValidationError({"expires": [in_readers_language(error)]}) from error
        return TokenWish(
            name=values["name"],
            labels=values["labels"],
            max_uses=values["max_uses"],
            expires_at=None if isinstance(end, Never) else end,
            approval_rule=values["approval_rule"],
        )


class RevokeRequest(StrictSerializer):
    """Why."""

    reason = Text(allow_blank=True, trim_whitespace=False, help_text=f"One line, at most {LONGEST_REASON} characters.")


class EnrolmentTokenFilter(django_filters.FilterSet):
    """By name, and by whether they may bring further agents."""

    active = django_filters.ChoiceFilter(
        choices=[(value, value) for value in ("true", "false")],
        method="by_active",
        help_text="May bring further agents.",
    )
    name = django_filters.CharFilter()

    class Meta:
        model = EnrolmentToken
        fields: list[str] = []

    def by_active(self, queryset: QuerySet[EnrolmentToken], _name: str, value: str) -> QuerySet[EnrolmentToken]:
        """Those, or the others."""
        keys = EnrolmentToken.objects.bringing(clock.now()).values("pk")
        return queryset.filter(pk__in=keys) if FactFilter.VALUES[value] else queryset.exclude(pk__in=keys)


@extend_schema_view(
    list=extend_schema(operation_id="enrolment_tokens_list"),
    retrieve=extend_schema(operation_id="enrolment_tokens_retrieve"),
)
class EnrolmentTokenViewSet(
    DeclaredQuery, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]
):
    """Enrolment tokens, newest first."""

    queryset = EnrolmentToken.objects.all()
    serializer_class: type[serializers.BaseSerializer[Any]] = EnrolmentTokenSerializer
    filterset_class: type[django_filters.FilterSet] | None = EnrolmentTokenFilter
    lookup_value_regex = "[0-9]{1,18}"
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None

    def get_queryset(self) -> QuerySet[EnrolmentToken]:
        """What the caller may see."""
        return EnrolmentToken.objects.visible_to(self.request.user).order_by("-pk")

    @extend_schema(
        operation_id="enrolment_tokens_create", request=EnrolmentTokenRequest, responses={201: IssuedEnrolmentToken}
    )
    def create(self, request: Request) -> Response:
        """Make a token; its text is in this answer and nowhere else. 409 when the name is taken."""
        asked = EnrolmentTokenRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            row, text = issue_enrolment_token(asked.wish(), by=signed_in(request), at=clock.now())
        except TokenNameTaken:
            raise
        except InvalidToken as error:
            raise _at_its_field(error) from error
        cast("Any", row).token = text
        return Response(IssuedEnrolmentToken(row).data, status=201)

    @extend_schema(operation_id="enrolment_tokens_revoke", request=RevokeRequest, responses=EnrolmentTokenSerializer)
    @action(detail=True, methods=["post"], right="change", serializer_class=RevokeRequest)
    def revoke(self, request: Request, pk: str) -> Response:
        """End it: nobody comes by it any more, and connections it opened are closed. 409 when it is revoked already."""
        asked = RevokeRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            row = revoke_enrolment_token(
                int(pk), reason=asked.validated_data["reason"], by=signed_in(request), at=clock.now()
            )
        except InvalidToken as error:
            raise _at_its_field(error) from error
        return Response(EnrolmentTokenSerializer(row).data)


def _at_its_field(error: InvalidToken) -> serializers.ValidationError:
    field = "expires" if error.field == "expires_at" else error.field
    return serializers.ValidationError({field: [in_readers_language(error)]})

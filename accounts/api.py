"""The REST endpoint to the audit trail, which is read, and to API tokens, which are issued and revoked."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from accounts.lifetimes import DEFAULT, UnclearExpiry, parse_expiry
from accounts.models import ApiToken, AuditEntry, User
from accounts.rights import BeyondOwnRights
from accounts.services import Never, issue_token, revoke_token
from accounts.trail import Bound, UnclearMoment, by_actor, by_verb, moment, since_or_until
from foundation.api_input import StrictSerializer, Text
from foundation.clock import clock
from foundation.languages import in_readers_language
from foundation.messages import Message

# Those of every list; what else stands in a query is a mistake that should be seen.
_PAGING = {"page", "page_size", "format"}


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    """Who did what to which object, and when."""

    actor = serializers.CharField(source="actor_name", read_only=True)
    data = serializers.JSONField(  # type: ignore[assignment]  # the name is the contract's
        read_only=True, help_text="Of a bulk action `count` and `objects`, the first 500 of them with name and host."
    )

    class Meta:
        model = AuditEntry
        fields = ("id", "at", "actor", "verb", "object_type", "object_id", "object_name", "data")
        read_only_fields = fields


def _parameter(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, description=description)


@extend_schema_view(
    list=extend_schema(
        operation_id="audit_list",
        parameters=[
            _parameter("actor", "The whole name; `system` is the portal itself, `anonymous` somebody not signed in."),
            _parameter("verb", "Such as `agent.restart`; with a dot at the end all that begin so (`agent.`)."),
            _parameter("object_type", "Such as `agents.agent`."),
            _parameter("object_id", "The key of one object."),
            _parameter("since", "A day or a time: from then on."),
            _parameter("until", "A day, which counts whole, or a time: before it."),
        ],
    ),
    retrieve=extend_schema(operation_id="audit_retrieve"),
)
class AuditViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """The audit trail, newest first. Nothing writes it from here."""

    queryset = AuditEntry.objects.order_by("-id")
    serializer_class = AuditEntrySerializer
    lookup_value_regex = "[0-9]{1,18}"
    filter_backends = []

    def filter_queryset(self, queryset: QuerySet[Any]) -> Any:
        """By the query's parameters. Raises ValidationError for one that there is not, or that cannot be understood."""
        given = {name: values[-1] for name, values in self.request.query_params.lists()}
        known = ("actor", "verb", "object_type", "object_id", *(bound.value for bound in Bound))
        wrong: dict[str, Any] = {
            name: [_("There is no such filter; the filters are: %(known)s.") % {"known": ", ".join(known)}]
            for name in sorted(set(given) - set(known) - _PAGING)[:20]
        }
        wrong |= {name: [_("NUL characters are not allowed.")] for name, text in given.items() if "\0" in text}
        if wrong:
            raise ValidationError(wrong)
        rows = by_verb(by_actor(queryset, given.get("actor", "")), given.get("verb", ""))
        rows = rows.filter(**{name: given[name] for name in ("object_type", "object_id") if given.get(name)})
        for bound in Bound:
            if text := given.get(bound.value):
                try:
                    rows = since_or_until(rows, moment(text, bound), bound)
                except UnclearMoment as error:
                    raise ValidationError({bound.value: [in_readers_language(error)]}) from error
        return rows


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token without its text."""

    user = serializers.CharField(source="user.username", default=None, read_only=True, allow_null=True)

    class Meta:
        model = ApiToken
        fields = ("id", "name", "user", "prefix", "created_at", "expires_at", "last_used_at", "revoked_at")
        read_only_fields = fields


class IssuedToken(TokenSerializer):
    """The only answer that has the text."""

    token = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")  # type: ignore[assignment]


class TokenRequest(StrictSerializer):
    """Whose token it shall be, and how long it lives."""

    name = Text(max_length=100)
    user = Text(max_length=150, required=False, help_text="A user name; whoever calls, by default.")
    expires = Text(
        max_length=40,
        default=DEFAULT,
        help_text="Days such as `30d`, a date such as `2030-01-31` or `never`. Asked for with a token, not beyond that one's end.",
    )


@extend_schema_view(
    list=extend_schema(operation_id="tokens_list"),
    retrieve=extend_schema(operation_id="tokens_retrieve"),
)
class TokenViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """API tokens, newest first."""

    queryset = ApiToken.objects.select_related("user").order_by("-created_at", "-id")
    serializer_class = TokenSerializer
    lookup_value_regex = "[0-9]{1,18}"
    filter_backends = []

    @extend_schema(operation_id="tokens_create", request=TokenRequest, responses={201: IssuedToken})
    def create(self, request: Request) -> Response:
        """Issue a token; its text is in this answer and nowhere else. 403 for somebody with more rights."""
        asked = TokenRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        by = signed_in(request)
        person = by
        if "user" in values:
            found = User.objects.filter(username=values["user"], is_active=True).first()
            if found is None:
                raise ValidationError({"user": [_("There is no active user of that name.")]})
            person = found
        at = clock.now()
        try:
            end = parse_expiry(values["expires"], at=at)
        except UnclearExpiry as error:
            raise ValidationError({"expires": [in_readers_language(error)]}) from error
        shown = request.auth
        if isinstance(shown, ApiToken) and shown.expires_at is not None:
            # Or a token that was stolen would make itself one without an end.
            if "expires" in request.data and (isinstance(end, Never) or end > shown.expires_at):
                raise BeyondOwnRights(
                    Message("token-outlives-its-issuer", "A token issued with a token ends no later than that one.")
                )
            end = shown.expires_at if isinstance(end, Never) else min(end, shown.expires_at)
        row, text = issue_token(person, name=values["name"], by=by, expires_at=end)
        row.refresh_from_db()
        cast("Any", row).token = text
        return Response(IssuedToken(row).data, status=201)

    @extend_schema(operation_id="tokens_destroy")
    def destroy(self, request: Request, **_kwargs: str) -> Response:
        """Revoke it, with effect from the next request; the row stays. 403 for a token of somebody with more rights."""
        revoke_token(self.get_object(), by=signed_in(request), at=clock.now())
        return Response(status=204)

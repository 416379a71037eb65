"""Making and revoking enrolment tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import services as accounts
from accounts.models import User
from agents.labels import InvalidLabels, validate_labels
from agents.models import Agent
from enrolment.errors import AlreadyRevoked, InvalidToken, TokenNameTaken
from enrolment.models import LONGEST_NAME, LONGEST_REASON, MOST_USES, ApprovalRule, EnrolmentToken
from enrolment.services import known_tokens
from enrolment.tokens import new_token
from foundation import wakeups
from foundation.messages import Message

DEFAULT_DAYS = 7
LONGEST_TIME = timedelta(days=3_660)
# Labels of a token: fewer than an agent may have, so that operators can add some.
MOST_LABELS = 64
# Tokens that may bring agents at once.
MOST_TOKENS = 1_000
_NAME = re.compile(r"[\w][\w .:/@+-]*")
# Also what turns the direction of all that follows it on a line.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What a token shall be. ``expires_at`` and ``max_uses`` are ``None`` for no bound."""

    name: str
    labels: Mapping[Any, Any]
    expires_at: datetime | None = None
    max_uses: int | None = None
    approval_rule: str = ApprovalRule.SITE


@transaction.atomic
def issue_enrolment_token(wish: TokenWish, *, by: User | None, at: datetime) -> tuple[EnrolmentToken, str]:
    """Make a token; the second value is its text, which cannot be had again. Raises `InvalidToken`, `TokenNameTaken`."""
    name = _checked_name(wish.name)
    labels = _checked_labels(wish.labels)
    _check_bounds(wish, at)
    if EnrolmentToken.objects.filter(name=name).exists():
        raise _taken(name)
    if EnrolmentToken.objects.bringing(at).count() >= MOST_TOKENS:
        raise InvalidToken(
            "name",
            Message(
                "too-many-enrolment-tokens", "There are {most} tokens already; revoke some first.", most=MOST_TOKENS
            ),
        )
    token = new_token(key=settings.SECRET_KEY)
    try:
        with transaction.atomic():
            row = EnrolmentToken.objects.create(
                name=name,
                number=token.number,
                digest=token.digest,
                labels=labels,
                approval_rule=wish.approval_rule,
                max_uses=wish.max_uses,
                expires_at=wish.expires_at,
                created_by_name=by.get_username() if by else accounts.SYSTEM,
                created_at=at,
            )
    except IntegrityError as error:
        raise _taken(name) from error
    said = {
        "number": row.number,
        "labels": labels,
        "approval_rule": row.approval_rule,
        "max_uses": row.max_uses,
        "expires_at": row.expires_at.isoformat(timespec="seconds") if row.expires_at else None,
    }
    accounts.record(by=by, verb="enrolment_token.issue", target=row, name=name, data=said)
    return row, token.text


@transaction.atomic
def revoke_enrolment_token(token_id: int, *, reason: str, by: User | None, at: datetime) -> EnrolmentToken:
    """End a token: nobody comes by it any more, and connections that it opened are closed. Raises `AlreadyRevoked`.

    Agents that use a credential of their own go on; revoke those as well to shut them out. Raises `EnrolmentToken.DoesNotExist`,
    and `InvalidToken` for a reason that is none.
    """
    said_why = checked_revoke_reason(reason)
    row = EnrolmentToken.objects.select_for_update().get(pk=token_id)
    if row.revoked_at is not None:
        raise AlreadyRevoked(Message("enrolment-token-is-revoked", "The token was revoked before."))
    row.revoked_at, row.revoke_reason = at, said_why
    row.revoked_by_name = by.get_username() if by else accounts.SYSTEM
    row.save(update_fields=["revoked_at", "revoked_by_name", "revoke_reason"])
    accounts.record(
        by=by,
        verb="enrolment_token.revoke",
        target=row,
        name=row.name,
        data={"number": row.number, "reason": said_why, "agents": row.uses},
    )
    transaction.on_commit(known_tokens.forget_tokens)
    wakeups.wake(Agent.objects.filter(enrolled_by=row.name, connected=True).values_list("instance_uid", flat=True))
    return row


def checked_revoke_reason(text: str) -> str:
    """``text`` as it is kept: one line that says something. Raises `InvalidToken`."""
    line = text.strip()
    if not line or len(line) > LONGEST_REASON or _CONTROL.search(line):
        raise InvalidToken(
            "reason",
            Message("enrolment-reason", "Say why, in one line of at most {most} characters.", most=LONGEST_REASON),
        )
    return line


def _checked_name(text: str) -> str:
    name = text.strip()
    if not name or len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidToken(
            "name",
            Message(
                "enrolment-token-name",
                "A name has at most {most} letters, digits, blanks and _ . : / @ + - and begins with a letter or digit.",
                most=LONGEST_NAME,
            ),
        )
    return name


def _checked_labels(labels: Mapping[Any, Any]) -> dict[str, str]:
    if len(labels) > MOST_LABELS:
        raise InvalidToken(
            "labels",
            Message("too-many-token-labels", "A token gives at most {most} labels.", most=MOST_LABELS),
        )
    try:
        return validate_labels(labels)
    except InvalidLabels as error:
        raise InvalidToken("labels", error.problems[0]) from error


def _check_bounds(wish: TokenWish, at: datetime) -> None:
    if wish.expires_at is not None and not at < wish.expires_at <= at + LONGEST_TIME:
        raise InvalidToken(
            "expires_at",
            Message(
                "enrolment-token-end", "A token ends within {days} days, and not before now.", days=LONGEST_TIME.days
            ),
        )
    if wish.max_uses is not None and not 1 <= wish.max_uses <= MOST_USES:
        raise InvalidToken(
            "max_uses",
            Message("enrolment-token-uses", "A token brings 1 to {most} agents.", most=MOST_USES),
        )
    if wish.approval_rule not in ApprovalRule.values:
        raise InvalidToken(
            "approval_rule",
            Message("enrolment-token-approval", "Approval is one of: {known}.", known=", ".join(ApprovalRule.values)),
        )


def _taken(name: str) -> TokenNameTaken:
    return TokenNameTaken(
        "name",
        Message("enrolment-token-name-taken", "There is an enrolment token “{name}”, perhaps revoked.", name=name),
    )

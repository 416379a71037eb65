"""The actions on many agents that are this app's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q

from accounts.models import User
from agents.labels import validate_labels
from agents.models import Agent
from agents.services import commands, credentials, editing
from agents.services.acting import register_agent_action
from agents.services.actions import (
    ACCEPT_RESTART,
    AgentAction,
    InvalidParameter,
    Parameters,
    must_know,
    outcome_of_count,
)
from agents.services.bulk_requests import BulkOutcome
from foundation.messages import Message

# Keys to remove at once; an agent has not so many labels.
_MOST_KEYS = 1_000

_SHUT_OUT = Message("not-forgotten-shut-out", "its credential is revoked, and forgetting it would let it in again")


def restart(agent_ids: Sequence[int], by: User, at: datetime, _parameters: Parameters) -> BulkOutcome:
    """Ask each to restart; one that lost the capability meanwhile is left out."""
    return commands.request_restarts(agent_ids, by=by, at=at)


def relabel(agent_ids: Sequence[int], by: User, at: datetime, parameters: Parameters) -> BulkOutcome:
    """Set and remove operator labels; matching follows."""
    return editing.edit_labels(agent_ids, assign=parameters["set"], remove=parameters["remove"], by=by, at=at)


def read_label_change(given: Mapping[str, object], _at: datetime) -> dict[str, Any]:
    """``set``: labels, ``remove``: keys. Raises `InvalidParameter`, and `agents.labels.InvalidLabels`."""
    must_know(given, ("set", "remove"))
    put, remove = given.get("set", {}), given.get("remove", [])
    texts = isinstance(remove, list) and all(isinstance(key, str) and len(key) <= _MOST_KEYS for key in remove)
    if not isinstance(put, Mapping) or not isinstance(remove, list) or not texts or len(remove) > _MOST_KEYS:
        raise InvalidParameter(
            Message("label-change-unreadable", "Send set, an object of labels, and remove, a list of keys.")
        )
    if not put and not remove:
        raise InvalidParameter(Message("label-change-empty", "Name at least one label to set or to remove."))
    labels = validate_labels(dict(put))
    both = sorted(set(labels) & set(remove))
    if both:
        raise InvalidParameter(
            Message("label-set-and-removed", "Set or remove {keys}, not both.", keys=", ".join(both))
        )
    return {"set": labels, "remove": remove}


def forget(agent_ids: Sequence[int], by: User, _at: datetime, _parameters: Parameters) -> BulkOutcome:
    """Delete them with their history; those that were shut out meanwhile stay."""
    outcome = BulkOutcome(asked=editing.forget_agents(agent_ids, by=by))
    for uid in Agent.objects.filter(pk__in=agent_ids).values_list("instance_uid", flat=True):
        outcome.skip(uid, _SHUT_OUT)
    return outcome


def agents_get_credentials() -> bool:
    """Whether agents get credentials of their own here."""
    return bool(settings.OPAMP_AGENT_CREDENTIALS)


def revoke(agent_ids: Sequence[int], by: User, at: datetime, _parameters: Parameters) -> BulkOutcome:
    """Shut them out."""
    return outcome_of_count(credentials.revoke_credentials(agent_ids, by=by, at=at), agent_ids)


def allow_enrolment(agent_ids: Sequence[int], by: User, at: datetime, _parameters: Parameters) -> BulkOutcome:
    """Let them in with the shared secret once more."""
    return outcome_of_count(credentials.allow_enrolment(agent_ids, by=by, at=at), agent_ids)


def register() -> None:
    """In ``AppConfig.ready``, in the order of the menu."""
    for action in (
        AgentAction(
            name="restart",
            title=Message("action-restart", "Restart"),
            right="agents.change_agent",
            run=restart,
            eligible=ACCEPT_RESTART,
            skipped=Message("not-restartable", "the agent does not accept the restart command"),
        ),
        AgentAction(
            name="relabel",
            title=Message("action-relabel", "Set or remove labels"),
            right="agents.change_agent",
            run=relabel,
            read=read_label_change,
        ),
        AgentAction(
            name="revoke",
            title=Message("action-revoke", "Revoke credentials"),
            right="agents.change_agent",
            run=revoke,
            eligible=Q(credential_revoked_at=None),
            skipped=Message("revoked-already", "its credential is revoked already"),
            available=agents_get_credentials,
        ),
        AgentAction(
            name="allow_enrolment",
            title=Message("action-allow-enrolment", "Allow enrolment"),
            right="agents.change_agent",
            run=allow_enrolment,
            eligible=Q(credential_revoked_at__isnull=False) | Q(credential_issued_at__isnull=False),
            skipped=Message("secret-is-enough", "the shared secret is enough for it already"),
            available=agents_get_credentials,
        ),
        AgentAction(
            name="forget",
            title=Message("action-forget", "Forget"),
            right="agents.delete_agent",
            run=forget,
            eligible=Q(credential_revoked_at=None),
            skipped=_SHUT_OUT,
        ),
    ):
        register_agent_action(action)

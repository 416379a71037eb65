"""The words for what the portal knows of agents themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db.models import F, Q
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from agents.conditions import status_condition
from agents.models import AgentPresence, Approval, Transport
from agents.query_words import NO, YES, ChoiceWord, TextWord, TimeWord, UidWord, register_query_word
from agents.recent_failures import FailedWord
from agents.reports import AgentCapabilities, Status, capability_names

_TRUTH = {"true": YES, "false": NO}


def _fact(field: str, true: str, false: str, unknown: str) -> Mapping[str, Callable[[], Q]]:
    return {
        true: lambda: Q(**{field: True, f"{field}__isnull": False}),
        false: lambda: Q(**{field: False, f"{field}__isnull": False}),
        unknown: lambda: Q(**{f"{field}__isnull": True}),
    }


def _flag(field: str) -> Mapping[str, Callable[[], Q]]:
    return {YES: lambda: Q(**{field: True}), NO: lambda: Q(**{field: False})}


def _status(status: Status) -> Callable[[], Q]:
    return lambda: status_condition(status)


def _value_of(field: str, value: str) -> Callable[[], Q]:
    return lambda: Q(**{field: value})


def _capability(bit: AgentCapabilities) -> Callable[[], Q]:
    return lambda: Q(Exact(F("capabilities").bitand(bit.value), bit.value))


def _seen(lookup: str, time: datetime) -> Q:
    return Q(pk__in=AgentPresence.objects.filter(**{f"last_seen_at__{lookup}": time}).order_by().values("agent_id"))


def _first_seen(lookup: str, time: datetime) -> Q:
    return Q(**{f"first_seen_at__{lookup}": time})


WORDS = (
    ChoiceWord("status", _("the status"), {status.value: _status(status) for status in Status}),
    ChoiceWord("connected", _("whether it is connected"), _flag("connected"), _TRUTH),
    ChoiceWord("health", _("what it said of its health last"), _fact("healthy", "good", "bad", "unknown")),
    ChoiceWord("sync", _("whether it runs what it should"), _fact("in_sync", YES, NO, "unknown"), _TRUTH),
    ChoiceWord("drift", _("whether it runs something else than it applied"), _flag("config_drifted"), _TRUTH),
    ChoiceWord(
        "approval", _("whether somebody let it in"), {value: _value_of("approval", value) for value in Approval.values}
    ),
    ChoiceWord(
        "transport",
        _("how it talked to the portal last"),
        {value: _value_of("transport", value) for value in Transport.values},
    ),
    ChoiceWord(
        "capability",
        _("what it says that it can do"),
        {capability_names(bit.value)[0]: _capability(bit) for bit in AgentCapabilities},
    ),
    ChoiceWord(
        "credential",
        _("its own credential: in use, none, or revoked"),
        {
            "used": lambda: Q(credential_used_at__isnull=False, credential_revoked_at__isnull=True),
            "none": lambda: Q(credential_used_at__isnull=True, credential_revoked_at__isnull=True),
            "revoked": lambda: Q(credential_revoked_at__isnull=False),
        },
    ),
    TextWord("config", _("the configuration it should run"), "configuration_name"),
    TextWord("name", _("its name"), "name"),
    TextWord("host", _("its host"), "hostname"),
    TextWord("service", _("its service"), "service_name"),
    TextWord("os", _("its operating system"), "os_type"),
    TextWord("arch", _("its architecture"), "architecture"),
    TextWord("version", _("its version"), "version", versions=True),
    TextWord("token", _("the enrolment token it came by last"), "enrolled_by"),
    UidWord("uid", _("its instance UID")),
    TimeWord("seen", _("when it was last seen"), _seen),
    TimeWord("first_seen", _("when it was first seen"), _first_seen),
    FailedWord("failed", _("what failed on it within a day")),
)


def register() -> None:
    """Into the language."""
    for word in WORDS:
        register_query_word(word)

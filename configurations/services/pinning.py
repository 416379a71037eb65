"""Pins: one agent runs a configuration or a revision that a person chose, until the pin ends. Matching and waking follow.

What a pinned agent runs decides `targeting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.models import Agent, AgentEvent
from agents.services.bulk_requests import BulkOutcome
from agents.services.timeline import write_lines
from configurations.models import Configuration, Pin, Revision
from configurations.services.edit_errors import PinRefused, StillPinned, UnknownConfiguration, UnknownRevision
from configurations.services.targeting import bump_generation, fresh_targeting, hold_targeting, rematch
from foundation import wakeups
from foundation.messages import Message
from rollouts.reasons import checked_expiry, checked_reason

# What the timeline calls the beginning and the end of a pin.
PINNED, UNPINNED = "pinned", "unpinned"
# Of agents that stand in the way of a deletion so many are named.
_NAMED = 5
# So many expired ones are ended in one transaction.
_BATCH = 500
# How often the leading process looks for pins whose time is over.
END_SECONDS = 5.0


@transaction.atomic
def pin_agent(
    agent_id: int,
    *,
    configuration: str,
    revision: int | None = None,
    reason: str,
    by: User | None,
    at: datetime,
    expires_at: datetime | None = None,
) -> Pin:
    """Have one agent run a configuration, whatever its labels; with ``revision``, the number of one, this one for as long.

    It takes the place of a pin that there is; the same one once more changes nothing.
    Raises `Agent.DoesNotExist`, `UnknownConfiguration`, `UnknownRevision`,
    `PinRefused`, `InvalidReason`, `InvalidExpiry`.
    """
    reason, expires_at = checked_reason(reason), checked_expiry(expires_at, at)
    hold_targeting(exclusive=True)
    agent = Agent.objects.select_for_update(of=("self",)).get(pk=agent_id)
    chosen, number = _chosen(configuration, revision)
    same = {"configuration": chosen, "revision": number, "reason": reason, "expires_at": expires_at}
    present = Pin.objects.filter(agent=agent, **same).first()
    if present is not None:
        return present
    pin, _made = Pin.objects.update_or_create(
        agent=agent,
        defaults={
            **same,
            "pinned_by": by,
            "pinned_by_name": by.get_username() if by else accounts.SYSTEM,
            "pinned_at": at,
        },
    )
    said = {
        "configuration": chosen.name,
        "revision": number.number if number else None,
        "reason": reason,
        "expires_at": expires_at.isoformat(timespec="seconds") if expires_at else None,
    }
    write_lines([AgentEvent(agent=agent, at=at, kind=PINNED, data={**said, "by": _person(by)})])
    accounts.record(by=by, verb="agent.pin", target=agent, name=agent.name_and_host(), data=said)
    bump_generation()
    wakeups.wake(rematch([agent.pk], fresh_targeting(), at))
    return pin


def _chosen(name: str, number: int | None) -> tuple[Configuration, Revision | None]:
    configuration = None if "\x00" in name else Configuration.objects.filter(name=name).first()
    if configuration is None:
        raise UnknownConfiguration(name)
    if not configuration.enabled:
        raise PinRefused(
            Message(
                "pin-to-disabled", "The configuration {name} is disabled; enable it first.", name=configuration.name
            )
        )
    if configuration.is_fragment:
        raise PinRefused(
            Message(
                "pin-to-fragment",
                "{name} is a fragment: it is added to what agents get, and no agent can be pinned to it.",
                name=configuration.name,
            )
        )
    released = Revision.objects.filter(configuration=configuration, release__isnull=False)
    if number is None:
        if not released.filter(release__ended_at=None).exists():
            raise PinRefused(
                Message(
                    "pin-to-nothing", "Nothing of the configuration {name} is released yet.", name=configuration.name
                )
            )
        return configuration, None
    if not configuration.revisions.filter(number=number).exists():
        raise UnknownRevision(configuration.name, number)
    revision = released.defer("files").filter(number=number).first()
    if revision is None:
        raise PinRefused(
            Message(
                "pin-to-unreleased",
                "Revision {number} of the configuration {name} is not released yet.",
                number=number,
                name=configuration.name,
            )
        )
    return configuration, revision


@transaction.atomic
def unpin_agents(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> BulkOutcome:
    """Have selectors say again what these agents run; those that are not pinned are skipped."""
    outcome = BulkOutcome()
    ended = _end(list(agent_ids), by=by, at=at)
    outcome.asked = len(ended)
    others = Agent.objects.filter(pk__in=agent_ids).exclude(pk__in=[agent.pk for agent in ended])
    for uid in others.values_list("instance_uid", flat=True):
        outcome.skip(uid, Message("agent-not-pinned", "It is not pinned."))
    return outcome


def unpin_agent(agent: Agent, *, by: User | None, at: datetime) -> None:
    """`unpin_agents` for one. Raises `PinRefused` when it is not pinned."""
    outcome = unpin_agents([agent.pk], by=by, at=at)
    if outcome.sample:
        raise PinRefused(outcome.sample[0][1])


def end_expired_pins(at: datetime) -> int:
    """End the pins whose time is over; returns how many. The leading process calls it now and then."""
    if not Pin.objects.expired(at).exists():
        return 0
    with transaction.atomic():
        hold_targeting(exclusive=True)
        keys = list(Pin.objects.expired(at).order_by("pk").values_list("agent_id", flat=True)[:_BATCH])
        return len(_end(keys, by=None, at=at))


def _end(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> list[Agent]:
    """End the pins of these agents, in the caller's transaction; returns the agents that had one."""
    hold_targeting(exclusive=True)
    agents = list(Agent.objects.filter(pk__in=agent_ids, pin__isnull=False).locked())
    if not agents:
        return []
    pins = {pin.agent_id: pin for pin in Pin.objects.filter(agent__in=agents).select_related("configuration")}
    Pin.objects.filter(agent__in=agents).delete()
    write_lines(
        AgentEvent(
            agent=agent,
            at=at,
            kind=UNPINNED,
            data={"configuration": pins[agent.pk].configuration.name, "by": _person(by)},
        )
        for agent in agents
    )
    accounts.record_all(
        [(agent, agent.name_and_host(), {"configuration": pins[agent.pk].configuration.name}) for agent in agents],
        by=by,
        verb="agent.unpin",
    )
    bump_generation()
    wakeups.wake(rematch([agent.pk for agent in agents], fresh_targeting(), at))
    return agents


def require_unpinned(configuration: Configuration) -> None:
    """Raises `StillPinned`, which names some of the agents that are pinned to the configuration or a revision of it."""
    held = Agent.objects.filter(pin__configuration=configuration).order_by("name", "pk")
    names = [agent.name_and_host() for agent in held[: _NAMED + 1]]
    if names:
        shown = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        raise StillPinned(
            Message(
                "still-pinned",
                "Agents are pinned to {name}: {agents}. Unpin them first.",
                name=configuration.name,
                agents=shown,
            )
        )


def _person(by: User | None) -> str:
    return by.get_username() if by else ""

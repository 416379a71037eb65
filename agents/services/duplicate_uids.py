"""Two agents under one instance_uid (S-31), told apart from one agent that reconnects. Decisions only: `identity` acts on them.

Cloned machines and bad generators give one uid to two agents. A reconnect looks alike for a moment: the old socket is
still open, or its last message arrives late. So the last connection wins, and a duplicate must show itself by
*alternating* speech: newer, former, newer, and so on. How much of it is needed:

* One return of the former connection, when its sequence numbers cannot belong to the client of the newer one: a client that
  reconnected goes on counting, so what it sent before lies between its last number there and its first number here.
* Otherwise two returns with the newer one speaking in between, the second `GRACE` after the newer one came: late
  messages are over by then. A client that was created anew starts at 0 again, so its numbers prove nothing.
* A newer connection that stays silent meanwhile proves nothing either. The former one then has the agent again, for what it
  says must not be lost, and the newer one is what may return.
* Over plain HTTP there is no connection; a series of numbers from one address stands for it. A client has one request
  under way, so at most one message of a series is late: each address must continue its own series again and again.

Agents behind one address that poll over HTTP cannot be told apart, and are not.

What is remembered is a `DuplicateUid`; the functions that say what changes of it return its fields.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from agents.models import Agent, DuplicateUid, Transport

Stage = DuplicateUid.Stage
Fields = dict[str, Any]
"""Values for fields of a `DuplicateUid`, by name."""

# Messages of a connection that was given up do not arrive later than this after its successor spoke.
GRACE = timedelta(seconds=10)
_RETURNS = 2
_TURNS = 3

_DEFAULTS: Fields = {
    field.name: field.get_default() for field in DuplicateUid._meta.concrete_fields if not field.primary_key
}


def known_duplicate(agent: Agent) -> DuplicateUid | None:
    """What is remembered of a second agent under the uid of this one; a query unless it was read with the agent."""
    return getattr(agent, "duplicate_uid", None)


def begin(stage: Stage | None, **fields: Any) -> Fields:
    """All fields, those not named with their defaults; without a stage nothing is to be remembered."""
    return {**_DEFAULTS, "stage": stage.value if stage is not None else "", **fields}


# --- Two connections -------------------------------------------------------------------------------------------------


def displaced_connection(agent: Agent, *, sequence_num: int, successor_sequence_num: int, at: datetime) -> Fields:
    """The connection that ``agent`` still names was displaced; numbers are its last one and the first of the other."""
    return begin(
        Stage.CONNECTIONS,
        lease_id=DuplicateUid.POLLS if agent.transport == Transport.HTTP else agent.lease_id,
        lease_process=agent.lease_process,
        lease_opened_at=agent.lease_opened_at,
        transport=agent.transport,
        remote_address=agent.remote_address,
        sequence_num=sequence_num,
        successor_sequence_num=successor_sequence_num,
        displaced_at=at,
    )


def after_return(known: DuplicateUid, sequence_num: int, at: datetime) -> Fields:
    """What changes when the displaced connection speaks again."""
    last, first = known.sequence_num, known.successor_sequence_num
    # Either way: when the clock was put back meanwhile, nobody should wait until it has made up for it.
    late = known.displaced_at is not None and abs(at - known.displaced_at) >= GRACE
    return {
        "returns": known.returns if known.has_returned else known.returns + 1,
        "has_returned": True,
        "returned_late": late,
        "late_returns_unanswered": known.late_returns_unanswered + late,
        "has_other_counter": known.has_other_counter or (last < first and not last < sequence_num < first),
    }


def after_successor() -> Fields:
    """What changes when the other connection speaks, and nothing is proven yet."""
    return {"has_returned": False, "late_returns_unanswered": 0}


def both_speak(known: DuplicateUid | None) -> bool:
    """True when the displaced connection spoke after it was displaced."""
    return known is not None and known.stage == Stage.CONNECTIONS and known.returns > 0


def are_two_agents(known: DuplicateUid) -> bool:
    """True when the other connection, now speaking, and the displaced one belong to two agents."""
    return known.has_returned and (known.has_other_counter or (known.returns >= _RETURNS and known.returned_late))


def speaks_alone(known: DuplicateUid) -> bool:
    """True when the displaced one goes on speaking and the other does not: it is no late message any more."""
    return known.late_returns_unanswered >= _RETURNS


# --- Two HTTP addresses ----------------------------------------------------------------------------------------------


def next_series(
    known: DuplicateUid | None, *, address: str, sequence_num: int, known_address: str, known_sequence_num: int
) -> Fields:
    """What changes when ``address`` speaks after ``known_address``, another one, spoke last."""
    if sequence_num == known_sequence_num + 1:
        return begin(None)  # one counter seen from two addresses: an agent that roams
    silent = {"remote_address": known_address, "sequence_num": known_sequence_num}
    going_on = known is not None and known.stage == Stage.ADDRESSES and known.remote_address == address
    if known is not None and going_on and sequence_num == known.sequence_num + 1:
        return {**silent, "returns": known.returns + 1}
    return begin(Stage.ADDRESSES, newcomer_address=address, **silent)


def is_second_agent(known: DuplicateUid, address: str) -> bool:
    """True when ``address``, now speaking, is the second of two agents that poll."""
    return known.stage == Stage.ADDRESSES and known.returns >= _TURNS and address == known.newcomer_address

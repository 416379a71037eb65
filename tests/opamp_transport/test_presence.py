"""A batch of last-seen times that could not be written waits for the next one, behind what was heard meanwhile."""

from __future__ import annotations

from uuid import uuid4

from opamp_transport.presence import Presence
from opamp_transport.sessions import AgentSession


def heard(key: int, number: int) -> AgentSession:
    session = AgentSession(uuid4(), None)
    session.agent_id, session.sequence_num = key, number
    return session


def numbers(presence: Presence) -> dict[int, int]:
    return {sighting.agent_id: sighting.sequence_num for sighting in presence.take()}


def test_what_could_not_be_written_comes_with_the_next_batch():
    presence, first, second = Presence(), heard(1, 5), heard(2, 6)
    presence.note(first)
    assert numbers(presence) == {1: 5}
    presence.note(second)
    presence.give_back()
    assert numbers(presence) == {1: 5, 2: 6}


def test_a_newer_connection_stands_before_the_batch_given_back():
    presence, former = Presence(), heard(1, 5)
    presence.note(former)
    presence.take()
    newer = AgentSession(former.uid, None)
    newer.agent_id, newer.sequence_num = 1, 9
    presence.note(newer)
    presence.give_back()
    assert presence.recall(former.uid) is newer
    assert numbers(presence) == {1: 9}


def test_what_is_being_written_is_recalled_until_it_is_in_the_rows():
    presence, session = Presence(), heard(1, 5)
    presence.note(session)
    presence.take()
    assert presence.recall(session.uid) is session
    presence.note_written(frozenset())
    assert presence.recall(session.uid) is None
    assert numbers(presence) == {}


def test_only_the_displaced_are_due():
    presence, here, displaced = Presence(), heard(1, 5), heard(2, 6)
    presence.note(here)
    presence.note(displaced)
    presence.take()
    presence.note_written(frozenset({2}))
    assert (here.due, displaced.due) == (False, True)

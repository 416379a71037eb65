"""When an agent is asked for the component map behind a hash it names (S-98): at once, then with doubling pauses.

An agent that cannot answer, or names its hash with every message, would else be asked with every message. What was asked is
kept in the agent's row, so that another connection, process or transport does not begin anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from agents.services.batch import ReportingAgent

_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(days=1)
# Hashes kept for one agent, the latest asked for.
_MOST_HASHES = 8


def asked_lately(entry: ReportingAgent, at: datetime) -> bool:
    """True when the map of the hash that the agent names now was asked for, and the pause is not over."""
    asked = entry.state.components_asked.get(entry.state.components_hash)
    if asked is None:
        return False
    times, last = asked
    pause = min(_FIRST_PAUSE * 2 ** min(times - 1, 16), _LONGEST_PAUSE)
    # One of the future was asked before the clock was put back.
    return bool(abs(at - datetime.fromisoformat(last)) < pause)


def note_asked(entry: ReportingAgent, at: datetime) -> None:
    """The reply asks for the map of the hash that the agent names now."""
    key = entry.state.components_hash
    asked = entry.state.components_asked
    times, _last = asked.get(key, (0, ""))
    others = sorted(((last, name, number) for name, (number, last) in asked.items() if name != key), reverse=True)
    kept = {name: [number, last] for last, name, number in others[: _MOST_HASHES - 1]}
    entry.change_state("components_asked", {**kept, key: [times + 1, at.isoformat()]})

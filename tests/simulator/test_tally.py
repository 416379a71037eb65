"""The numbers of a simulated fleet and their one line."""

from __future__ import annotations

import re

import pytest

from agents.reports import RemoteConfigStatuses
from simulator import tally as module
from simulator.tally import Tally


def test_the_statuses_always_add_up_to_the_fleet() -> None:
    tally = Tally(3)
    tally.note_status(RemoteConfigStatuses.UNSET, RemoteConfigStatuses.APPLYING)
    tally.note_status(RemoteConfigStatuses.APPLYING, RemoteConfigStatuses.APPLIED)
    tally.note_status(RemoteConfigStatuses.UNSET, RemoteConfigStatuses.FAILED)
    assert (tally.applied, tally.failed) == (1, 1)
    assert sum(tally.statuses.values()) == 3
    assert min(tally.statuses.values()) >= 0


def test_the_line_counts_messages_since_the_line_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    tally = Tally(2, connected=2, offers=3, _last_at=now)
    tally.messages, now = 50, 105.0
    assert tally.line() == "connected 2/2  offers 3  applied 0  failed 0  messages/s 10  reconnects 0"
    tally.messages, now = 60, 106.0
    assert "messages/s 10 " in tally.line()


def test_two_lines_at_the_same_moment_are_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "monotonic", lambda: 5.0)
    assert re.search(r"messages/s \d+", Tally(1, _last_at=5.0).line())


def test_restarts_and_troubles_are_told_only_when_there_are_any() -> None:
    tally = Tally(1)
    assert "restarts" not in tally.line()
    assert "errors" not in tally.line()
    tally.restarts = 2
    tally.note_refusal("HTTP status 503")
    tally.note_refusal("HTTP status 503")
    tally.note_error("content type 'text/html'")
    line = tally.line()
    assert "restarts 2" in line
    assert "refused 2  errors 1 (mostly: HTTP status 503)" in line

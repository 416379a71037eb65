"""What a rollout's gates count an agent as, by what it said of its connection settings."""

from __future__ import annotations

import pytest

from connections.models import AgentConnection
from connections.services.connection_rollouts import _standing
from rollouts.subjects import MemberState

Status = AgentConnection.Status


@pytest.mark.parametrize(
    ("status", "connected", "healthy", "state"),
    [
        (Status.APPLIED, True, True, MemberState.APPLIED),
        (Status.APPLIED, True, None, MemberState.APPLIED),
        (Status.APPLIED, True, False, MemberState.UNHEALTHY),
        (Status.APPLIED, False, True, MemberState.LOST),
        (Status.TOLD, True, True, MemberState.APPLIED),
        (Status.PENDING, True, True, MemberState.WAITING),
        (Status.PENDING, False, True, MemberState.OFFLINE),
        (Status.FAILED, True, True, MemberState.FAILED),
        (Status.FAILED, False, True, MemberState.FAILED),
        (Status.INCAPABLE, True, True, MemberState.INCAPABLE),
    ],
)
def test_what_it_counts_as(status: str, connected: bool, healthy: bool | None, state: MemberState) -> None:
    assert _standing(status).state(connected=connected, healthy=healthy) is state


def test_a_freeze_holds_back_only_what_was_not_told() -> None:
    assert {status for status in Status.values if _standing(status).unsent} == {Status.PENDING}

"""How far an agent has got: the table of facts, with neither database nor transport."""

from __future__ import annotations

from typing import Any

import pytest

from agents.reports import AgentCapabilities, RemoteConfigStatuses
from configurations.outcome import AssignmentStatus, Outcome, outcome_of

ACCEPTS = int(AgentCapabilities.ACCEPTS_REMOTE_CONFIG)
REPORTS = int(AgentCapabilities.REPORTS_REMOTE_CONFIG)
ALL = 0xFFFF
# An agent that was offered nothing yet and said nothing yet. Equal hashes are made anew: nobody keeps one object of them.
START = {
    "desired_hash": "d" * 64,
    "offered_hash": "",
    "reported_hash": "",
    "reported_status": int(RemoteConfigStatuses.UNSET),
    "capabilities": ACCEPTS | REPORTS,
}


def same() -> str:
    """The desired hash, in another object."""
    return "".join(["d"] * 64)


def said(status: RemoteConfigStatuses) -> dict[str, Any]:
    """The agent says this of the desired hash."""
    return {"reported_hash": same(), "reported_status": int(status)}


APPLIED, APPLYING, FAILED, UNSET = (
    RemoteConfigStatuses.APPLIED,
    RemoteConfigStatuses.APPLYING,
    RemoteConfigStatuses.FAILED,
    RemoteConfigStatuses.UNSET,
)


@pytest.mark.parametrize(
    ("facts", "status", "in_sync"),
    [
        pytest.param({}, "pending", False, id="not offered"),
        pytest.param({"offered_hash": same()}, "offered", False, id="offered"),
        pytest.param({"offered_hash": "e" * 64}, "pending", False, id="another hash was offered, later in order"),
        pytest.param({"offered_hash": "a" * 64}, "pending", False, id="another hash was offered, earlier in order"),
        pytest.param({"desired_hash": ""}, "none", None, id="nothing desired"),
        pytest.param({"desired_hash": "", "capabilities": 0, "failed": True}, "none", None, id="nothing at all"),
        pytest.param({"capabilities": 0}, "incapable", None, id="S-58 accepts nothing"),
        pytest.param({"capabilities": ALL & ~ACCEPTS, **said(APPLIED)}, "incapable", None, id="S-58 all but that"),
        pytest.param(said(APPLIED), "applied", True, id="S-64 applied"),
        pytest.param(said(APPLYING), "applying", False, id="S-64 applying"),
        pytest.param(said(UNSET), "offered", False, id="S-64 named and nothing said"),
        pytest.param(said(FAILED), "pending", False, id="S-63 a failure that is no longer booked"),
        pytest.param({**said(FAILED), "failed": True}, "failed", False, id="S-63 a failure"),
        pytest.param({**said(APPLIED), "failed": True}, "applied", True, id="applied after a failure"),
        pytest.param({**said(APPLYING), "failed": True}, "applying", False, id="applying after a failure"),
        pytest.param({**said(UNSET), "failed": True}, "failed", False, id="nothing said since the failure"),
        pytest.param({**said(APPLIED), "reported_hash": "e" * 64}, "pending", False, id="S-64 applied a later hash"),
        pytest.param({**said(APPLIED), "reported_hash": "a" * 64}, "pending", False, id="S-64 applied an earlier hash"),
        pytest.param({**said(APPLYING), "reported_hash": "e" * 64}, "pending", False, id="S-64 applying another hash"),
        pytest.param(
            {**said(APPLIED), "reported_hash": "e" * 64, "failed": True}, "failed", False, id="failed, another applied"
        ),
        pytest.param({"offered_hash": same(), "capabilities": ACCEPTS}, "offered", None, id="S-65 cannot be known"),
        pytest.param(
            {"offered_hash": same(), "capabilities": ALL & ~REPORTS}, "offered", None, id="S-65 all but a status"
        ),
        pytest.param({"capabilities": ACCEPTS}, "pending", False, id="S-65 not offered"),
        pytest.param({"capabilities": ACCEPTS, "failed": True}, "failed", False, id="S-65 failed all the same"),
    ],
)
def test_outcome(facts: dict[str, Any], status: str, in_sync: bool | None) -> None:
    expected = Outcome(AssignmentStatus(status), in_sync, failed=status == "failed")
    assert outcome_of(**{**START, **facts}) == expected

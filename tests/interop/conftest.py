"""Fixtures of the tests with third-party agents."""

from __future__ import annotations

import pytest

from tests import not_run
from tests.interop.programs import KINDS, Kind, command, obstacle
from tests.interop.stage import Stage
from tests.live_server import LiveServer


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each client over each transport it has; skips the test when its toolchain is missing."""
    found: Kind = request.param
    if why := obstacle(found):
        not_run.note(request.node, "interop", why, found.title)
        pytest.skip(f"{found.title}: {why}")
    command(found)
    return found


@pytest.fixture
def kinds_at_hand(request: pytest.FixtureRequest) -> list[Kind]:
    """All clients whose toolchain is here, for a test that runs them side by side."""
    found = []
    for kind in KINDS:
        if why := obstacle(kind):
            not_run.note(request.node, "interop", why, kind.title)
        else:
            command(kind)
            found.append(kind)
    return found


@pytest.fixture
def stage(kind: Kind, shared_portal: LiveServer) -> Stage:
    """An agent of its own on the server that the module shares."""
    return Stage(kind, shared_portal)

"""Agents on the reference client that are led to another server process, with another secret; one database behind both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.databases import needs_several_processes
from tests.interop.programs import KINDS, Kind
from tests.interop.stage import Stage
from tests.live_server import LiveServer, free_port
from tests.plain_http import post

GO_KINDS = [kind for kind in KINDS if kind.program == "go"]
pytestmark = [
    pytest.mark.interop,
    needs_several_processes,
    pytest.mark.parametrize("kind", GO_KINDS, ids=lambda kind: kind.name, indirect=True),
]
FORMER, LATER = "the-former-secret", "the-later-secret"


class Pair(NamedTuple):
    """Where agents are, and where they are to go."""

    here: LiveServer
    there: LiveServer


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two processes of one portal, each with a secret of its own."""
    common = {"SECRET_KEY": "one-key-for-both-" + "x" * 50}
    with LiveServer(tmp_path_factory.mktemp("here"), OPAMP_SECRET_KEY=FORMER, **common) as here:
        common |= {name: here.environment[name] for name in ("DATABASE_URL", "REDIS_URL")}
        with LiveServer(tmp_path_factory.mktemp("there"), OPAMP_SECRET_KEY=LATER, **common) as there:
            there._token = here.token
            yield Pair(here, there)


def endpoint_of(kind: Kind, server: LiveServer) -> str:
    """Where such an agent connects to."""
    return server.websocket_endpoint if kind.scheme == "ws" else server.http_endpoint


def lead(stage: Stage, opamp: dict[str, Any]) -> None:
    """Release connection settings for this one agent."""
    body = {"name": stage.name, "selector": stage.selector, "content": {"opamp": opamp}, "release": "at_once"}
    stage.server.post("connection-settings", body)


def shown(stage: Stage, **fields: Any) -> dict[str, Any]:
    """The agent among those of its settings, once it has these fields."""

    def claim() -> dict[str, Any] | None:
        rows = stage.server.get(f"connection-settings/{stage.name}/agents")["results"]
        return rows[0] if rows and fields.items() <= rows[0].items() else None

    return stage.server.eventually(claim, 60, f"settings with {fields}") or {}


@pytest.mark.rule("S-75", "S-77", "S-78")
def test_it_goes_where_it_is_led_with_the_new_secret(kind: Kind, pair: Pair) -> None:
    stage = Stage(kind, pair.here)
    wanted = stage.publish(kind.good)
    target = endpoint_of(kind, pair.there)
    with stage.program("--secret", FORMER, "--settings") as agent:
        uid = agent.expect("uid")["uid"]
        stage.runs(wanted)
        lead(stage, {
            "endpoint": target, "headers": {"Authorization": f"Bearer {LATER}"}, "keep_credentials": False,
            "heartbeat_seconds": 1,
        })  # fmt: skip
        assert agent.expect("moved")["endpoint"] == target
        row = shown(stage, move="moved", status="applied")
        assert (row["instance_uid"], row["connected"]) == (uid, True)
        assert str(pair.there.port) in row["reached"]
        stage.wait_for_messages(3)
        assert agent.count("moved") == 1
        # What it runs is the same row's: nothing is offered anew, and what changes reaches it there.
        assert agent.count("remote_config") == 1
        later = stage.republish(kind.better)
        agent.expect("applied", hash=later)
        stage.runs(later)
        move = stage.server.get(f"connection-settings/{stage.name}/move")
        assert move["counts"] == {**dict.fromkeys(move["counts"], 0), "moved": 1}
    # The former secret lets nobody in there.
    before = refused(pair.there)
    with Stage(kind, pair.there).program("--secret", FORMER, "--uid", uid) as impostor:
        pair.there.eventually(lambda: refused(pair.there) > before, 30, "it is refused")
        assert impostor.count("connected") == 0


@pytest.mark.rule("S-80", "S-81")
def test_it_stays_where_it_is_when_nobody_answers_there(kind: Kind, pair: Pair) -> None:
    stage = Stage(kind, pair.here)
    wanted = stage.publish(kind.good)
    scheme = "ws" if kind.scheme == "ws" else "http"
    with stage.program("--secret", FORMER, "--settings") as agent:
        stage.runs(wanted)
        lead(stage, {"endpoint": f"{scheme}://127.0.0.1:{free_port()}/v1/opamp", "heartbeat_seconds": 1})
        assert "refused" in agent.expect("not_moved")["error"]
        row = shown(stage, move="failed", status="failed")
        assert str(pair.here.port) in row["reached"]
        stage.wait_for_messages(4)
        assert agent.count("not_moved") == 1
        assert agent.count("moved") == 0
        assert stage.sees(connected=True)["in_sync"] is True
        failed = stage.server.get(f"connection-settings/{stage.name}/agents?move=failed")["results"]
        assert [each["instance_uid"] for each in failed] == [row["instance_uid"]]
        later = stage.republish(kind.better)
        agent.expect("applied", hash=later)


def refused(server: LiveServer) -> float:
    """How many were refused there."""
    text = post(f"{server.url}/metrics", b"", method="GET").body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("opamp_refusals_total{"))

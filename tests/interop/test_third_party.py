"""Agents that others wrote, against a running server: what they see, and what the REST API says of them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.interop.programs import KINDS, Kind, Program
from tests.interop.stage import BAD_WORD, Stage
from tests.live_server import LiveServer, configuration
from tests.plain_http import post

pytestmark = [pytest.mark.interop, pytest.mark.sqlite_is_enough]

SECRET = "a-shared-secret"


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that tests may stop or kill, as long as they start it again."""
    with LiveServer(tmp_path_factory.mktemp("restarted")) as server:
        yield server


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that counts on a poll every two seconds."""
    with LiveServer(tmp_path_factory.mktemp("impatient"), OPAMP_HEARTBEAT_SECONDS="2") as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that asks agents for a secret."""
    with LiveServer(tmp_path_factory.mktemp("guarded"), OPAMP_SECRET_KEY=SECRET) as server:
        yield server


class TestFiveSteps:
    """The flow that everything serves."""

    @pytest.mark.rule("S-01", "S-20", "S-36", "S-60", "S-61")
    def test_create_connect_match_offer_apply(self, stage: Stage) -> None:
        wanted = stage.publish(stage.kind.good)
        assert stage.found() is None
        with stage.program() as agent:
            offered = agent.expect("remote_config")
            assert offered["hash"] == wanted
            assert {key: file["body"] for key, file in offered["files"].items()} == {
                stage.kind.config_key: stage.kind.good
            }
            agent.expect("applied", hash=wanted)
            shown = stage.runs(wanted)
            assert shown["labels"]["test"] == stage.name
            assert shown["configuration"] == {"name": stage.name, "revision": 1, "hash": wanted}
            assert shown["transport"] == ("websocket" if stage.kind.scheme == "ws" else "http")
            assert shown["version"] == "1.2.3"
            stage.wait_for_messages(3)
            assert agent.count("remote_config") == 1
            assert stage.offer_count() == 1

    def test_a_configuration_created_later_reaches_a_connected_agent(self, stage: Stage) -> None:
        with stage.program() as agent:
            stage.sees(connected=True, in_sync=None)
            first = stage.publish(stage.kind.good)
            agent.expect("applied", hash=first)
            second = stage.republish(stage.kind.better)
            agent.expect("applied", hash=second)
            stage.runs(second)

    def test_the_effective_configuration_is_shown(self, stage: Stage) -> None:
        wanted = stage.publish(stage.kind.good)
        with stage.program() as agent:
            agent.expect("applied", hash=wanted)
            uid = stage.runs(wanted)["instance_uid"]
            if stage.kind.program == "node":  # does not report it
                assert stage.server.get(f"agents/{uid}")["effective_config"] is None
                return
            word = "debug" if stage.kind.program == "go" else "logging_level"
            stage.server.eventually(
                lambda: word in str(stage.server.get(f"agents/{uid}/effective-config")), what="the effective config"
            )


class TestFailure:
    """A configuration that the agent refuses."""

    @pytest.mark.rule("S-61", "S-50")
    @pytest.mark.defect(3)
    def test_a_failed_configuration_is_shown_and_not_offered_again(self, stage: Stage) -> None:
        bad = stage.publish(stage.kind.good.replace("debug", BAD_WORD).replace("info", BAD_WORD))
        with stage.program() as agent:
            agent.expect("failed", hash=bad)
            shown = stage.sees(status="error", in_sync=False)
            assert shown["remote_config_status"]["status"] == "failed"
            assert BAD_WORD in shown["remote_config_status"]["error_message"]
            stage.wait_for_messages(4)
            assert agent.count("remote_config") == 1
            assert stage.offer_count() == 1
            good = stage.republish(stage.kind.better)
            agent.expect("applied", hash=good)
            stage.runs(good)


class TestRestartOfTheServer:
    """Agents outlive servers."""

    @pytest.mark.rule("S-43", "S-48")
    @pytest.mark.parametrize("graceful", [True, False], ids=["graceful", "killed"])
    def test_agents_come_back_and_get_what_changed(self, kind: Kind, restarted: LiveServer, graceful: bool) -> None:
        stage = Stage(kind, restarted)
        first = stage.publish(kind.good)
        # After a lost poll Elastic's client is silent for 30 s: with this interval it hardly notices the restart.
        with stage.program(interval_seconds=4 if kind.program == "node" else 0.5) as agent:
            agent.expect("applied", hash=first)
            uid = stage.runs(first)["instance_uid"]
            restarted.restart(graceful=graceful)
            assert stage.runs(first)["instance_uid"] == uid
            stage.wait_for_messages(1 if kind.program == "node" else 5)
            assert offered(agent) == [first]
            second = stage.republish(kind.better)
            agent.expect("applied", hash=second)
            stage.runs(second)
            assert offered(agent) == [first, second]


def offered(agent: Program) -> list[str]:
    """The hashes of the offers that the agent saw, in their order.

    The Python client repeats a poll that was not answered within a second, and an equal poll gets the equal answer
    (S-62): from that client, equal offers in a row count as one.
    """
    hashes = [event["hash"] for event in agent.events if event["event"] == "remote_config"]
    if agent.command[0] != sys.executable:
        return hashes
    return [config_hash for config_hash, _repeated in itertools.groupby(hashes)]


class TestLeaving:
    """Connected is what the agent shows, not what it once said."""

    @pytest.mark.rule("S-35", "S-51")
    @pytest.mark.defect(4)
    def test_an_agent_that_polls_is_connected_and_one_that_left_is_not(self, kind: Kind, impatient: LiveServer) -> None:
        stage = Stage(kind, impatient)
        with stage.program() as agent:
            uid = stage.sees(connected=True)["instance_uid"]
            stage.wait_for_messages(5)
            events = impatient.get(f"agents/{uid}/timeline")["results"]
            assert [event["kind"] for event in events].count("connected") == 1
            agent.stop()
            if not kind.says_goodbye:
                silence_passes(impatient)
        assert stage.sees(connected=False)["status"] == "disconnected"
        events = impatient.get(f"agents/{uid}/timeline")["results"]
        left = next(event for event in events if event["kind"] == "disconnected")
        assert left["data"]["reason"] == ("agent disconnected" if kind.says_goodbye else "silent")


def silence_passes(server: LiveServer) -> None:
    """The deadlines of all agents that poll, three of their own intervals (30 s) after their last words, are over."""
    deadlines = server.rows("SELECT last_seen_at, expires_at FROM agents_agentpresence WHERE expires_at IS NOT NULL")
    assert deadlines
    for last_seen_at, expires_at in deadlines:
        silence = datetime.fromisoformat(str(expires_at)) - datetime.fromisoformat(str(last_seen_at))
        assert abs(silence.total_seconds() - 90) < 1

    def all_are_gone() -> bool:
        # Again and again: last polls that the server has in memory are written yet.
        server.change("UPDATE agents_agentpresence SET expires_at = last_seen_at WHERE expires_at IS NOT NULL")
        return not server.rows("SELECT id FROM agents_agent WHERE connected")

    server.eventually(all_are_gone, what="silent agents are disconnected")


class TestSecret:
    """Who may connect."""

    @pytest.mark.rule("S-22", "S-23")
    def test_a_wrong_secret_is_refused_and_the_right_one_is_not(self, kind: Kind, guarded: LiveServer) -> None:
        stage = Stage(kind, guarded)
        before = refusals(guarded)
        with stage.program("--secret", "a-wrong-secret") as agent:
            guarded.eventually(lambda: refusals(guarded) > before, what="a refusal")
            assert agent.count("connected") == 0
            assert stage.found() is None
        with stage.program("--secret", SECRET):
            stage.sees(connected=True)

    @pytest.mark.rule("S-22", transport="websocket")
    def test_the_refusal_of_a_handshake_is_a_true_401(self, guarded: LiveServer) -> None:
        with pytest.raises(InvalidStatus) as refused, connect(guarded.websocket_endpoint, proxy=None):
            pass
        assert refused.value.response.status_code == 401

    @pytest.mark.rule("S-22", transport="http")
    def test_the_refusal_of_a_request_is_a_401_that_says_how_to_do_better(self, guarded: LiveServer) -> None:
        answer = post(guarded.http_endpoint, b"")
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def refusals(server: LiveServer) -> float:
    """How many requests were refused for their secret so far, over both transports."""
    text = post(f"{server.url}/metrics", b"", method="GET").body.decode()
    lines = [line for line in text.splitlines() if line.startswith("opamp_refusals_total{")]
    return sum(float(line.split()[-1]) for line in lines if 'reason="unauthorized"' in line)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.program == "go"], ids=lambda kind: kind.name, indirect=True
)
class TestReferenceClient:
    """What only opamp-go can do of the clients here."""

    @pytest.mark.rule("S-96", "S-97")
    def test_a_restart_is_delivered_once(self, stage: Stage) -> None:
        with stage.program() as agent:
            uid = stage.sees(connected=True)["instance_uid"]
            stage.server.post(f"agents/{uid}/restart")
            agent.expect("restart")
            stage.wait_for_messages(3)
            assert agent.count("restart") == 1

    @pytest.mark.rule("S-39", "S-71")
    def test_health_and_labels_follow_the_agent(self, stage: Stage) -> None:
        with stage.program() as agent:
            stage.sees(connected=True, healthy=True)
            agent.tell("health false")
            assert stage.sees(healthy=False)["status"] == "error"
            agent.tell("health true")
            agent.tell("describe tier=front")
            assert stage.server.eventually(lambda: stage.sees(healthy=True)["labels"].get("tier")) == "front"


@pytest.mark.rule("S-62", "S-63")
def test_an_offer_that_a_client_cannot_read_is_not_sent_with_each_poll(shared_portal: LiveServer) -> None:
    """The Python client raises on anything but JSON and then says nothing of it."""
    stage = Stage(KINDS[-1], shared_portal)
    body = configuration(stage.name, stage.selector, KINDS[0].good)
    wanted = stage.server.post("configurations", body)["config_hash"]
    with stage.program() as agent:
        agent.expect("remote_config", hash=wanted)
        stage.wait_for_messages(6)
        assert agent.count("remote_config") == 1
        assert stage.sees()["in_sync"] is False

"""Agents that others wrote, against a running server: what they see, and what the REST API says of them."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.interop.programs import KINDS, Kind, Program, command
from tests.live_server import LiveServer, configuration

pytestmark = pytest.mark.interop

SECRET = "a-shared-secret"
BAD_WORD = "unlucky"
PATIENCE = 60.0  # Elastic's client may make its 30 s pause


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each client over each transport it has."""
    found: Kind = request.param
    command(found)
    return found


class Stage:
    """One agent of a test and its place in the portal: a name and a label of its own."""

    def __init__(self, kind: Kind, server: LiveServer) -> None:
        self.kind = kind
        self.server = server
        self.name = f"interop-{uuid4().hex[:12]}"
        self.selector = {"test": self.name}

    def program(self, *options: str, interval_seconds: float = 0.5) -> Program:
        """The agent, not started yet; it polls or sends heartbeats in this interval."""
        endpoint = self.server.websocket_endpoint if self.kind.scheme == "ws" else self.server.http_endpoint
        interval = f"{interval_seconds}s" if self.kind.program == "go" else f"{interval_seconds}"
        common = [
            "--endpoint", endpoint, "--name", self.name, "--labels", f"test={self.name}", "--interval", interval,
            "--fail", BAD_WORD,
        ]  # fmt: skip
        return Program([*command(self.kind), *common, *options])

    def publish(self, raw_config: str) -> str:
        """Create the agent's configuration through REST; returns its hash."""
        body = configuration(self.name, self.selector, raw_config)
        body |= {"content_type": self.kind.content_type, "config_key": self.kind.config_key}
        return str(self.server.post("configurations", body)["config_hash"])

    def republish(self, raw_config: str) -> str:
        """Change it; returns the new hash."""
        answer = self.server.api("PATCH", f"configurations/{self.name}", {"raw_config": raw_config})
        assert answer.status == 200, answer
        return str(answer.json["config_hash"])

    def found(self) -> dict[str, Any] | None:
        """The agent in the portal's list."""
        results = self.server.get(f"agents?service_name={self.name}")["results"]
        assert len(results) <= 1, results
        return results[0] if results else None

    def sees(self, **fields: Any) -> dict[str, Any]:
        """The agent as REST shows it, once it is there with these fields."""

        def claim() -> dict[str, Any] | None:
            agent = self.found()
            return agent if agent is not None and fields.items() <= agent.items() else None

        return self.server.eventually(claim, PATIENCE, f"agent {self.name} with {fields}") or {}

    def runs(self, config_hash: str) -> dict[str, Any]:
        """The agent, once it has applied this configuration and everything says so."""

        def claim() -> bool:
            agent = self.found()
            return (
                agent is not None
                and agent["remote_config_status"]
                == {"status": "applied", "config_hash": config_hash, "error_message": ""}
                and agent["in_sync"] is True
                and agent["connected"] is True
                and agent["status"] == "connected"
            )

        self.server.eventually(claim, PATIENCE, f"{self.name} runs {config_hash}")
        return self.sees()

    def offer_count(self) -> int:
        """How often the server has offered the agent's configuration."""
        results = self.server.get(f"configurations/{self.name}/agents")["results"]
        return int(results[0]["offer_count"])

    def wait_for_messages(self, number: int) -> None:
        """Let the agent send so many messages more."""
        goal = self.sees()["sequence_num"] + number
        self.server.eventually(lambda: self.sees()["sequence_num"] >= goal, PATIENCE, f"sequence number {goal}")


@pytest.fixture
def stage(kind: Kind, shared_portal: LiveServer) -> Stage:
    """An agent of its own on the server that the module shares."""
    return Stage(kind, shared_portal)


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
    def test_agents_come_back_and_get_what_changed(self, kind: Kind, portal: LiveServer, graceful: bool) -> None:
        stage = Stage(kind, portal)
        first = stage.publish(kind.good)
        # After a lost poll Elastic's client is silent for 30 s: with this interval it hardly notices the restart.
        with stage.program(interval_seconds=4 if kind.program == "node" else 0.5) as agent:
            agent.expect("applied", hash=first)
            uid = stage.runs(first)["instance_uid"]
            portal.restart(graceful=graceful)
            assert stage.runs(first)["instance_uid"] == uid
            # The Python client queues equal polls while the server is away, and an equal poll gets the equal answer.
            stage.wait_for_messages(1 if kind.program == "node" else 5)
            assert agent.count("remote_config") == 1
            second = stage.republish(kind.better)
            agent.expect("applied", hash=second)
            stage.runs(second)
            assert agent.count("remote_config") == 2


class TestLeaving:
    """Connected is what the agent shows, not what it once said."""

    @pytest.mark.rule("S-35", "S-51")
    @pytest.mark.defect(4)
    def test_an_agent_that_polls_is_connected_and_one_that_left_is_not(self, kind: Kind, tmp_path: Path) -> None:
        with LiveServer(tmp_path, OPAMP_HEARTBEAT_SECONDS="1") as server:
            stage = Stage(kind, server)
            with stage.program() as agent:
                uid = stage.sees(connected=True)["instance_uid"]
                stage.wait_for_messages(8)
                events = server.get(f"agents/{uid}/timeline")["results"]
                assert [event["kind"] for event in events].count("connected") == 1
                agent.stop()
            assert stage.sees(connected=False)["status"] == "disconnected"


class TestSecret:
    """Who may connect."""

    @pytest.mark.rule("S-22", "S-23")
    def test_a_wrong_secret_is_refused_and_the_right_one_is_not(self, kind: Kind, tmp_path: Path) -> None:
        with LiveServer(tmp_path, OPAMP_SECRET_KEY=SECRET) as server:
            stage = Stage(kind, server)
            with stage.program("--secret", "a-wrong-secret"):
                server.eventually(lambda: '"reason": "unauthorized"' in server.log_tail(), what="a refusal in the log")
                assert stage.found() is None
            with stage.program("--secret", SECRET):
                stage.sees(connected=True)

    @pytest.mark.rule("S-22")
    def test_the_refusal_is_a_true_401_over_both_transports(self, tmp_path: Path) -> None:
        with LiveServer(tmp_path, OPAMP_SECRET_KEY=SECRET) as server:
            with pytest.raises(InvalidStatus) as handshake, connect(server.websocket_endpoint, proxy=None):
                pass
            assert handshake.value.response.status_code == 401
            request = urllib.request.Request(
                server.http_endpoint, data=b"", headers={"Content-Type": "application/x-protobuf"}
            )
            with pytest.raises(urllib.error.HTTPError) as post:
                urllib.request.urlopen(request, timeout=10)
            with post.value as error:
                assert error.code == 401
                assert error.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.program == "go"], ids=lambda kind: kind.name)
class TestReferenceClient:
    """What only opamp-go can do of the clients here."""

    @pytest.mark.rule("S-96", "S-97")
    def test_a_restart_is_delivered_once(self, kind: Kind, shared_portal: LiveServer) -> None:
        command(kind)
        stage = Stage(kind, shared_portal)
        with stage.program() as agent:
            uid = stage.sees(connected=True)["instance_uid"]
            stage.server.post(f"agents/{uid}/restart")
            agent.expect("restart")
            stage.wait_for_messages(3)
            assert agent.count("restart") == 1

    @pytest.mark.rule("S-39", "S-71")
    def test_health_and_labels_follow_the_agent(self, kind: Kind, shared_portal: LiveServer) -> None:
        command(kind)
        stage = Stage(kind, shared_portal)
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

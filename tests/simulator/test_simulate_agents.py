"""``manage.py simulate_agents`` against a running server: what the portal sees of such agents, and how they come and go."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.live_server import LiveServer, configuration
from tests.simulated_fleet import SimulatedFleet

pytestmark = pytest.mark.sqlite_is_enough
CONFIG = "exporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}\n"
SECRET = "a-shared-secret"

both_transports = pytest.mark.parametrize("transport", ["ws", "http"])


class Group:
    """The agents of one test: a label of their own."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.name = f"sim-{uuid4().hex[:12]}"
        self.labels = ("--labels", f"fleet={self.name},env=stage")

    def publish(self, raw_config: str = CONFIG) -> str:
        """Create or change their configuration; returns its hash."""
        path = f"configurations/{self.name}"
        if self.server.api("GET", path).status == 200:
            answer = self.server.api("PATCH", path, {"raw_config": raw_config, "force": True})
            assert answer.status == 200, answer
            return str(answer.json["config_hash"])
        body = configuration(self.name, {"fleet": self.name}, raw_config, force=True)
        return str(self.server.post("configurations", body)["config_hash"])

    def agents(self) -> list[dict[str, Any]]:
        """All of them, as REST shows them."""
        results: list[dict[str, Any]] = self.server.get("agents?page_size=200")["results"]
        return [agent for agent in results if agent["labels"].get("fleet") == self.name]

    def all_are(self, count: int, **fields: Any) -> list[dict[str, Any]]:
        """The agents, once there are so many and each has these fields."""

        def claim() -> list[dict[str, Any]]:
            found = [agent for agent in self.agents() if fields.items() <= agent.items()]
            return found if len(found) == count else []

        return self.server.eventually(claim, 60, f"{count} agents with {fields}")

    def timeline(self, agent: dict[str, Any]) -> list[dict[str, Any]]:
        """An agent's newest lines."""
        results: list[dict[str, Any]] = self.server.get(f"agents/{agent['instance_uid']}/timeline")["results"]
        return results


@pytest.fixture
def group(shared_portal: LiveServer) -> Group:
    """A group on the server that the module shares."""
    return Group(shared_portal)


@both_transports
class TestFleet:
    def test_it_describes_itself_and_applies_what_is_published(self, group: Group, transport: str) -> None:
        with SimulatedFleet(group.server, 4, "--seed", "1", *group.labels, transport=transport) as fleet:
            fleet.expect("connected 4/4")
            first = group.publish()
            agents = group.all_are(4, connected=True, healthy=True, in_sync=True, status="connected")
            for agent in agents:
                assert agent["transport"] == ("websocket" if transport == "ws" else "http")
                assert agent["service_name"] == "otelcol-contrib"
                assert agent["labels"]["env"] == "stage"
                assert agent["remote_config_status"]["config_hash"] == first
                detail = group.server.get(f"agents/{agent['instance_uid']}")
                assert "nop" in str(detail["effective_config"])
                assert "pipeline:traces" in str(detail["health"])
            assert {agent["hostname"] for agent in agents} == {f"sim-{number:05d}" for number in range(4)}
            fleet.expect("offers 4  applied 4  failed 0")
            second = group.publish(CONFIG.replace("nop", "debug"))
            group.all_are(4, in_sync=True, configuration={"name": group.name, "revision": 2, "hash": second})
            fleet.expect("offers 8  applied 4  failed 0")
            assert "refused" not in fleet.stop()

    @pytest.mark.rule("S-61")
    def test_a_share_of_it_fails_and_is_not_offered_the_same_again(self, group: Group, transport: str) -> None:
        # Over the other transport the same agents failed before, and what failed is remembered by its files.
        group.publish(f"{CONFIG}# {group.name}\n")
        options = ("--seed", "5", "--fail-share", "0.5", *group.labels)
        with SimulatedFleet(group.server, 8, *options, transport=transport) as fleet:
            everybody = "|".join(f"applied {8 - failed}  failed {failed}" for failed in range(1, 8))
            line = fleet.expect(rf"offers 8  ({everybody}) ")
            failed = int(line[1][-1])
            broken = group.all_are(failed, status="error", in_sync=False)
            group.all_are(8 - failed, in_sync=True)
            assert all("simulated failure" in agent["remote_config_status"]["error_message"] for agent in broken)
            goals = {agent["instance_uid"]: agent["sequence_num"] + 3 for agent in broken}
            group.server.eventually(
                lambda: all(agent["sequence_num"] >= goals.get(agent["instance_uid"], 0) for agent in group.agents())
            )
            assert " offers 8 " in fleet.stop()

    @pytest.mark.rule("S-96", "S-97")
    def test_a_restart_is_obeyed_once_and_shown(self, group: Group, transport: str) -> None:
        wanted = group.publish()
        with SimulatedFleet(group.server, 2, "--seed", "6", *group.labels, transport=transport) as fleet:
            agent = group.all_are(2, in_sync=True)[0]
            group.server.post(f"agents/{agent['instance_uid']}/restart")
            fleet.expect("connected 2/2 .* restarts 1")
            group.server.eventually(
                lambda: "restarted" in {event["kind"] for event in group.timeline(agent)}, what="the restart is seen"
            )
            again = group.all_are(2, connected=True, in_sync=True)
            assert {one["remote_config_status"]["config_hash"] for one in again} == {wanted}
            assert "restarts 1" in fleet.stop()

    @pytest.mark.rule("S-35")
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_makes_all_say_goodbye(self, group: Group, transport: str, number: signal.Signals) -> None:
        with SimulatedFleet(group.server, 3, *group.labels, transport=transport) as fleet:
            group.all_are(3, connected=True)
            assert fleet.stop(number).startswith("stopped: connected 0/3")
            for agent in group.all_are(3, connected=False, status="disconnected"):
                farewell = next(event for event in group.timeline(agent) if event["kind"] == "disconnected")
                assert farewell["data"]["reason"] == "agent disconnected"

    @pytest.mark.rule("S-48")
    def test_it_comes_back_after_the_server_was_away(self, portal: LiveServer, transport: str) -> None:
        group = Group(portal)
        first = group.publish()
        with SimulatedFleet(portal, 4, "--seed", "8", *group.labels, transport=transport) as fleet:
            before = {agent["instance_uid"] for agent in group.all_are(4, in_sync=True)}
            fleet.expect("connected 4/4  offers 4  applied 4")
            portal.terminate()
            fleet.expect(r"connected 0/4 .* reconnects [1-9].* refused [1-9]")
            portal.start()
            fleet.expect(r"connected 4/4 .* reconnects [1-9]")
            again = group.all_are(4, connected=True, in_sync=True)
            assert {agent["instance_uid"] for agent in again} == before
            assert {agent["remote_config_status"]["config_hash"] for agent in again} == {first}
            second = group.publish(CONFIG.replace("nop", "debug"))
            group.all_are(4, in_sync=True, configuration={"name": group.name, "revision": 2, "hash": second})
            assert " offers 8  applied 4 " in fleet.stop()


@both_transports
class TestAdmission:
    @pytest.mark.rule("S-22")
    def test_a_wrong_secret_is_counted_and_the_right_one_lets_in(self, tmp_path: Path, transport: str) -> None:
        with LiveServer(tmp_path, OPAMP_SECRET_KEY=SECRET) as server:
            with SimulatedFleet(server, 2, "--secret-key", "wrong", transport=transport) as fleet:
                fleet.expect(r"connected 0/2 .* refused [2-9]\d*  errors 0 \(mostly: HTTP status 401\)")
                assert server.get("agents")["count"] == 0
                assert "connected 0/2" in fleet.stop()
            with SimulatedFleet(server, 2, "--secret-key", SECRET, transport=transport) as fleet:
                fleet.expect("connected 2/2")
                assert "refused" not in fleet.stop()


@both_transports
class TestCredentials:
    @pytest.mark.rule("S-82", "S-83", "S-115", "S-117")
    def test_each_moves_to_its_own_and_one_is_shut_out_alone(self, tmp_path: Path, transport: str) -> None:
        environment = {
            "OPAMP_AGENT_CREDENTIALS": "true",
            "OPAMP_OFFER_HEARTBEAT": "true",
            "OPAMP_HEARTBEAT_SECONDS": "1",
        }
        options = ("--secret-key", SECRET, "--seed", "4")
        with LiveServer(tmp_path, OPAMP_SECRET_KEY=SECRET, **environment) as server:
            group = Group(server)

            def stand(name: str) -> int:
                found = [server.get(f"agents/{agent['instance_uid']}")["credential"][name] for agent in group.agents()]
                return sum(value is not None for value in found)

            with SimulatedFleet(server, 3, *options, *group.labels, transport=transport) as fleet:
                server.eventually(lambda: stand("used_at") == 3, 60, "all use their own")
                fleet.expect("connected 3/3")
                outcast, *others = group.all_are(3, connected=True)
                server.post(f"agents/{outcast['instance_uid']}/revoke-credential")
                (out,) = group.all_are(1, connected=False)
                assert out["instance_uid"] == outcast["instance_uid"]
                server.restart()
                back = group.all_are(2, connected=True, status="connected")
                assert {agent["instance_uid"] for agent in back} == {agent["instance_uid"] for agent in others}
                fleet.stop()
            # The same agents with nothing but the shared secret: as if somebody had found it.
            group.all_are(3, connected=False)
            server.post(f"agents/{outcast['instance_uid']}/allow-enrolment")
            with SimulatedFleet(server, 3, *options, *group.labels, transport=transport) as fleet:
                (only,) = group.all_are(1, connected=True)
                assert only["instance_uid"] == outcast["instance_uid"]
                fleet.expect(r"connected 1/3 .*(not enough|HTTP status 401)")
            log = server.log_path.read_text()
            assert "oac1." not in log
            assert SECRET not in log


class TestCommand:
    def test_it_ends_by_itself_and_the_same_seed_brings_the_same_agents_back(self, group: Group) -> None:
        found = []
        for _ in range(2):
            options = ("--seed", "9", "--duration", "2", "--summary-seconds", "0", *group.labels)
            with SimulatedFleet(group.server, 3, *options) as fleet:
                assert fleet.end(30).startswith("stopped: ")
            assert fleet.lines[0] == (
                f"3 agents to {group.server.websocket_endpoint}; --seed 9 brings the same agents back"
            )
            assert len(fleet.lines) == 2
            found.append({agent["instance_uid"] for agent in group.all_are(3, connected=False)})
        assert found[0] == found[1]

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["--count", "0"], "must be a whole number from 1 on"),
            (["--count", "many"], "must be a whole number from 1 on"),
            (["--fail-share", "1.5"], "from 0 to 1"),
            (["--heartbeat", "soon"], "'soon' must be a number"),
            (["--heartbeat", "nan"], "'nan' must be a number"),
            (["--duration", "-1"], "must be a number from 0"),
            (["--connect-rate", "0"], "must be a number from 0.1"),
            (["--labels", "env"], "'env' is not key=value"),
            (["--labels", "=prod"], "'=prod' is not key=value"),
            (["--transport", "udp"], "invalid choice"),
            (["--endpoint", "ftp://127.0.0.1/"], "must be a ws, wss, http or https URL"),
            (["--endpoint", "ws:///v1/opamp"], "with a host"),
            (["--endpoint", "ws://127.0.0.1:70000"], "a port up to 65535"),
            (["--endpoint", "ws://[::1"], "must be a ws, wss, http or https URL"),
            (["--endpoint", "ws://192.0.2.1:4320"], "--allow-remote if that is meant"),
            (["--endpoint", "ws://nowhere.invalid"], "'nowhere.invalid' cannot be resolved"),
        ],
    )
    def test_a_strange_argument_is_named(self, arguments: list[str], complaint: str) -> None:
        with pytest.raises(CommandError, match=complaint):
            call_command("simulate_agents", *arguments)

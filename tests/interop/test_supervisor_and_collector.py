"""What people really run: `opampsupervisor` with a Collector, through good and bad configurations, offers and restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import not_run
from tests.interop import collectors
from tests.interop.collectors import Supervisor
from tests.live_server import LiveServer, configuration

pytestmark = pytest.mark.interop

PATIENCE = 60.0
RUNS = """\
receivers: {nop: {}}
exporters: {%s: {}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [nop], exporters: [%s]}
"""
A, B = RUNS % ("nop", "nop"), RUNS % ("debug", "debug")
# Nothing here can know that the exporter has no such level; the Collector ends with status 1.
CRASHES = A.replace("{nop: {}}\nservice", "{nop: {}, debug: {verbosity: shouting}}\nservice").replace(
    "exporters: [nop]", "exporters: [debug]"
)


@pytest.fixture(autouse=True)
def _buildable(request: pytest.FixtureRequest) -> None:
    """Only where both programs can be built."""
    if why := collectors.obstacle():
        not_run.note(request.node, "interop", why, "opampsupervisor with a Collector")
        pytest.skip(f"opampsupervisor with a Collector: {why}")


class Scene:
    """One supervisor's place in the portal: a label and a configuration of its own."""

    def __init__(self, server: LiveServer, folder: Path) -> None:
        self.server = server
        self.name = f"supervised-{uuid4().hex[:8]}"
        self._folder = folder

    def supervisor(self, **options: Any) -> Supervisor:
        """Not started yet; keeps its state between two starts."""
        return Supervisor(self._folder, self.server.websocket_endpoint, test=self.name, **options)

    def publish(self, text: str) -> str:
        """Make it what the agent should run; returns its hash."""
        # The checks know what the Collector refuses; here it is to be refused by the Collector.
        body = {**configuration(self.name, {"test": self.name}, text), "force": True}
        answer = self.server.api("PUT", f"configurations/{self.name}", body)
        assert answer.status in {200, 201}, answer
        return str(answer.json["config_hash"])

    def agent(self) -> dict[str, Any] | None:
        """The agent as REST shows it."""
        found = self.server.get(f"agents?label=test%3D{self.name}")["results"]
        return found[0] if found else None

    def sees(self, **fields: Any) -> dict[str, Any]:
        """The agent, once it is shown with these fields; ``applied`` and ``failed`` name a hash that it says so of."""
        said = {word: fields.pop(word) for word in ("applied", "failed") if word in fields}

        def claim() -> dict[str, Any] | None:
            agent = self.agent()
            if agent is None or not fields.items() <= agent.items():
                return None
            reported = agent["remote_config_status"]
            right = all((reported["status"], reported["config_hash"]) == (word, key) for word, key in said.items())
            return agent if right else None

        return self.server.eventually(claim, PATIENCE, f"{fields} {said}, not {self.agent()}") or {}

    def runs(self, config_hash: str) -> dict[str, Any]:
        """The agent, once it is right in every respect."""
        return self.sees(status="connected", connected=True, healthy=True, in_sync=True, applied=config_hash)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The timeline's lines of this kind, newest first."""
        agent = self.agent()
        assert agent is not None
        lines = self.server.get(f"agents/{agent['instance_uid']}/timeline?page_size=200")["results"]
        return [line for line in lines if line["kind"] == kind]

    def watched(self, act: Callable[[], object], until: Callable[[], object]) -> set[str]:
        """All statuses the agent is shown with from ``act`` on until ``until`` holds."""
        act()
        seen = set()

        def claim() -> object:
            agent = self.agent()
            seen.add(agent["status"] if agent else "")
            return until()

        self.server.eventually(claim, PATIENCE, "what is waited for")
        return seen


@pytest.fixture
def scene(shared_portal: LiveServer, tmp_path: Path) -> Scene:
    """On the server that the module shares."""
    return Scene(shared_portal, tmp_path)


@pytest.fixture
def offering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that offers another heartbeat interval than agents have by themselves."""
    with LiveServer(
        tmp_path_factory.mktemp("offering"), OPAMP_OFFER_HEARTBEAT="true", OPAMP_HEARTBEAT_SECONDS="2"
    ) as server:
        yield server


def test_good_configurations_back_and_forth(scene: Scene) -> None:
    """A, B, A, B: each publish reaches the agent once, and while its Collector restarts nobody is alarmed."""
    with scene.supervisor():
        scene.sees(connected=True, healthy=True)
        for number, text in enumerate((A, B, A, B), start=1):
            wanted: list[str] = []
            seen = scene.watched(
                lambda text=text, wanted=wanted: wanted.append(scene.publish(text)),  # type: ignore[misc]
                lambda wanted=wanted: (  # type: ignore[misc]
                    (agent := scene.agent()) is not None
                    and agent["in_sync"] is True
                    and agent["remote_config_status"]["config_hash"] == wanted[0]
                ),
            )
            assert "error" not in seen
            scene.runs(wanted[0])
            assert len(scene.events("offered")) == number


def test_one_that_keeps_the_former_configuration_by_itself(scene: Scene) -> None:
    """It tries the new one, says FAILED and runs the former on: an error that stays until somebody acts."""
    with scene.supervisor(agent={"validate_config": True}):
        scene.runs(scene.publish(A))
        bad = scene.publish(CRASHES)
        agent = scene.sees(status="error", connected=True, healthy=True, in_sync=False, failed=bad)
        assert "validation failed" in agent["remote_config_status"]["error_message"]
        assert len(scene.events("offered")) == 2
        assert len(scene.events("failed")) == 1
        scene.runs(scene.publish(A))
        scene.publish(CRASHES)
        scene.sees(status="error", failed=bad)
        assert len(scene.events("offered")) == 4, "what somebody publishes again is offered again"
        scene.runs(scene.publish(B))


def test_a_crash_loop_is_told_once(scene: Scene) -> None:
    """Its Collector ends again and again: the reason stays in the timeline, however often it is repeated."""
    with scene.supervisor():
        scene.runs(scene.publish(A))
        bad = scene.publish(CRASHES)
        scene.sees(status="error", healthy=False, failed=bad)
        before = len(scene.events("health"))
        scene.server.eventually(
            lambda: any(line["count"] > 1 for line in scene.events("health")), PATIENCE, "a repetition"
        )
        assert len(scene.events("health")) <= before + 1
        scene.runs(scene.publish(B))


def test_settings_offers_do_not_paint_it_red(offering: LiveServer, tmp_path: Path) -> None:
    """An accepted offer makes a supervisor say unhealthy without a reason, although nothing happened to its Collector."""
    scene = Scene(offering, tmp_path)
    with scene.supervisor(capabilities={"accepts_opamp_connection_settings": True}):
        wanted = scene.publish(A)
        scene.sees(connected=True, in_sync=True, applied=wanted)
        statuses = scene.watched(lambda: None, lambda: len(scene.events("connected")) >= 2)
        assert "error" not in statuses
        agent = scene.sees(status="connected", applied=wanted)
        assert agent["healthy"] in {None, True}
        offering.post(f"agents/{agent['instance_uid']}/restart")
        scene.sees(status="connected", healthy=True, applied=wanted)


def test_a_restart_of_the_server_changes_nothing(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    with LiveServer(tmp_path_factory.mktemp("restarted")) as server:
        scene = Scene(server, tmp_path)
        with scene.supervisor(agent={"validate_config": True}):
            scene.runs(scene.publish(A))
            bad = scene.publish(CRASHES)
            scene.sees(status="error", failed=bad)
            offers = len(scene.events("offered"))
            server.restart()
            scene.sees(status="error", connected=True, healthy=True, in_sync=False)
            assert len(scene.events("offered")) == offers
            scene.runs(scene.publish(B))

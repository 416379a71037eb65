"""A real `opampsupervisor` comes in by an enrolment token, gets a credential of its own, and comes back after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from enrolment.snippets import supervisor
from tests import not_run
from tests.interop import collectors
from tests.interop.collectors import Supervisor
from tests.interop.test_supervisor_and_collector import A, B
from tests.live_server import LiveServer, configuration

pytestmark = [pytest.mark.interop, pytest.mark.sqlite_is_enough, pytest.mark.rule("S-82", "S-115", "S-117")]
PATIENCE = 90.0
# A busy machine takes longer than the three seconds a supervisor waits by default.
PATIENT = {"bootstrap_timeout": "30s"}


@pytest.fixture
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that asks for a secret nobody here has, and gives agents credentials of their own."""
    with LiveServer(
        tmp_path_factory.mktemp("enrolling"),
        OPAMP_SECRET_KEY=uuid4().hex,
        OPAMP_AGENT_CREDENTIALS="true",
        OPAMP_OFFER_HEARTBEAT="true",
    ) as server:
        yield server


class Enrolling:
    """One supervisor that has a token, and what REST shows of both."""

    def __init__(self, server: LiveServer, folder: Path, **wish: Any) -> None:
        self.server = server
        self.name = f"enrolled-{uuid4().hex[:8]}"
        body = {"name": self.name, "labels": {"test": self.name}, "max_uses": 1, **wish}
        made = server.api("POST", "enrolment-tokens", body)
        assert made.status == 201, made
        self.token: dict[str, Any] = made.json
        self.supervisor = Supervisor(
            folder,
            server.websocket_endpoint,
            capabilities={"accepts_opamp_connection_settings": True},
            agent=PATIENT,
            server={"headers": {"Authorization": f"Bearer {self.token['token']}"}},
        )

    def agent(self) -> dict[str, Any] | None:
        """The one that the token brought, whole."""
        found = self.server.get(f"agents?enrolled_by={self.name}")["results"]
        return self.server.get(f"agents/{found[0]['instance_uid']}") if found else None

    def eventually(self, what: str, **fields: Any) -> dict[str, Any]:
        """The agent, once it is shown with these fields."""

        def claim() -> dict[str, Any] | None:
            agent = self.agent()
            return agent if agent is not None and fields.items() <= agent.items() else None

        found = self.server.eventually(claim, PATIENCE, f"{what}; it is {self.agent()}")
        assert found is not None
        return found

    def publish(self, text: str) -> str:
        """Make it what the agents of the token should run; returns its hash."""
        answer = self.server.api(
            "PUT", f"configurations/{self.name}", configuration(self.name, {"test": self.name}, text)
        )
        assert answer.status in {200, 201}, answer
        return str(answer.json["config_hash"])

    def applied(self, config_hash: str) -> None:
        """Wait until the agent says that it runs it."""

        def claim() -> bool:
            said = (self.agent() or {}).get("remote_config_status", {})
            return (said.get("status"), said.get("config_hash")) == ("applied", config_hash)

        self.server.eventually(claim, PATIENCE, f"applied {config_hash}; it is {self.agent()}")

    def uses_its_own(self, before: str | None = None) -> str:
        """Wait until it uses a credential that was issued after ``before``; when that was issued."""

        def claim() -> str | None:
            credential = (self.agent() or {}).get("credential", {})
            used = credential.get("used_at") and credential.get("issued_at") != before
            return str(credential["issued_at"]) if used and self.came() >= 2 else None

        found = self.server.eventually(claim, PATIENCE, f"a credential in use; it is {self.agent()}")
        assert found is not None
        return found

    def came(self) -> int:
        """How often it connected."""
        agent = self.agent()
        return 0 if agent is None else self.server.get(f"agents/{agent['instance_uid']}/connections")["count"]


def test_it_enrols_gets_a_credential_restarts_and_comes_back(
    request: pytest.FixtureRequest, portal: LiveServer, tmp_path: Path
) -> None:
    if why := collectors.obstacle():
        not_run.note(request.node, "interop", why, "opampsupervisor with an enrolment token")
        pytest.skip(f"opampsupervisor with a Collector: {why}")
    scene = Enrolling(portal, tmp_path)
    with scene.supervisor:
        agent = scene.eventually("connected by the token", connected=True, approval="approved")
        assert agent["operator_labels"] == {"test": scene.name}
        first = scene.uses_its_own()
        scene.applied(scene.publish(A))
        # What it took it kept in memory: started again, it has the token alone.
        scene.supervisor.stop()
        scene.eventually("gone", connected=False)
        scene.supervisor.start()
        scene.eventually("back", connected=True, instance_uid=agent["instance_uid"])
        scene.uses_its_own(before=first)
        scene.applied(scene.publish(B))
    token = portal.get(f"enrolment-tokens/{scene.token['id']}")
    assert (token["uses"], token["active"]) == (1, False)


def test_one_that_waits_for_approval_runs_nothing_until_then(
    request: pytest.FixtureRequest, portal: LiveServer, tmp_path: Path
) -> None:
    if why := collectors.obstacle():
        not_run.note(request.node, "interop", why, "opampsupervisor that awaits approval")
        pytest.skip(f"opampsupervisor with a Collector: {why}")
    scene = Enrolling(portal, tmp_path, approval_rule="ask")
    wanted = scene.publish(A)
    with scene.supervisor:
        agent = scene.eventually("waiting", connected=True, approval="pending")
        assert agent["credential"]["issued_at"] is None
        assert portal.api("POST", f"agents/{agent['instance_uid']}/approve", None).status == 200
        scene.applied(wanted)
        assert scene.eventually("approved", approval="approved")["healthy"] is not False


def test_the_file_that_the_portal_shows_is_one_it_can_read(tmp_path: Path) -> None:
    """The supervisor refuses files with members that it does not know; this one gets as far as looking for its Collector."""
    if why := collectors.obstacle():
        pytest.skip(f"opampsupervisor with a Collector: {why}")
    path = tmp_path / "supervisor.yaml"
    text = supervisor("ws://127.0.0.1:9/v1/opamp", "oet1.0123456789abcdef." + "A" * 43)
    path.write_text(text.replace("/var/lib/otelcol", str(tmp_path)))
    said = collectors.first_words(path)
    assert "could not find executable" in said or "no such file" in said, said
    path.write_text(path.read_text() + "nonsense: {}\n")
    assert "nonsense" in collectors.first_words(path)

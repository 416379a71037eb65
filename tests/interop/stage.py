"""One third-party agent of a test and what the portal says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from tests.interop.full_state import none_outstanding
from tests.interop.programs import Kind, Program, command
from tests.live_server import LiveServer, configuration

BAD_WORD = "unlucky"
PATIENCE = 60.0  # Elastic's client may make its 30 s pause


class Stage:
    """One agent of a test and its place in the portal: a name and a label of its own."""

    def __init__(self, kind: Kind, server: LiveServer) -> None:
        self.kind = kind
        self.server = server
        self.name = f"interop-{uuid4().hex[:12]}"
        self.selector = {"test": self.name}

    @contextmanager
    def program(self, *options: str, interval_seconds: float = 0.5) -> Iterator[Program]:
        """The running agent; it polls or sends heartbeats in this interval. Ends when it owes the server nothing."""
        endpoint = self.server.websocket_endpoint if self.kind.scheme == "ws" else self.server.http_endpoint
        interval = f"{interval_seconds}s" if self.kind.program == "go" else f"{interval_seconds}"
        common = [
            "--endpoint", endpoint, "--name", self.name, "--labels", f"test={self.name}", "--interval", interval,
            "--fail", BAD_WORD,
        ]  # fmt: skip
        with Program([*command(self.kind), *common, *options]) as agent:
            yield agent
            none_outstanding(self.server, self.name)

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

"""Configurations of the fault tests, and somebody who edits them while things break."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.live_server import LiveServer, configuration

REGIONS = {"config-0": "us-east", "config-1": "us-west", "config-2": "eu-central", "config-3": "ap-southeast"}
_PAUSE_SECONDS = 0.1


def text(edit: int) -> str:
    """A configuration that tells which edit made it."""
    return (
        f"receivers: {{otlp: {{protocols: {{grpc: {{}}}}}}}}\nexporters: {{nop/{edit}: {{}}}}\n"
        f"service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [nop/{edit}]}}}}}}\n"
    )


def create_all(server: LiveServer) -> None:
    """One configuration for each region that simulated agents may be in."""
    for name, region in REGIONS.items():
        server.post("configurations", configuration(name, {"region": region}, text(0)))


class Editor:
    """Edits configurations one after another through any of ``servers``, until told to stop; goes on when a call fails.

    ``acknowledged`` has every answer with status 200.
    """

    def __init__(self, servers: Sequence[LiveServer]) -> None:
        self._servers = servers
        self.acknowledged: list[dict[str, Any]] = []
        self.refused: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        for server in servers:
            assert server.token  # made while everything is well

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        edit = 0
        while not self._stop.wait(_PAUSE_SECONDS):
            edit += 1
            name = list(REGIONS)[edit % len(REGIONS)]
            server = self._servers[edit % len(self._servers)]
            try:
                answer = server.api("PATCH", f"configurations/{name}", {"raw_config": text(edit)})
            except OSError:
                continue  # the server is gone: it acknowledged nothing
            if answer.status == 200:
                self.acknowledged.append(answer.json)
            else:
                self.refused.append(answer.status)

    def assert_kept(self, server: LiveServer) -> None:
        """Every edit that was acknowledged is a revision, with the files it was acknowledged with."""
        assert self.acknowledged, "no edit came through at all"
        for edit in self.acknowledged:
            kept = server.get(f"configurations/{edit['name']}/revisions/{edit['revision']}")
            assert kept["hash"] == edit["config_hash"], edit

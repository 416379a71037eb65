"""Fleets of plain rows, rules, receivers, and a server that takes notices."""

from __future__ import annotations

import http.server
import ipaddress
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from agents.models import Agent
from alerts.bell import bell
from alerts.models import Alert, AlertRule, Receiver
from alerts.services.evaluating import evaluate_all
from alerts.services.receiver_edits import create_receiver
from alerts.services.rule_edits import create_rule

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def bell_of_the_test() -> None:
    """What a former test counted says nothing."""
    bell.forget()


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Settings) -> None:
    """The server of the tests is on loopback, which nobody may call unless it is allowed."""
    settings.ALERTS = replace(settings.ALERTS, allowed=(ipaddress.ip_network("127.0.0.1/32"),))


@pytest.fixture
def fleet(db: None) -> Callable[..., list[Agent]]:
    """Rows of agents, connected and healthy unless told otherwise."""

    def make(count: int, *, prefix: str = "agent", **values: Any) -> list[Agent]:
        values = {
            "connected": True,
            "healthy": True,
            "first_seen_at": NOW - timedelta(days=1),
            "disconnected_at": None,
            **values,
        }
        rows = [Agent(instance_uid=uuid.uuid4(), name=f"{prefix}-{number:05}", **values) for number in range(count)]
        return Agent.objects.bulk_create(rows)

    return make


@pytest.fixture
def rule(db: None) -> Callable[..., AlertRule]:
    """A rule without pauses, unless told otherwise."""

    def make(kind: str = "agents_gone", **values: Any) -> AlertRule:
        values = {"name": f"rule {uuid.uuid4()}", "dwell_seconds": 0, "clear_seconds": 0, "repeat_seconds": 0, **values}
        return create_rule({"kind": kind, **values}, by=None, at=NOW)

    return make


@pytest.fixture
def receiver(db: None) -> Callable[..., Receiver]:
    """A default receiver."""

    def make(kind: str = "webhook", **values: Any) -> Receiver:
        values = {"name": f"receiver {uuid.uuid4()}", "is_default": True, **values}
        if kind != "email":
            values.setdefault("address", "http://127.0.0.1:9/hook")
        return create_receiver({"kind": kind, **values}, by=None, at=NOW)

    return make


def states(at: datetime | None = None) -> list[str]:
    """Those of all alerts, the oldest first, after an evaluation at ``at``."""
    if at is not None:
        evaluate_all(at)
    return list(Alert.objects.order_by("pk").values_list("state", flat=True))


class Listener(http.server.ThreadingHTTPServer):
    """Takes POSTs and answers as it is told: ``answer`` gets the handler and writes whatever it likes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Callable[[http.server.BaseHTTPRequestHandler], None] = lambda handler: status(handler, 200)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_args: Any) -> None:
        """A client that goes away is what is tested."""


def status(handler: http.server.BaseHTTPRequestHandler, code: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.received.append((self.path, dict(self.headers.items()), body))
        self.server.answer(self)

    def log_message(self, *_args: Any) -> None:
        """Nothing."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server on loopback."""
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()

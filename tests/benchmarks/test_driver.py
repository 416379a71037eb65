"""The driver against a running server, with a handful of agents: it connects, answers offers, beats, and counts right."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.fleet import DriverFailed, Fleet
from tests.live_server import LiveServer, configuration

pytestmark = pytest.mark.sqlite_is_enough
AGENTS = 5
YAML = "receivers: {otlp: {protocols: {grpc: {}}}}\nexporters: {debug: {}}\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n"  # noqa: E501
SELECTOR = {"bench": "yes"}


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_every_agent_registers_and_receives_each_configuration_exactly_once(tmp_path: Path, transport: str) -> None:
    with LiveServer(tmp_path) as server, Fleet(server.port, AGENTS, transport=transport) as fleet:
        server.post("configurations", configuration("bench", SELECTOR, YAML))
        figures = fleet.call("connect", until="applied", within=60)
        assert figures["wrong"] == {}
        assert [figures[key]["count"] for key in ("registered s", "offered s", "applied s")] == [AGENTS] * 3
        (first,) = fleet.call("offers")
        fleet.call("forget_times")
        edited = configuration("bench", SELECTOR, YAML.replace("debug", "nop"))
        assert server.api("PUT", "configurations/bench", edited).status == 200
        if transport == "http":
            # Polled until each has its offer: plain HTTP has no other way to hear of it.
            assert fleet.call("beat", interval=1, seconds=2)["wrong"] == {}
        fleet.call("await_offers", since=time.monotonic(), within=30)
        offers = fleet.call("offers")
        assert offers.pop(first) == {"1": AGENTS}
        assert list(offers.values()) == [{"1": AGENTS}]
        listed = server.get("agents")
        assert len(listed["results"]) == AGENTS
        assert {agent["status"] for agent in listed["results"]} == {"connected"}


def test_floods_are_answered_message_by_message(tmp_path: Path) -> None:
    with LiveServer(tmp_path) as server, Fleet(server.port, AGENTS) as fleet:
        fleet.call("connect", until="registered", within=60)
        for what in ("heartbeat", "health"):
            figures = fleet.call("flood", what=what, seconds=0.5)
            assert figures["replies"] >= AGENTS
            assert figures["latency ms"]["count"] == figures["replies"]
            assert figures["wrong"] == {}


def test_a_fleet_that_changes_keeps_its_size_and_nobody_is_lost(tmp_path: Path) -> None:
    away = 3
    with LiveServer(tmp_path) as server, Fleet(server.port, AGENTS + away) as fleet:
        fleet.call("connect", until="registered", within=60)
        figures = fleet.call("live", interval=0.5, seconds=4, away=away, churn=12)
        # One each second, in turn with a goodbye and without.
        assert figures["left and came back"] == 3
        assert figures["connected"] == AGENTS
        assert figures["registered s"]["count"] == 3
        assert figures["replies"] > 20
        assert figures["wrong"] == {}
        server.eventually(lambda: server.get("agents/summary")["status"]["disconnected"] == away, 20, "all who left")
        reasons = dict(server.rows("SELECT reason, count(*) FROM agents_connectionrecord GROUP BY reason"))
        # The three that went at the beginning said goodbye as well.
        assert reasons["agent disconnected"] == 5
        assert reasons["connection closed"] == 1


def test_who_is_thrown_out_of_a_fleet_that_changes_is_counted_and_comes_back(tmp_path: Path) -> None:
    with LiveServer(tmp_path) as server, Fleet(server.port, AGENTS + 1) as fleet:
        fleet.call("connect", until="registered", within=60)
        fleet.begin("live", interval=0.5, seconds=10, away=1, churn=0)
        server.restart()
        figures = fleet.finish()
        assert figures["wrong"]["connection lost"] == AGENTS
        assert figures["connected"] == AGENTS


def test_a_killed_server_gets_all_its_agents_back(tmp_path: Path) -> None:
    with LiveServer(tmp_path) as server, Fleet(server.port, AGENTS) as fleet:
        fleet.call("connect", until="registered", within=60)
        fleet.begin("reconnect", killed_at=time.monotonic(), within=90)
        server.kill9()
        server.start()
        assert fleet.finish()["registered s"]["count"] == AGENTS


def test_a_command_that_cannot_be_done_in_time_is_an_error(tmp_path: Path) -> None:
    with (
        LiveServer(tmp_path) as server,
        Fleet(server.port, AGENTS) as fleet,
        pytest.raises(DriverFailed, match="not in time"),
    ):
        # No configuration matches, so nothing is ever applied.
        fleet.call("connect", until="applied", within=1)

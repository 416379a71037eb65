"""Agents that others wrote in less common situations: compression, a busy server, lost state, new identities."""

from __future__ import annotations

import base64
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.interop.full_queue import full_queue
from tests.interop.programs import KINDS, Kind, Program
from tests.interop.recording_proxy import RecordingProxy
from tests.interop.stage import Stage
from tests.live_server import LiveServer
from tests.plain_http import post

pytestmark = pytest.mark.interop

GO_KINDS = [kind for kind in KINDS if kind.program == "go"]
HTTP_KINDS = [kind for kind in KINDS if kind.scheme == "http"]
# The longest Retry-After (s), a tenth more for the jitter of Elastic's client, and some time to connect.
LONGEST_PAUSE = 60 * 1.1 + 15

only_go = pytest.mark.parametrize("kind", GO_KINDS, ids=lambda kind: kind.name, indirect=True)


def padded(text: str) -> str:
    """``text`` (YAML) with so much of the same behind it that compression must show."""
    return text + "# the quick brown fox jumps over the lazy dog\n" * 500


class TestCompression:
    """Whoever can compress is understood, whoever cannot is left in peace."""

    @pytest.mark.rule("S-16", "S-17", transport="http")
    @pytest.mark.parametrize("kind", GO_KINDS[1:], ids=lambda kind: kind.name, indirect=True)
    def test_gzip_requests_and_responses_with_the_reference_client(self, stage: Stage) -> None:
        large = padded(stage.kind.good)
        wanted = stage.publish(large)
        with (
            RecordingProxy(stage.server.http_endpoint) as proxy,
            stage.program("--endpoint", proxy.endpoint, "--compress") as agent,
        ):
            assert agent.expect("remote_config", hash=wanted)["files"][""]["body"] == large
            uid = stage.runs(wanted)["instance_uid"]
            # It has reported the same text as its effective configuration.
            stage.server.eventually(lambda: "lazy dog" in str(stage.server.get(f"agents/{uid}/effective-config")))
            assert b"content-encoding: gzip" in proxy.sent.lower()
            assert b"content-encoding: gzip" in proxy.received.lower()
            for passed in (proxy.sent, proxy.received):
                assert b"lazy dog" not in passed
                assert len(passed) < len(large)

    @pytest.mark.rule("S-17", transport="http")
    @pytest.mark.parametrize("kind", HTTP_KINDS, ids=lambda kind: kind.name, indirect=True)
    def test_responses_are_compressed_for_those_alone_who_ask(self, stage: Stage) -> None:
        wanted = stage.publish(stage.kind.good)
        with RecordingProxy(stage.server.http_endpoint) as proxy, stage.program("--endpoint", proxy.endpoint) as agent:
            agent.expect("applied", hash=wanted)
            asked = re.search(rb"(?i)accept-encoding: [^\r]*gzip", proxy.sent) is not None
            assert (b"content-encoding: gzip" in proxy.received.lower()) is asked
            assert asked is (stage.kind.program != "node")

    @pytest.mark.rule("S-13", transport="websocket")
    @pytest.mark.parametrize("kind", GO_KINDS[:1], ids=lambda kind: kind.name, indirect=True)
    @pytest.mark.parametrize("offered", [False, True], ids=["default", "compression on"])
    def test_a_client_that_offers_permessage_deflate_is_served_with_it_or_without(
        self, kind: Kind, tmp_path: Path, offered: bool
    ) -> None:
        setting = {"OPAMP_WEBSOCKET_COMPRESSION": "true"} if offered else {}
        with LiveServer(tmp_path, **setting) as server:
            stage = Stage(kind, server)
            wanted = stage.publish(padded(kind.good))
            with (
                RecordingProxy(server.websocket_endpoint) as proxy,
                stage.program("--endpoint", proxy.endpoint, "--compress") as agent,
            ):
                agent.expect("applied", hash=wanted)
                stage.runs(wanted)
                second = stage.republish(kind.better)
                agent.expect("applied", hash=second)
                stage.runs(second)
                assert b"permessage-deflate" in proxy.sent
                assert agent.count("connected") == 1
                taken = re.search(rb"(?i)sec-websocket-extensions: ([^\r]*)\r", proxy.received)
                compressed = taken is not None and b"permessage-deflate" in taken[1]
                if compressed:
                    assert taken is not None
                    assert b"server_no_context_takeover" in taken[1]
                    assert b"client_no_context_takeover" in taken[1]
                assert (b"lazy dog" not in proxy.received) is compressed


class TestFullState:
    """The server lost what it knew; the agent tells all again, once."""

    @pytest.mark.rule("S-43", "S-44", "S-61")
    def test_a_forgotten_agent_is_asked_once_and_known_again(self, stage: Stage) -> None:
        wanted = stage.publish(stage.kind.good)
        with stage.program() as agent:
            agent.expect("applied", hash=wanted)
            first = stage.runs(wanted)
            assert stage.server.api("DELETE", f"agents/{first['instance_uid']}").status == 204
            again = stage.runs(wanted)
            for name in ("instance_uid", "labels", "version", "capabilities", "configuration"):
                assert again[name] == first[name], name
            assert again["first_seen_at"] > first["first_seen_at"]
            stage.wait_for_messages(4)
            assert agent.count("remote_config") == 1
            events = stage.server.get(f"agents/{again['instance_uid']}/timeline")["results"]
            assert [event["kind"] for event in events].count("full_state") == 1


@only_go
class TestReferenceClient:
    """What only opamp-go can do of the clients here."""

    @pytest.mark.rule("S-28", "S-29", "S-30")
    def test_it_takes_the_uid_that_it_asked_for(self, stage: Stage) -> None:
        wanted = stage.publish(stage.kind.good)
        with stage.program("--ask-uid") as agent:
            temporary = agent.expect("uid")["uid"]
            given = agent.expect("new_uid", usable=True)["uid"]
            assert given != temporary
            agent.expect("applied", hash=wanted)
            assert stage.runs(wanted)["instance_uid"] == given
            assert stage.server.api("GET", f"agents/{temporary}").status == 404
            stage.wait_for_messages(4)
            assert agent.count("new_uid") == 1
            assert agent.count("remote_config") == 1

    @pytest.mark.rule("S-40", "S-98")
    def test_the_components_behind_its_hash_are_asked_for_and_kept(self, stage: Stage) -> None:
        stage.publish(stage.kind.good)
        with stage.program("--components") as agent:
            agent.expect("applied")
            stage.server.eventually(lambda: "code.namespace" in str(components_of(stage)), what="the component map")
            agent.tell("describe tier=front")
            stage.server.eventually(lambda: (stage.found() or {}).get("labels", {}).get("tier"))
            assert "code.namespace" in str(components_of(stage))


class TestRefusedForNow:
    """Refused before the server drowns, a fleet comes back by itself."""

    @pytest.mark.rule("S-103", "S-104", "S-105", transport=["websocket", "http"])
    def test_agents_wait_as_long_as_retry_after_says_and_then_are_served(
        self, kinds_at_hand: list[Kind], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """503 from a server that is busy and 429 from one whose limits are used up, both at the same time."""
        limits = {"OPAMP_REQUESTS_PER_SECOND": "5", "OPAMP_HANDSHAKES_PER_SECOND": "5"}
        with (
            LiveServer(tmp_path_factory.mktemp("busy"), OPAMP_QUEUE_LIMIT="1") as busy,
            LiveServer(tmp_path_factory.mktemp("limited"), **limits) as limited,
            ExitStack() as stack,
        ):
            refused = [
                Refused(Stage(kind, server), status, stack)
                for server, status in ((busy, 503), (limited, 429))
                for kind in kinds_at_hand
            ]
            with full_queue(busy), used_up_limits(limited):
                for one in refused:
                    one.start()
                for one in refused:
                    one.agent.expect("connect_failed")
            for one in refused:
                one.is_served_in_time()


class Refused:
    """One agent that a server refuses at first; what passed between them is kept."""

    agent: Program

    def __init__(self, stage: Stage, status: int, stack: ExitStack) -> None:
        self.stage = stage
        self.status = status
        self.stack = stack
        server = stage.server
        endpoint = server.websocket_endpoint if stage.kind.scheme == "ws" else server.http_endpoint
        self.proxy = stack.enter_context(RecordingProxy(endpoint))
        self.config_hash = stage.publish(stage.kind.good)

    def start(self) -> None:
        """Let it connect."""
        program = self.stage.program("--endpoint", self.proxy.endpoint, interval_seconds=2)
        self.agent = self.stack.enter_context(program)

    def is_served_in_time(self) -> None:
        """It comes back no sooner than it was told, and then all is well."""
        came = self.agent.expect("connected", seconds=LONGEST_PAUSE)["at"]
        heads = re.findall(
            rb"HTTP/1.1 (\d+) (?:[^\r]*\r\n)(?:[^\r]+\r\n)*?(?i:retry-after): (\d+)\r", self.proxy.received
        )
        assert {int(status) for status, _ in heads} == {self.status}, heads
        asked = float(heads[-1][1])
        refusals = [item["at"] for item in self.agent.events if item["event"] == "connect_failed" and item["at"] < came]
        assert refusals, "it was served before it was refused"
        last_refusal = refusals[-1]
        if self.stage.kind.program == "go":
            assert came - last_refusal >= asked
        elif self.stage.kind.program == "node":  # thirty seconds at least, give or take a tenth
            assert came - last_refusal >= 0.9 * max(asked, 30.0)
        self.agent.expect("applied", hash=self.config_hash)
        self.stage.runs(self.config_hash)
        assert self.agent.count("remote_config") == 1


@contextmanager
def used_up_limits(server: LiveServer) -> Iterator[None]:
    """Inside, this machine's address has no handshake and no request left."""

    def use_up() -> None:
        upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
        while not enough.wait(0.02):
            key = base64.b64encode(secrets.token_bytes(16)).decode()
            handshake = post(server.http_endpoint, b"", method="GET", sec_websocket_key=key, **upgrade)
            answers.append((handshake.status, post(server.http_endpoint, b"").status))

    answers: list[tuple[int, int]] = []
    enough = threading.Event()
    thread = threading.Thread(target=use_up, daemon=True)
    thread.start()
    try:
        server.eventually(lambda: (429, 429) in answers, what="refusals of both kinds")
        yield
    finally:
        enough.set()
        thread.join(30)


def components_of(stage: Stage) -> object:
    """The component map that the server has stored for the agent."""
    rows = stage.server.rows(
        "SELECT service_name, content FROM agents_reportedstate"
        " JOIN agents_agent ON agents_agent.id = agents_reportedstate.agent_id"
        " JOIN agents_reporteddocument ON agents_reporteddocument.hash = agents_reportedstate.components_id"
    )
    return next((content for name, content in rows if name == stage.name), None)

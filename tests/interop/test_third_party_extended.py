"""Agents that others wrote in less common situations: compression, a server that rejects them, lost state, new identities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from agents.credentials import Denial
from tests.interop.programs import KINDS, Kind
from tests.interop.recording_proxy import Piece, RecordingProxy
from tests.interop.stage import Stage
from tests.live_server import LiveServer
from tests.plain_http import post

pytestmark = [pytest.mark.interop, pytest.mark.sqlite_is_enough]

GO_KINDS = [kind for kind in KINDS if kind.program == "go"]
HTTP_KINDS = [kind for kind in KINDS if kind.scheme == "http"]
# The shortest Retry-After (s): twice as long is the longest. Elastic's client waits for 30 s at least, a tenth more or less.
RETRY_AFTER = 5
NODE_PAUSE = 27.0

only_go = pytest.mark.parametrize("kind", GO_KINDS, ids=lambda kind: kind.name, indirect=True)


SECRET = "a-shared-secret"


@pytest.fixture(scope="module")
def enrolling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that gives agents credentials of their own."""
    folder = tmp_path_factory.mktemp("enrolling")
    environment = {"OPAMP_AGENT_CREDENTIALS": "true", "OPAMP_OFFER_HEARTBEAT": "true", "OPAMP_HEARTBEAT_SECONDS": "1"}
    with LiveServer(folder, OPAMP_SECRET_KEY=SECRET, **environment) as server:
        yield server


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


class TestRejected:
    """Refused before the server drowns, a fleet comes back by itself, when it was told to, and nothing is lost."""

    @pytest.mark.rule("S-103", "S-104", "S-105", transport=["websocket", "http"])
    def test_a_server_that_takes_nobody_is_asked_again_in_time(self, kinds_at_hand: list[Kind], tmp_path: Path) -> None:
        taking_nobody = {"OPAMP_QUEUE_LIMIT": "0", "OPAMP_RETRY_AFTER_SECONDS": str(RETRY_AFTER)}
        with LiveServer(tmp_path, **taking_nobody) as server, ExitStack() as stack:
            agents = [TurnedAway(Stage(kind, server), stack) for kind in kinds_at_hand]
            for one in agents:
                one.agent.expect("connect_failed")
                assert one.stage.found() is None
                assert one.statuses() == {503}
                assert b" 101 " not in one.proxy.received
            server.restart(OPAMP_QUEUE_LIMIT="20000")
            for one in agents:
                one.is_served()
                asked, pauses = one.waited()
                assert min(asked) >= RETRY_AFTER
                if one.stage.kind.program == "node":
                    assert pauses[0] >= NODE_PAUSE

    @pytest.mark.rule("S-103", "S-104", "S-105", transport=["websocket", "http"])
    def test_above_the_rate_of_their_address_agents_are_turned_away_until_it_is_raised(
        self, kinds_at_hand: list[Kind], tmp_path: Path
    ) -> None:
        """Agents that poll twenty times as often as one may; and one new connection a second for six that come at once."""
        rates = {"OPAMP_REQUESTS_PER_SECOND": "1", "OPAMP_HANDSHAKES_PER_SECOND": "1"}
        with (
            LiveServer(tmp_path, OPAMP_RETRY_AFTER_SECONDS=str(RETRY_AFTER), **rates) as server,
            ExitStack() as stack,
        ):
            pollers = [
                TurnedAway(Stage(kind, server), stack, interval_seconds=0.05)
                for kind in kinds_at_hand
                if kind.scheme == "http" and kind.program != "node"
            ]
            use_up_handshakes(server)
            sockets = [
                TurnedAway(Stage(kind, server), stack)
                for kind in kinds_at_hand
                if kind.scheme == "ws"
                for _ in range(6)
            ]
            for one in pollers:
                one.agent.expect("connect_failed")
            for one in sockets:
                server.eventually(lambda one=one: one.proxy.received, what="an answer")
            refused = [one for one in pollers + sockets if one.statuses()]
            assert {one.stage.kind for one in refused} == {one.stage.kind for one in pollers + sockets}
            assert all(one.statuses() == {429} for one in refused)
            offered = [one.agent.count("remote_config") for one in pollers + sockets]
            server.restart(OPAMP_REQUESTS_PER_SECOND="5000", OPAMP_HANDSHAKES_PER_SECOND="500")
            for one, before in zip(pollers + sockets, offered, strict=True):
                one.is_served(offered_before=before)
            for one in refused:
                one.waited()


class TurnedAway:
    """An agent, started at once, that a server rejects at first; what passes between them is kept."""

    def __init__(self, stage: Stage, stack: ExitStack, *, interval_seconds: float = 0.5) -> None:
        server = stage.server
        self.stage = stage
        self.config_hash = stage.publish(stage.kind.good)
        endpoint = server.websocket_endpoint if stage.kind.scheme == "ws" else server.http_endpoint
        self.proxy = stack.enter_context(RecordingProxy(endpoint))
        program = stage.program("--endpoint", self.proxy.endpoint, interval_seconds=interval_seconds)
        self.agent = stack.enter_context(program)

    def statuses(self) -> set[int]:
        """How it was rejected so far."""
        return {status for status, _, _ in refusals(self.proxy.pieces)}

    def is_served(self, *, offered_before: int = 0) -> None:
        """It has come back by itself, is known and runs its configuration, which it was offered once.

        Whoever was offered it before, and then refused with its answer, may be offered it again.
        """
        self.agent.expect("applied", hash=self.config_hash)
        self.stage.runs(self.config_hash)
        assert 1 <= self.agent.count("remote_config") <= 1 + offered_before

    def waited(self) -> tuple[list[int], list[float]]:
        """The seconds that it was told to wait and that it did wait, refusal by refusal; the reference client obeys.

        One that was served before it was refused has its configuration already, and may still wait.
        """
        self.stage.server.eventually(
            lambda: all(pause is not None for _, _, pause in refusals(self.proxy.pieces)), what="it has asked again"
        )
        found = refusals(self.proxy.pieces)
        asked, pauses = [asked for _, asked, _ in found], [pause for _, _, pause in found if pause is not None]
        assert len(pauses) == len(asked) > 0, found
        if self.stage.kind.program == "go":
            assert all(pause >= told for told, pause in zip(asked, pauses, strict=True)), found
        return asked, pauses


def refusals(pieces: Iterable[Piece]) -> list[tuple[int, int, float | None]]:
    """Status, Retry-After and the seconds until the next request (``None``: none yet) of each refusal."""
    found: list[tuple[int, int, float | None]] = []
    refused_at: float | None = None
    for piece in pieces:
        if piece.by_client:
            if refused_at is not None and piece.data.startswith((b"GET ", b"POST ")):
                found[-1] = (*found[-1][:2], piece.at - refused_at)
                refused_at = None
        elif head := re.match(rb"HTTP/1.1 (\d+) [^\r]*\r\n(?:[^\r]+\r\n)*?(?i:retry-after): (\d+)\r", piece.data):
            found.append((int(head[1]), int(head[2]), None))
            refused_at = piece.at
    return found


def use_up_handshakes(server: LiveServer) -> None:
    """Connect until the rate of this machine's address is used up."""

    def is_refused() -> bool:
        try:
            with connect(server.websocket_endpoint):
                return False
        except InvalidStatus as refusal:
            return refusal.response.status_code == 429

    assert any(is_refused() for _ in range(100))


def components_of(stage: Stage) -> object:
    """The component map that the server has stored for the agent."""
    rows = stage.server.rows(
        "SELECT service_name, content FROM agents_reportedstate"
        " JOIN agents_agent ON agents_agent.id = agents_reportedstate.agent_id"
        " JOIN agents_reporteddocument ON agents_reporteddocument.hash = agents_reportedstate.components_id"
    )
    return next((content for name, content in rows if name == stage.name), None)


@only_go
class TestOwnCredential:
    """From the shared secret to a credential of its own, and out."""

    @pytest.mark.rule("S-82", "S-83", "S-115", "S-117")
    def test_the_reference_client_takes_it_and_is_shut_out_alone(self, kind: Kind, enrolling: LiveServer) -> None:
        stage = Stage(kind, enrolling)
        with stage.program("--secret", SECRET, "--settings") as agent:
            uid = agent.expect("uid")["uid"]
            agent.expect("moved")
            path = f"agents/{uid}"
            enrolling.eventually(
                lambda: enrolling.get(path)["credential"]["used_at"], what="its own credential is used"
            )
            stage.wait_for_messages(2)
            assert agent.count("moved") == 1
            before = refused(enrolling, Denial.SHARED)
            with stage.program("--secret", SECRET, "--uid", uid) as impostor:
                enrolling.eventually(lambda: refused(enrolling, Denial.SHARED) > before, what="an impostor is refused")
                if kind.scheme == "ws":
                    impostor.expect("error", error=Denial.SHARED.text)
            stage.wait_for_messages(2)
            assert stage.sees(connected=True)["transport"] == ("websocket" if kind.scheme == "ws" else "http")
            enrolling.post(f"{path}/revoke-credential")
            if kind.scheme == "ws":
                agent.expect("error", error=Denial.REVOKED.text)
            enrolling.eventually(lambda: refused(enrolling, Denial.REVOKED) > 0, what="it is refused")
            assert stage.sees(connected=False)["status"] == "disconnected"
        enrolling.post(f"{path}/allow-enrolment")
        with stage.program("--secret", SECRET, "--settings", "--uid", uid) as agent:
            agent.expect("moved")
            enrolling.eventually(lambda: enrolling.get(path)["credential"]["used_at"], what="another one is used")
            stage.sees(connected=True)


def refused(server: LiveServer, denial: Denial) -> float:
    """How many were rejected for this so far."""
    text = post(f"{server.url}/metrics", b"", method="GET").body.decode()
    lines = [line for line in text.splitlines() if line.startswith("opamp_refusals_total{")]
    return sum(float(line.split()[-1]) for line in lines if f'reason="{denial.value}"' in line)

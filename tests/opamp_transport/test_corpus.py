"""Every message of the corpus at both entry points: it gets what the manifest says, and nobody else notices.

A case is sent on a connection of its own beside a healthy agent, which is asked after each. Nothing but the sender of an
accepted message may have a row changed, and nothing may be logged as an error.
"""

from __future__ import annotations

import http.client
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from agents.models import Agent
from opamp_transport.proto import opamp_pb2
from tests.corpus.build import build, stale
from tests.corpus.cases import ACCEPTED, BAD_UID, MALFORMED, REFUSED, TOO_LARGE, UNSUPPORTED, Case, load
from tests.fake_agent import FakeAgent, Socket, post, run
from tests.live_server import LiveServer
from tests.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket, frame

CASES = load()
BAD_REQUEST = opamp_pb2.ServerErrorResponseType_BadRequest
GROUPS = sorted({case.group for case in CASES})


def groups_of(*kinds: str) -> list[str]:
    """Groups with a case of one of these kinds."""
    return sorted({case.group for case in CASES if case.kind in kinds})


def test_files_and_manifest_are_what_the_script_writes() -> None:
    assert stale(build()) == []


def test_the_corpus_is_large_and_of_every_kind() -> None:
    assert sum(not case.recipe for case in CASES) >= 300
    assert {case.outcome for case in CASES} == {ACCEPTED, MALFORMED, BAD_UID, REFUSED, TOO_LARGE, UNSUPPORTED}
    assert {case.kind for case in CASES} == {"body", "frame", "text", "request"}


def outcome_of(reply: opamp_pb2.ServerToAgent) -> str:
    """What a reply says of the message."""
    if not reply.HasField("error_response"):
        return ACCEPTED
    assert reply.error_response.type == BAD_REQUEST
    assert reply.error_response.error_message
    assert not reply.capabilities
    return "bad request"


def websocket_outcome(case: Case) -> str:
    """What must come on a WebSocket."""
    return {ACCEPTED: ACCEPTED, TOO_LARGE: "closed with 1009"}.get(case.outcome, "bad request")


def http_outcomes(case: Case) -> set[str]:
    """What may come over HTTP: the status, and for 200 what the reply says."""
    return {
        ACCEPTED: {f"200 {ACCEPTED}"},
        MALFORMED: {"400"},
        BAD_UID: {"200 bad request"},
        REFUSED: {"400", "200 bad request"},
        TOO_LARGE: {"413"},
        UNSUPPORTED: {"415"},
    }[case.outcome]


async def over_websocket(case: Case) -> str:
    """Send one case to the entry point."""
    content = case.content()
    async with Socket() as socket:
        message: dict[str, object] = {"bytes": content if case.kind == "frame" else b"\x00" + content}
        if case.kind == "text":
            message = {"text": content.decode()}
        await socket.communicator.send_input({"type": "websocket.receive", **message})
        event: dict[str, Any] = await socket.communicator.receive_output(timeout=30)
        if event["type"] == "websocket.close":
            return f"closed with {event['code']}"
        assert event["bytes"][:1] == b"\x00"
        return outcome_of(opamp_pb2.ServerToAgent.FromString(event["bytes"][1:]))


async def over_http(case: Case) -> str:
    """Send one case to the entry point."""
    answer = await post(case.content(), case.headers)
    if answer.status != 200:
        return str(answer.status)
    assert answer.headers["content-type"] == "application/x-protobuf"
    return f"200 {outcome_of(answer.reply)}"


@sync_to_async
def rows() -> dict[str, tuple[object, ...]]:
    """Every agent with what must not change by somebody else's message."""
    fields = ("connected", "healthy", "labels", "capabilities", "remote_address")
    return {str(uid): tuple(values) for uid, *values in Agent.objects.values_list("instance_uid", *fields)}


async def check(group: str, kinds: tuple[str, ...], *, websocket: bool) -> list[str]:
    """All cases of a group; returns what went wrong."""
    wrong: list[str] = []
    healthy = FakeAgent(env="prod")
    async with Socket() as watch:
        await watch.exchange(healthy.message(**healthy.full_parts()))
        before = await rows()
        for case in (case for case in CASES if case.group == group and case.kind in kinds):
            if websocket:
                got, wanted = await over_websocket(case), {websocket_outcome(case)}
            else:
                got, wanted = await over_http(case), http_outcomes(case)
            if got not in wanted:
                wrong.append(f"{case.name}: {got} instead of {wanted}")
            reply = await watch.exchange(healthy.message())
            if reply.instance_uid != healthy.uid.bytes or reply.flags or reply.HasField("error_response"):
                wrong.append(f"{case.name}: a healthy agent got {reply}")
            after = await rows()
            if after[str(healthy.uid)] != before[str(healthy.uid)]:
                wrong.append(f"{case.name}: a healthy agent's row changed")
            if case.outcome != ACCEPTED and after.keys() != before.keys():
                wrong.append(f"{case.name}: an agent came to be")
            before = after
    return wrong


@pytest.fixture
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is logged as an error."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_errors")
class TestDoors:
    @pytest.mark.rule("S-06", "S-07", "S-08", "S-09", "S-10", "S-100", "S-101", "S-111", "S-112", transport="websocket")
    @pytest.mark.parametrize("group", groups_of("body", "frame", "text"))
    def test_over_websocket(self, group: str) -> None:
        assert run(check(group, ("body", "frame", "text"), websocket=True)) == []

    @pytest.mark.rule(
        "S-03", "S-04", "S-05", "S-16", "S-18", "S-20", "S-100", "S-101", "S-111", "S-112", transport="http"
    )
    @pytest.mark.parametrize("group", groups_of("body", "request"))
    def test_over_http(self, group: str, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_REQUESTS_PER_SECOND = 0
        assert run(check(group, ("body", "request"), websocket=False)) == []


def sample() -> list[Case]:
    """Some of every group and outcome, and everything large."""
    chosen: dict[tuple[str, str, str], Case] = {}
    for case in CASES:
        chosen.setdefault((case.group, case.outcome, case.recipe), case)
    return list(chosen.values())


class TestLiveServer:
    """A sample over real sockets, on one server that must live through all of it."""

    @pytest.mark.rule("S-09", "S-10", "S-18", "S-100", "S-101", "S-111")
    def test_sample(self, shared_portal: LiveServer) -> None:
        wrong: list[str] = []
        with RawSocket(shared_portal.port).upgrade() as watch:
            healthy = uuid4()
            for number, case in enumerate(sample()):
                if case.kind != "request":
                    got, wanted = live_websocket(shared_portal, case), {websocket_outcome(case)}
                    wrong += [] if got in wanted else [f"{case.name} on a WebSocket: {got} instead of {wanted}"]
                if case.kind in {"body", "request"}:
                    got, wanted = live_http(shared_portal, case), http_outcomes(case)
                    wrong += [] if got in wanted else [f"{case.name} over HTTP: {got} instead of {wanted}"]
                message = opamp_pb2.AgentToServer(instance_uid=healthy.bytes, sequence_num=number, capabilities=1)
                watch.send(frame(BINARY, b"\x00" + message.SerializeToString()))
                answer = watch.read_frame()
                while answer is not None and answer.opcode == PING:
                    watch.send(frame(PONG, answer.payload))
                    answer = watch.read_frame()
                assert answer is not None
                assert opamp_pb2.ServerToAgent.FromString(answer.payload[1:]).instance_uid == healthy.bytes
        log = shared_portal.log_path.read_text(encoding="utf-8")
        assert wrong == []
        assert "Traceback" not in log
        assert '"level": "error"' not in log


def live_websocket(server: LiveServer, case: Case) -> str:
    """Send one case through a socket."""
    content = case.content()
    with RawSocket(server.port).upgrade() as peer:
        opcode = TEXT if case.kind == "text" else BINARY
        peer.send(frame(opcode, content if case.kind in {"frame", "text"} else b"\x00" + content))
        answer = peer.read_frame()
        assert answer is not None
        if answer.opcode == CLOSE:
            return f"closed with {answer.code}"
        return outcome_of(opamp_pb2.ServerToAgent.FromString(answer.payload[1:]))


def live_http(server: LiveServer, case: Case) -> str:
    """Send one case as a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"content-type": "application/x-protobuf", **case.headers}
    try:
        connection.request("POST", "/v1/opamp", body=case.content(), headers=headers)
        response = connection.getresponse()
        content = response.read()
    except (BrokenPipeError, ConnectionResetError):
        # The server had refused the message by its length before all of it was sent.
        response = http.client.HTTPResponse(connection.sock)
        response.begin()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        return str(response.status)
    return f"200 {outcome_of(opamp_pb2.ServerToAgent.FromString(content))}"

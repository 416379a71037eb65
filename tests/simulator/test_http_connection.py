"""The agents' own HTTP client against servers that answer well, oddly, late or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from simulator.http_connection import HttpAnswer, HttpConnection

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 3\r\n\r\nabc"
Test = Callable[[HttpConnection, "Peer"], Awaitable[None]]


class Peer:
    """A server of one test: it reads whole requests and answers the next of ``answers``.

    An empty answer closes the connection, ``None`` says nothing; an answer that ends in ``closing`` closes behind it.
    """

    closing = b"<closed>"

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    await reader.read()
                    return
                writer.write(answer.removesuffix(self.closing))
                await writer.drain()
                if not answer or answer.endswith(self.closing):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client closed
        finally:
            writer.close()


def talk(peer: Peer, test: Test, *, path: str = "/v1/opamp", timeout_seconds: float = 10.0) -> None:
    """Run ``test`` with a connection to ``peer``."""

    async def whole() -> None:
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        headers = {"Content-Type": "application/x-protobuf"}
        connection = HttpConnection(f"http://127.0.0.1:{port}{path}", headers, timeout_seconds=timeout_seconds)
        async with server:
            await test(connection, peer)
            connection.abort()

    asyncio.run(whole())


async def post(connection: HttpConnection, body: bytes = b"xy") -> HttpAnswer:
    """One exchange with a header of its own."""
    return await connection.post(body, {"OpAMP-Instance-UID": "u"})


def test_requests_share_a_connection_and_carry_head_and_body() -> None:
    async def test(connection: HttpConnection, peer: Peer) -> None:
        for _ in range(2):
            answer = await post(connection)
            assert (answer.status, answer.body, answer.complete) == (200, b"abc", True)
            assert answer.headers["content-type"] == "application/x-protobuf"
        assert peer.connections == 1
        assert peer.requests[0].startswith(b"POST /v1/opamp?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"\r\nOpAMP-Instance-UID: u\r\n" in peer.requests[0]
        assert peer.requests[0].endswith(b"Content-Length: 2\r\n\r\nxy")

    talk(Peer(OK, OK), test, path="/v1/opamp?a=b")


def test_a_kept_connection_that_the_server_closed_is_opened_again_with_the_same_bytes() -> None:
    async def test(connection: HttpConnection, peer: Peer) -> None:
        await post(connection)
        assert (await post(connection)).status == 200
        assert peer.connections == 2

    talk(Peer(OK + Peer.closing, OK), test)


def test_connection_close_is_obeyed() -> None:
    async def test(connection: HttpConnection, peer: Peer) -> None:
        assert not (await post(connection)).keep_alive
        await post(connection)
        assert peer.connections == 2

    talk(Peer(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + Peer.closing, OK), test)


def test_chunks_and_an_interim_answer_are_read() -> None:
    chunked = (
        b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
        b"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )

    async def test(connection: HttpConnection, _peer: Peer) -> None:
        answer = await post(connection)
        assert (answer.status, answer.body, answer.headers["retry-after"]) == (503, b"abc", "30")
        assert "x" not in answer.headers

    talk(Peer(chunked), test)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc" + Peer.closing], ids=["at once", "half way"]
)
def test_a_connection_lost_in_an_exchange_is_an_error_of_connections(answer: bytes) -> None:
    async def test(connection: HttpConnection, _peer: Peer) -> None:
        with pytest.raises(ConnectionResetError, match="before its answer was complete"):
            await post(connection)

    talk(Peer(answer), test)


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"]
)
def test_what_is_no_answer_is_an_error_of_connections(answer: bytes) -> None:
    async def test(connection: HttpConnection, _peer: Peer) -> None:
        with pytest.raises(ConnectionAbortedError, match="no HTTP"):
            await post(connection)

    talk(Peer(answer), test)


@pytest.mark.parametrize("kept", [False, True], ids=["first exchange", "later exchange"])
def test_a_silent_server_is_given_up_in_time_and_tried_on_a_new_connection(kept: bool) -> None:
    async def test(connection: HttpConnection, peer: Peer) -> None:
        if kept:
            await post(connection)
        with pytest.raises(TimeoutError):
            await post(connection)
        before = peer.connections
        assert (await post(connection)).status == 200
        assert peer.connections == before + 1

    talk(Peer(*([OK] if kept else []), None, OK), test, timeout_seconds=0.5)


def test_nobody_there_is_an_oserror() -> None:
    async def test(connection: HttpConnection, _peer: Peer) -> None:
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await HttpConnection("http://127.0.0.1:1/", {}, timeout_seconds=5).post(b"", {})

    talk(Peer(), test)

"""What RFC 6455 says to frames and handshakes of every kind, asked of a live server with a plain socket.

Each case names its section of the RFC and what must happen. After all of them another agent is served as before, and
the server has logged no traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from opamp_transport.proto import opamp_pb2
from tests.live_server import LiveServer
from tests.opamp_transport.raw_messages import HELLO, LIMIT, UID, message, reply_of
from tests.raw_socket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawSocket,
    close_payload,
    frame,
    resident_bytes,
)

BAD_REQUEST = opamp_pb2.ServerErrorResponseType_BadRequest
BYE = frame(CLOSE, close_payload(1000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a limit of 1 MiB; at the end it must still serve and must not have stumbled."""
    with LiveServer(tmp_path_factory.mktemp("raw"), OPAMP_MAX_MESSAGE_SIZE=str(LIMIT)) as running:
        yield running
        with RawSocket(running.port).upgrade() as healthy:
            uid = uuid4()
            healthy.send(frame(BINARY, message(uid=uid)))
            assert reply_of(healthy.read_frame()).instance_uid == uid.bytes
        assert "Traceback" not in running.log_path.read_text(encoding="utf-8")


@dataclass
class Case:
    """Bytes after a good handshake, and what the server must send until the connection ends.

    ``answers``: for each message it must answer, ``None`` or the type of error. ``pongs``: payloads. ``code``: of its
    Close frame, or ``None`` when it must not send one.
    """

    name: str
    section: str
    sent: bytes
    code: int | None
    answers: list[int | None] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)


def fragments(payload: bytes, *, count: int, between: bytes = b"", opcode: int = BINARY) -> bytes:
    """``payload`` in ``count`` frames, ``between`` after each but the last."""
    step = -(-len(payload) // count)
    parts = [payload[start : start + step] for start in range(0, len(payload), step)]
    frames = [
        frame(opcode if index == 0 else CONTINUATION, part, fin=index == len(parts) - 1)
        for index, part in enumerate(parts)
    ]
    return between.join(frames)


def padded(size: int) -> bytes:
    """A message of exactly ``size`` bytes, made long by a field this version does not know."""
    body = message()
    for count in range(size - len(body) - 12, size - len(body)):
        number, encoded = count, bytearray()
        while number > 0x7F:
            encoded.append(number & 0x7F | 0x80)
            number >>= 7
        encoded.append(number)
        whole = body + b"\xfa\x3e" + bytes(encoded) + b"\x00" * count  # field 1007, length-delimited
        if len(whole) == size:
            return whole
    raise AssertionError(size)


OK: list[int | None] = [None]
BAD: list[int | None] = [BAD_REQUEST]


CASES = [
    # Masking, section 5.1: a server closes on a frame that is not masked, SHOULD with 1002.
    Case("an unmasked message", "5.1", frame(BINARY, message(), masked=False), 1002),
    Case("an unmasked ping", "5.1", frame(PING, masked=False), 1002),
    Case("an unmasked close", "5.1", frame(CLOSE, close_payload(1000), masked=False), 1002),
    Case("an unmasked message after a good one", "5.1", HELLO + frame(BINARY, message(2), masked=False), 1002),
    Case("a mask of zeros", "5.3", frame(BINARY, message(), mask=bytes(4)) + BYE, 1000, OK),
    Case("a mask of ones", "5.3", frame(BINARY, message(), mask=b"\xff" * 4) + BYE, 1000, OK),
    # Reserved bits and opcodes, section 5.2: fail the connection.
    *[Case(f"reserved bit {bit}", "5.2", frame(BINARY, message(), reserved=bit), 1002) for bit in (1, 2, 4, 7)],
    Case("a reserved bit in a ping", "5.2", frame(PING, reserved=4), 1002),
    Case("a reserved bit in a continuation", "5.2",
         frame(BINARY, b"\x00", fin=False) + frame(CONTINUATION, message()[1:], reserved=4), 1002),
    *[Case(f"reserved opcode {opcode:#x}", "5.2", frame(opcode, b"x"), 1002)
      for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)],
    # Control frames, section 5.5: at most 125 bytes, never fragmented.
    Case("a ping of 126 bytes", "5.5", frame(PING, bytes(126)), 1002),
    Case("a ping of 64 KiB", "5.5", frame(PING, bytes(65536)), 1002),
    Case("a close of 126 bytes", "5.5", frame(CLOSE, close_payload(1000, b"x" * 124)), 1002),
    Case("a fragmented ping", "5.5", frame(PING, b"x", fin=False), 1002),
    Case("a fragmented pong", "5.5", frame(PONG, b"x", fin=False), 1002),
    Case("a fragmented close", "5.5", frame(CLOSE, close_payload(1000), fin=False), 1002),
    Case("an empty ping", "5.5.2", frame(PING) + BYE, 1000, pongs=[b""]),
    Case("a ping of 125 bytes", "5.5.3", frame(PING, bytes(range(125))) + BYE, 1000, pongs=[bytes(range(125))]),
    Case("ten pings", "5.5.2", b"".join(frame(PING, b"%d" % n) for n in range(10)) + BYE, 1000,
         pongs=[b"%d" % n for n in range(10)]),
    Case("a ping with a long length", "5.2", frame(PING, b"abc", length_bytes=2) + BYE, 1000, pongs=[b"abc"]),
    Case("an unasked pong", "5.5.3", frame(PONG, b"for nothing") + HELLO + BYE, 1000, OK),
    Case("a ping before, between and after messages", "5.5.2",
         frame(PING, b"a") + HELLO + frame(PING, b"b") + frame(BINARY, message(2)) + frame(PING, b"c") + BYE,
         1000, [None, None], pongs=[b"a", b"b", b"c"]),
    # Close, sections 5.5.1 and 7.4: echoed; invalid codes and texts fail the connection.
    Case("a close without a code", "5.5.1", frame(CLOSE), 1005),
    *[Case(f"a close with code {code}", "7.4", frame(CLOSE, close_payload(code, b"bye")), code)
      for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)],
    *[Case(f"a close with the invalid code {code}", "7.4", frame(CLOSE, close_payload(code)), 1002)
      for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)],
    Case("a close of one byte", "5.5.1", frame(CLOSE, b"\x03"), 1002),
    Case("a close whose text is not UTF-8", "8.1", frame(CLOSE, close_payload(1000, b"\xff\xfe")), 1007),
    Case("a close whose text is cut in a character", "8.1", frame(CLOSE, close_payload(1000, b"\xe4\xb8")), 1007),
    Case("a message after the close", "5.5.1", BYE + frame(BINARY, message(2)), 1000),
    Case("garbage after the close", "5.5.1", BYE + b"\xff" * 200, 1000),
    Case("a close within a fragmented message", "5.4", frame(BINARY, b"\x00", fin=False) + BYE, 1002),
    # Fragmentation, section 5.4.
    Case("two fragments", "5.4", fragments(message(), count=2) + BYE, 1000, OK),
    Case("a fragment for each byte", "5.4", fragments(message(), count=len(message())) + BYE, 1000, OK),
    Case("pings between fragments", "5.4", fragments(message(), count=3, between=frame(PING, b"p")) + BYE, 1000, OK,
         pongs=[b"p", b"p"]),
    Case("pongs between fragments", "5.4", fragments(message(), count=3, between=frame(PONG, b"p")) + BYE, 1000, OK),
    Case("an empty first fragment", "5.4",
         frame(BINARY, fin=False) + frame(CONTINUATION, message()) + BYE, 1000, OK),
    Case("an empty last fragment", "5.4",
         frame(BINARY, message(), fin=False) + frame(CONTINUATION) + BYE, 1000, OK),
    Case("empty fragments in the middle", "5.4", frame(BINARY, message()[:5], fin=False)
         + frame(CONTINUATION, fin=False) * 50 + frame(CONTINUATION, message()[5:]) + BYE, 1000, OK),
    Case("a continuation of nothing", "5.4", frame(CONTINUATION, message()), 1002),
    Case("an unfinished continuation of nothing", "5.4", frame(CONTINUATION, message(), fin=False), 1002),
    Case("a continuation after a whole message", "5.4", HELLO + frame(CONTINUATION, b"x"), 1002),
    Case("a new message within a fragmented one", "5.4", frame(BINARY, b"\x00", fin=False) + HELLO, 1002),
    Case("a text message within a fragmented one", "5.4", frame(BINARY, b"\x00", fin=False) + frame(TEXT, b"x"), 1002),
    Case("two thousand tiny fragments", "5.4 (our bound)", frame(BINARY, b"\x00", fin=False)
         + frame(CONTINUATION, b"", fin=False) * 2000, 1008),
    # Lengths, section 5.2.
    Case("an empty message", "5.2", frame(BINARY) + BYE, 1000, BAD),
    Case("an empty text message", "5.2", frame(TEXT) + BYE, 1000, BAD),
    Case("a 16-bit length that would fit in 7 bits", "5.2", frame(BINARY, message(), length_bytes=2) + BYE, 1000, OK),
    Case("a 64-bit length that would fit in 7 bits", "5.2", frame(BINARY, message(), length_bytes=8) + BYE, 1000, OK),
    Case("a message of 125 bytes", "5.2", frame(BINARY, padded(125)) + BYE, 1000, OK),
    Case("a message of 126 bytes", "5.2", frame(BINARY, padded(126)) + BYE, 1000, OK),
    Case("a message of 65,535 bytes", "5.2", frame(BINARY, padded(65535)) + BYE, 1000, OK),
    Case("a message of 65,536 bytes", "5.2", frame(BINARY, padded(65536)) + BYE, 1000, OK),
    Case("a message of exactly the limit", "7.4.1", frame(BINARY, padded(LIMIT)) + BYE, 1000, OK),
    Case("a message one byte above the limit", "7.4.1", frame(BINARY, bytes(LIMIT + 1)), 1009),
    Case("a declared length above the limit, nothing sent", "7.4.1", frame(BINARY, declared=LIMIT + 1), 1009),
    Case("a declared length of 2^63 - 1", "7.4.1", frame(BINARY, length_bytes=8, declared=2**63 - 1), 1009),
    # The top bit must be 0 (section 5.2); as a length it is above every limit.
    Case("a declared length with the top bit set", "5.2", frame(BINARY, length_bytes=8, declared=2**63), 1009),
    Case("a declared length of all ones", "5.2", frame(BINARY, length_bytes=8, declared=2**64 - 1), 1009),
    Case("fragments above the limit together", "7.4.1",
         frame(BINARY, bytes(LIMIT // 2), fin=False) + frame(CONTINUATION, bytes(LIMIT // 2 + 1)), 1009),
    # Text: OpAMP has none. It is answered and the connection lives on.
    Case("a text message", "5.6", frame(TEXT, b"hello") + HELLO + BYE, 1000, [BAD_REQUEST, None]),
    Case("a text message in fragments", "5.6", fragments("grüße".encode(), count=4, opcode=TEXT) + HELLO + BYE,
         1000, [BAD_REQUEST, None]),
    Case("a text message that is not UTF-8", "8.1", frame(TEXT, b"\xff\xfe"), 1007),
    Case("fragmented text that is not UTF-8", "8.1", fragments(b"ab\xff\xfe", count=2, opcode=TEXT), 1007),
    # What is only wrong for OpAMP.
    Case("a bad message between good ones", "S-100", HELLO + frame(BINARY, b"\x01\x02") + frame(BINARY, message(2))
         + BYE, 1000, [None, BAD_REQUEST, None]),
    Case("twenty bad messages", "S-100 (our bound)", frame(BINARY, b"\x01") * 25, 1008, BAD * 20),
    Case("a thousand pings at once", "5.5.2 (our bound)", frame(PING) * 1000, 1008, pongs=[b""] * 200),
]  # fmt: skip


class TestFrames:
    """One case after the other, each on a connection of its own."""

    @pytest.mark.rule("S-05", "S-06", "S-08", "S-09", "S-10", "S-14", "S-15", transport="websocket")
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_frame(self, server: LiveServer, case: Case) -> None:
        with RawSocket(server.port).upgrade() as peer:
            peer.send(case.sent.removesuffix(BYE) if case.answers or case.pongs else case.sent)
            # An agent that has closed is told nothing more, so it waits for what it shall get.
            frames = peer.read_frames(len(case.answers) + len(case.pongs))
            peer.send(BYE)
            frames += peer.frames()
        codes = [one.code for one in frames if one.opcode == CLOSE]
        assert codes == ([] if case.code is None else [case.code]), case.section
        replies = [reply_of(one) for one in frames if one.opcode == BINARY]
        types = [reply.error_response.type if reply.HasField("error_response") else None for reply in replies]
        pongs = [one.payload for one in frames if one.opcode == PONG]
        if case.code == 1002:
            # What came just before the failure may or may not have been answered.
            assert types in ([], OK)
        else:
            assert types == case.answers
        assert pongs[: len(case.pongs)] == case.pongs
        assert len(pongs) == len(case.pongs) or "our bound" in case.section

    def test_one_byte_at_a_time(self, server: LiveServer) -> None:
        with RawSocket(server.port).upgrade() as peer:
            for byte in HELLO + frame(PING, b"slow") + fragments(message(2), count=3):
                peer.send(bytes([byte]))
            assert sorted(one.opcode for one in peer.read_frames(3)) == [BINARY, BINARY, PONG]

    @pytest.mark.rule("S-09", "S-10", transport="websocket")
    def test_what_is_above_the_limit_is_not_kept(self, server: LiveServer) -> None:
        assert server.process is not None
        before = resident_bytes(server.process.pid)
        peers = [RawSocket(server.port).upgrade() for _ in range(20)]
        for peer in peers:
            peer.send(frame(BINARY, bytes(8 * LIMIT)))
        for peer in peers:
            frames = peer.frames()
            assert [one.code for one in frames] == [1009]
            peer.socket.close()
        assert resident_bytes(server.process.pid) - before < 20 * LIMIT

    @pytest.mark.rule("S-14", transport="websocket")
    def test_a_flood_of_pings_ends_and_others_are_served_meanwhile(self, server: LiveServer) -> None:
        with RawSocket(server.port).upgrade() as flood, RawSocket(server.port).upgrade() as healthy:
            flood.send(frame(PING, bytes(100)) * 5000)
            uid = uuid4()
            healthy.send(frame(BINARY, message(uid=uid)))
            assert reply_of(healthy.read_frame()).instance_uid == uid.bytes
            assert flood.frames()[-1].code == 1008


def request(*lines: str) -> bytes:
    """An HTTP request head."""
    return "\r\n".join([*lines, "", ""]).encode()


GOOD = (
    "GET /v1/opamp HTTP/1.1", "Host: portal", "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==",
)  # fmt: skip


def without(name: str) -> tuple[str, ...]:
    return tuple(line for line in GOOD if not line.startswith(name))


HANDSHAKES = [
    ("a missing key", "4.2.1", request(*without("Sec-WebSocket-Key")), {400}),
    ("a short key", "4.2.1", request(*without("Sec-WebSocket-Key"), "Sec-WebSocket-Key: YWJj"), {400}),
    ("a key that is no base64", "4.2.1", request(*without("Sec-WebSocket-Key"), "Sec-WebSocket-Key: ***"), {400}),
    ("two keys", "4.2.1", request(*GOOD, "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ=="), {400}),
    ("a missing version", "4.2.1", request(*without("Sec-WebSocket-Version")), {400, 426}),
    ("version 8", "4.4", request(*without("Sec-WebSocket-Version"), "Sec-WebSocket-Version: 8"), {400, 426}),
    ("no Connection header", "4.2.1", request(*without("Connection")), {426}),
    ("no Upgrade header", "4.2.1", request(*without("Upgrade")), {426}),
    ("an upgrade to something else", "4.2.1", request(*without("Upgrade"), "Upgrade: h2c"), {426}),
    ("two upgrades", "4.2.1", request(*without("Upgrade"), "Upgrade: websocket, h2c"), {426}),
    ("POST instead of GET", "4.2.1", request("POST /v1/opamp HTTP/1.1", *GOOD[1:]), {405, 415}),
    ("HTTP/1.0", "4.2.1", request("GET /v1/opamp HTTP/1.0", *GOOD[1:]), {400}),
    ("another path", "4.2.1", request("GET /nowhere HTTP/1.1", *GOOD[1:]), {403, 404}),
    ("two hundred header lines", "4.2.1", request(*GOOD, *(f"X-{n}: y" for n in range(200))), {400, 431}),
    ("a header line of 20 KiB", "4.2.1", request(*GOOD, "X-Long: " + "y" * 20_000), {400, 431}),
    ("a head without end", "4.2.1", "\r\n".join(GOOD).encode() + b"\r\nX: " + b"y" * 200_000, {400, 431}),
    ("a path without end", "4.2.1", b"GET /" + b"y" * 200_000, {400, 414, 431}),
    ("no HTTP at all", "4.2.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), {400}),
    ("a body with the handshake", "4.1", request(*GOOD, "Content-Length: 5") + b"hello", {400, 101}),
]


class TestHandshakes:
    """A handshake that is wrong is answered with a status and never hangs."""

    @pytest.mark.rule("S-03", "S-04", transport="websocket")
    @pytest.mark.parametrize(
        ("section", "sent", "statuses"), [case[1:] for case in HANDSHAKES], ids=[case[0] for case in HANDSHAKES]
    )
    def test_wrong_handshake(self, server: LiveServer, section: str, sent: bytes, statuses: set[int]) -> None:
        with RawSocket(server.port) as peer:
            peer.send(sent)
            head = peer.read_head()
        assert int(head.split(b" ", 2)[1]) in statuses, section

    @pytest.mark.rule("S-08", transport="websocket")
    @pytest.mark.parametrize(
        "line",
        [
            "Origin: http://portal",
            "Sec-WebSocket-Protocol: opamp, chat",
            "Sec-WebSocket-Extensions: x-unknown; a=b",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "Sec-WebSocket-Extensions: permessage-deflate; nonsense=1",
        ],
    )
    def test_what_a_client_may_ask_for_changes_nothing(self, server: LiveServer, line: str) -> None:
        with RawSocket(server.port).upgrade(line) as peer:
            assert b"sec-websocket-extensions" not in peer.head.lower()
            assert b"sec-websocket-protocol" not in peer.head.lower()
            peer.send(HELLO)
            assert reply_of(peer.read_frame()).instance_uid == UID.bytes


def test_every_case_has_its_name() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 60

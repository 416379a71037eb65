"""The envelope: WebSocket header, limits, gzip, HTTP headers."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opamp_transport.protocol.errors import MalformedMessage, MessageTooLarge, ProtocolError
from opamp_transport.protocol.framing import (
    accepts_gzip,
    check_size,
    gunzip,
    is_gzipped,
    is_protobuf_content_type,
    unwrap,
    wrap,
)

MIB = 1024 * 1024


class TestWebSocketHeader:
    @pytest.mark.rule("S-05")
    def test_wrap_puts_a_zero_before_the_body(self) -> None:
        assert wrap(b"\x0a\x01x") == b"\x00\x0a\x01x"

    @pytest.mark.rule("S-06", "S-07")
    @pytest.mark.parametrize(
        ("frame", "body"),
        [
            pytest.param(b"\x00\x0a\x01x", b"\x0a\x01x", id="one byte"),
            pytest.param(b"\x00", b"", id="header only"),
            pytest.param(b"\x80\x00\x0a\x01x", b"\x0a\x01x", id="zero in two bytes"),
            pytest.param(b"\x80" * 9 + b"\x00ab", b"ab", id="zero in ten bytes"),
            pytest.param(b"\x00\x00", b"\x00", id="a zero after the header belongs to the body"),
        ],
    )
    def test_zero_header(self, frame: bytes, body: bytes) -> None:
        assert unwrap(frame) == body

    @pytest.mark.rule("S-06")
    @pytest.mark.parametrize(
        "frame",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"\x80", id="truncated"),
            pytest.param(b"\x80" * 9, id="truncated after nine bytes"),
            pytest.param(b"\x80" * 10 + b"\x00", id="eleven bytes"),
            pytest.param(b"\x01\x0a\x01x", id="one"),
            pytest.param(b"\x81\x00", id="one in two bytes"),
            pytest.param(b"\x80\x01", id="128"),
            pytest.param(b"\x80" * 9 + b"\x01", id="the highest bit"),
            pytest.param(b"\xff" * 9 + b"\x01", id="the largest number"),
        ],
    )
    def test_any_other_header_is_malformed(self, frame: bytes) -> None:
        with pytest.raises(MalformedMessage):
            unwrap(frame)

    @pytest.mark.rule("S-06", "S-08")
    def test_a_message_without_header_is_refused_with_advice(self) -> None:
        with pytest.raises(MalformedMessage, match="update the agent"):
            unwrap(b"\x0a\x10" + bytes(16))

    @pytest.mark.rule("S-05", "S-07")
    @given(st.binary())
    def test_what_is_wrapped_unwraps(self, body: bytes) -> None:
        assert unwrap(wrap(body)) == body

    @pytest.mark.rule("S-06")
    @given(st.binary() | st.binary(max_size=12).map(lambda tail: b"\x80" * 8 + tail))
    def test_no_frame_raises_anything_else(self, frame: bytes) -> None:
        try:
            body = unwrap(frame)
        except ProtocolError:
            return
        header = frame[: len(frame) - len(body)]
        assert 1 <= len(header) <= 10
        assert header == b"\x80" * (len(header) - 1) + b"\x00"
        assert frame == header + body


class TestMessageSizeLimits:
    @pytest.mark.rule("S-09", "S-11", "S-19")
    def test_at_the_limit_and_above(self) -> None:
        check_size(100, limit=100)
        with pytest.raises(MessageTooLarge, match=r"101 bytes.*limit is 100") as caught:
            check_size(101, limit=100)
        assert (caught.value.size, caught.value.limit) == (101, 100)


class TestGzip:
    @pytest.mark.rule("S-16")
    @given(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
    def test_members_are_joined(self, parts: list[bytes]) -> None:
        content = b"".join(parts)
        assert gunzip(b"".join(gzip.compress(part) for part in parts), limit=len(content)) == content

    @pytest.mark.rule("S-16")
    def test_a_body_longer_than_one_piece(self) -> None:
        content = bytes(range(256)) * 4000
        assert (
            gunzip(gzip.compress(content, compresslevel=0) + gzip.compress(b"end"), limit=2 * MIB) == content + b"end"
        )

    @pytest.mark.parametrize("content", [bytes(3 * MIB), b"ab" * 70_000, bytes(64 * 1024), bytes(64 * 1024 + 1)])
    def test_content_longer_than_one_piece(self, content: bytes) -> None:
        assert gunzip(gzip.compress(content) + gzip.compress(b"end"), limit=4 * MIB) == content + b"end"
        assert gunzip(gzip.compress(content), limit=len(content)) == content
        with pytest.raises(MessageTooLarge):
            gunzip(gzip.compress(content), limit=len(content) - 1)
        with pytest.raises(MalformedMessage, match="truncated"):
            gunzip(gzip.compress(content)[:-1], limit=4 * MIB)

    @pytest.mark.rule("S-18")
    def test_exactly_the_limit_passes_and_one_more_does_not(self) -> None:
        body = gzip.compress(b"x" * 1000)
        assert len(gunzip(body, limit=1000)) == 1000
        with pytest.raises(MessageTooLarge) as caught:
            gunzip(body, limit=999)
        assert caught.value.limit == 999
        assert caught.value.size == 1000

    @pytest.mark.rule("S-18")
    def test_the_limit_counts_all_members_together(self) -> None:
        with pytest.raises(MessageTooLarge):
            gunzip(gzip.compress(b"x" * 600) * 2, limit=1000)

    @pytest.mark.rule("S-18")
    def test_a_limit_of_nothing_lets_an_empty_body_through(self) -> None:
        assert gunzip(gzip.compress(b""), limit=0) == b""
        with pytest.raises(MessageTooLarge):
            gunzip(gzip.compress(b"x"), limit=0)

    @pytest.mark.rule("S-18")
    def test_a_bomb_is_not_inflated_beyond_the_limit(self) -> None:
        bomb = gzip.compress(bytes(64 * MIB))
        assert len(bomb) < 100_000
        tracemalloc.start()
        try:
            with pytest.raises(MessageTooLarge) as caught:
                gunzip(bomb, limit=MIB)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert caught.value.size == MIB + 1
        assert peak < 4 * MIB

    @pytest.mark.rule("S-16")
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"\x0a\x10plain protobuf", id="not compressed"),
            pytest.param(gzip.compress(b"x" * 100) + b"trailing", id="followed by other bytes"),
            pytest.param(gzip.compress(b"x" * 100) + bytes(8), id="followed by zeros"),
            pytest.param(gzip.compress(b"x" * 100)[:-8] + bytes(8), id="wrong checksum"),
            pytest.param(gzip.compress(b"") * 1025, id="too many members"),
        ],
    )
    def test_damage_is_malformed(self, body: bytes) -> None:
        with pytest.raises(MalformedMessage):
            gunzip(body, limit=MIB)

    @pytest.mark.rule("S-16")
    def test_every_prefix_is_malformed(self) -> None:
        body = gzip.compress(b"receivers: {}\n" * 20)
        for length in range(len(body)):
            with pytest.raises(MalformedMessage):
                gunzip(body[:length], limit=MIB)

    @given(st.binary() | st.binary().map(lambda tail: gzip.compress(b"")[:10] + tail))
    def test_no_bytes_raise_anything_else(self, body: bytes) -> None:
        try:
            content = gunzip(body, limit=100)
        except ProtocolError:
            return
        assert len(content) <= 100


class TestAcceptEncoding:
    @pytest.mark.rule("S-17")
    @pytest.mark.parametrize(
        "header",
        [
            "gzip",
            "GZip",
            "x-gzip",
            "gzip, deflate, br",
            "deflate;q=0.5,gzip;q=0.001",
            "gzip ; Q = 0.5",
            "gzip;q=1.0",
            "*",
            "*;q=0.1",
            "identity;q=1, *;q=0.5",
            "*;q=0, gzip",
            "gzip;q=0, x-gzip",
            "*;q=0, X-GZip;q=0.1",
        ],
    )
    def test_permits(self, header: str) -> None:
        assert accepts_gzip(header)

    @pytest.mark.rule("S-17")
    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            " , ",
            "identity",
            "br, deflate",
            "gzip;q=0",
            "gzip;q=0.000",
            "gzip;q=0, *",
            "*;q=0",
            "gzip;q=high",
            "gzip;q=nan",
            "gzip;q=-1",
            "gzip;q=2",
            "gzipped",
        ],
    )
    def test_does_not_permit(self, header: str | None) -> None:
        assert not accepts_gzip(header)

    @given(st.text())
    def test_any_text_has_an_answer(self, header: str) -> None:
        assert accepts_gzip(header) in (True, False)


class TestContentEncoding:
    @pytest.mark.rule("S-17")
    @pytest.mark.parametrize(
        ("header", "gzipped"),
        [
            (None, False), ("", False), ("identity", False), (" , Identity,", False), ("gzip", True), ("GZip", True),
            ("x-gzip", True), (" X-GZIP ", True), ("identity, gzip", True), ("gzip,", True), ("x-gzip, identity", True),
            ("br", None), ("gzip, gzip", None), ("gzip, br", None), ("deflate", None), ("gzip;q=1", None), ("gzipped", None),
        ],
    )  # fmt: skip
    def test_of_a_body(self, header: str | None, gzipped: bool | None) -> None:
        assert is_gzipped(header) is gzipped


class TestContentType:
    @pytest.mark.rule("S-03", "S-04")
    @pytest.mark.parametrize(
        "header",
        [
            "application/x-protobuf",
            "Application/X-Protobuf",
            " application/x-protobuf ; charset=utf-8",
            'application/x-protobuf; messageType="opamp.proto.v1.AgentToServer"',
        ],
    )
    def test_protobuf(self, header: str) -> None:
        assert is_protobuf_content_type(header)

    @pytest.mark.rule("S-03", "S-04")
    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "application/json",
            "application/protobuf",
            "application/x-protobuffer",
            "x; application/x-protobuf",
        ],
    )
    def test_anything_else(self, header: str | None) -> None:
        assert not is_protobuf_content_type(header)

"""The envelope of a message: WebSocket header, size limits, gzip, and the three HTTP headers that describe a body.

Pure: standard library only; knows neither protobuf nor sockets.

A WebSocket message without a header, as clients sent before specification 0.7, is refused (S-08 leaves the choice). Its
first byte is a header that is not zero, and that is malformed (S-06). Their grace period ended in February 2023,
and a lenient reader would take a future kind of header for a message.
"""

from __future__ import annotations

import zlib

from opamp_transport.protocol.errors import MalformedMessage, MessageTooLarge

PROTOBUF_CONTENT_TYPE = "application/x-protobuf"

HEADER = b"\x00"
"""Before the protobuf bytes of a WebSocket message (S-05)."""
_GZIP_NAMES = ("gzip", "x-gzip")  # RFC 9110 section 8.4.1.3
_LONGEST_VARINT = 10  # bytes of a 64-bit varint

_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # a gzip header and trailer around deflate
# zlib hands back what it did not read as a copy; short pieces keep a body of many members from costing its square.
_GZIP_PIECE = 16 * 1024
_INFLATED_PIECE = 64 * 1024
_MOST_GZIP_MEMBERS = 1024

Body = bytes | bytearray
"""The protobuf bytes of a message: as they came, or as they grew while they were inflated."""


def unwrap(frame: bytes) -> bytes:
    """The protobuf bytes of one binary WebSocket message, which may be none (S-07).

    The header is read as a varint of 1 to 10 bytes, so ``80 00`` is also the zero it must be.

    Raises MalformedMessage: the header is missing, truncated, longer than 10 bytes, or not zero (S-06).
    """
    for position, byte in enumerate(frame[:_LONGEST_VARINT]):
        if byte & 0x7F:
            raise MalformedMessage(
                "The WebSocket message does not begin with the header 0x00. Clients older than OpAMP 0.7 send none: "
                "update the agent."
            )
        if byte == 0:
            return frame[position + 1 :]
    if len(frame) < _LONGEST_VARINT:
        raise MalformedMessage(f"The WebSocket message ends inside its header, after {len(frame)} bytes.")
    raise MalformedMessage(f"The header of the WebSocket message is longer than {_LONGEST_VARINT} bytes.")


def wrap(body: bytes) -> bytes:
    """``body`` with the WebSocket header before it (S-05)."""
    return HEADER + body


def check_size(size: int, limit: int) -> None:
    """Raises MessageTooLarge when ``size`` is above ``limit``; bytes, header included (S-09, S-11, S-18, S-19)."""
    if size > limit:
        raise MessageTooLarge(limit=limit, size=size)


def gunzip(data: bytes, limit: int) -> bytearray:
    """The content of a gzip body of one or more members, at most ``limit`` bytes.

    Inflation stops one byte above the limit, so that a bomb costs no more memory than an honest message (S-18). It goes
    on in small pieces: what comes out of one is copied while every other thread waits.

    Raises MessageTooLarge: more than ``limit`` bytes come out.
    Raises MalformedMessage: no gzip, truncated, damaged, or followed by other bytes.
    """
    body = memoryview(data)
    inflated = bytearray()
    position = 0
    for _ in range(_MOST_GZIP_MEMBERS):
        member = zlib.decompressobj(_GZIP_WINDOW)
        while not member.eof:
            piece = member.unconsumed_tail or body[position : position + _GZIP_PIECE]
            if not piece:
                raise MalformedMessage("The gzip body is truncated.")
            if not member.unconsumed_tail:
                position += len(piece)
            try:
                inflated += member.decompress(piece, min(_INFLATED_PIECE, limit + 1 - len(inflated)))
            except zlib.error as error:
                raise MalformedMessage(f"The body is not valid gzip: {error}.") from error
            if len(inflated) > limit:
                raise MessageTooLarge(limit=limit, size=len(inflated))
        position -= len(member.unused_data)
        if position == len(body):
            return inflated
    raise MalformedMessage(f"The gzip body has more than {_MOST_GZIP_MEMBERS} members.")


def is_gzipped(header: str | None) -> bool | None:
    """What ``Content-Encoding`` says of a body: true for gzip, false for plain, ``None`` for what is not understood (S-17).

    A list of codings in any case; ``x-gzip`` is another name of gzip, ``identity`` none at all. Gzip twice is not understood.
    """
    codings = [coding.strip().lower() for coding in (header or "").split(",")]
    applied = [coding for coding in codings if coding not in {"", "identity"}]
    if not applied:
        return False
    return True if len(applied) == 1 and applied[0] in _GZIP_NAMES else None


def accepts_gzip(header: str | None) -> bool:
    """True when ``Accept-Encoding`` permits gzip: named or by ``*``, and not with ``q=0``. Absent means no (S-17)."""
    weights: dict[str, float] = {}
    for entry in (header or "").split(","):
        coding, *parameters = (part.strip().lower() for part in entry.split(";"))
        weights[coding] = _quality(parameters)
    named = [weights[name] for name in _GZIP_NAMES if name in weights]
    return max(named, default=weights.get("*", 0.0)) > 0


def _quality(parameters: list[str]) -> float:
    """The ``q`` among ``parameters``: 1 when absent, 0 when it is no number from 0 to 1 (then do not rely on it)."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0


def is_protobuf_content_type(header: str | None) -> bool:
    """True when ``Content-Type`` names the media type of OpAMP, in any case and with any parameters (S-04)."""
    return (header or "").partition(";")[0].strip().lower() == PROTOBUF_CONTENT_TYPE

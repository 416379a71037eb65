"""What surrounds a message: the header of a WebSocket message, gzip, content types, text messages, sizes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from tests.corpus.cases import (
    ACCEPTED,
    BAD_UID,
    MALFORMED,
    TOO_LARGE,
    UNSUPPORTED,
    Built,
    Case,
)
from tests.corpus.wire import (
    SEQUENCE,
    START,
    UID_FIELD,
)
from tests.opamp_transport.protocol.wire import varint


def frame(name: str, content: bytes, outcome: str) -> Built:
    return Case("header", name, "frame", outcome), content


def headers() -> Iterator[Built]:
    """The varint before a WebSocket message."""
    yield frame("empty-frame", b"", MALFORMED)
    yield frame("header-only", b"\x00", BAD_UID)
    for count in range(1, 10):
        yield frame(f"truncated-after-{count}", b"\x80" * count, MALFORMED)
        yield frame(f"zero-in-{count + 1}-bytes", b"\x80" * count + b"\x00" + START, ACCEPTED)
    for count in (10, 11, 30):
        yield frame(f"over-long-{count}", b"\x80" * count, MALFORMED)
        yield frame(f"over-long-{count}-then-zero", b"\x80" * count + b"\x00" + START, MALFORMED)
    for value in (1, 2, 0x7F, 0x80, 0x3FFF, 2**32, 2**63, 2**64 - 1):
        yield frame(f"value-{value:x}", varint(value) + START, MALFORMED)
    yield frame("value-1-in-10-bytes", b"\x81" + b"\x80" * 8 + b"\x00" + START, MALFORMED)
    yield frame("none", START, MALFORMED)
    yield frame("twice", b"\x00\x00" + START, MALFORMED)
    yield frame("trailing-zero", b"\x00" + START + b"\x00", MALFORMED)


def sizes() -> Iterator[Built]:
    """Above the default limit of 64 MiB."""
    yield Case("size", "65-MiB", "body", TOO_LARGE, recipe="65 MiB"), None
    yield Case("size", "65-MiB-of-zeros", "body", TOO_LARGE, recipe="65 MiB of zeros"), None


def compressed() -> Iterator[Built]:
    """gzip bodies, of HTTP alone."""
    packed = gzip.compress(START, mtime=0)
    crc = bytearray(packed)
    crc[-8] ^= 0xFF
    length = bytearray(packed)
    length[-1] ^= 0xFF
    magic = bytearray(packed)
    magic[0] ^= 0xFF
    method = bytearray(packed)
    method[2] = 7
    whole = {
        "good": (packed, ACCEPTED), "two-members": (gzip.compress(UID_FIELD, mtime=0) + gzip.compress(SEQUENCE, mtime=0), ACCEPTED),
        "an-empty-member-first": (gzip.compress(b"", mtime=0) + packed, ACCEPTED),
        "wrong-crc": (bytes(crc), MALFORMED), "wrong-length": (bytes(length), MALFORMED), "wrong-magic": (bytes(magic), MALFORMED),
        "wrong-method": (bytes(method), MALFORMED), "trailing-zeros": (packed + bytes(8), MALFORMED),
        "trailing-garbage": (packed + b"garbage", MALFORMED), "half-a-second-member": (packed + packed[:15], MALFORMED),
        "nothing": (b"", MALFORMED), "zlib": (zlib.compress(START), MALFORMED), "plain": (START, MALFORMED),
        "empty-content": (gzip.compress(b"", mtime=0), BAD_UID), "twice": (gzip.compress(packed, mtime=0), MALFORMED),
        "two-thousand-members": (gzip.compress(b"", mtime=0) * 180, BAD_UID),
    }  # fmt: skip
    for name, (content, outcome) in whole.items():
        yield Case("gzip", name, "request", outcome, headers={"content-encoding": "gzip"}), content
    for cut in range(1, len(packed), 2):
        yield Case("gzip", f"cut-{cut:02}", "request", MALFORMED, headers={"content-encoding": "gzip"}), packed[:cut]
    yield Case("gzip", "bomb", "request", TOO_LARGE, recipe="gzip bomb", headers={"content-encoding": "gzip"}), None
    yield Case("gzip", "many-members", "request", MALFORMED, recipe="2000 gzip members",
               headers={"content-encoding": "gzip"}), None  # fmt: skip
    yield Case("gzip", "not-declared", "request", MALFORMED), packed
    for value, outcome in (("GZIP", ACCEPTED), (" gzip ", ACCEPTED)):
        yield Case("gzip", f"named-{value.strip()}", "request", outcome, headers={"content-encoding": value}), packed
    for value, outcome in (("identity", ACCEPTED), ("", ACCEPTED), ("br", UNSUPPORTED), ("deflate", UNSUPPORTED),
                           ("gzip, gzip", UNSUPPORTED), ("zstd", UNSUPPORTED), ("\u00ff", UNSUPPORTED)):  # fmt: skip
        name = "encoding-" + (value.replace(", ", "-") if value.isascii() and value else "odd" if value else "empty")
        yield Case("gzip", name, "request", outcome, headers={"content-encoding": value}), START


def content_types() -> Iterator[Built]:
    """What the body says it is."""
    types = {
        "exact": ("application/x-protobuf", ACCEPTED), "upper": ("APPLICATION/X-PROTOBUF", ACCEPTED),
        "parameter": ("application/x-protobuf; charset=utf-8", ACCEPTED),
        "odd-parameter": ("application/x-protobuf;;=;messageType=\"x\"", ACCEPTED),
        "spaces": ("  application/x-protobuf  ", ACCEPTED),
        "protobuf": ("application/protobuf", UNSUPPORTED), "json": ("application/json", UNSUPPORTED),
        "octets": ("application/octet-stream", UNSUPPORTED), "form": ("application/x-www-form-urlencoded", UNSUPPORTED),
        "longer": ("application/x-protobuffer", UNSUPPORTED), "nonsense": (";", UNSUPPORTED), "text": ("text/plain", UNSUPPORTED),
    }  # fmt: skip
    for name, (value, outcome) in types.items():
        yield Case("content-type", name, "request", outcome, headers={"content-type": value}), START


def texts() -> Iterator[Built]:
    """Text messages on a WebSocket."""
    for name, value in (("empty", ""), ("word", "hello"), ("json", "{}"), ("nul", "\x00"), ("unicode", "\u4f60\u597d\U0001f600"),
                        ("long", "x" * 4000)):  # fmt: skip
        yield Case("text", name, "text", MALFORMED), value.encode()

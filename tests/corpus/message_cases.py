"""Messages themselves: their wire format, uids, texts, numbers, fields, depth and number of parts."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

from tests.corpus.cases import (
    ACCEPTED,
    BAD_UID,
    MALFORMED,
    MAX_FILE,
    REFUSED,
    Built,
    Case,
    body,
)
from tests.corpus.wire import (
    CAPABILITIES,
    SEQUENCE,
    START,
    UID_FIELD,
    attribute,
    entry,
    key_value,
    nested,
    string,
    text,
)
from tests.opamp_transport.protocol.wire import UID, length_delimited, varint


def cuts() -> Iterator[Built]:
    """Messages that end after each of their bytes; between two fields what is left is a message of its own."""
    description = length_delimited(1, key_value(b"service.name", string("x")))
    shapes = {
        "heartbeat": [UID_FIELD, SEQUENCE, CAPABILITIES],
        "disconnect": [UID_FIELD, SEQUENCE, CAPABILITIES, b"\x4a\x00"],
        "description": [UID_FIELD, b"\x10\x80\x80\x04", length_delimited(3, description)],
        "health": [UID_FIELD, length_delimited(5, b"\x08\x01" + b"\x11" + bytes(8) + text(3, "none"))],
        "config": [
            UID_FIELD,
            length_delimited(6, length_delimited(1, length_delimited(1, entry(b"", text(1, "a: 1"))))),
        ],
    }
    for name, fields in shapes.items():
        whole = b"".join(fields)
        ends = {sum(len(one) for one in fields[:count]) for count in range(len(fields) + 1)}
        for length in range(len(whole) + 1):
            outcome = MALFORMED if length not in ends else ACCEPTED if length else BAD_UID
            yield body("cut", f"{name}-{length:03}", whole[:length], outcome)


def wire_format() -> Iterator[Built]:
    """Tags, wire types, varints and lengths that are wrong, or right but unusual."""
    payloads = {0: b"\x05", 1: bytes(8), 2: b"\x02hi", 5: bytes(4)}
    kinds = {1: 2, 2: 0, 4: 0, 10: 0} | dict.fromkeys((3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15), 2)
    for number, right in kinds.items():
        for kind, payload in payloads.items():
            if kind != right:
                # Of another type it counts as a field that is not known, and the known one is absent.
                rest = payload + (SEQUENCE if number == 1 else START)
                yield body("wire", f"field-{number}-as-type-{kind}", varint(number << 3 | kind) + rest,
                           BAD_UID if number == 1 else ACCEPTED)  # fmt: skip
    for kind in (6, 7):
        for number in (1, 5, 100):
            yield body("wire", f"field-{number}-of-type-{kind}", START + varint(number << 3 | kind), MALFORMED)
    for kind, payload in payloads.items():
        yield body("wire", f"field-0-of-type-{kind}", START + bytes([kind]) + payload, MALFORMED)
    yield body("wire", "group", START + varint(100 << 3 | 3) + SEQUENCE + varint(100 << 3 | 4), ACCEPTED)
    yield body("wire", "group-unended", START + varint(100 << 3 | 3) + SEQUENCE, MALFORMED)
    yield body("wire", "group-unbegun", START + varint(100 << 3 | 4), MALFORMED)
    yield body("wire", "group-ended-by-another", START + varint(100 << 3 | 3) + varint(101 << 3 | 4), MALFORMED)
    for count in (11, 12, 40):
        yield body("wire", f"number-of-{count}-bytes", START + b"\x10" + b"\x80" * (count - 1) + b"\x01", MALFORMED)
        yield body("wire", f"length-of-{count}-bytes", START + b"\x1a" + b"\x80" * (count - 1) + b"\x00", MALFORMED)
        yield body("wire", f"tag-of-{count}-bytes", START + b"\x90" + b"\x80" * (count - 2) + b"\x00\x01", MALFORMED)
    yield body("wire", "number-in-ten-bytes", UID_FIELD + b"\x10\x87" + b"\x80" * 8 + b"\x00", ACCEPTED)
    for size in (1, 2, 127, 2**14, 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1):
        yield body("wire", f"length-{size:x}-and-nothing", START + b"\x1a" + varint(size), MALFORMED)
    for number in (3, 5, 6, 8, 11, 12, 13, 14, 15):
        yield body("wire", f"garbage-within-field-{number}", START + length_delimited(number, b"\xff" * 9), MALFORMED)
        yield body("wire", f"empty-field-{number}", START + length_delimited(number, b""), ACCEPTED)
    yield body("wire", "uid-last", SEQUENCE + CAPABILITIES + UID_FIELD, ACCEPTED)
    yield body("wire", "zero-bytes", bytes(50), MALFORMED)
    yield body("wire", "ones", b"\xff" * 50, MALFORMED)


def uids() -> Iterator[Built]:
    """Every length but 16."""
    for length in (0, 1, 2, 8, 14, 15, 17, 18, 24, 31, 32, 33, 63, 64, 65, 128, 1000):
        yield body("uid", f"of-{length}-bytes", length_delimited(1, b"u" * length) + SEQUENCE, BAD_UID)
    yield body("uid", "absent", SEQUENCE + CAPABILITIES, BAD_UID)
    yield body("uid", "ulid-text", length_delimited(1, b"01ARZ3NDEKTSV4RRFFQ69G5FAV") + SEQUENCE, BAD_UID)
    yield body("uid", "uuid-text", length_delimited(1, str(UID).encode()) + SEQUENCE, BAD_UID)
    yield body("uid", "zeros", length_delimited(1, bytes(16)) + SEQUENCE, ACCEPTED)
    yield body("uid", "ones", length_delimited(1, b"\xff" * 16) + SEQUENCE, ACCEPTED)
    yield Case("uid", "of-a-megabyte", "body", BAD_UID, recipe="uid of a megabyte"), None


STRINGS: dict[str, Callable[[bytes], bytes]] = {
    "attribute-key": lambda raw: attribute(raw, string("x")),
    "attribute-value": lambda raw: attribute(b"k", length_delimited(1, raw)),
    "health-error": lambda raw: length_delimited(5, length_delimited(3, raw)),
    "health-status": lambda raw: length_delimited(5, length_delimited(4, raw)),
    "health-name": lambda raw: length_delimited(5, length_delimited(6, entry(raw, b""))),
    "config-name": lambda raw: length_delimited(6, length_delimited(1, length_delimited(1, entry(raw, b"")))),
    "config-type": lambda raw: length_delimited(
        6, length_delimited(1, length_delimited(1, entry(b"", length_delimited(2, raw))))
    ),
    "status-error": lambda raw: length_delimited(7, length_delimited(3, raw)),
    "package-name": lambda raw: length_delimited(8, length_delimited(1, entry(raw, b""))),
    "capability": lambda raw: length_delimited(12, length_delimited(1, raw)),
    "message-type": lambda raw: length_delimited(13, length_delimited(2, raw)),
    "component-name": lambda raw: length_delimited(14, length_delimited(1, entry(raw, b""))),
}


NOT_UTF8 = {
    "byte": b"\xff",
    "overlong": b"\xc0\x80",
    "surrogate": b"\xed\xa0\x80",
    "beyond": b"\xf4\x90\x80\x80",
    "cut": b"\xe4\xb8",
}


def strings() -> Iterator[Built]:
    """Text that is not UTF-8, in every place for text; and text that only looks dangerous."""
    for place, build in STRINGS.items():
        for name, raw in NOT_UTF8.items():
            yield body("utf8", f"{place}-{name}", START + build(b"a" + raw), MALFORMED)
        yield body("utf8", f"{place}-nul", START + build(b"a\x00b"), ACCEPTED)
        yield body("utf8", f"{place}-markup", START + build("<script>'\";--\u202e\U0001f600".encode()), ACCEPTED)
    yield body("utf8", "bytes-need-not-be", START + length_delimited(
        6, length_delimited(1, length_delimited(1, entry(b"", length_delimited(1, b"\xff\xfe\x00"))))), ACCEPTED)  # fmt: skip


def numbers() -> Iterator[Built]:
    """The ends of every range."""
    for value in (0, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1):
        yield body("number", f"sequence-{value:x}", UID_FIELD + b"\x10" + varint(value), ACCEPTED)
        yield body("number", f"capabilities-{value:x}", UID_FIELD + SEQUENCE + b"\x20" + varint(value), ACCEPTED)
        yield body("number", f"flags-{value & ~1:x}-{value & 1}", START + b"\x50" + varint(value & ~1), ACCEPTED)
        yield body("number", f"time-{value:x}", START + length_delimited(
            5, b"\x11" + struct.pack("<Q", value) + b"\x29" + struct.pack("<Q", value)), ACCEPTED)  # fmt: skip
        yield body("number", f"int-{value:x}", START + attribute(b"n", b"\x18" + varint(value)), ACCEPTED)
        yield body("number", f"config-status-{value:x}", START + length_delimited(7, b"\x10" + varint(value)), ACCEPTED)
        yield body("number", f"package-status-{value:x}", START + length_delimited(
            8, length_delimited(1, entry(b"p", b"\x30" + varint(value)))), ACCEPTED)  # fmt: skip
    for name, value in (("nan", float("nan")), ("inf", float("inf")), ("minus-inf", float("-inf")), ("tiny", 5e-324)):
        raw = struct.pack("<d", value)
        yield body("number", f"double-{name}", START + attribute(b"d", b"\x21" + raw), ACCEPTED)
        yield body("number", f"download-{name}", START + length_delimited(
            8, length_delimited(1, entry(b"p", length_delimited(8, b"\x09" + raw + b"\x11" + raw)))), ACCEPTED)  # fmt: skip


def unknown() -> Iterator[Built]:
    """Fields of a later version."""
    payloads = {0: b"\x05", 1: bytes(8), 2: b"\x02hi", 5: bytes(4)}
    for number in (16, 99, 1000, 19_500, 2**29 - 1):
        for kind, payload in payloads.items():
            yield body("unknown", f"field-{number}-type-{kind}", START + varint(number << 3 | kind) + payload, ACCEPTED)
    for number in (3, 5, 6, 7, 8, 12, 13, 14, 15):
        yield body("unknown", f"within-field-{number}", START + length_delimited(number, b"\xfa\x3e\x02hi"), ACCEPTED)
    yield body("unknown", "a-thousand", START + b"\xf8\x3e\x01" * 1000, ACCEPTED)


def repeated() -> Iterator[Built]:
    """What should be there once is there twice."""
    yield body("repeated", "uid", UID_FIELD + START, ACCEPTED)
    yield body("repeated", "uid-good-then-short", START + length_delimited(1, b"short"), BAD_UID)
    yield body("repeated", "uid-short-then-good", length_delimited(1, b"short") + START, ACCEPTED)
    yield body("repeated", "sequence", START + SEQUENCE * 20, ACCEPTED)
    for number in (3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15):
        yield body("repeated", f"field-{number}", START + length_delimited(number, b"") * 3, ACCEPTED)
    yield body("repeated", "attribute", START + attribute(b"k", string("a")) + attribute(b"k", string("b")), ACCEPTED)
    yield body("repeated", "value", START + attribute(b"k", string("a") + b"\x18\x05" + b"\x10\x01"), ACCEPTED)
    twice = {
        "config": (6, (1, 1)), "health": (5, (6,)), "package": (8, (1,)), "component": (14, (1,)),
    }  # fmt: skip
    for name, (number, path) in twice.items():
        for what, one in (("key", entry(b"k", b"")), ("entry-without-key", length_delimited(2, b"")),
                          ("entry-without-value", text(1, "k")), ("empty-entry", b"")):  # fmt: skip
            content = length_delimited(path[-1], one) * 2
            for step in reversed(path[:-1]):
                content = length_delimited(step, content)
            yield body("repeated", f"{name}-{what}", START + length_delimited(number, content), ACCEPTED)


def deep() -> Iterator[Built]:
    """Trees: the library ends at 100 levels of messages."""
    trees = {
        "health": ((5,), (6, 2), 49), "component": ((14, 1, 2), (2, 2), 48), "array": ((3, 1, 2), (5, 1), 48),
        "list": ((3, 1, 2), (6, 1, 2), 32),
    }  # fmt: skip
    for name, (outer, inner, deepest) in trees.items():
        for levels in (1, 10, deepest, deepest + 1, 200, 600):
            content = UID_FIELD + nested(1, nested(levels, b"", *inner), *outer)
            outcome = ACCEPTED if levels <= deepest else MALFORMED
            if len(content) <= MAX_FILE:
                yield body("deep", f"{name}-{levels}", content, outcome)
    yield Case("deep", "array-5000", "body", MALFORMED, recipe="array of 5000 levels"), None


def many() -> Iterator[Built]:
    """A lot of everything, by recipe."""
    for recipe in ("10,000 attributes", "3,000 health nodes", "5,000 components", "20,000 capabilities", "300 files",
                   "key of a megabyte", "configuration of 3 MiB", "one attribute 20,000 times"):  # fmt: skip
        yield Case("many", recipe.replace(" ", "-").replace(",", ""), "body", ACCEPTED, recipe=recipe), None
    for recipe in ("200,000 parts", "16 million empty attributes", "a million empty capabilities"):
        yield Case("many", recipe.replace(" ", "-").replace(",", ""), "body", MALFORMED, recipe=recipe), None


def noise() -> Iterator[Built]:
    """Random bytes. None begins with a uid of 16 bytes, so none can be a message of an agent."""
    chance = random.Random(20_260)
    for number in range(40):
        content = chance.randbytes(chance.choice((1, 2, 3, 10, 50, 300, 2000)))
        if b"\x0a\x10" in content:
            content = content.replace(b"\x0a\x10", b"\x0a\x11")
        yield body("noise", f"{number:02}", content, REFUSED)

"""Structure-aware mutations: a message is taken apart into its fields, changed, and put together with right lengths.

Blind byte flips rarely get past the first length; these do. Every choice comes from a `Chooser`, so that the same code is
driven by a seeded generator, by hypothesis, which shrinks what it finds, and by a coverage-guided fuzzer's bytes.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Sequence
from typing import Protocol

from tests.opamp_transport.protocol.wire import varint

Field = tuple[int, int, bytes]
"""Field number, wire type, and the bytes of the value (without the length for wire type 2)."""

EXTREMES = (0, 1, 2, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = (b"", b"\x00", b"\xff", b"a\x00b", b"\xed\xa0\x80", b"service.name", "\u202e\U0001f600".encode(), b"x" * 300)
_LARGEST = 64 * 1024


class Chooser(Protocol):
    """Where choices come from."""

    def below(self, bound: int) -> int:
        """A number from 0 to ``bound`` - 1."""

    def raw(self, size: int) -> bytes:
        """Any bytes."""


class SeededChooser:
    """The same choices for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)

    def raw(self, size: int) -> bytes:
        return self._random.randbytes(size)


def take_apart(body: bytes) -> list[Field] | None:
    """The fields of a message; ``None`` when ``body`` is none."""
    fields: list[Field] = []
    position = 0
    while position < len(body):
        tag, position = _read(body, position)
        kind = tag & 7
        if tag >> 3 == 0 or position < 0:
            return None
        if kind == 0:
            start = position
            _, position = _read(body, position)
            value = body[start:position] if position > 0 else b""
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
            value, position = body[position : position + size], position + size
        elif kind == 2:
            size, position = _read(body, position)
            value = body[position : position + size]
            position = position + size if position > 0 else -1
        else:
            return None
        if position < 0 or position > len(body):
            return None
        fields.append((tag >> 3, kind, value))
    return fields


def put_together(fields: Sequence[Field]) -> bytes:
    """The bytes of a message with these fields."""
    return b"".join(
        varint(number << 3 | kind) + (varint(len(value)) if kind == 2 else b"") + value
        for number, kind, value in fields
    )


def mutated(seed: bytes, others: Sequence[bytes], choose: Chooser) -> bytes:
    """A message made from ``seed``, sometimes with parts of another one."""
    body = seed
    for _ in range(1 + choose.below(4)):
        fields = take_apart(body)
        if fields and choose.below(5):
            other = take_apart(others[choose.below(len(others))]) or []
            body = put_together(_changed(fields, other, choose, depth=0))
        else:
            body = _flipped(body, choose)
        if len(body) > _LARGEST:
            return body[:_LARGEST]
    return body


def wrapped(body: bytes, choose: Chooser) -> bytes:
    """``body`` as input of the target: with its selector, and header or compression that may be wrong too."""
    match choose.below(5):
        case 0:
            header = (b"\x00", b"\x80\x00", b"\x80" * 9 + b"\x00", b"\x80" * 10, b"\x01", b"")[choose.below(6)]
            return b"\x00" + header + body
        case 1:
            packed = gzip.compress(body, compresslevel=1, mtime=0)
            return b"\x01" + (packed if choose.below(2) else _flipped(packed, choose))
        case 2 if not choose.below(4):
            return b"\x02" + body[:200]
        case _:
            return b"\x03" + body


def _changed(fields: list[Field], other: list[Field], choose: Chooser, *, depth: int) -> list[Field]:
    index = choose.below(len(fields))
    number, kind, value = fields[index]
    if kind == 2 and value and depth < 8 and choose.below(3):
        inner = take_apart(value)
        if inner:
            return [*fields[:index], (number, 2, put_together(_changed(inner, other, choose, depth=depth + 1))),
                    *fields[index + 1 :]]  # fmt: skip
    match choose.below(10):
        case 0:
            return fields + [fields[index]] * (1 + choose.below(3))
        case 1:
            return fields[:index] + fields[index + 1 :]
        case 2 if other:
            return [*fields, other[choose.below(len(other))]]
        case 3:
            return [*fields[:index], (1 + choose.below(20), kind, value), *fields[index + 1 :]]
        case 4:
            return [*fields[:index], _retyped(number, choose), *fields[index + 1 :]]
        case 5:
            return [*fields[:index], (number, 2, put_together(fields)), *fields[index + 1 :]]
        case 6 if len(fields) > 1:
            return fields[index:] + fields[:index]
        case 7:
            deep = value
            for _ in range(1 + choose.below(60)):
                deep = put_together([(1 + choose.below(7), 2, deep)])
            return [*fields[:index], (number, 2, deep), *fields[index + 1 :]]
        case _:
            return [*fields[:index], (number, kind, _revalued(kind, value, choose)), *fields[index + 1 :]]


def _retyped(number: int, choose: Chooser) -> Field:
    kind = (0, 1, 2, 5)[choose.below(4)]
    return number, kind, _revalued(kind, b"", choose)


def _revalued(kind: int, value: bytes, choose: Chooser) -> bytes:
    if kind == 0:
        return varint(EXTREMES[choose.below(len(EXTREMES))])
    if kind in {1, 5}:
        size = 8 if kind == 1 else 4
        special = (bytes(size), b"\xff" * size, b"\x00" * (size - 2) + b"\xf0\x7f", b"\x00" * (size - 2) + b"\xf8\x7f")
        return special[choose.below(4)] if choose.below(2) else choose.raw(size)
    if choose.below(2):
        return TEXTS[choose.below(len(TEXTS))]
    return _flipped(value, choose)


def _flipped(data: bytes, choose: Chooser) -> bytes:
    """Blind changes: a byte, a cut, an insertion, a repetition."""
    if not data:
        return choose.raw(1 + choose.below(20))
    position = choose.below(len(data))
    match choose.below(5):
        case 0:
            return data[:position]
        case 1:
            return data[:position] + choose.raw(1 + choose.below(8)) + data[position:]
        case 2:
            return data[:position] + data[position:] * 2
        case 3:
            return data[:position] + data[position + 1 + choose.below(8) :]
        case _:
            changed = bytearray(data)
            changed[position] ^= 1 << choose.below(8)
            return bytes(changed)


def _read(body: bytes, position: int) -> tuple[int, int]:
    """A varint and what follows it; -1 when there is none."""
    number = shift = 0
    while position < len(body) and position >= 0 and shift < 70:
        byte = body[position]
        number |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return number, position
        shift += 7
    return 0, -1

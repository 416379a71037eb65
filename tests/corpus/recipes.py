"""What is too large for a file of the corpus, built when it is needed."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from tests.corpus.wire import (
    START,
    UID_FIELD,
    attribute,
    entry,
    key_value,
    nested,
    string,
    text,
)
from tests.opamp_transport.protocol.wire import length_delimited

RECIPES: dict[str, Callable[[], bytes]] = {
    "uid of a megabyte": lambda: length_delimited(1, b"u" * 1024**2),
    "array of 5000 levels": lambda: UID_FIELD + nested(1, nested(5000, b"", 5, 1), 3, 1, 2),
    "10,000 attributes": lambda: START + length_delimited(
        3, b"".join(length_delimited(2, key_value(b"key.%d" % n, string(f"value {n}"))) for n in range(10_000))),
    "one attribute 20,000 times": lambda: START + length_delimited(
        3, length_delimited(1, key_value(b"k", string("v"))) * 20_000),
    "3,000 health nodes": lambda: START + length_delimited(
        5, b"".join(length_delimited(6, entry(b"n%d" % n, b"\x08\x01")) for n in range(3_000))),
    "5,000 components": lambda: START + length_delimited(
        14, text(2, "hash") + b"".join(length_delimited(1, entry(b"c%d" % n, b"")) for n in range(5_000))),
    "20,000 capabilities": lambda: START + length_delimited(
        12, b"".join(length_delimited(1, b"org.example.c%d" % n) for n in range(20_000))),
    "300 files": lambda: START + length_delimited(6, length_delimited(
        1, b"".join(length_delimited(1, entry(b"f%d.yaml" % n, text(1, "a: 1"))) for n in range(300)))),
    "key of a megabyte": lambda: START + attribute(b"k" * 1024**2, string("v")),
    "configuration of 3 MiB": lambda: START + length_delimited(6, length_delimited(
        1, length_delimited(1, entry(b"", length_delimited(1, b"a: 1\n" * (3 * 1024**2 // 5)))))),
    "200,000 parts": lambda: START + b"\x20\x01" * 200_000,
    "16 million empty attributes": lambda: START + length_delimited(3, b"\x12\x00" * 16_000_000),
    "a million empty capabilities": lambda: START + length_delimited(12, b"\x0a\x00" * 1_000_000),
    "65 MiB": lambda: START + attribute(b"k", length_delimited(7, b"x" * (65 * 1024**2))),
    "65 MiB of zeros": lambda: bytes(65 * 1024**2),
    "gzip bomb": lambda: gzip.compress(bytes(65 * 1024**2), mtime=0),
    "2000 gzip members": lambda: gzip.compress(b"", mtime=0) * 2000,
}  # fmt: skip

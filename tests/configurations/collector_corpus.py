"""Reads `collector_corpus.txt`, which says itself what stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("collector_corpus.txt")


@dataclass(frozen=True, slots=True)
class Case:
    """A configuration, whether the Collector accepts it, which one was asked, and the findings as severity:code:line."""

    name: str
    accepted: bool
    collector: str
    findings: tuple[str, ...]
    text: str


def cases() -> list[Case]:
    """All, in order."""
    found = []
    for part in _FILE.read_text(encoding="utf-8").split("\n=== ")[1:]:
        head, _newline, text = part.partition("\n")
        name, verdict, collector, *findings = (word.strip() for word in head.split("|"))
        found.append(
            Case(name, verdict == "accepted", collector, tuple(" ".join(findings).split()), text.rstrip("\n") + "\n")
        )
    return found

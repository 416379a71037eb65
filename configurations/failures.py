"""Which files failed on one agent: booked against their hash, until they are published anew, succeed late, or a person retries.

Pure. The stored form is JSON, ``{hash: {"revision", "error", "named"}}``; it is replaced whole and never changed in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Failures = Mapping[str, Mapping[str, Any]]
# Of an agent that flaps between more failing configurations than that, the oldest failure is forgotten.
MOST_KEPT = 8
LONGEST_ERROR = 8_192


@dataclass(frozen=True, slots=True)
class Failure:
    """``error`` is what the agent said, ``named`` whether it named the hash: some Java agents do not (S-63)."""

    error: str
    named: bool


def failure_of(failures: Failures, config_hash: str, revision: int | None) -> Failure | None:
    """The failure that counts for ``revision`` (key) with these files; published after it failed, they are asked anew."""
    entry = failures.get(config_hash)
    if entry is None or revision is None or revision > entry["revision"]:
        return None
    return Failure(entry["error"], entry["named"])


def with_failure(
    failures: Failures, config_hash: str, *, revision: int, error: str, named: bool
) -> dict[str, Mapping[str, Any]]:
    """With the failure of these files, published in ``revision`` or before; the oldest gives way when there are too many."""
    text = error if len(error) <= LONGEST_ERROR else error[: LONGEST_ERROR - 1] + "…"
    others = without_failure(failures, config_hash)
    newest_first = sorted(others, key=lambda key: others[key]["revision"], reverse=True)
    kept = {key: others[key] for key in newest_first[: MOST_KEPT - 1]}
    return {**kept, config_hash: {"revision": revision, "error": text, "named": named}}


def carried_to(failures: Failures, config_hash: str, revision: int) -> Failures:
    """With the failure of these files, if any, counting for ``revision`` too: other targeting, the same files."""
    entry = failures.get(config_hash)
    if entry is None or entry["revision"] >= revision:
        return failures
    return {**failures, config_hash: {**entry, "revision": revision}}


def without_failure(failures: Failures, config_hash: str) -> Failures:
    """Without that of these files."""
    if config_hash not in failures:
        return failures
    return {key: entry for key, entry in failures.items() if key != config_hash}

"""What a rule finds: the groups for which its condition holds. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from foundation.messages import Message

LONGEST_KEY = 300


@dataclass(frozen=True, slots=True)
class Sampled:
    """One of the things concerned: ``what`` is ``agent``, ``rollout``… and ``key`` its row; ``uid`` that of an agent."""

    name: str
    what: str
    key: int
    uid: str = ""

    def as_json(self) -> dict[str, Any]:
        """The stored form."""
        return {"name": self.name[:255], "what": self.what, "key": self.key, "uid": self.uid}


@dataclass(frozen=True, slots=True)
class FiringSubject:
    """One alert's worth of it: ``count`` of ``total`` (``None``: of nothing that is counted), some of them by name.

    ``key`` tells it from the others of its rule, ``labels`` are what silences and receivers know it by.
    """

    key: str
    text: Message
    count: int
    total: int | None = None
    sample: Sequence[Sampled] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def group_key(label: str, value: str) -> str:
    """``env=prod``; of a long one the beginning and a digest."""
    key = f"{label}={value}"
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 20]}…{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:16]}"

"""What receivers are told: one value from the decision to tell to the last attempt. Pure; who is told, and how, is unknown here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from foundation.messages import Message


@dataclass(frozen=True, slots=True)
class Notice:
    """``message`` is `Message.as_json`, times are ISO 8601, ``sample`` as in `alerts.models.Alert`. ``alert_id`` 0: a test."""

    event: str
    alert_id: int
    rule: str
    kind: str
    severity: str
    state: str
    group: str
    labels: Mapping[str, str]
    message: Mapping[str, Any]
    count: int
    total: int | None
    sample: Sequence[Mapping[str, Any]]
    description: str
    started_at: str
    fired_at: str | None
    resolved_at: str | None
    repeat_seconds: int

    def as_json(self) -> dict[str, Any]:
        """The stored form."""
        return asdict(self)

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Notice:
        """The inverse of `as_json`; only for what it made."""
        return cls(**form)

    @property
    def text(self) -> Message:
        """What it says."""
        return Message.from_json(self.message)

"""What became of one item of a job. Pure."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """Skipped is what there was nothing to do for."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"

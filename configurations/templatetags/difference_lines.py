"""As much of a difference as a page holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from django import template

from configurations.line_differences import DiffLine

register = template.Library()
# Characters of all lines, with what a line takes beside its text; and of one line.
_MOST, _BESIDE, _LONGEST = 128 * 1024, 45, 400


@register.filter
def of_a_page(lines: Iterable[DiffLine]) -> Iterator[DiffLine]:
    """The first lines, long ones cut, and a last one that says so where there are more."""
    left = _MOST
    for line in lines:
        if left <= 0:
            yield DiffLine("…", "hunk")
            return
        if isinstance(line.text, str) and len(line.text) > _LONGEST:
            line = replace(line, text=f"{line.text[: _LONGEST - 1]}…")  # noqa: PLW2901
        left -= len(str(line.text)) + _BESIDE
        yield line

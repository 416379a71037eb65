"""No file of Python is too long to be read as one: what has more lines than `MOST_LINES` is split by idea."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST_LINES = 400
# Environments and caches are nobody's text, and what a tool generates nobody reads.
LEFT_OUT = {".git", ".venv", "node_modules", "__pycache__", "proto"}


def python_files(root: Path) -> Iterator[Path]:
    """Every ``.py`` below ``root``, folders that begin with a dot included, but what is in `LEFT_OUT`."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        yield from (Path(folder) / name for name in sorted(files) if name.endswith(".py"))


def too_long(root: Path) -> list[str]:
    """The files of more than `MOST_LINES` lines, each with how many it has."""
    lengths = ((file, len(file.read_text(encoding="utf-8").splitlines())) for file in python_files(root))
    return [f"{file.relative_to(root)}: {lines} lines" for file, lines in lengths if lines > MOST_LINES]


def test_no_file_is_longer_than_one_can_read() -> None:
    found = too_long(ROOT)
    assert not found, f"split by idea what has more than {MOST_LINES} lines:\n" + "\n".join(found)


def test_a_file_that_is_too_long_is_found_wherever_it_is(tmp_path: Path) -> None:
    for name, lines in ((".ci/long.py", MOST_LINES + 1), ("tests/short.py", MOST_LINES), (".venv/any.py", 1_000)):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text("x = 1\n" * lines, encoding="utf-8")
    assert too_long(tmp_path) == [f".ci/long.py: {MOST_LINES + 1} lines"]

"""Runs pytest with the arguments given, and what failed once more, alone; tells which tests were flaky.

A test is flaky when it failed beside others, or ended its process, and passed alone. The run fails when a test failed twice,
when more than `MOST_FLAKY` tests of the whole CI run were flaky, or when pytest did not come to the end of its tests. What it
found is appended to the file that TESTS_SUMMARY names, where runs on other databases look it up: pytest's closing lines, and
a line for each flaky test. Nothing here knows the project.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

MOST_FLAKY = 2
# More failures than this are none of a slow machine.
MOST_RETRIED = 8
FAILED = 1
FLAKY = "flaky: "
_CACHE = Path(".pytest_cache")
_LAST_FAILED = _CACHE / "v" / "cache" / "lastfailed"
_CLOSING = re.compile(r"=* ?\d+ \w+.* in \d[\d.]*s\b.*")
# What pytest-xdist says; it runs the test again in a new process, so that the test may count as passed.
_CRASHED = re.compile(r"worker '\w+' crashed while running '(.+)'")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ONCE_MORE = ("--last-failed", "--last-failed-no-failures", "none", "-n0")


class Ended(NamedTuple):
    """A run of pytest: its exit status, its closing line, and the tests that failed in it or ended their process."""

    status: int
    closing: str
    failed: list[str]


def run(arguments: list[str]) -> Ended:
    """One run of pytest, shown as it goes."""
    command = [sys.executable, "-m", "pytest", *arguments]
    closing = "pytest said nothing at its end"
    crashed = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace") as pytest:
        for line in pytest.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            bare = _COLOUR.sub("", line).strip()
            if _CLOSING.fullmatch(bare):
                closing = bare
            elif crash := _CRASHED.fullmatch(bare):
                crashed.add(crash[1])
    failed = json.loads(_LAST_FAILED.read_text(encoding="utf-8")) if _LAST_FAILED.exists() else {}
    return Ended(pytest.returncode, closing, sorted(crashed | set(failed)))


def note(summary: Path, *lines: str) -> None:
    """Keep lines for the end of the whole run."""
    with summary.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def main(arguments: list[str]) -> int:
    """The exit status of all."""
    summary = Path(os.environ["TESTS_SUMMARY"])
    # What failed in an earlier run, and is not part of this one, is not to be retried.
    _LAST_FAILED.unlink(missing_ok=True)
    first = run(arguments)
    note(summary, first.closing)
    if first.status != FAILED or not 0 < len(first.failed) <= MOST_RETRIED:
        return first.status
    print(f"\n{len(first.failed)} failed beside others: once more, alone", flush=True)
    _LAST_FAILED.parent.mkdir(parents=True, exist_ok=True)
    _LAST_FAILED.write_text(json.dumps(dict.fromkeys(first.failed, True)), encoding="utf-8")
    again = run(list(ONCE_MORE))
    flaky = [name for name in first.failed if name not in again.failed]
    note(summary, f"once more, alone: {again.closing}", *(FLAKY + name for name in flaky))
    if again.status:
        return again.status
    found = summary.read_text(encoding="utf-8").splitlines()
    if sum(line.startswith(FLAKY) for line in found) > MOST_FLAKY:
        note(summary, f"more than {MOST_FLAKY} tests were flaky")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs pytest with the arguments given, and what failed once more, alone; tells which tests were flaky.

A test is flaky when it failed beside others and passed alone. The run fails when a test failed twice, when more than
`MOST_FLAKY` tests of the whole CI run were flaky, or when pytest did not come to the end of its tests. What it found is
appended to the file that TESTS_SUMMARY names, where runs on other databases look it up: pytest's closing lines, and a line
for each flaky test. Nothing here knows the project.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

MOST_FLAKY = 2
# More failures than this are none of a slow machine.
MOST_RETRIED = 8
FAILED = 1
FLAKY = "flaky: "
_CACHE = Path(".pytest_cache")
_LAST_FAILED = _CACHE / "v" / "cache" / "lastfailed"
_CLOSING = re.compile(r"=* ?\d+ \w+.* in \d[\d.]*s\b.*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ONCE_MORE = ("--last-failed", "--last-failed-no-failures", "none", "-n0")


def run(arguments: list[str]) -> tuple[int, str]:
    """One run of pytest, shown as it goes; its exit status, and its closing line."""
    command = [sys.executable, "-m", "pytest", *arguments]
    closing = "pytest said nothing at its end"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace") as pytest:
        for line in pytest.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            bare = _COLOUR.sub("", line).strip()
            if _CLOSING.fullmatch(bare):
                closing = bare
    return pytest.returncode, closing


def failed() -> list[str]:
    """The tests that failed in the last run."""
    try:
        return sorted(json.loads(_LAST_FAILED.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return []


def note(summary: Path, *lines: str) -> None:
    """Keep lines for the end of the whole run."""
    with summary.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def main(arguments: list[str]) -> int:
    """The exit status of all."""
    summary = Path(os.environ["TESTS_SUMMARY"])
    # What failed in an earlier run, and is not part of this one, is not to be retried.
    _LAST_FAILED.unlink(missing_ok=True)
    status, closing = run(arguments)
    note(summary, closing)
    first = failed()
    if status != FAILED or not 0 < len(first) <= MOST_RETRIED:
        return status
    print(f"\n{len(first)} failed beside others: once more, alone", flush=True)
    status, closing = run(list(ONCE_MORE))
    again = failed()
    flaky = [name for name in first if name not in again]
    note(summary, f"once more, alone: {closing}", *(FLAKY + name for name in flaky))
    if status:
        return status
    found = summary.read_text(encoding="utf-8").splitlines()
    if sum(line.startswith(FLAKY) for line in found) > MOST_FLAKY:
        note(summary, f"more than {MOST_FLAKY} tests were flaky")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

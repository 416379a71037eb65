"""A new kind of offer is an app of its own and touches no existing file: shown by one that does not exist in the product."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_TEST = "end_to_end.py"
# What one takes says how cheap the next one is: lines, without tests and settings.
APPS = pytest.mark.parametrize(("app", "most"), [("toy_packages", 150), ("toy_notices", 200)])


@APPS
def test_an_app_brings_a_new_offer_from_the_row_to_the_agent_and_back(app: str, most: int) -> None:
    """In a process of its own, where the app is installed. Notices are versions that selectors target and rollouts release."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-n0",
            f"--ds=tests.{app}.settings", str(HERE / app / _TEST),
        ],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    assert "1 passed" in done.stdout


@APPS
def test_the_app_is_small(app: str, most: int) -> None:
    lines = {file.name: len(file.read_text().splitlines()) for file in (HERE / app).glob("*.py")}
    del lines[_TEST], lines["settings.py"]  # neither belongs to an app
    assert sum(lines.values()) < most, lines

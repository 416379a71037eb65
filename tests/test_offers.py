"""A new kind of offer is an app of its own and touches no existing file: shown by one that does not exist in the product."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
APP = HERE / "toy_packages"
_TEST = "end_to_end.py"


def test_an_app_brings_a_new_offer_from_the_row_to_the_agent_and_back() -> None:
    """In a process of its own, where the app is installed."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-n0",
            "--ds=tests.toy_packages.settings", str(APP / _TEST),
        ],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    assert "1 passed" in done.stdout


def test_the_app_is_small() -> None:
    """What it takes says how cheap the next one is."""
    lines = {file.name: len(file.read_text().splitlines()) for file in APP.glob("*.py")}
    del lines[_TEST], lines["settings.py"]  # neither belongs to an app
    assert sum(lines.values()) < 150, lines

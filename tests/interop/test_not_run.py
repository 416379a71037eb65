"""A run on a machine without Go or Node says by name what it did not try."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.programs import missing_tool
from tests.live_server import ROOT

CHOSEN = "tests/interop/test_third_party.py::TestFiveSteps::test_the_effective_configuration_is_shown"


def test_what_needs_a_missing_tool_is_named_in_the_last_lines_and_the_rest_is_run(tmp_path: Path) -> None:
    unset = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "PYTEST_ADDOPTS"), "")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", CHOSEN],
        cwd=ROOT, env={**os.environ, **unset, "PATH": str(tmp_path), "DATA_DIR": str(tmp_path / "data")},
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    end = done.stdout.strip().splitlines()[-3:]
    assert end[0] == "interop: NOT RUN (no go): opamp-go over HTTP, opamp-go over WebSocket"
    assert end[1] == "interop: NOT RUN (no node): Elastic's Node client over HTTP"
    assert "1 passed, 3 skipped" in end[2]


@pytest.mark.parametrize(
    ("program", "says", "reason"),
    [
        ("go", {"go": "go version go1.20.3 linux/amd64"}, "go is older than 1.21"),
        ("go", {"go": "go version go1.21.0 linux/amd64"}, ""),
        ("go", {"go": "who knows"}, "go is older than 1.21"),
        ("node", {"node": "v18.19.0", "npm": "10.2.3"}, ""),
        ("node", {"node": "v18.18.2", "npm": "10.2.3"}, "node is older than 18.19"),
        ("node", {"node": "v20.20.2"}, "no npm"),
        ("node", {}, "no node"),
    ],
)
def test_a_tool_that_is_too_old_or_half_there_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, says: dict[str, str], reason: str
) -> None:
    for tool, line in says.items():
        file = tmp_path / tool
        file.write_text(f"#!/bin/sh\necho {line}\n", encoding="utf-8")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_tool(program) == reason

"""``manage.py simulate_agents`` says how far it is: one line that changes on a terminal, a line each time elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from tests.live_server import ROOT

# Nobody listens there: what is shown is only how the fleet stands.
COMMAND = [
    sys.executable, "manage.py", "simulate_agents", "--count", "1", "--endpoint", "ws://127.0.0.1:9/v1/opamp",
    "--duration", "0.5", "--summary-seconds", "0.1", "--seed", "1",
]  # fmt: skip
ENVIRONMENT = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}


def test_a_pipe_gets_plain_lines():
    done = subprocess.run(COMMAND, capture_output=True, cwd=ROOT, env=ENVIRONMENT, check=True, timeout=60)
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("1 agents to ws://127.0.0.1:9/v1/opamp")
    assert len(lines) > 3
    assert lines[-1].startswith("stopped: ")
    assert b"\x1b" not in done.stdout


def test_a_terminal_gets_one_line_that_changes():
    ours, theirs = pty.openpty()
    subprocess.run(COMMAND, stdout=theirs, stderr=theirs, cwd=ROOT, env=ENVIRONMENT, check=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "\x1b[" in shown
    last = shown.rstrip().splitlines()[-1]
    assert "stopped: " in last
    # Between the first and the last line nothing scrolls away.
    assert shown.count("\n") <= 4

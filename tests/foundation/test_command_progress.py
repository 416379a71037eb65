"""How far a command is: a bar on a terminal, lines elsewhere, nothing for what is quick."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from foundation import command_progress

ROOT = Path(__file__).parents[2]


def test_nobody_has_to_listen():
    command_progress.advance_progress()


def test_what_is_quick_says_nothing(capsys: pytest.CaptureFixture[str]):
    with command_progress.progress_shown("things", total=2):
        command_progress.advance_progress()
        command_progress.advance_progress()
    assert capsys.readouterr() == ("", "")


def test_what_takes_long_says_a_line_now_and_then_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(command_progress, "LINE_SECONDS", 0.0)
    with command_progress.progress_shown("things", total=7):
        command_progress.advance_progress(3)
        command_progress.advance_progress(4)
    with command_progress.progress_shown("others"):
        command_progress.advance_progress()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "things: 3 of 7\nthings: 7 of 7\nothers: 1\n"


def test_a_terminal_gets_a_bar_and_stdout_stays_as_it_is():
    script = (
        "from foundation import command_progress\n"
        "with command_progress.progress_shown('things [bold]', total=2):\n"
        "    command_progress.advance_progress(2)\n"
        "print('done')\n"
    )
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT, check=True, timeout=60,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.stdout == b"done\n"
    assert "things [bold]" in shown
    assert "2/2" in shown


def test_a_listener_ends_with_its_block(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(command_progress, "LINE_SECONDS", 0.0)
    with pytest.raises(ValueError, match="broken"), command_progress.progress_shown("things"):
        raise ValueError("broken")
    command_progress.advance_progress()
    assert capsys.readouterr().err == ""


def test_bytes_that_are_read_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(command_progress, "LINE_SECONDS", 0.0)
    with command_progress.progress_shown("bytes", total=5):
        source = command_progress.CountedReader(io.BytesIO(b"12345"))
        assert source.read(3) == b"123"
        assert source.read() == b"45"
    assert capsys.readouterr().err == "bytes: 3 of 5\nbytes: 5 of 5\n"


def test_changes_of_the_database_are_counted_as_they_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from opamp_platform.management.commands.serve import CountedMigrate

    monkeypatch.setattr(command_progress, "LINE_SECONDS", 0.0)
    command = CountedMigrate()
    command.verbosity = 0
    with command_progress.progress_shown("changes of the database", total=2):
        for step in ("apply_start", "apply_success", "render_start", "apply_start", "apply_success"):
            command.migration_progress_callback(step)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "changes of the database: 1 of 2\nchanges of the database: 2 of 2\n"

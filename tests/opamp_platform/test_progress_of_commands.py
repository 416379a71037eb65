"""Every command with long work says how far it is: a bar on a terminal, lines into a pipe, and results on stdout alone."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from agents.models import Agent, AgentEvent, Fleet
from foundation import command_progress
from opamp_platform import static_files
from opamp_platform.management.commands.serve import Command as Serve
from variables.services import value_edits

pytestmark = pytest.mark.django_db


def samples(folder: Path, agent: Agent) -> list[str]:
    return ["create_samples"]


def exported(folder: Path, agent: Agent) -> list[str]:
    call_command("create_samples", stdout=io.StringIO())
    return ["export_configurations", str(folder / "manifests")]


def applied(folder: Path, agent: Agent) -> list[str]:
    call_command(*exported(folder, agent), stdout=io.StringIO())
    return ["apply_configurations", str(folder / "manifests")]


def uploaded(folder: Path, agent: Agent) -> list[str]:
    (folder / "otelcol.tar.gz").write_bytes(b"12345")
    return ["upload_package", "otelcol", "1.0", str(folder / "otelcol.tar.gz")]


def cleaned(folder: Path, agent: Agent) -> list[str]:
    stray = folder / "files/packages/aa/stray"
    stray.parent.mkdir(parents=True)
    stray.touch()
    return ["clean_packages"]


def rotated(folder: Path, agent: Agent) -> list[str]:
    value_edits.save_secret(None, {"name": "key", "value": "a secret value"}, by=None, at=timezone.now())
    return ["rotate_secrets"]


def pruned(folder: Path, agent: Agent) -> list[str]:
    AgentEvent.objects.exclude(pk=AgentEvent.objects.latest("pk").pk).delete()
    AgentEvent.objects.update(at=timezone.now() - timedelta(days=5_000))
    return ["prune"]


def relabelled(folder: Path, agent: Agent) -> list[str]:
    Fleet.objects.update_or_create(pk=1, defaults={"trusted_label_keys": ["another"]})
    return ["relabel"]


CASES = [
    (samples, "samples looked at", "3 of 3"),
    (exported, "configurations exported", "3 of 3"),
    (applied, "configurations looked at", "3 of 3"),
    (uploaded, "otelcol.tar.gz, bytes", "5 of 5"),
    (cleaned, "stored files looked at or taken away", "1"),
    (rotated, "secrets rotated", "1 of 1"),
    (pruned, "pruning events", "1"),
    (relabelled, "agents labelled", "1 of 1"),
]


@pytest.fixture
def agent(report: Callable[..., Agent], tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """Somebody to do it for; files go into a folder of the test's own."""
    from django.core.files.storage import FileSystemStorage, default_storage

    monkeypatch.setattr(default_storage, "_wrapped", FileSystemStorage(location=tmp_path / "files"))
    monkeypatch.setattr(command_progress, "LINE_SECONDS", 0.0)
    return report()


@pytest.mark.parametrize(("prepared", "what", "count"), CASES, ids=[case[0].__name__ for case in CASES])
class TestCommands:
    def test_into_a_pipe(
        self, prepared: Any, what: str, count: str, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command, out, piped = prepared(tmp_path, agent), io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stderr", piped)
        call_command(*command, stdout=out)
        assert f"{what}: {count}" in piped.getvalue().splitlines()
        assert what not in out.getvalue()

    def test_on_a_terminal(
        self, prepared: Any, what: str, count: str, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command, out = prepared(tmp_path, agent), io.StringIO()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        ours, theirs = os.openpty()
        with os.fdopen(theirs, "w") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            reading = ThreadPoolExecutor(1).submit(_read_all, ours)
            call_command(*command, stdout=out)
        shown = reading.result(60)
        os.close(ours)
        assert what in shown
        assert count.replace(" of ", "/") in shown
        assert what not in out.getvalue()


def _read_all(terminal: int) -> str:
    """Meanwhile, for a terminal that nobody reads is soon full."""
    said = b""
    with contextlib.suppress(OSError):  # its other side was closed
        while more := os.read(terminal, 4_096):
            said += more
    return said.decode()


def test_a_start_labels_and_prepares_static_files(
    agent: Agent, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fleet.objects.update_or_create(pk=1, defaults={"trusted_label_keys": ["another"]})
    monkeypatch.setattr(sys, "stderr", piped := io.StringIO())
    Serve().prepare(migrate=False)
    assert piped.getvalue() == "agents labelled: 1\n"


def test_static_files_are_counted(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.css").write_text("a {}")
    storage = static_files.HashedFiles(location=tmp_path, base_url="/static/")
    monkeypatch.setattr(static_files, "_fingerprint", lambda: "x")
    with command_progress.progress_shown("static files prepared"):
        list(storage.post_process({"a.css": (storage, "a.css")}))
    assert "static files prepared: 1" in capsys.readouterr().err.splitlines()

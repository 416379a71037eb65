"""Commands that cannot do their work say why in one line and end with 1: every one of ours, in each situation."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command, get_commands
from django.db import DataError

from opamp_platform.operations.command_failures import failures_in_one_line
from tests.live_server import ROOT, LiveServer, free_port

OURS = {
    "apply_configurations": ["{folder}", "--publish"],
    "changepassword": ["admin"],
    "clean_packages": [],
    "control_rollouts": ["list"],
    "create_alert_rules": [],
    "create_enrolment_token": ["new"],
    "create_samples": [],
    "create_token": ["new"],
    "createsuperuser": ["--noinput", "--username", "new", "--email", "new@example.com"],
    "db_worker": ["--batch"],
    "export_configurations": ["{folder}"],
    "freeze": ["--reason", "why"],
    "prune": [],
    "relabel": [],
    "rotate_secrets": [],
    "serve": ["--port", "{port}", "--opamp-port", "0"],
    "unfreeze": [],
    "upload_package": ["otelcol", "1.0", "{folder}/configuration.yaml"],
}
# Without a database, and what developers run.
NEED_NONE = {"simulate_agents", "makemessages"}
# Runs each command in one process, for starting one takes longer than all the rest; prints codes and what was said.
SCRIPT = """\
import contextlib, io, json, sys
import manage
said = {}
for name, arguments in json.loads(sys.argv[1]).items():
    sys.argv = ["manage.py", name, *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            manage.main()
            code = 0
        except SystemExit as end:
            code = end.code
    said[name] = [out.getvalue(), err.getvalue(), code]
print(json.dumps(said))
"""


def test_every_command_of_ours_is_tried() -> None:
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    ours = {name for name, app in get_commands().items() if str(app) in folders}
    assert ours == OURS.keys() | NEED_NONE


def run(folder: Path, names: set[str], **environment: str) -> dict[str, tuple[str, str, object]]:
    """What each of the commands said on stdout and stderr, and how it ended."""
    (folder / "configuration.yaml").write_text("name: new\nselector: {env: prod}\nfile: configuration.yaml\n")
    (folder / "files").mkdir()
    commands = {name: [text.format(folder=folder, port=free_port()) for text in OURS[name]] for name in sorted(names)}
    plain = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        cwd=ROOT, env={**plain, "DATA_DIR": str(folder / "data"), **environment}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found: dict[str, tuple[str, str, object]] = json.loads(done.stdout)
    assert found.keys() == names
    return found


def test_before_the_first_migration(tmp_path: Path) -> None:
    # `serve` migrates by itself, and an empty folder of manifests asks for nothing.
    for name, said in run(tmp_path, OURS.keys() - {"serve", "apply_configurations"}).items():
        # Django's own two say beforehand what is missing.
        assert name in {"changepassword", "createsuperuser"} or said[0] == said[1] == "", name
        assert re.fullmatch(
            r"CommandError: The database lacks [0-9]+ migrations: run `.venv/bin/python manage.py migrate`, or start "
            r"the server once\.",
            str(said[2]),
        ), (name, said)


def test_with_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    away = f"sqlite:///{tmp_path}/nowhere/opamp.sqlite3"
    for name, said in run(tmp_path, OURS.keys() - {"apply_configurations"}, DATABASE_URL=away).items():
        assert (
            said[2] == "CommandError: The database cannot be used: unable to open database file. See DATABASE_URL."
        ), (
            name,
            said,
        )


def test_with_a_database_server_that_is_away(tmp_path: Path) -> None:
    (said,) = run(tmp_path, {"create_token"}, DATABASE_URL="postgres://opamp@127.0.0.1:1/opamp").values()
    assert re.fullmatch(
        r"CommandError: The database cannot be used: connection .*Connection refused.*\. See DATABASE_URL\.",
        str(said[2]),
    ), said


def manage(server: LiveServer, shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command line beside the server, with ``manage`` for its command."""
    line = f"manage() {{ '{sys.executable}' manage.py \"$@\"; }}\n{shell}"
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env={**server.environment, **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False, start_new_session=True,
    )  # fmt: skip


class TestBesideAServer:
    @pytest.mark.parametrize("command", ["create_token lost", "create_enrolment_token lost"])
    @pytest.mark.parametrize(
        ("output", "said"),
        [
            (">&-", "CommandError: The standard output is closed"),
            (">/dev/full", "CommandError: No space left on device"),
        ],
    )
    def test_a_token_that_cannot_be_printed_is_not_made(
        self, shared_portal: LiveServer, command: str, output: str, said: str
    ) -> None:
        done = manage(shared_portal, f"manage {command} {output}")
        assert done.returncode == 1
        assert done.stderr.startswith(said)
        assert len(done.stderr.splitlines()) == 1
        table = "enrolment_enrolmenttoken" if "enrolment" in command else "accounts_apitoken"
        assert shared_portal.rows(f"SELECT name FROM {table} WHERE name = 'lost'") == []

    def test_a_reader_that_has_gone(self, shared_portal: LiveServer) -> None:
        done = manage(shared_portal, "manage create_token piped | true; exit ${PIPESTATUS[0]}")
        assert (done.returncode, done.stderr) == (1, "CommandError: Broken pipe\n")

    def test_what_asks_where_nobody_answers(self, shared_portal: LiveServer) -> None:
        done = manage(shared_portal, "manage changepassword admin")
        assert done.returncode == 1
        assert done.stderr.endswith("CommandError: The command asks on a terminal, and there is none.\n")
        assert "Traceback" not in done.stderr

    def test_arguments_that_are_no_text(self, shared_portal: LiveServer) -> None:
        done = manage(shared_portal, "manage create_token $'\\xff'")
        assert done.returncode == 1
        assert done.stderr.startswith("CommandError: A text is no valid UTF-8")

    def test_data_that_cannot_be_written(self, shared_portal: LiveServer, tmp_path: Path) -> None:
        folder = tmp_path / "file"
        folder.touch()
        done = manage(shared_portal, "manage create_token x", DATA_DIR=str(folder))
        assert done.returncode == 1
        assert done.stderr == f"DATA_DIR={folder} cannot be used (File exists): name another folder.\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "command",
    [
        ["create_token", "x", "--user", "nobody"],
        ["control_rollouts", "approve", "1", "--user", "nobody"],
        ["changepassword", "nobody"],
    ],
)
def test_somebody_who_is_not_there(command: list[str]) -> None:
    with pytest.raises(CommandError, match="nobody"):
        call_command(*command)


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(KeyError), failures_in_one_line([]):
        raise KeyError("x")


def test_so_does_everything_where_it_is_asked_for() -> None:
    with pytest.raises(DataError), failures_in_one_line(["manage.py", "prune", "--traceback"]):
        raise DataError("x")


def test_what_the_database_does_not_take() -> None:
    with (
        pytest.raises(SystemExit, match="CommandError: The database does not take this: too long"),
        failures_in_one_line([]),
    ):
        raise DataError("too long\nDETAIL: more")

"""Every command that README and docs print is run as it is printed, or is named here with the reason why it is not.

Examples of one document run in one shell from top to bottom, as a reader would type them, against a server with simulated
agents. Only the port and the place of the data are the test's own.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.live_server import ADMIN_USERNAME, ROOT, LiveServer
from tests.simulated_fleet import SimulatedFleet

pytestmark = pytest.mark.sqlite_is_enough

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "README.zh-CN.md", *(ROOT / "docs").glob("*.md")])
SECONDS = 120
# Run by the shell with the server's environment; whatever HTTP answers with an error ends the run.
PRELUDE = """\
set -eu -o pipefail
curl() { command curl --fail-with-body --max-time 30 "$@"; }
"""
# Commands that no test can run as they stand, and what shows that they are right.
NOT_RUN = {
    r"make (run|test|demo|bench|bench-full|test-faults|lint|conformance|install|fuzz|mutation)\b.*": "a target of the Makefile",
    r"\.venv/bin/python manage\.py serve\b.*": "every test with a server runs it",
    r"\.venv/bin/python manage\.py db_worker": "runs until it is stopped: test_a_worker_elsewhere",
    r"\.venv/bin/python manage\.py simulate_agents\b.*": "runs until it is stopped: test_simulated_agents_connect",
    r"\.venv/bin/python manage\.py (changepassword|createsuperuser)\b.*": "asks on a terminal: test_a_lost_password",
    r"\.venv/bin/python -m benchmarks\.\S+.*": "a module: test_benchmarks_are_there",
    r"docker (compose|build|run|exec)\b.*": "no engine where tests run: test_deployment holds the files to their rules",
    r"(pg_dump|pg_restore|sqlite3|psql)\b.*": "another program's: test_backups",
    r"(systemctl|journalctl|kubectl|helm|kill)\b.*": "the system's",
    **({} if shutil.which("openssl") else {r"openssl\b.*": "it is not installed"}),
    r"CERTIFICATE=.*|api .*\$API/certificates/\$CERTIFICATE.*": "an agent has to ask first: tests/certificates/test_people",
    r"(ALERT|DELIVERY)=.*|api .*\$API/(alerts/\$ALERT|alert-deliveries/\$DELIVERY).*": (
        "something has to be wrong first: tests/alerts/test_api"
    ),
    r"go run go\.opentelemetry\.io/collector/cmd/builder@.*|find configurations/starting_points .*": (
        "builds for minutes: test_collector_validates"
    ),
    r"export (ELASTIC|OTEL)_\w+=.*": "settings of another program",
    r"(cd|git|cp|mv|mkdir|chmod|chown|install) .*": "the shell's",
    r"for name in POSTGRES_PASSWORD .* >\.env": "writes a file beside the compose file: test_the_passwords_that_compose_asks_for",
}


class Example(NamedTuple):
    """Commands of one document, by the line they begin at."""

    document: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


def blocks(document: Path) -> list[Example]:
    """Its fenced blocks of shell, without comments at the ends of lines."""
    text = document.read_text(encoding="utf-8")
    return [
        Example(
            document, text.count("\n", 0, found.start()) + 2, re.sub(r"[ ]{2,}# .*$", "", found[1], flags=re.MULTILINE)
        )
        for found in re.finditer(r"^```(?:sh|bash|shell|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]


def inline(document: Path) -> list[Example]:
    """Commands of this project's within sentences and tables."""
    text = document.read_text(encoding="utf-8")
    plain = re.sub(r"^```.*?^```", lambda found: "\n" * found[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    pattern = r"`((?:[^`\n ]*python )?(?:manage\.py |make |curl |docker |pg_dump |pg_restore |sqlite3 |-m benchmarks)[^`\n]*)`"
    return [
        Example(document, plain.count("\n", 0, found.start()) + 1, found[1]) for found in re.finditer(pattern, plain)
    ]


def not_run(command: str) -> str:
    """Why a command is not run here; empty when it is."""
    return next((why for pattern, why in NOT_RUN.items() if re.fullmatch(pattern, command.strip())), "")


def commands(example: Example) -> list[str]:
    """Its commands one by one; what continues on the next line is one."""
    found: list[str] = []
    for line in example.text.splitlines():
        if found and (found[-1].endswith("\\") or found[-1].count("'") % 2):
            found[-1] += "\n" + line
        elif line.strip() and not line.lstrip().startswith("#"):
            found.append(line)
    return found


def runnable(document: Path) -> list[str]:
    """All that is run of a document, in its order."""
    return [command for example in blocks(document) for command in commands(example) if not not_run(command)]


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with the samples and a few simulated agents, as ``make demo`` has."""
    with LiveServer(tmp_path_factory.mktemp("docs")) as server:
        server.manage("create_samples")
        with SimulatedFleet(server, 5, "--seed", "1", "--labels", "env=prod,region=us-east") as fleet:
            fleet.expect("connected 5/5")
            yield server


def run_shell(server: LiveServer, script: str) -> str:
    """The script's output; fails with everything it wrote. Nothing is given that a reader would not have, such as a token."""
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
    done = subprocess.run(
        ["bash", "-c", PRELUDE + script],
        cwd=ROOT, env=server.environment, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
    return done.stdout


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if runnable(each)], ids=lambda each: each.name)
def test_examples_run_from_top_to_bottom(populated: LiveServer, document: Path) -> None:
    populated.api("DELETE", "configurations/prod-config")  # what the other language's page has left
    lines = []
    for command in runnable(document):
        lines += [f"printf '%s\\n' {_quoted(command)} >&2", command]
    run_shell(populated, "\n".join(lines) + "\n")


@pytest.mark.parametrize("example", [each for document in DOCUMENTS for each in inline(document)], ids=str)
def test_commands_within_sentences(populated: LiveServer, example: Example) -> None:
    command = example.text
    assert "python manage.py" not in command or ".venv/bin/python manage.py" in command or "docker" in command, (
        "after `make run` there is no other Python that has what it needs: write .venv/bin/python manage.py"
    )
    if command.startswith("make "):
        target = re.split(r"[ =]", command)[1]
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    elif not not_run(command):
        run_shell(populated, command.replace("NAME", "docs").replace("…", ""))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_targets_that_are_printed_are_in_the_makefile() -> None:
    printed = {
        re.split(r"[ =]", command.strip())[1]
        for document in DOCUMENTS
        for example in blocks(document)
        for command in commands(example)
        if command.startswith("make ")
    }
    assert {"run", "test", "demo"} <= printed
    for target in printed:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_simulated_agents_connect(shared_portal: LiveServer) -> None:
    """The command that README prints, until its agents are there."""
    (command,) = {example.text for example in inline(ROOT / "README.md") if "manage.py simulate_agents" in example.text}
    options = command.replace("127.0.0.1:8080", f"127.0.0.1:{shared_portal.port}").split()[2:]
    process = subprocess.Popen(
        [str(ROOT / ".venv/bin/python"), "manage.py", *options[0:]],
        cwd=ROOT, env=shared_portal.environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        shared_portal.eventually(
            lambda: shared_portal.get("agents?label=env%3Dprod&status=connected")["count"] == 20, 60, "20 agents"
        )
    finally:
        process.terminate()
        process.wait(20)


def test_a_lost_password(shared_portal: LiveServer) -> None:
    """The command asks twice, on a terminal; then the new one is good."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        python = str(ROOT / ".venv/bin/python")
        os.execve(python, [python, "manage.py", "changepassword", ADMIN_USERNAME], shared_portal.environment)
    said = b""
    for _ in range(2):
        said = b""
        while not said.rstrip().endswith(b":"):
            said += os.read(terminal, 1024)
        os.write(terminal, b"another-long-one-1\n")
    with contextlib.suppress(OSError):  # the end of a terminal
        while more := os.read(terminal, 1024):
            said += more
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    os.close(terminal)
    assert b"changed successfully" in said


def test_the_passwords_that_compose_asks_for() -> None:
    """The line that fills ``.env`` makes all of them."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (made,) = re.findall(r"^for name in (.*); do .*>\.env$", text, re.MULTILINE)
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    assert set(made.split()) == asked


def test_benchmarks_are_there() -> None:
    printed = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"-m benchmarks\.(\w+)", document.read_text(encoding="utf-8"))
    }
    assert printed
    for name in printed:
        assert (ROOT / "benchmarks" / f"{name}.py").exists(), name


def test_readmes_print_the_same() -> None:
    """Who reads Chinese can do what who reads English can."""
    english, chinese = (ROOT / "README.md", ROOT / "README.zh-CN.md")
    first, second = (
        [command for example in blocks(each) for command in commands(example)] for each in (english, chinese)
    )
    assert [re.sub(r"\s+#.*", "", each) for each in first] == [re.sub(r"\s+#.*", "", each) for each in second]
    fences = r"^```(?:yaml)\n(.*?)^```"
    assert re.findall(fences, english.read_text(), re.MULTILINE | re.DOTALL) == re.findall(
        fences, chinese.read_text(), re.MULTILINE | re.DOTALL
    )
    for pattern in (r"^\| `([A-Z][A-Z0-9_]*(?:`, `[A-Z0-9_]+)*)`", r"`(/health[/a-z]*|/metrics)`"):
        assert sorted(set(re.findall(pattern, english.read_text(), re.MULTILINE))) == sorted(
            set(re.findall(pattern, chinese.read_text(), re.MULTILINE))
        ), pattern

"""What CI makes of tests that fail: once is flaky and told, three flaky ones or one that fails twice fail the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.live_server import ROOT

pytestmark = pytest.mark.any_database

SCRIPT = ROOT / ".ci" / "retried_tests.py"
# Fails in the first run: the second finds the file that the first left.
FLAKY = """
from pathlib import Path
import pytest
@pytest.mark.parametrize("name", {names})
def test_flaky(name):
    mark = Path("ran-" + name)
    before = mark.exists()
    mark.touch()
    assert before
"""
GOOD = "def test_good(): pass\n"
# Every run loads what the script needs; Django, schemathesis and others would take most of its time.
_FEW_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}


class Outcome(NamedTuple):
    """Exit status, what was printed, and the lines kept for the end of the CI run."""

    status: int
    shown: str
    summary: list[str]

    @property
    def flaky(self) -> list[str]:
        """The tests that are told to be flaky."""
        return [line.partition("[")[2].rstrip("]") for line in self.summary if line.startswith("flaky: ")]


class Project:
    """A folder with tests of its own, which knows none of this project's options."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pytest.ini").write_text("[pytest]\n")
        self.summary = folder / "summary"

    def run(self, source: str, *arguments: str) -> Outcome:
        """As .ci/run does it."""
        (self.folder / "test_some.py").write_text(source)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_"))}
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *arguments],
            cwd=self.folder, env={**inherited, **_FEW_PLUGINS, "TESTS_SUMMARY": str(self.summary)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, self.summary.read_text().splitlines())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def flaky(number: int) -> str:
    return FLAKY.format(names=list("abcdefghijkl"[:number]))


def test_a_run_without_failures_is_one_run(project: Project) -> None:
    done = project.run(GOOD)
    assert (done.status, done.flaky, len(done.summary)) == (0, [], 1)
    assert "1 passed in" in done.summary[0]
    assert "1 passed in" in done.shown


@pytest.mark.parametrize("number", [1, 2])
def test_a_few_flaky_tests_are_told_and_pass(project: Project, number: int) -> None:
    done = project.run(GOOD + flaky(number), "-n2")
    assert (done.status, done.flaky) == (0, ["a", "b"][:number])
    assert f"{number} failed, 1 passed in" in done.summary[0]
    assert f"{number} passed in" in done.summary[1]


def test_three_flaky_tests_fail_the_run(project: Project) -> None:
    done = project.run(flaky(3))
    assert (done.status, done.flaky) == (1, ["a", "b", "c"])


def test_those_of_all_databases_count_together(project: Project) -> None:
    assert project.run(flaky(2)).status == 0
    for mark in project.folder.glob("ran-*"):
        mark.unlink()
    done = project.run(flaky(1))
    assert (done.status, done.flaky) == (1, ["a", "b", "a"])


def test_one_that_fails_twice_fails_the_run_and_is_not_flaky(project: Project) -> None:
    done = project.run(flaky(1) + "\ndef test_bad(): assert 0\n")
    assert (done.status, done.flaky) == (1, ["a"])
    assert "1 failed, 1 passed in" in done.summary[1]


def test_one_that_ends_its_process_once_is_flaky(project: Project) -> None:
    """pytest-xdist tries it again in a new process: pytest ends with 1 although each test has passed in the end."""
    ends_once = GOOD + flaky(1).replace("assert before", "before or os._exit(3)").replace(
        "import pytest", "import os, pytest"
    )
    done = project.run(ends_once, "-n2", "--dist", "loadfile")
    assert (done.status, done.flaky) == (0, ["a"])
    assert "1 failed, 2 passed in" in done.summary[0]
    assert "1 passed" in done.summary[1]


def test_one_that_always_ends_its_process_fails_the_run(project: Project) -> None:
    done = project.run(
        "def test_ends():\n    import os\n    os._exit(3)\n", "-n2", "--dist", "loadfile", "--max-worker-restart=2"
    )
    assert done.status != 0
    assert done.flaky == []


def test_many_failures_are_not_tried_again(project: Project) -> None:
    done = project.run(flaky(9))
    assert (done.status, done.flaky, len(done.summary)) == (1, [], 1)


def test_a_run_that_broke_off_is_not_saved_by_the_tests_it_did_not_run(project: Project) -> None:
    done = project.run(flaky(1) + "\ndef test_stop(): pytest.exit('enough', returncode=3)\n" + GOOD)
    assert (done.status, done.flaky, len(done.summary)) == (3, [], 1)


def test_what_failed_in_an_earlier_run_is_not_this_ones(project: Project) -> None:
    assert project.run("def test_old(): assert 0\n").status == 1
    (project.folder / "test_other.py").write_text(flaky(1))
    done = project.run("def test_old(): assert 0\n", "test_other.py")
    assert (done.status, done.flaky) == (0, ["a"])

"""Fixtures, options and reports that several folders of tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.db import connections
from django.utils import translation

from alerts.bell import bell
from tests import emptying, longest_first, migrated, not_run, static_files
from tests.conformance.plugin import Conformance
from tests.database_only import cannot_differ
from tests.live_server import LiveServer
from tests.people import alice, api_of, bob, charlie, report, signed_in

pytest_plugins = ["pytester"]

__all__ = ["alice", "api_of", "bob", "charlie", "portal", "report", "shared_portal", "signed_in"]


# How long one example takes says something about the machine, not about the code. CI tries the same examples each time,
# so that what it says is about the change; everybody else's runs search on.
hypothesis.settings.register_profile("project", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--conformance``: what to do with the conformance page; ``--database-only``: see `tests.database_only`."""
    parser.addoption("--conformance", choices=["write", "check"], help="Rewrite docs/conformance.md, or compare it.")
    parser.addoption(
        "--database-only", action="store_true", help="Leave out the tests that are the same on every database."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect what tests show of the rules only when the page is wanted; several processes take long files first."""
    if mode := config.getoption("--conformance"):
        config.pluginmanager.register(Conformance(mode), "conformance")
    longest_first.install(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--database-only`` leave out what cannot differ."""
    if not config.getoption("--database-only"):
        return
    left_out = [item for item in items if cannot_differ(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not cannot_differ(item)]


def pytest_collection_finish() -> None:
    """What was imported and collected lasts as long as the process: looking through it for garbage took an eighth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Have the tests' own database begin with a copy of one that has all migrations, where a copy is quickly made."""
    migrated.install()


@pytest.fixture(scope="session", autouse=True)
def database_of_the_run(django_db_setup: None) -> Iterator[None]:
    """Emptied quickly after tests that commit; PostgreSQL does not drop it while a connection pool still holds a session."""
    emptying.install()
    static_files.install()
    yield
    for connection in connections.all():
        connection.close()
        if connection.vendor == "postgresql":
            connection.close_pool()


@pytest.fixture
def lasting_bell(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Firing alerts are counted once for the test: how many queries a page takes is not a matter of the moment."""
    monkeypatch.setattr("alerts.bell.SECONDS", 3_600.0)
    bell.forget()
    bell.count()
    yield
    bell.forget()


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[LiveServer]:
    """A running server of the test's own."""
    with LiveServer(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def shared_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A running server that the tests of one module share; each test uses labels and names of its own."""
    with LiveServer(tmp_path_factory.mktemp("portal")) as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its server wrote."""
    report = yield
    if report.failed:
        fixtures: dict[str, Any] = getattr(item, "funcargs", {})
        for value in fixtures.values():
            if isinstance(value, LiveServer):
                report.sections.append(("server log", value.log_tail()))
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """What was left out for want of a tool is told below the list of skipped tests, in the last lines."""
    yield
    reports = [
        report for group in terminalreporter.stats.values() for report in group if isinstance(report, pytest.TestReport)
    ]
    for line in not_run.lines(reports):
        terminalreporter.write_line(line, yellow=True, bold=True)


@pytest.fixture(autouse=True)
def _language_of_nobody() -> None:
    """Each test begins in the default language: a request leaves its reader's active in the thread until the next one."""
    translation.deactivate()

"""Collects what tests say about rules, and writes or checks `docs/conformance.md` at the end of a run.

``--conformance=write`` rewrites the page; ``--conformance=check`` fails the run when the page differs. Both need all
tests that name rules, so they refuse a run that left some out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conformance.page import Showing, render
from tests.conformance.rules import HTTP, WS

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "conformance.md"
DOORS = {"websocket": WS, "ws": WS, "http": HTTP}


class Conformance:
    """Rules, doors and outcome of every test with a ``rule`` marker."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._outcomes: dict[tuple[str, frozenset[str], frozenset[str]], bool] = {}
        self._items: dict[str, list[tuple[str, frozenset[str], frozenset[str]]]] = {}
        self._left_out = 0
        self.problem = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember which test shows what."""
        for item in items:
            name = item.nodeid.partition("[")[0].removeprefix("tests/")
            self._items[item.nodeid] = [
                (name, frozenset(marker.args), doors_of(item, marker)) for marker in item.iter_markers("rule")
            ]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that was skipped, or failed in any phase, does not show its rules."""
        if report.when == "call" or not report.passed:
            for key in self._items.get(report.nodeid, []):
                self._outcomes[key] = self._outcomes.get(key, True) and report.passed

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """A run without some of the tests that name rules must not write the page."""
        self._left_out += sum(1 for item in items if item.get_closest_marker("rule"))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write or compare the page."""
        silent = {key for keys in self._items.values() for key in keys} - set(self._outcomes)
        if session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS or self._left_out or silent:
            self.problem = (
                "this run left out tests that name rules: run all of them, with Go, Node and Chromium at hand "
                f"({self._left_out} deselected, {len(silent)} without outcome)"
            )
        else:
            text = render(Showing(*key, passed=passed) for key, passed in self._outcomes.items())
            if self._mode == "write":
                PAGE.write_text(text, encoding="utf-8")
            elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
                self.problem = "docs/conformance.md is out of date: run `make conformance` and commit it"
        if self.problem and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what came of it."""
        done = {"write": "docs/conformance.md is written", "check": "docs/conformance.md is current"}[self._mode]
        terminalreporter.write_line(f"conformance: {self.problem or done}", red=bool(self.problem))


def doors_of(item: pytest.Item, marker: pytest.Mark) -> frozenset[str]:
    """The doors a test goes through; none for tests of the core.

    Named by the marker's ``transport``, else by the parameter ``transport``, else by a parameter with a ``scheme``.
    Raises pytest.UsageError for a door there is not.
    """
    callspec = getattr(item, "callspec", None)
    parameters = callspec.params if callspec is not None else {}
    schemes = [value.scheme for value in parameters.values() if hasattr(value, "scheme")]
    named = marker.kwargs.get("transport", parameters.get("transport", schemes[0] if schemes else ()))
    words = (named,) if isinstance(named, str) else tuple(named)
    try:
        return frozenset(DOORS[word] for word in words)
    except (KeyError, TypeError):
        raise pytest.UsageError(f"{item.nodeid}: {named!r} is no transport; use one of {sorted(DOORS)}") from None

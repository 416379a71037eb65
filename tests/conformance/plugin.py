"""Collects what tests say about rules, and writes or checks `docs/conformance.md` at the end of a run.

``--conformance=write`` rewrites the page; ``--conformance=check`` fails the run when the page differs. Both need all
tests that name rules, so they refuse a run that left some out. Tests of several processes are skipped without PostgreSQL and
Redis; there the page takes their word from the run that has both, which fails when they do, and the last lines say so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.page import Showing, render
from tests.conformance.rules import HTTP, WS
from tests.databases import NEEDS_BOTH

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "conformance.md"
PROPERTY = "rules shown"
ENTRY_POINTS = {"websocket": WS, "ws": WS, "http": HTTP}


class Conformance:
    """Rules, transports and outcome of every test with a ``rule`` marker.

    In a run over several processes each of them marks its tests, and the one that hears of all outcomes writes.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._outcomes: dict[tuple[str, frozenset[str], frozenset[str]], bool] = {}
        self._elsewhere = 0
        self.problem = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Have each report say which rules its test shows."""
        for item in items:
            for marker in item.iter_markers("rule"):
                item.user_properties.append((PROPERTY, [sorted(marker.args), sorted(entry_points_of(item, marker))]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that was skipped, or failed in any phase, does not show its rules."""
        if report.when == "call" or not report.passed:
            name = report.nodeid.partition("[")[0].removeprefix("tests/")
            for rules, transports in (value for key, value in report.user_properties if key == PROPERTY):
                key = (name, frozenset(rules), frozenset(transports))
                elsewhere = report.skipped and NEEDS_BOTH in str(report.longrepr)
                self._elsewhere += elsewhere
                self._outcomes[key] = self._outcomes.get(key, True) and (report.passed or elsewhere)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write or compare the page."""
        config = session.config
        if hasattr(config, "workerinput"):
            return
        if session.shouldfail or session.shouldstop or not _is_whole(config):
            self.problem = "this run left out tests, so it says nothing about the page: run all, or all with -m rule"
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
        if self._elsewhere:
            terminalreporter.write_line(
                f"conformance: {self._elsewhere} tests count as on PostgreSQL and Redis; not run here"
            )


def _is_whole(config: pytest.Config) -> bool:
    """True when no test that names rules was left out."""
    option = config.option
    chosen = option.keyword or option.markexpr not in {"", "rule"} or option.deselect or getattr(option, "lf", False)
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen


def entry_points_of(item: pytest.Item, marker: pytest.Mark) -> frozenset[str]:
    """The transports a test goes through; none for tests of the core.

    Named by the marker's ``transport``, else by the parameter ``transport``, else by a parameter with a ``scheme``.
    Raises pytest.UsageError for a transport there is not.
    """
    callspec = getattr(item, "callspec", None)
    parameters = callspec.params if callspec is not None else {}
    schemes = [value.scheme for value in parameters.values() if hasattr(value, "scheme")]
    named = marker.kwargs.get("transport", parameters.get("transport", schemes[0] if schemes else ()))
    words = (named,) if isinstance(named, str) else tuple(named)
    try:
        return frozenset(ENTRY_POINTS[word] for word in words)
    except (KeyError, TypeError):
        raise pytest.UsageError(
            f"{item.nodeid}: {named!r} is no transport; use one of {sorted(ENTRY_POINTS)}"
        ) from None

"""The conformance page says what the tests showed, and nothing more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.page import Showing, render, verdict
from tests.conformance.rules import BOTH, HTTP, RULES, SERVER, WS, Rule
from tests.live_server import ROOT

DESIGN_NUMBERS = [f"S-{number:02d}" for number in range(1, 119)]


def showing(*transports: str, passed: bool = True, rule: str = "S-42") -> Showing:
    """What one test showed."""
    return Showing("protocol/test_some.py::test_it", frozenset({rule}), frozenset(transports), passed)


class TestVerdict:
    """One rule and the tests that name it."""

    RULE = Rule("S-42", "MUST", BOTH, "a gap")

    def test_no_test_means_missing(self) -> None:
        assert verdict(self.RULE, []) == "missing"

    def test_every_door_needs_a_test(self) -> None:
        assert verdict(self.RULE, [showing(WS)]) == "partly"
        assert verdict(self.RULE, [showing()]) == "partly"
        assert verdict(self.RULE, [showing(WS), showing(HTTP)]) == "shown"
        assert verdict(self.RULE, [showing(WS, HTTP)]) == "shown"

    def test_one_failure_outweighs_all(self) -> None:
        assert verdict(self.RULE, [showing(WS), showing(HTTP), showing(passed=False)]) == "failed"

    def test_a_rule_about_the_server_needs_no_entry_point(self) -> None:
        assert verdict(Rule("S-114", "SEC", (SERVER,), "no keys"), [showing(rule="S-114")]) == "shown"


class TestPage:
    """The text."""

    def test_every_rule_of_the_specification_digest_stands_once(self) -> None:
        assert list(RULES) == DESIGN_NUMBERS
        rows = re.findall(r"^\| (S-\d+) \|", render([]), flags=re.MULTILINE)
        assert rows == DESIGN_NUMBERS

    def test_without_tests_nothing_is_shown(self) -> None:
        page = render([])
        assert "| shown | `" not in page
        assert page.count("| missing |  |\n") == len(DESIGN_NUMBERS)

    def test_a_row_names_its_tests_and_entry_points(self) -> None:
        row = next(line for line in render([showing(WS), showing(HTTP)]).splitlines() if line.startswith("| S-42 "))
        assert row.endswith("| shown | `protocol/test_some.py::test_it` (http, websocket) |")

    def test_a_rule_that_does_not_exist_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="S-999"):
            render([showing(rule="S-999")])


class TestRun:
    """The plugin in a run of its own."""

    @pytest.fixture(autouse=True)
    def find_the_project(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The run of its own imports the plugin from here, and none that it does not need: some take seconds."""
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    INI = "[pytest]\ntestpaths = checks\npython_files = test_*.py\nmarkers =\n    rule(*ids): rules\n"

    def run(self, pytester: pytest.Pytester, tests: str, mode: str, *arguments: str) -> pytest.RunResult:
        """Run ``tests`` with the plugin, its page under the run's own folder."""
        pytester.makefile(".ini", pytest=self.INI)
        folder = pytester.mkdir("checks")
        (folder / "test_rules.py").write_text(tests, encoding="utf-8")
        pytester.makeconftest(
            "from pathlib import Path\n"
            "from tests.conformance import plugin\n"
            "plugin.PAGE = Path(__file__).parent / 'page.md'\n"
            f"def pytest_configure(config): config.pluginmanager.register(plugin.Conformance({mode!r}), 'conformance')\n"
        )
        return pytester.runpytest_subprocess(*arguments)

    ONE = "import pytest\n@pytest.mark.rule('S-42', transport='http')\ndef test_gap(): assert {}\n"

    def test_a_failed_test_does_not_show_its_rule(self, pytester: pytest.Pytester) -> None:
        self.run(pytester, self.ONE.format("False"), "write")
        assert "| failed | `checks/test_rules.py::test_gap` (http) |" in (pytester.path / "page.md").read_text("utf-8")

    def test_a_page_that_differs_fails_the_run(self, pytester: pytest.Pytester) -> None:
        page: Path = pytester.path / "page.md"
        page.write_text("old", encoding="utf-8")
        result = self.run(pytester, self.ONE.format("True"), "check")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*out of date*"])
        assert page.read_text("utf-8") == "old"

    @pytest.mark.parametrize("arguments", [("-k", "nothing"), ("checks/test_rules.py",)])
    def test_a_partial_run_writes_nothing(self, pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
        result = self.run(pytester, self.ONE.format("True"), "write", *arguments)
        result.stdout.fnmatch_lines(["*left out tests*"])
        assert not (pytester.path / "page.md").exists()

    def test_several_processes_make_one_page(self, pytester: pytest.Pytester) -> None:
        both = "('transport', ['http', 'websocket'])"
        tests = (
            f"import pytest\n@pytest.mark.rule('S-42')\n@pytest.mark.parametrize{both}\ndef test_gap(transport): pass\n"
        )
        self.run(pytester, tests, "write", "-p", "xdist", "-n", "2")
        row = "| shown | `checks/test_rules.py::test_gap` (http, websocket) |"
        assert row in (pytester.path / "page.md").read_text("utf-8")

    def test_a_skipped_test_shows_nothing(self, pytester: pytest.Pytester) -> None:
        skipped = "import pytest\n@pytest.mark.skip\n@pytest.mark.rule('S-42')\ndef test_gap(): pass\n"
        self.run(pytester, skipped, "write")
        assert "| failed |" in (pytester.path / "page.md").read_text("utf-8")

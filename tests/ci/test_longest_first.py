"""The order in which several processes take files: the longest of each kind first, both kinds mixed, nothing lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.live_server import ROOT
from tests.longest_first import KNOWN, TESTS, ordered, pytest_collection_modifyitems, seconds, starts_servers

pytestmark = pytest.mark.any_database


def test_the_files_whose_time_is_known_are_there() -> None:
    assert [name for name in KNOWN if not (TESTS / name).is_file()] == []


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("interop/test_third_party.py", True),
        ("browser/test_live.py", True),
        ("opamp_platform/test_schema.py", True),
        ("opamp_platform/test_serve.py", True),
        ("agents/test_selectors.py", False),
        ("configurations/test_checks.py", False),
    ],
)
def test_which_files_wait_for_servers(name: str, waits: bool) -> None:
    assert starts_servers(TESTS / name) is waits


def made(folder: Path, files: dict[str, tuple[str, int]]) -> dict[Path, int]:
    numbers = {}
    for name, (source, number) in files.items():
        (folder / name).write_text(source)
        numbers[folder / name] = number
    return numbers


def test_the_longest_come_first_and_both_kinds_are_mixed(tmp_path: Path) -> None:
    waits, computes = "def test(live_server): pass\n", "def test(): pass\n"
    tests = made(tmp_path, {
        "w1": (waits, 1), "w4": (waits, 4), "w2": (waits, 2),
        "c10": (computes, 10), "c40": (computes, 40), "c20": (computes, 20),
    })  # fmt: skip
    names = [path.name for path in ordered(tests)]
    assert [name for name in names if name[0] == "w"] == ["w4", "w2", "w1"]
    assert [name for name in names if name[0] == "c"] == ["c40", "c20", "c10"]
    assert [{name[0] for name in names[at : at + 2]} for at in (0, 2, 4)] == [{"w", "c"}] * 3


def test_tests_stay_what_they_were_and_in_their_order(tmp_path: Path) -> None:
    tests = made(tmp_path, {"short": ("", 1), "long": ("", 3)})
    short, long = tests
    items: list[Any] = [SimpleNamespace(path=path, name=name) for path, name in
                        [(long, "b"), (short, "x"), (long, "a"), (long, "c")]]  # fmt: skip
    pytest_collection_modifyitems(items)
    assert [item.name for item in items] == ["b", "a", "c", "x"]


def test_nothing_is_expected_of_no_tests() -> None:
    assert ordered({}) == []
    assert seconds(TESTS / "opamp_platform" / "test_schema.py", 1) == KNOWN["opamp_platform/test_schema.py"]


def test_processes_take_them_in_this_order(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest("from tests.longest_first import install\ndef pytest_configure(config): install(config)\n")
    many = "import pytest\n@pytest.mark.parametrize('n', range({}))\ndef test_many(n): pass\n"
    pytester.makepyfile(test_a=many.format(3), test_b=many.format(9), test_c="# A live_server\ndef test_one(): pass\n")
    result = pytester.runpytest_subprocess("-p", "xdist", "-n1", "--dist", "loadfile", "-v")
    result.assert_outcomes(passed=13)
    taken = [line.partition("test_")[2][0] for line in result.outlines if "PASSED" in line]
    assert "".join(taken) == "b" * 9 + "c" + "a" * 3

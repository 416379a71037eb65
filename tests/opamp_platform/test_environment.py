"""Strict reading: what cannot be meant stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from opamp_platform.environment import Environment, StrangeValue


class TestText:
    def test_default_and_surrounding_space(self) -> None:
        assert Environment({}).text("NAME", "x") == "x"
        assert Environment({"NAME": " y\n"}).text("NAME", "x") == "y"

    def test_a_file_ends_in_a_newline_that_is_no_part_of_the_secret(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text("s3cret\n", encoding="utf-8")
        assert Environment({"NAME_FILE": str(path)}).text("NAME") == "s3cret"

    def test_both_forms_at_once_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StrangeValue, match="NAME and NAME_FILE are both set"):
            Environment({"NAME": "a", "NAME_FILE": str(tmp_path / "x")}).text("NAME")

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StrangeValue, match="NAME_FILE: cannot read"):
            Environment({"NAME_FILE": str(tmp_path / "none")}).text("NAME")


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("Yes", True), ("off", False), ("", False)])
def test_flag(value: str, expected: bool) -> None:
    assert Environment({"FLAG": value}).flag("FLAG", default=not expected) is expected


def test_a_flag_that_is_not_set_is_its_default() -> None:
    assert Environment({}).flag("FLAG") is False
    assert Environment({}).flag("FLAG", default=True) is True


@pytest.mark.parametrize("value", ["maybe", "2", "truee"])
def test_a_strange_flag_is_not_false(value: str) -> None:
    with pytest.raises(StrangeValue, match="is no boolean"):
        Environment({"FLAG": value}).flag("FLAG")


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("off", False), ("", None), ("  ", None)])
def test_a_choice_that_nobody_made_is_neither(value: str, expected: bool | None) -> None:
    assert Environment({"CHOICE": value}).choice("CHOICE") is expected
    assert Environment({}).choice("CHOICE") is None


def test_a_strange_choice_is_no_choice() -> None:
    with pytest.raises(StrangeValue, match="CHOICE='perhaps' is no boolean"):
        Environment({"CHOICE": "perhaps"}).choice("CHOICE")


def test_one_of_some_words() -> None:
    assert Environment({}).one_of("X", "own", "stock") == "own"
    assert Environment({"X": " stock "}).one_of("X", "own", "stock") == "stock"
    for strange in ("Stock", "true", "own,stock"):
        with pytest.raises(StrangeValue, match=r"X='.*' is unknown: use own or stock\."):
            Environment({"X": strange}).one_of("X", "own", "stock")


class TestInteger:
    def test_empty_means_the_default(self) -> None:
        assert Environment({"N": ""}).integer("N", 7) == 7

    @pytest.mark.parametrize("value", ["ten", "1.5", "0", "11"])
    def test_strange_or_out_of_range(self, value: str) -> None:
        with pytest.raises(StrangeValue, match="N="):
            Environment({"N": value}).integer("N", 5, least=1, most=10)

    def test_the_limits_are_within(self) -> None:
        assert [Environment({"N": value}).integer("N", 5, least=1, most=10) for value in ("1", "5", "10")] == [1, 5, 10]
        assert Environment({"N": "0"}).integer("N", 5) == 0
        assert Environment({"N": "1000000"}).integer("N", 5) == 1_000_000

    def test_what_is_said_of_the_limits(self) -> None:
        with pytest.raises(StrangeValue, match=r"N=11 is out of range: at least 1 and at most 10\.$"):
            Environment({"N": "11"}).integer("N", 5, least=1, most=10)
        with pytest.raises(StrangeValue, match=r"N=-1 is out of range: at least 0\.$"):
            Environment({"N": "-1"}).integer("N", 5)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", 5),
        ("1", 1),
        ("4096", 4096),
        ("2KiB", 2048),
        ("3k", 3072),
        ("64 MiB", 67_108_864),
        ("5m", 5_242_880),
        ("1g", 1_073_741_824),
        ("2 GiB", 2_147_483_648),
    ],
)
def test_size(value: str, expected: int) -> None:
    assert Environment({"SIZE": value}).size("SIZE", 5) == expected


@pytest.mark.parametrize("value", ["big", "-1", "1.5m", "0"])
def test_strange_sizes(value: str) -> None:
    with pytest.raises(StrangeValue, match="SIZE"):
        Environment({"SIZE": value}).size("SIZE", 5)


def test_the_least_size_is_large_enough() -> None:
    assert Environment({"SIZE": "1k"}).size("SIZE", 5, least=1024) == 1024
    with pytest.raises(StrangeValue, match=r"SIZE=1023 is too small: at least 1024 bytes\.$"):
        Environment({"SIZE": "1023"}).size("SIZE", 5, least=1024)


def test_json_is_a_word_or_an_object() -> None:
    assert Environment({}).json("POLICY", "canary") == "canary"
    assert Environment({"POLICY": "at_once"}).json("POLICY", "canary") == "at_once"
    assert Environment({"POLICY": ' {"stages": []}'}).json("POLICY", "canary") == {"stages": []}
    assert Environment({}).json("POLICY", "{}") == {}
    with pytest.raises(StrangeValue, match="POLICY is no JSON: "):
        Environment({"POLICY": '{"stages": ['}).json("POLICY", "canary")


def test_items() -> None:
    assert Environment({"HOSTS": "a, b,,c "}).items("HOSTS") == ["a", "b", "c"]

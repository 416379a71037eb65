"""What is desired against what an agent runs, value by value."""

from __future__ import annotations

import pytest

from configurations.differences import MOST_VALUES, Comparison, Differing, compared


def difference(desired: str, effective: str) -> Comparison:
    return compared({"": {"body": desired}}, {"": {"body": effective}})


def test_layout_order_and_quotes_are_no_difference():
    found = difference("a: {b: 1, c: [x, y]}\n", 'a:\n  c:\n    - "x"\n    - y\n  b: "1"\n')
    assert (found.same, found.differing, found.extra) == (2, (), ())


def test_other_and_missing_values_are_named_by_path():
    found = difference("a: {b: 1, c: 2, d: 3}\n", "a: {b: 1, c: 9}\nmore: yes\n")
    assert found.differing == (Differing("a.c", "2", "9"), Differing("a.d", "3", None))
    assert found.same == 1
    assert found.extra == (("more", "yes"),)


@pytest.mark.parametrize("empty", ["otlp:", "otlp: {}", "otlp: null"])
def test_a_section_written_empty_may_be_filled_in_by_the_agent(empty):
    assert difference(f"receivers:\n  {empty}\n", "receivers: {otlp: {protocols: {grpc: {}}}}\n").differing == ()
    assert difference(f"receivers:\n  {empty}\n", "receivers: {otlp: {}}\n").differing == ()
    missing = difference(f"receivers:\n  {empty}\n", "receivers: {otlp2: {a: 1}}\n")
    assert [item.path for item in missing.differing] == ["receivers.otlp"]


def test_files_are_merged_as_agents_do_it():
    desired = {"": {"body": "a: 3\n"}, "b.yaml": {"body": "a: 2\n"}, "a.yaml": {"body": "a: 1\nb: 1\n"}}
    assert compared(desired, {"": {"body": "a: 3\nb: 1\n"}}).same == 2


@pytest.mark.parametrize("text", ["a: [", "a: *nowhere", "a: &a [*a]", "\x00"])
def test_what_is_no_yaml_is_not_compared(text):
    assert not difference("a: 1\n", text).readable
    assert not difference(text, "a: 1\n").readable


def test_bodies_that_are_no_text_are_not_compared():
    assert not compared({"": {"body": "a: 1"}}, {"": {"body_base64": "AA=="}}).readable


def test_a_large_file_costs_no_page():
    lines = "\n".join(f"k{number}: {number}" for number in range(MOST_VALUES + 1))
    assert not difference("a: 1\n", lines).readable
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [*{former},*{former},*{former},*{former},*{former},*{former},*{former},*{former}]\n"
        for former, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert not difference("a: 1\n", bomb).readable


def test_nothing_reported_is_nothing_run():
    found = difference("a: 1\n", "")
    assert found.readable
    assert found.differing == (Differing("a", "1", None),)


def test_lists_are_replaced_as_agents_do_it_and_extensions_joined():
    desired = {
        "a": {"body": "x: [{a: 1}, {b: 2}]\ny: {z: 1}\nservice: {extensions: [one, two]}\n"},
        "b": {"body": "x: [{c: 3}]\ny: null\nservice: {extensions: [two, three]}\n"},
    }
    runs = "x: [{c: 3}]\ny: {}\nservice: {extensions: [one, two, three]}\n"
    found = compared(desired, {"effective.yaml": {"body": runs}})
    assert (found.same, found.differing, found.extra) == (3, (), ())


def test_a_list_alone_is_compared_by_place():
    assert difference("- a: 1\n- b\n", "- a: 2\n- b\n").differing == (Differing("[0].a", "1", "2"),)

"""What files mean to a Collector, and how two of them differ by meaning."""

from __future__ import annotations

import pytest

from configurations.checks.tree import MAX_VALUES
from configurations.meaning import (
    MOST_CHARACTERS,
    MOST_VALUES,
    ComponentDifference,
    MeaningDifference,
    PipelineDifference,
    ValueDifference,
    canonical_whole,
    compare,
    meaning_of,
    pipelines_of,
)

PIPELINE = "service: {pipelines: {traces: {receivers: [a, b], processors: [p, q], exporters: [e, f]}}}\n"


def difference(left: str, right: str) -> MeaningDifference:
    found = compare({"": {"body": left}}, {"": {"body": right}})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("receivers: {otlp: }", "receivers: {otlp: {}}"),
        ("receivers: {otlp: ~}", "receivers:\n  otlp:\n"),
        ("a: {b: 1, c: x}", "a:\n  c: 'x'\n  b: 1\n"),
        ("exporters: {o: {timeout: 60s}}", "exporters: {o: {timeout: 1m0s}}"),
        ("exporters: {o: {timeout: 1500ms}}", "exporters: {o: {timeout: 1.5s}}"),
        ("x: &x {a: 1}\nb: *x", "x: {a: 1}\nb: {a: 1}"),
        ("x: &x {a: 1}\nb: {<<: *x, c: 2}", "x: {a: 1}\nb: {c: 2, a: 1}"),
        ("a: 1", "a: 1.0"),
        ("a: 1e3", "a: 1000"),
        ("a: 0x10", "a: 16"),
        ("a: 089", 'a: "089"'),
        ("a: 12:30", 'a: "12:30"'),
        ("a: yes", 'a: "yes"'),
        ("a: 2026-01-01", 'a: "2026-01-01"'),
        ("receivers: {otlp: {tls: }}", "receivers: {otlp: {tls: {}}}"),
        ("receivers: {otlp: {a: 1}}\nexporters:", "receivers: {otlp: {a: 1}}"),
        (PIPELINE, PIPELINE.replace("[a, b]", "[b, a]").replace("[e, f]", "[f, e]")),
        ("service: {extensions: [x, y]}", "service: {extensions: [y, x]}"),
    ],
)
def test_the_same_meaning_is_no_difference(left, right):
    assert not difference(left, right)
    wholes = [meaning_of({"": {"body": text}}) for text in (left, right)]
    assert wholes[0] is not None
    assert wholes[1] is not None
    assert canonical_whole(wholes[0]) == canonical_whole(wholes[1])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("a: 5", 'a: "5"'),
        ("a: true", "a: 1"),
        ("a: true", 'a: "true"'),
        ("a: [1, 2]", "a: [2, 1]"),
        ("a: 60s", "a: 61s"),
        ("receivers: {otlp: }", "receivers: {}"),
        ("receivers: {otlp: {a: 1}}", "receivers: {otlp: {a: [1]}}"),
        (PIPELINE, PIPELINE.replace("[p, q]", "[q, p]")),
    ],
)
def test_another_meaning_is_a_difference(left, right):
    assert difference(left, right)
    wholes = [meaning_of({"": {"body": text}}) or {} for text in (left, right)]
    assert canonical_whole(wholes[0]) != canonical_whole(wholes[1])


def test_components_are_added_removed_and_changed():
    found = difference(
        "receivers: {otlp: {endpoint: x, port: 1}, old: {}}\nexporters: {debug: {}}\n",
        "receivers: {otlp: {endpoint: y, port: 1, more: 2}, new: {}}\nexporters: {debug: {}}\n",
    )
    assert found.components == (
        ComponentDifference("receivers", "new", "added"),
        ComponentDifference("receivers", "old", "removed"),
        ComponentDifference(
            "receivers",
            "otlp",
            "changed",
            (
                ValueDifference("receivers.otlp.endpoint", "x", "y"),
                ValueDifference("receivers.otlp.more", None, "2"),
            ),
        ),
    )
    assert found.pipelines == found.settings == ()


def test_pipelines_are_added_removed_changed_and_reordered():
    left = "service: {pipelines: {a: {processors: [p, q]}, b: {exporters: [x]}, c: {}, e: {receivers: [r, s]}}}"
    right = "service: {pipelines: {a: {processors: [q, p]}, b: {exporters: [x, y]}, d: {}, e: {receivers: [s, r]}}}"
    found = difference(left, right).pipelines
    assert [(item.name, item.change) for item in found] == [
        ("a", "reordered"), ("b", "changed"), ("c", "removed"), ("d", "added"),
    ]  # fmt: skip
    assert found[0] == PipelineDifference(
        "a",
        "reordered",
        {"receivers": (), "processors": ("p", "q"), "exporters": ()},
        {"receivers": (), "processors": ("q", "p"), "exporters": ()},
    )


def test_what_is_no_component_and_no_pipeline_is_a_setting():
    found = difference(
        "service: {telemetry: {logs: {level: info}}, extensions: [a]}",
        "service: {telemetry: {logs: {level: debug}}}\nx: 1",
    )
    assert found.settings == (
        ValueDifference("x", None, "1"),
        ValueDifference("service.extensions", "a", ""),
        ValueDifference("service.telemetry.logs.level", "info", "debug"),
    )


def test_secrets_are_compared_and_not_shown():
    (component,) = difference(
        "exporters: {otlp: {headers: {authorization: Bearer one-long-secret}}}",
        "exporters: {otlp: {headers: {authorization: Bearer two-long-secret}}}",
    ).components
    (value,) = component.values
    assert value.is_hidden
    assert "secret" not in f"{value.left} {value.right}"


def test_files_are_merged_as_agents_do_it():
    files = {"": {"body": "a: {x: 3}"}, "b": {"body": "a: {x: 2, y: 2}"}, "a": {"body": "a: {x: 1, z: 1}"}}
    assert meaning_of(files) == {"a": {"x": 3, "y": 2, "z": 1}}


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "- a\n",
        "just words",
        "a: *nowhere",
        "a: &a [*a]",
        "a: !!python/object/apply:os.system [x]",
        "? [a, b]\n: c\n",
        "a: 1\n---\nb: 2\n",
        "a: \x00",
        "[" * 5_000,
        "a: " + "{a: " * 200 + "1" + "}" * 200,
        "a: &a {<<: [*b]}",
        "a: 1\n" * 10 + "#" * MOST_CHARACTERS,
        "\n".join(f"k{number}:" for number in range(MOST_VALUES + 1)),
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "a: &a {x: 1}\n"
        + "".join(
            f"{b}: &{b} {{<<: [{','.join(['*' + a] * 10)}]}}\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
    ],
)
def test_what_is_no_object_of_bounded_size_has_no_meaning(text):
    assert meaning_of({"": {"body": text}}) is None
    assert compare({"": {"body": "a: 1"}}, {"": {"body": text}}) is None
    assert MOST_VALUES < MAX_VALUES


def test_bodies_that_are_no_text_have_no_meaning():
    assert meaning_of({"": {"body_base64": "AA=="}}) is None
    assert meaning_of({}) == meaning_of({"": {"body": ""}}) == {}


def test_extensions_of_several_files_are_joined_and_other_lists_replaced() -> None:
    files = {
        "a": {"body": "service: {extensions: [x, y], pipelines: {traces: {receivers: [a]}}}"},
        "b": {"body": "service: {extensions: [y, z], pipelines: {traces: {receivers: [b]}}}"},
        "c": {"body": "receivers: {b: }"},
    }
    whole = meaning_of(files)
    assert whole is not None
    assert whole["service"]["extensions"] == ["x", "y", "z"]
    assert pipelines_of(whole)["traces"]["receivers"] == ("b",)

"""No text reaches a parser that recurses before its depth is bounded; what is too deep is shown line by line."""

from __future__ import annotations

import json

import pytest
import yaml

from agents.redaction import redacted
from foundation.nesting import MAX_DEPTH, NestedTooDeep, check_json, check_yaml
from tests.crashing import in_child

N = 100_000
DEEP = {
    "brackets": "[" * N,
    "closed brackets": "[" * N + "]" * N,
    "braces": "{" * N,
    "flow mappings": "{a: " * N,
    "block sequences": "- " * N,
    "complex keys": "? " * N,
    "complex keys of lists": "? [" * N,
    "indented mappings": "".join(" " * level + "a:\n" for level in range(2_000)),
    "flow in block": "a:\n  b:\n    - " + "[" * N,
    "lines": "[\n" * N,
    "anchored": "".join(f"&a{number} [" for number in range(N)),
    "tagged": "!a [" * N,
    "JSON": '{"a":[' * N + "1" + "]}" * N,
    "second document": "a: 1\n---\n" + "[" * N,
}


@pytest.mark.rule("S-111")
class TestDeep:
    @pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
    def test_a_deep_text_is_shown_and_the_process_lives(self, text: str) -> None:
        shown = in_child(redacted, text + "\npassword: hunter2\n")
        assert "hunter2" not in shown

    @pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
    def test_events_end_at_the_limit(self, text: str) -> None:
        with pytest.raises(NestedTooDeep):
            check_yaml(text)


class TestLimit:
    @pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")], ids=["lists", "objects"])
    def test_the_last_level_is_read(self, opening: str, closing: str) -> None:
        text = opening * (MAX_DEPTH - 1) + "1" + closing * (MAX_DEPTH - 1)
        check_yaml(text)
        check_json(text)
        json.loads(text)
        deeper = opening * 2 + text + closing * 2
        with pytest.raises(NestedTooDeep):
            check_yaml(deeper)
        with pytest.raises(NestedTooDeep):
            check_json(deeper)

    def test_brackets_within_texts_do_not_count(self) -> None:
        text = json.dumps(["[" * 1_000, '"[' * 1_000, "\\" * 999 + "{" * 1_000])
        check_json(text)
        check_yaml(text)

    def test_a_text_without_end_is_read_once(self) -> None:
        with pytest.raises(NestedTooDeep) as caught:
            check_json('\n  "[" ' + "[" * 70 + '"' * N)
        assert (caught.value.line, caught.value.column) == (1, 6 + MAX_DEPTH)

    def test_directives_are_few(self) -> None:
        with pytest.raises(yaml.YAMLError, match="directives"):
            check_yaml("".join(f"%TAG !a{number}! b\n" for number in range(N)) + "--- x")

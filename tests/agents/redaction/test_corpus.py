"""Spellings of secrets that are hidden, and texts that stay as they are: ``hidden.txt`` and ``readable.txt`` beside this file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agents.redaction import Restored, hidden_values, redacted, restored

HERE = Path(__file__).parent
SECRET = "HUNTER2SECRET"
MARK = "must_not_show: "


def hidden_cases() -> list[tuple[str, str, str]]:
    """Name, text, and what must not be visible of it."""
    cases = []
    for part in (HERE / "hidden.txt").read_text().split("==== ")[1:]:
        name, _, text = part.partition("\n")
        lines = text.splitlines(keepends=True)
        secrets = [line.removeprefix(MARK).strip() for line in lines if line.startswith(MARK)]
        cases.append((name, "".join(line for line in lines if not line.startswith(MARK)), (secrets or [SECRET])[0]))
    return cases


HIDDEN_CASES = hidden_cases()
READABLE = (HERE / "readable.txt").read_text().splitlines(keepends=True)
NAMES = [name for name, _text, _secret in HIDDEN_CASES]


def readable_yaml(text: str) -> bool:
    try:
        list(yaml.parse(text, yaml.CSafeLoader))
    except yaml.YAMLError:
        return False
    return True


def test_the_corpus_is_large_enough() -> None:
    assert len(HIDDEN_CASES) >= 600
    assert len(set(NAMES)) == len(NAMES)
    assert len(set(READABLE)) >= 290
    assert all(secret in text for _name, text, secret in HIDDEN_CASES)


@pytest.mark.rule("S-116")
class TestHidden:
    @pytest.mark.parametrize(("text", "secret"), [case[1:] for case in HIDDEN_CASES], ids=NAMES)
    def test_the_secret_is_shown_nowhere(self, text: str, secret: str) -> None:
        assert secret not in redacted(text)
        assert secret not in redacted(text.replace("\n", "\r\n"))
        assert secret not in redacted(text.rstrip("\n"))
        assert secret not in redacted(text + "\n]: [ '\n"), "beside mistakes"
        inner = "".join(f"    {line}" for line in text.splitlines(keepends=True))
        assert secret not in redacted(f"kind: ConfigMap\ndata:\n  a: |\n{inner}"), "in a block of another document"

    @pytest.mark.parametrize("text", [case[1] for case in HIDDEN_CASES], ids=NAMES)
    def test_what_was_yaml_still_is_and_gets_its_values_back(self, text: str) -> None:
        shown = redacted(text)
        assert readable_yaml(shown) or not readable_yaml(text)
        assert redacted(shown) == shown or not readable_yaml(text)
        assert restored(shown, text) == Restored(text, ())


@pytest.mark.rule("S-116")
class TestReadable:
    @pytest.mark.parametrize("text", READABLE)
    def test_it_stays_to_the_letter(self, text: str) -> None:
        assert redacted(text) == text
        assert hidden_values(text) == {}
        assert redacted(f"a: b\n# {text}") == f"a: b\n# {text}"

    def test_all_of_them_in_one_document(self) -> None:
        text = "".join(f"- {line}" for line in READABLE if readable_yaml(line))
        assert len(text) > 10_000
        assert redacted(text) == text

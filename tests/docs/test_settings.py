"""docs/settings.md lists every variable that is read, and none that is not; the Chinese page and the READMEs agree with it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = re.compile(r"[A-Z][A-Z0-9_]+")
ROW = re.compile(r"^\| (`[A-Z][A-Z0-9_]*`(?:, `[A-Z0-9_]+`)*) \|", re.MULTILINE)


def variables_read() -> set[str]:
    """Every name that is asked of an `Environment` called ``env``: by a method, or by a function that is given it."""
    found = set[str]()
    for path in (ROOT / "opamp_platform").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found |= set(asked(node))
    return found


def asked(call: ast.Call) -> list[str]:
    """The variables of one call."""
    arguments = call.args
    if isinstance(call.func, ast.Attribute):
        if not is_env(call.func.value):
            return []
        arguments = arguments[:1]
    elif not (arguments and is_env(arguments[0])):
        return []
    texts = [each.value for each in arguments if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return [text for text in texts if NAME.fullmatch(text)]


def is_env(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "env"


def variables_listed(path: str) -> list[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return [name for row in ROW.findall(text) for name in re.findall(r"`([A-Z0-9_]+)`", row)]


@pytest.mark.parametrize("page", ["docs/settings.md", "docs/settings.zh-CN.md"])
def test_each_variable_is_listed_once(page: str) -> None:
    assert len(variables_read()) > 80
    assert sorted(variables_listed(page)) == sorted(variables_read())


def test_both_languages_have_them_in_the_same_order() -> None:
    assert variables_listed("docs/settings.md") == variables_listed("docs/settings.zh-CN.md")


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_those_of_the_readme_are_among_them(readme: str) -> None:
    listed = variables_listed(readme)
    assert listed
    assert set(listed) <= variables_read()

"""Names: the glossary's exist, words that it replaced are gone, and one public name does not mean two things."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "accounts", "agents", "configurations", "foundation", "opamp_platform", "opamp_server", "opamp_transport",
    "rollouts", "simulator",
)  # fmt: skip
_NAMED = r"`((?:" + "|".join(PACKAGES) + r")\.[\w.]+)` \|$"
# What stands there now is in the glossary.
REPLACED = re.compile(
    r"\b(settle_\w+|settlement|doorbell|rung|rivals?|rivalry|hang_up|turn_away|let_go|store?ys?|exchanged|doorway|doors?|"
    r"Exchange|Registry|Link|Placement|Settled|Recorded)\b"
)
# Where a replaced word means something else.
OTHER_MEANINGS = {
    # Configurations that compete for an agent are `rivals` in REST.
    "configurations/previewing.py": {"rival", "rivals"},
    "configurations/api_serializers.py": {"rivals"},
    "docs/api.md": {"rivals"},
}
# Public names that several modules have on purpose, with the reason.
ONE_MEANING = {
    "Command": "what Django calls a management command",
    "main": "the command line of a module that is run",
    "urlpatterns": "what Django calls the URLs of a module",
    "logger": "each module's own",
    "register": "hangs the module's part into Django when it is ready",
    "view": "the one view of a module",
    "become": "this process turns into another program: any, the supervisor, the worker",
    **dict.fromkeys(
        ("bad_request", "forbidden", "forged", "not_found"),
        "the same refusal, to a program and on a page; Django calls both",
    ),
    "allow_enrolment": "the service, and the action of the admin that Django names after its function",
}


def modules() -> Iterator[Path]:
    """All files of the product but generated ones."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in file.parts and "proto" not in file.parts:
                yield file


def glossary() -> list[str]:
    """The names in the glossary's last column."""
    table = (ROOT / "docs" / "glossary.md").read_text()
    found: list[str] = re.findall(_NAMED, table, re.MULTILINE)
    return found


@pytest.mark.parametrize("name", glossary())
def test_what_the_glossary_names_exists(name: str) -> None:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return
    pytest.fail(f"there is no {name}")


def test_replaced_words_are_gone() -> None:
    found = []
    documents = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    for file in [*modules(), *documents]:
        name = str(file.relative_to(ROOT))
        for number, line in enumerate(file.read_text().splitlines(), 1):
            words = {match[0] for match in REPLACED.finditer(line)} - OTHER_MEANINGS.get(name, set())
            found += [f"{name}:{number}: {word}" for word in words]
    assert not found, "\n".join(found)


def test_a_public_name_means_one_thing() -> None:
    """Of module-level functions and classes; nested ones say whose they are."""
    places: dict[str, list[str]] = defaultdict(list)
    for file in modules():
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                places[node.name].append(str(file.relative_to(ROOT)))
    twice = {name: where for name, where in places.items() if len(where) > 1 and name not in ONE_MEANING}
    assert not twice, "\n".join(f"{name}: {', '.join(where)}" for name, where in sorted(twice.items()))

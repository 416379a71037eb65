"""Names: those that texts refer to exist, replaced words are gone, one name means one thing, and what acts is named by a verb."""

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
    "accounts", "agents", "alerts", "configurations", "connections", "enrolment", "foundation", "jobs", "opamp_platform",
    "opamp_server", "opamp_transport", "certificates", "notifications", "packages", "rollouts", "simulator", "telemetry",
    "variables",
)  # fmt: skip
_NAMED = r"`((?:" + "|".join(PACKAGES) + r")\.[\w.]+)` \|$"
# What stands there now is in the glossary.
REPLACED = re.compile(
    r"\b(settle_\w+|settlement|[Dd]oorbell|DOORBELL|rung|[Rr]ivals?|rival_lease|[Rr]ivalry|hang_up|[Hh]angs? up|hung up|turn_away|"
    r"turn(?:s|ed|ing)? away|let_go|[Ll]ets? go of|store?ys?|exchanged|doorway|doors?|Exchange|Registry|Link|Placement|Settled|"
    r"Recorded)\b"
)
# Where a replaced word means something else.
OTHER_MEANINGS = {
    # Configurations that compete for an agent are `rivals` in REST.
    "configurations/previewing.py": {"Rival", "rival", "rivals"},
    "configurations/api_serializers.py": {"Rival", "rivals"},
    "docs/api.md": {"rivals"},
    # Columns as they were before a migration.
    "tests/agents/test_migrations.py": {"rivalry", "rival"},
    "tests/configurations/test_api_reach.py": {"rivals"},
    "tests/configurations/test_fragments_entrances.py": {"rivals"},
}
# Modules of one name in several packages: the package says of what, or in which layer.
MODULES = {
    **dict.fromkeys(
        (
            "admin",
            "api",
            "api_serializers",
            "apps",
            "filters",
            "formats",
            "forms",
            "management",
            "commands",
            "models",
            "templatetags",
            "urls",
        ),
        "what Django and its REST framework call them, and this project after them",
    ),
    **dict.fromkeys(
        ("errors", "events", "metrics", "services", "messages", "paging", "languages", "live_topics"),
        "each layer's own, one on the other",
    ),
    **dict.fromkeys(
        ("connection_settings", "custom_messages", "identity", "opamp"),
        "one kind of offer: its rows, its decisions, its part of a reply",
    ),
    **dict.fromkeys(("agent", "fleet", "collector"), "the simulated one, and the one that is managed or checked"),
    **dict.fromkeys(
        ("people", "tokens", "trail", "revealing", "credentials", "processes"), "the thing, and its pages or rows"
    ),
    **dict.fromkeys(
        ("components", "documents", "merging", "names", "tree"),
        "the package says whether texts are checked, stored or redacted",
    ),
    **dict.fromkeys(("actions", "kinds"), "the package says of what"),
    "batch": "the rows of a batch, and the work on one",
    "history": "what was done to one thing, and what happened to one agent",
}
IRREGULAR = frozenset({
    "begun", "bound", "built", "done", "found", "given", "gone", "heard", "held", "kept", "known", "left", "lost", "made",
    "met", "said", "sent", "shown", "taken", "told", "written",
})  # fmt: skip
# A dotted name in the texts of the code.
REFERENCE = re.compile(r"`((?:" + "|".join(PACKAGES) + r")\.[\w.]+)`")
# What Django writes so too: rights, and the kinds of objects in the audit trail.
NO_MODULES = {
    "configurations.publish_with_errors",
    "rollouts.approve_rollout",
    "agents.view_agent",
    "agents.reveal_secrets",
    "agents.agent",
    # A kind of job.
    "agents.relabel",
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
    "Outcome": "what became of what was asked of an agent, and of an item of a job",
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


def exists(name: str) -> bool:
    """Whether a dotted name leads to a module or to something in one; fields of dataclasses count."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if part in getattr(found, "__dataclass_fields__", {}):
                return True
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("name", glossary())
def test_what_the_glossary_names_exists(name: str) -> None:
    assert exists(name)


def test_what_texts_refer_to_exists() -> None:
    found = []
    for file in [*modules(), *(ROOT / "docs").glob("*.md")]:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            names = [
                name for name in REFERENCE.findall(line) if not name.endswith((".py", ".md")) and name not in NO_MODULES
            ]
            found += [f"{file.relative_to(ROOT)}:{number}: {name}" for name in names if not exists(name)]
    assert not found, "\n".join(found)


def test_replaced_words_are_gone() -> None:
    found = []
    documents = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    own = Path(__file__).resolve()
    others = [
        file
        for file in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
        if file.resolve() != own
    ]
    pages = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "static" / "portal").glob("*.js")]
    for file in [*modules(), *documents, *others, *pages]:
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


def test_a_module_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in modules():
        name = file.parent.name if file.stem == "__init__" else file.stem
        places[name].append(str(file.relative_to(ROOT)))
    twice = {name: where for name, where in places.items() if len(where) > 1 and name not in MODULES}
    assert not twice, "\n".join(f"{name}: {', '.join(where)}" for name, where in sorted(twice.items()))


def test_functions_that_return_nothing_are_named_by_what_they_do() -> None:
    """`exchanged`, `noted`, `_known`: a state of things is what a value or a question is called, not an act."""
    found = []
    for file in modules():
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            word = node.name.strip("_")
            returns_nothing = isinstance(node.returns, ast.Constant) and node.returns.value is None
            is_participle = word in IRREGULAR or re.fullmatch(r"(?!feed$)\w+ed", word) is not None
            if returns_nothing and is_participle and "_" not in word:
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}: {node.name}")
    assert not found, "\n".join(found)

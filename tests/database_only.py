"""``--database-only``: which tests a second run, on another database, can leave out, for they cannot tell the two apart.

A test is left out when it may not touch the database, for without mark and fixtures pytest-django refuses every connection,
and when neither its file nor any helper which that imports names what is outside of the process: another process,
a socket, the environment, Redis, or SQL, which is not the same on both. Of what is in doubt, nothing is left out, unless a person
has marked it: ``any_database`` starts processes, but none that has a database; ``sqlite_is_enough`` looks at what no database
changes, such as documents, rights and other people's programs, while the features themselves are tested on each.
"""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
# Fixtures of pytest-django that let a test at the database, or start a server on it.
_DATABASE_FIXTURES = frozenset({
    "db", "transactional_db", "django_db_reset_sequences", "django_db_serialized_rollback", "admin_user", "admin_client",
    "live_server", "portal", "shared_portal", "pytester",
})  # fmt: skip
_OUTSIDE = re.compile(
    r"subprocess|Popen|multiprocessing|asyncio\.start_|\bsocket\b|environ|live_server|LiveServer"
    r"|[Rr]edis|REDIS|DATABASE_URL|DATABASES|on_postgresql|on_sqlite"
    r"|django\.db|django_db_|\.objects\b|\.query\b|TestCase|channel_layer|wakeups|call_command|tests\.faults|interop",
)


def cannot_differ(item: pytest.Item) -> bool:
    """Whether the test has nothing to do with databases and what is outside of its process."""
    if item.get_closest_marker("sqlite_is_enough"):
        return True
    fixtures: list[str] = getattr(item, "fixturenames", [])
    if item.get_closest_marker("django_db") or not _DATABASE_FIXTURES.isdisjoint(fixtures):
        return False
    if item.get_closest_marker("any_database"):
        return True
    return not any(_OUTSIDE.search(source) for path in _files(item) for source in _sources(path))


def _files(item: pytest.Item) -> set[Path]:
    """The test's own, and those of the fixtures it gets; the first conftest aside, whose servers are known by name."""
    found = {item.path}
    known: dict[str, Any] = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    for definitions in known.values():
        found |= {Path(inspect.getfile(inspect.unwrap(each.func))) for each in definitions}
    return {path for path in found if path.is_relative_to(TESTS) and path != TESTS / "conftest.py"}


@cache
def _sources(path: Path) -> tuple[str, ...]:
    """The text of a file of tests with those of all helpers that it imports."""
    seen: dict[Path, str] = {}
    waiting = [path]
    while waiting:
        one = waiting.pop()
        if one in seen or not one.is_file():
            continue
        seen[one] = text = one.read_text(encoding="utf-8")
        waiting += _helpers(text)
    return tuple(seen.values())


def _helpers(text: str) -> list[Path]:
    """Modules of the tests that a file imports."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.split(".")[0] in {"tests", "benchmarks"}:
                place = ROOT.joinpath(*name.split("."))
                found += [place.with_suffix(".py"), place / "__init__.py"]
    return found

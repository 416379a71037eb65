"""Lines of timelines and entries of the audit trail are written in one module each, or subscribers would miss some."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
# Writes of a manager, a query set or a row; and those of `foundation.bulk_sql`, of a unit of work, and Django's, that take rows.
_METHODS = frozenset({"create", "get_or_create", "update_or_create", "save", "save_base", "update", "add", "set"})
_WITH_ROWS = frozenset({"bulk_create", "bulk_insert", "bulk_save", "bulk_update", "change", "mark"})
_CONTAINERS = frozenset({"list", "tuple", "set", "sorted", "reversed", "filter", "iter", "chain", "enumerate", "zip"})
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp)


class Rows(NamedTuple):
    """A model, the relation that leads to its rows, and the only module that may write them."""

    model: str
    relation: str
    outlet: str


TIMELINE = Rows("AgentEvent", "events", "agents/services/timeline.py")
TRAIL = Rows("AuditEntry", "", "accounts/services.py")


def modules() -> Iterator[Path]:
    """All that runs in production."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for package in settings["tool"]["importlinter"]["root_packages"]:
        yield from sorted((ROOT / package).rglob("*.py"))


class Writes:
    """Finds where a module writes rows of one model, by following in each function the names that rows go by."""

    def __init__(self, source: str, rows: Rows, makers: frozenset[str] = frozenset()) -> None:
        self.rows, self.makers = rows, makers
        self.tree = ast.parse(source)
        self.classes = {rows.model} | {
            alias.asname
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if alias.name == rows.model and alias.asname
        }
        functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        # Functions that make rows, by what they promise; lists of the trail promise query sets, which `update` alone would change.
        self.made_here = {node.name for node in functions if node.returns and self._is_annotation(node.returns)}
        self.makers |= self.made_here
        self.lines = sorted({line for scope in (self.tree, *functions) for line in self._lines(scope)})

    def _lines(self, scope: ast.AST) -> Iterator[int]:
        names: set[str] = set()
        while True:
            found = {name for node in ast.walk(scope) for name in self._bound(node, names)}
            if found <= names:
                break
            names |= found
        for node in ast.walk(scope):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            called = called.removeprefix("a") if called.removeprefix("a") in _METHODS | _WITH_ROWS else called
            of_rows = isinstance(node.func, ast.Attribute) and self._is_rows(node.func.value, names)
            # A list's ``insert`` takes a place beside the row.
            writes_given = called in _WITH_ROWS or (called == "insert" and len(node.args) == 1)
            takes_rows = any(self._is_rows(argument, names) for argument in node.args)
            if (called in _METHODS | _WITH_ROWS and of_rows) or (writes_given and takes_rows):
                yield node.lineno

    def _bound(self, node: ast.AST, names: set[str]) -> Iterator[str]:
        """The names that this node gives to rows."""
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as annotation) if self._is_annotation(annotation):
                yield name
            case ast.AnnAssign(target=target, annotation=annotation) if self._is_annotation(annotation):
                yield from _names(target)
            case ast.Assign(targets=targets, value=value) if self._is_rows(value, names):
                yield from (name for target in targets for name in _names(target))
            case (
                ast.AugAssign(target=target, value=value)
                | ast.NamedExpr(target=target, value=value)
                | ast.For(target=target, iter=value)
                | ast.comprehension(target=target, iter=value)
            ) if self._is_rows(value, names):
                yield from _names(target)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" | "insert"), args=args):
                if any(self._is_rows(argument, names) for argument in args):
                    yield name

    def _is_rows(self, node: ast.expr, names: set[str]) -> bool:
        """Whether this is a row, rows, or a way to them."""
        match node:
            case ast.Name(id=name):
                return name in names
            case ast.Attribute(value=value, attr=attr):
                return (attr in {"objects", "_base_manager"} and self._is_class(value)) or attr == self.rows.relation
            case ast.Call(func=func, args=args):
                if self._is_class(func) or (isinstance(func, ast.Attribute) and self._is_rows(func.value, names)):
                    return True
                name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
                return name in self.makers or (name in _CONTAINERS and any(self._is_rows(a, names) for a in args))
            case ast.Subscript(value=value) | ast.Starred(value=value) | ast.NamedExpr(value=value):
                return self._is_rows(value, names)
        parts: list[ast.expr] = []
        match node:
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts) | ast.BoolOp(values=parts):
                pass
            case ast.IfExp(body=body, orelse=orelse):
                parts = [body, orelse]
            case ast.BinOp(left=left, right=right):
                parts = [left, right]
            case ast.ListComp(elt=elt) | ast.SetComp(elt=elt) | ast.GeneratorExp(elt=elt):
                parts = [elt]
        return any(self._is_rows(part, names) for part in parts)

    def _is_class(self, node: ast.expr) -> bool:
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        return name in self.classes

    def _is_annotation(self, node: ast.expr) -> bool:
        """True for the model and containers of it; its choices (``AgentEvent.Kind``) are another thing."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        if isinstance(node, ast.Attribute) and self._is_class(node.value):
            return False
        return (isinstance(node, ast.expr) and self._is_class(node)) or any(
            self._is_annotation(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        )


def _names(target: ast.expr) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


@pytest.mark.parametrize("rows", [TIMELINE, TRAIL], ids=lambda rows: rows.model)
def test_rows_are_written_in_one_module(rows: Rows) -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in modules()}
    naming = (source for source in sources.values() if rows.model in source)
    makers = frozenset(name for source in naming for name in Writes(source, rows).made_here)
    # Whoever writes such rows says one of these.
    words = {rows.model, "bulk_", *makers} | {f".{rows.relation}"} - {"."}
    suspects = {name: source for name, source in sources.items() if any(word in source for word in words)}
    found = {name: lines for name, source in suspects.items() if (lines := Writes(source, rows, makers).lines)}
    # Its own writes show that the search sees something.
    assert list(found) == [rows.outlet], f"{rows.model} is written by others than {rows.outlet}: {found}"


@pytest.mark.parametrize(
    "source",
    [
        "AgentEvent.objects.create(agent=agent)",
        "await AgentEvent.objects.acreate(agent=agent)",
        "models.AgentEvent.objects.bulk_create(found)",
        "agent.events.create(kind=kind)",
        "AgentEvent(agent=agent).save()",
        "event = AgentEvent(agent=agent)\nevent.save()",
        "AgentEvent.objects.filter(agent=agent).update(count=2)",
        "event = AgentEvent.objects.get(pk=1)\nevent.save()",
        "for event in AgentEvent.objects.all():\n    event.save()",
        "bulk_insert(AgentEvent(agent=agent) for agent in agents)",
        "bulk_insert([*others, AgentEvent(agent=agent)])",
        "bulk_insert(event for entry in recorded for event in entry.events)",
        "bulk_sql.bulk_insert(entry.events)",
        "lines = []\nfor agent in agents:\n    lines.append(AgentEvent(agent=agent))\nbulk_insert(lines)",
        "lines: list[AgentEvent] = []\nbulk_insert(lines)",
        "lines = [AgentEvent(agent=agent) for agent in agents]\nrest = sorted(lines)[1:]\nbulk_insert(rest)",
        "def write(lines: Sequence[AgentEvent]) -> None:\n    bulk_insert(lines)",
        "def write(lines: 'Sequence[AgentEvent]') -> None:\n    bulk_insert(lines)",
        "if (line := placement.place(target)) is not None:\n    bulk_insert([line])",
        "bulk_save((line, {'count'}) for line in lines_to_add(recorded))",
        "from agents.models import AgentEvent as Line\nLine.objects.create()",
        "work.insert(AgentEvent(agent=agent))",
        "event = AgentEvent.objects.get(pk=1)\nwork.change(event, 'count', 2)",
    ],
)
def test_a_write_is_seen(source: str) -> None:
    assert Writes(source, TIMELINE, frozenset({"place", "lines_to_add"})).lines


@pytest.mark.parametrize(
    "source",
    [
        "write_lines(AgentEvent(agent=agent) for agent in agents)",
        "entry.events.append(AgentEvent(agent=agent))",
        "entry.events.insert(0, AgentEvent(agent=agent))",
        "events = AgentEvent.objects.filter(agent=agent)\nevents.count()",
        "AgentEvent.objects.filter(at__lt=limit).delete()",
        "Agent.objects.create(name=AgentEvent.Kind.EDITED)",
        "def note(kind: AgentEvent.Kind) -> None:\n    kind.save()",
        "count = len(entry.events)\nbulk_insert(count)",
        "agent = event.agent\nagent.save()",
        "bulk_insert(entry.agent for entry in recorded if entry.events)",
    ],
)
def test_what_is_no_write_is_left_alone(source: str) -> None:
    assert not Writes(source, TIMELINE).lines

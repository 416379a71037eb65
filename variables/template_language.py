"""The part of Jinja2's language that files may use: what is not listed here is refused, with its line, before anything runs.

No loop without a list of the template's or of a variable's, no assignment, macro, import or call, and no attribute but those
of the three maps: what is left can neither reach Python nor run for long. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jinja2 import nodes

from foundation.messages import Message

MOST_NODES = 20_000
MOST_OF_AN_EXPRESSION = 60
DEEPEST = 30
DEEPEST_LOOPS = 2
# Names of ours for filters that the check puts in; no template can write them.
PLAIN, QUOTED, OWN, STEPS = " plain", " quoted", " own", "_steps"

GROUPS = ("labels", "vars", "secrets")
FILTERS = frozenset(
    {
        "yaml", "json", "default", "lower", "upper", "trim", "replace", "split", "join", "length", "int", "b64encode",
        "urlencode",
    }
)  # fmt: skip
# After which a secret is still known by its value where it turns up.
_FOR_SECRETS = frozenset({"yaml", "json", "b64encode", "urlencode"})
_QUOTING = frozenset({"yaml", "json"})
_TESTS = frozenset({"defined", "undefined"})
_OF_A_LOOP = frozenset({"index", "index0", "first", "last", "length"})

_OPERATIONS = (
    nodes.Const, nodes.List, nodes.Tuple, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.Concat, nodes.Add, nodes.Sub, nodes.Neg,
)  # fmt: skip
_WORDS: dict[type[nodes.Node], str] = {
    nodes.Call: "()", nodes.Mul: "*", nodes.Div: "/", nodes.FloorDiv: "//", nodes.Mod: "%", nodes.Pow: "**", nodes.Pos: "+",
    nodes.Assign: "set", nodes.AssignBlock: "set", nodes.Macro: "macro", nodes.CallBlock: "call", nodes.Import: "import",
    nodes.FromImport: "from", nodes.Include: "include", nodes.Extends: "extends", nodes.Block: "block", nodes.With: "with",
    nodes.FilterBlock: "filter", nodes.Slice: "[:]", nodes.Dict: "{}", nodes.Getattr: ".", nodes.Getitem: "[]",
    nodes.Name: "name", nodes.Filter: "|", nodes.Test: "is",
}  # fmt: skip


class TemplateProblem(ValueError):
    """A text that is no template of this language; ``line`` from 1."""

    def __init__(self, message: Message, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Uses:
    """The names in a template; those in ``optional`` (``vars.x``, ``secrets.x``) stand nowhere without a default or a test.

    By the labels in ``deciding`` parts of the text are chosen.
    """

    labels: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    deciding: frozenset[str] = frozenset()

    def __or__(self, other: Uses) -> Uses:
        """Those of two templates together."""
        ours, theirs = self._all() - self.optional, other._all() - other.optional
        return Uses(
            self.labels | other.labels,
            self.variables | other.variables,
            self.secrets | other.secrets,
            (self.optional | other.optional) - ours - theirs,
            self.deciding | other.deciding,
        )

    def _all(self) -> frozenset[str]:
        return frozenset({f"vars.{name}" for name in self.variables} | {f"secrets.{name}" for name in self.secrets})


def checked_tree(tree: nodes.Template) -> tuple[Uses, list[int]]:
    """What ``tree`` uses, and the lines where labels stand unquoted; every output gets the filter that guards it.

    Raises `TemplateProblem`.
    """
    check = _Check()
    try:
        for number, _node in enumerate(_nodes(tree)):
            if number > MOST_NODES:
                raise TemplateProblem(_too_complex(), 1)
        check.block(tree.body, loops=0, depth=0)
    except RecursionError as error:
        raise TemplateProblem(_too_complex(), 1) from error
    return check.uses(), sorted(set(check.unquoted))


def _nodes(tree: nodes.Node) -> Iterator[nodes.Node]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.iter_child_nodes())


def _too_complex() -> Message:
    return Message("template-too-complex", "The template nests too deeply or is too long.")


@dataclass(slots=True)
class _Check:
    names: dict[str, set[str]] = field(default_factory=lambda: {group: set() for group in GROUPS})
    required: set[str] = field(default_factory=set)
    deciding: set[str] = field(default_factory=set)
    unquoted: list[int] = field(default_factory=list)
    # Names that loops give to items, and whether an agent had a say in those.
    items: dict[str, bool] = field(default_factory=dict)

    def uses(self) -> Uses:
        every = {f"{group}.{name}" for group in ("vars", "secrets") for name in self.names[group]}
        return Uses(
            frozenset(self.names["labels"]),
            frozenset(self.names["vars"]),
            frozenset(self.names["secrets"]),
            frozenset(every - self.required),
            frozenset(self.deciding),
        )

    # Statements.

    def block(self, body: list[nodes.Node], *, loops: int, depth: int) -> None:
        if depth > DEEPEST:
            raise TemplateProblem(_too_complex(), body[0].lineno if body else 1)
        for node in body:
            if isinstance(node, nodes.Output):
                self._output(node)
            elif isinstance(node, nodes.If):
                self._expression(node.test, 0, bare_secret=False)
                self._whole(node.test)
                self._decides(node.test)
                for part in (node.body, node.elif_, node.else_):
                    self.block(list(part), loops=loops, depth=depth + 1)
            elif isinstance(node, nodes.For):
                self._loop(node, loops, depth)
            else:
                raise self._refused(node)

    def _loop(self, node: nodes.For, loops: int, depth: int) -> None:
        target = node.target
        if loops >= DEEPEST_LOOPS or node.recursive:
            raise TemplateProblem(
                Message("template-loop-depth", "Loops nest {most} levels at most.", most=DEEPEST_LOOPS), node.lineno
            )
        if not isinstance(target, nodes.Name) or target.name in {*GROUPS, "loop", STEPS, *self.items}:
            said = Message("template-loop-name", "A loop gives its items one name, which is free.")
            raise TemplateProblem(said, node.lineno)
        if node.test is not None:
            raise TemplateProblem(
                Message("template-loop-filter", "A loop has no condition: write an if within it."), node.lineno
            )
        self._expression(node.iter, 0, bare_secret=False)
        self._whole(node.iter)
        self._decides(node.iter)
        weight = sum(1 for part in node.body for _node in _nodes(part)) + 1
        node.iter = nodes.Filter(node.iter, STEPS, [nodes.Const(weight)], [], None, None, lineno=node.lineno)
        self.items[target.name] = self._is_of_agents(node.iter)
        self.block(list(node.body), loops=loops + 1, depth=depth + 1)
        del self.items[target.name]
        self.block(list(node.else_), loops=loops, depth=depth + 1)

    def _decides(self, expression: nodes.Node) -> None:
        for node in _nodes(expression):
            if isinstance(node, nodes.Getattr | nodes.Getitem) and isinstance(node.node, nodes.Name):
                name = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
                if node.node.name == "labels" and isinstance(name, str):
                    self.deciding.add(name)

    def _output(self, output: nodes.Output) -> None:
        before = ""
        guarded: list[nodes.Expr] = []
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                before = (before + node.data).rpartition("\n")[2]
                guarded.append(node)
                continue
            self._expression(node, 0)
            self._whole(node)
            name = OWN
            if self._is_of_agents(node):
                name = QUOTED if isinstance(node, nodes.Filter) and node.name in _QUOTING else PLAIN
                if name == PLAIN and before.count('"') % 2 == 0 and before.count("'") % 2 == 0:
                    self.unquoted.append(node.lineno)
            guarded.append(nodes.Filter(node, name, [], [], None, None, lineno=node.lineno))
        output.nodes = guarded

    def _whole(self, expression: nodes.Node) -> None:
        if sum(1 for _node in _nodes(expression)) > MOST_OF_AN_EXPRESSION:
            raise TemplateProblem(
                Message("template-expression-too-long", "One expression has too many parts."), expression.lineno
            )

    # Expressions.

    def _expression(
        self, node: nodes.Node, depth: int, *, may_be_missing: bool = False, bare_secret: bool = True
    ) -> None:
        """``bare_secret``: a secret may stand here, for nothing is done with it."""
        if depth > DEEPEST:
            raise TemplateProblem(_too_complex(), node.lineno)
        if isinstance(node, nodes.Getattr | nodes.Getitem):
            self._item(node, may_be_missing=may_be_missing, bare_secret=bare_secret)
        elif isinstance(node, nodes.Name):
            if node.ctx != "load" or node.name not in self.items:
                raise self._refused(node, node.name)
        elif isinstance(node, nodes.Filter):
            self._filter(node, depth, bare_secret=bare_secret)
        elif isinstance(node, nodes.Test):
            if node.name not in _TESTS or node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
                raise self._refused(node, node.name)
            self._expression(node.node, depth + 1, may_be_missing=True)
        elif isinstance(node, _OPERATIONS):
            for child in node.iter_child_nodes():
                self._expression(child, depth + 1, bare_secret=False)
        else:
            raise self._refused(node)

    def _item(self, node: nodes.Getattr | nodes.Getitem, *, may_be_missing: bool, bare_secret: bool) -> None:
        owner = node.node
        if not isinstance(owner, nodes.Name) or owner.name not in (*GROUPS, "loop"):
            raise self._refused(node)
        if isinstance(node, nodes.Getattr):
            name: Any = node.attr
        else:
            name = node.arg.value if isinstance(node.arg, nodes.Const) else None
        if not isinstance(name, str):
            raise self._refused(node)
        if owner.name == "loop":
            if name not in _OF_A_LOOP or not self.items:
                raise self._refused(node, f"loop.{name}")
            return
        if owner.name == "secrets" and not bare_secret:
            said = Message(
                "template-secret-alone",
                "A secret stands alone, or with one of the filters yaml, json, b64encode and urlencode: otherwise it would "
                "not be known where it is to be hidden.",
            )
            raise TemplateProblem(said, node.lineno)
        self.names[owner.name].add(name)
        if not may_be_missing:
            self.required.add(f"{owner.name}.{name}")

    def _filter(self, node: nodes.Filter, depth: int, *, bare_secret: bool) -> None:
        if node.name not in FILTERS or node.node is None or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise self._refused(node, node.name)
        bare = bare_secret and node.name in _FOR_SECRETS
        self._expression(node.node, depth + 1, may_be_missing=node.name == "default", bare_secret=bare)
        for argument in node.args:
            self._expression(argument, depth + 1, bare_secret=False)

    def _is_of_agents(self, expression: nodes.Node) -> bool:
        return any(
            isinstance(node, nodes.Name) and (node.name == "labels" or self.items.get(node.name, False))
            for node in _nodes(expression)
        )

    def _refused(self, node: nodes.Node, name: str = "") -> TemplateProblem:
        said = Message(
            "template-not-allowed",
            "{what} is no part of the language for files: it has if, for, labels, vars, secrets and the filters {filters}.",
            what=repr((name or _WORDS.get(type(node), type(node).__name__.lower()))[:80]),
            filters=", ".join(sorted(FILTERS)),
        )
        return TemplateProblem(said, node.lineno)

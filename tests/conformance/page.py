"""The conformance page as text, from the rules and from what the tests showed. Pure: reads and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.conformance.rules import RULES, SECTIONS, SERVER, Rule

HEADER = """# Conformance

Every server rule of OpAMP (schema 0.20.0) as this project numbers them, where it can be broken, and the tests that show it.
Made from the tests themselves by `make conformance`; the build fails when it is out of date.

A rule is **shown** when at least one test that names it passed at every transport where the rule applies, **failed** when one of
them failed, **partly** when a transport has no test of its own, and **missing** without any test. Tests of the core without a
transport are listed too, but do not count for one. Tests of several processes run where there are PostgreSQL and Redis.
"""
# Strengths that must be shown without exception.
BINDING = ("MUST", "SHOULD", "INTEROP")


@dataclass(frozen=True, slots=True)
class Showing:
    """One test that names rules. ``transports`` is empty for tests of the core; ``passed`` over all its parameters."""

    test: str
    rules: frozenset[str]
    transports: frozenset[str]
    passed: bool


def verdict(rule: Rule, showings: Iterable[Showing]) -> str:
    """``shown``, ``failed``, ``partly`` or ``missing``."""
    own = list(showings)
    if not own:
        return "missing"
    if not all(showing.passed for showing in own):
        return "failed"
    if rule.applies == (SERVER,):
        return "shown"
    reached = {transport for showing in own for transport in showing.transports}
    return "shown" if reached.issuperset(rule.applies) else "partly"


def render(showings: Iterable[Showing]) -> str:
    """The whole page, ending with a newline. Raises ValueError for a test that names a rule there is not."""
    by_rule: dict[str, list[Showing]] = {rule: [] for rule in RULES}
    for showing in sorted(showings, key=lambda item: (item.test, sorted(item.transports))):
        for name in showing.rules:
            if name not in by_rule:
                raise ValueError(f"{showing.test} names {name}, which is no rule")
            by_rule[name].append(showing)
    verdicts = {name: verdict(RULES[name], found) for name, found in by_rule.items()}
    parts = [HEADER, _summary(verdicts)]
    for title, rules in SECTIONS.items():
        parts.append(
            f"\n## {title}\n\n| rule | strength | where | says | result | tests |\n|---|---|---|---|---|---|\n"
        )
        parts += [_row(rule, verdicts[rule.id], by_rule[rule.id]) for rule in rules]
    return "".join(parts)


def _summary(verdicts: Mapping[str, str]) -> str:
    lines = ["\n| strength | rules | shown | partly | failed | missing |\n|---|---|---|---|---|---|\n"]
    strengths = dict.fromkeys(rule.strength for rule in RULES.values())
    for strength in sorted(strengths, key=lambda name: (name not in BINDING, name)):
        own = [verdicts[name] for name, rule in RULES.items() if rule.strength == strength]
        counts = " | ".join(str(own.count(word)) for word in ("shown", "partly", "failed", "missing"))
        lines.append(f"| {strength} | {len(own)} | {counts} |\n")
    return "".join(lines)


def _row(rule: Rule, found: str, showings: list[Showing]) -> str:
    tests: dict[str, set[str]] = {}
    for showing in showings:
        tests.setdefault(showing.test, set()).update(showing.transports or {"core"})
    listed = "<br>".join(f"`{test}` ({', '.join(sorted(transports))})" for test, transports in sorted(tests.items()))
    where = ", ".join(rule.applies)
    return f"| {rule.id} | {rule.strength} | {where} | {rule.text} | {found} | {listed} |\n"

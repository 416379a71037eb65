"""The trees that an agent reports, health and components, as flat walks for templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from agents.reports import from_unix_nano


class TreeStep(NamedTuple):
    """One step of a walk through a tree: ``open`` and ``close`` around children, or a ``leaf``.

    Flat, because an agent decides how deep its tree is; and names it chose are never looked up in a template.
    """

    kind: str
    name: str = ""
    healthy: bool = True
    troubled: bool = False
    status: str = ""
    error: str = ""
    started_at: Any = None
    facts: Sequence[tuple[str, Any]] = ()


def health_steps(name: str, node: Mapping[str, Any]) -> list[TreeStep]:
    """The health tree; ``troubled`` where the component or one below it is unhealthy."""
    below = node.get("components")
    inner = [step for key, child in sorted(below.items()) for step in health_steps(key, child)] if below else []
    healthy = bool(node.get("healthy"))
    own = TreeStep(
        "open" if inner else "leaf",
        name,
        healthy,
        not healthy or any(step.troubled for step in inner),
        str(node.get("status", "")),
        str(node.get("last_error", "")),
        from_unix_nano(int(node.get("start_time_unix_nano", 0))),
    )
    return [own, *inner, TreeStep("close")] if inner else [own]


def component_steps(content: Mapping[str, Any]) -> list[TreeStep]:
    """The component map by name, each with what the agent says about it."""
    steps: list[TreeStep] = []
    for name, entry in sorted(content.items()):
        inner = component_steps(entry.get("components") or {})
        own = TreeStep("open" if inner else "leaf", name, facts=sorted((entry.get("metadata") or {}).items()))
        steps += [own, *inner, TreeStep("close")] if inner else [own]
    return steps


def bounded(tree: Any, most: int) -> tuple[Any, bool]:
    """So many nodes of a tree of ``components``, each level before those below it, the unhealthy first; whether there are more."""
    left, more = most, False

    def level(nodes: Mapping[str, Any]) -> dict[str, Any]:
        nonlocal left, more
        more |= len(nodes) > left
        kept = dict(islice(sorted(nodes.items(), key=_trouble_first), left))
        left -= len(kept)
        return {name: below(node) for name, node in kept.items()}

    def below(node: Any) -> Any:
        inner = node.get("components") if isinstance(node, Mapping) else None
        return {**node, "components": level(inner)} if inner else node

    return below(tree), more


def _trouble_first(member: tuple[str, Any]) -> tuple[bool, str]:
    name, node = member
    return not (isinstance(node, Mapping) and node.get("healthy") is False), name

"""Whether connectors lead from pipelines into pipelines that they can feed, and whether they ever end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from configurations.checks.component_ids import type_of
from configurations.checks.component_types import CONNECTOR_SIGNALS
from configurations.checks.findings import Severity, shown_value
from configurations.checks.pipelines import Name, Pipeline
from foundation.messages import Message

Problem = tuple[Severity, Name, Message]


def connector_problems(
    pipelines: list[Pipeline], connectors: Mapping[str, Name], *, feeds_known: bool, takers_known: bool
) -> Iterator[Problem]:
    """Of each connector at most one problem; ``feeds_known``, ``takers_known``: all exporters, all receivers could be read."""
    unfit: set[str] = set()
    for name in connectors.values():
        problem = _problem_of(name, pipelines, feeds_known=feeds_known, takers_known=takers_known)
        if problem is not None:
            unfit.add(name.text)
            yield problem
    cycle = _cycle(pipelines, [text for text in connectors if text not in unfit])
    if cycle:
        names = " → ".join(shown_value(use.text) for use in cycle)
        message = Message(
            "connector-cycle",
            "Connectors lead in a circle: {names}. What goes in never comes out; take one of them out of its pipeline.",
            names=f"{names} → {shown_value(cycle[0].text)}",
        )
        certain = all(type_of(use.text) in CONNECTOR_SIGNALS for use in cycle)
        yield Severity.ERROR if certain else Severity.WARNING, cycle[0], message


def _problem_of(defined: Name, pipelines: list[Pipeline], *, feeds_known: bool, takers_known: bool) -> Problem | None:
    text, name = defined.text, shown_value(defined.text)
    feeds = [(line, use) for line in pipelines for use in line.exporters if use.text == text]
    takers = [(line, use) for line in pipelines for use in line.receivers if use.text == text]
    if feeds and not takers and takers_known:
        message = Message(
            "connector-without-receiver",
            "The connector {name} is an exporter but nowhere a receiver: what it gets is lost.",
            name=name,
        )
        return Severity.ERROR, defined, message
    if takers and not feeds and feeds_known:
        message = Message(
            "connector-without-exporter",
            "The connector {name} is a receiver but nowhere an exporter: nothing reaches it.",
            name=name,
        )
        return Severity.ERROR, defined, message
    pairs = CONNECTOR_SIGNALS.get(type_of(text))
    if pairs is None or not (feeds_known and takers_known):
        return None
    for line, use in feeds:
        if not any((line.signal, other.signal) in pairs for other, _use in takers):
            given = sorted({after for before, after in pairs if before == line.signal})
            return Severity.ERROR, use, _unfed(name, line.signal, given)
    for line, use in takers:
        if not any((other.signal, line.signal) in pairs for other, _use in feeds):
            message = Message(
                "connector-without-feed",
                "The connector {name} gives no {signal} from what it is given; feed it from another pipeline.",
                name=name,
                signal=line.signal,
            )
            return Severity.ERROR, use, message
    return None


def _unfed(name: str, signal: str, given: list[str]) -> Message:
    if not given:
        return Message("connector-takes-no-signal", "The connector {name} takes no {signal}.", name=name, signal=signal)
    return Message(
        "connector-signals",
        "The connector {name} makes {given} of {signal}, and no pipeline of {given} receives it.",
        name=name,
        given=", ".join(given),
        signal=signal,
    )


def _cycle(pipelines: list[Pipeline], connectors: list[str]) -> list[Name]:
    """The connectors of one circle, in order; empty when there is none."""
    names = set(connectors)
    takers: dict[str, list[int]] = {}
    for number, line in enumerate(pipelines):
        for use in line.receivers:
            if use.text in names:
                takers.setdefault(use.text, []).append(number)
    edges: list[list[tuple[int, Name]]] = []
    for line in pipelines:
        found: list[tuple[int, Name]] = []
        for use in line.exporters:
            pairs = CONNECTOR_SIGNALS.get(type_of(use.text))
            found += [
                (other, use)
                for other in takers.get(use.text, ())
                if pairs is None or (line.signal, pipelines[other].signal) in pairs
            ]
        edges.append(found)
    done: set[int] = set()
    for start in range(len(pipelines)):
        if start not in done and (found_cycle := _walk(start, edges, done)):
            return found_cycle
    return []


def _walk(start: int, edges: list[list[tuple[int, Name]]], done: set[int]) -> list[Name]:
    """Depth first without recursion: pipelines may be many."""
    on_path, path, uses = {start: 0}, [start], list[Name]()
    pending = [iter(edges[start])]
    while pending:
        step = next(pending[-1], None)
        if step is None:
            pending.pop()
            number = path.pop()
            del on_path[number]
            done.add(number)
            if uses:
                uses.pop()
            continue
        number, use = step
        if number in on_path:
            return [*uses[on_path[number] :], use]
        if number in done:
            continue
        on_path[number] = len(path)
        path.append(number)
        uses.append(use)
        pending.append(iter(edges[number]))
    return []

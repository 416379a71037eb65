"""What the open page of a configuration listens to: its own edits, and what becomes of its agents."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from agents.models import Agent
from configurations.models import Configuration
from foundation.topics import Topic, register_topic


def names_of(rows: Collection[str], wanted: Collection[str]) -> Iterable[str]:
    """Configurations that were edited; one that was deleted is in no row any more, and its page says so when it is read."""
    return Configuration.objects.filter(pk__in=rows, name__in=wanted).values_list("name", flat=True)


def names_of_agents(rows: Collection[str], wanted: Collection[str]) -> Iterable[str]:
    """Configurations that these agents should run. Whose agents a fragment reaches is not in their rows: it may be anybody."""
    named = Agent.objects.filter(pk__in=rows, configuration_name__in=wanted).order_by()
    found = set(named.values_list("configuration_name", flat=True).distinct())
    fragments = Configuration.objects.filter(kind=Configuration.Kind.FRAGMENT, name__in=wanted)
    return found.union(fragments.values_list("name", flat=True))


def register() -> None:
    """Called when Django is ready."""
    follows = {"configurations.configuration": names_of, "agents.agent": names_of_agents}
    register_topic(Topic("configuration", "configurations.view_configuration", follows, keyed=True))

"""Whom connection settings would reach, and how many of those could do nothing with them. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.conf import settings as site

from agents.label_conditions import selector_condition
from agents.models import HEADLINE, Agent
from agents.selectors import Selector
from connections.content import OPAMP, Content
from connections.members import digests_of, takes, wanted_members
from connections.models import AgentConnection, ConnectionSettings, SettingsVersion
from connections.services.connection_targeting import fresh_connections, settings_wanted_by
from rollouts.audiences import EVERYONE
from rollouts.services.releasable import Candidate

_CHUNK = 2_000
_NAMED = 20


@dataclass(slots=True)
class Reach:
    """Numbers of agents. ``agents`` would have the settings; the others are some of these, but for ``stronger``.

    ``incapable`` take no member of them, ``partly`` some; ``without_opamp`` and ``by_certificate`` are not led elsewhere, since
    they take no settings for this server, or were heard last with a client certificate; ``unchanged`` have the same already;
    ``stronger``: others of a higher priority reach them. Lists of names have the first of each.
    """

    agents: int = 0
    offline: int = 0
    incapable: int = 0
    partly: int = 0
    unchanged: int = 0
    without_opamp: int = 0
    by_certificate: int = 0
    stronger: int = 0
    incapable_names: list[str] = field(default_factory=list)
    offline_names: list[str] = field(default_factory=list)
    by_certificate_names: list[str] = field(default_factory=list)
    # Of everybody reached: uid, labels and name, as stages are planned from.
    members: list[tuple[UUID, Any, str]] = field(default_factory=list)


def reach_of(row: ConnectionSettings, selector: Selector, content: Content) -> Reach:
    """What releasing ``content`` to everybody ``selector`` matches would reach now; ``row`` may be unsaved."""
    found = Reach()
    if not row.enabled:
        return found
    digests = digests_of(content, key=site.SECRET_KEY)
    version = SettingsVersion(number=0, digests=digests)
    released = fresh_connections()
    candidates = [each for each in released.candidates if each.row.name != row.name]
    mine = Candidate(row, selector, [(EVERYONE, version)])
    ordered = sorted([*candidates, mine], key=lambda each: (-each.row.priority, each.row.name))
    targeting = replace(released, candidates=ordered)
    wanted = dict(AgentConnection.objects.filter(version__settings__name=row.name).values_list("agent_id", "wanted"))
    shown = set(AgentConnection.objects.filter(by_certificate=True).values_list("agent_id", flat=True))
    columns = ("pk", "instance_uid", "labels", HEADLINE, "capabilities", "connected")
    matched = Agent.objects.filter(selector_condition(selector)).order_by("pk")
    for key, uid, labels, name, capabilities, connected in matched.values_list(*columns).iterator(_CHUNK):
        if settings_wanted_by(uid, labels, targeting) is not version:
            found.stronger += 1
            continue
        found.agents += 1
        found.members.append((uid, labels, name))
        taken = wanted_members(digests, capabilities)
        if not taken:
            found.incapable += 1
            found.incapable_names += [name] if len(found.incapable_names) < _NAMED else []
        elif len(taken) < len(digests):
            found.partly += 1
        if OPAMP in digests and not takes(OPAMP, capabilities):
            found.without_opamp += 1
        elif OPAMP in digests and key in shown:
            found.by_certificate += 1
            found.by_certificate_names += [name] if len(found.by_certificate_names) < _NAMED else []
        if not connected:
            found.offline += 1
            found.offline_names += [name] if len(found.offline_names) < _NAMED else []
        if taken and wanted.get(key) == taken:
            found.unchanged += 1
    return found

"""Rows about agents. Which row holds what is decided by how often it is written:

* `Agent` is what lists, filters and matching read; written when something an operator would notice changes.
* `AgentPresence` is the narrow row that heartbeats reach, in batches.
* `DuplicateUid` is there only for agents under whose uid a second one may speak.
* `SavedView` is a list of agents that a person keeps; `DefaultView` which of them opens first.
* `ReportedState` is the wide row, read by one agent's page; its large parts are `ReportedDocument`s shared by hash.

Fields under "reported" are what the agent said; nothing but `agents.services.recording.record_reports` writes them.
"""

from __future__ import annotations

from agents.models.agent import HEADLINE, Agent, AgentPresence, AgentQuerySet, Approval, SequenceNumberField, Transport
from agents.models.duplicate_uid import DuplicateUid
from agents.models.fleet import Fleet
from agents.models.fleet_history import FleetSample
from agents.models.history import AgentCommand, AgentEvent, ConnectionRecord
from agents.models.processes import Leadership, ServerProcess
from agents.models.reported import ReportedDocument, ReportedState
from agents.models.saved_view import DefaultView, SavedView, SavedViewQuerySet
from agents.models.seen_version import SeenVersion

__all__ = [
    "HEADLINE",
    "Agent",
    "AgentCommand",
    "AgentEvent",
    "AgentPresence",
    "AgentQuerySet",
    "Approval",
    "ConnectionRecord",
    "DefaultView",
    "DuplicateUid",
    "Fleet",
    "FleetSample",
    "Leadership",
    "ReportedDocument",
    "ReportedState",
    "SavedView",
    "SavedViewQuerySet",
    "SeenVersion",
    "SequenceNumberField",
    "ServerProcess",
    "Transport",
]

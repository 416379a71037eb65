"""The panel on an agent's page that says what it should run, and why."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from agents.extensions import Panel, register_panel
from agents.models import Agent
from configurations.models import Assignment
from configurations.targets import why


def context(_request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """The assignment and all candidates, strongest first."""
    assignment = Assignment.objects.filter(agent=agent).first()
    return {"agent": agent, "assignment": assignment, "candidates": why(agent)}


def register() -> None:
    """Show the panel on every agent's page."""
    register_panel(Panel("configuration", "panels/configuration.html", context))

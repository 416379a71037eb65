"""What the tests of the agents' pages in the admin share."""

from __future__ import annotations

import re
from typing import Any

from django.utils import timezone

from agents.models import Agent
from agents.remote_config import ConfigFile
from configurations.services.publishing import Draft, create_configuration

LIST = "/admin/agents/agent/"


def page_of(agent: Agent) -> str:
    return f"{LIST}{agent.pk}/change/"


def shown(client: Any, url: str, data: Any = None) -> str:
    answer = client.get(url, data)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def publish(name: str = "prod", *, env: str = "prod", text: str = "receivers: {}\n") -> None:
    create_configuration(
        name,
        Draft(selector={"env": env}, files={"": ConfigFile(text.encode(), "text/yaml")}),
        by=None,
        at=timezone.now(),
    )

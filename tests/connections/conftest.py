"""Connection settings to try with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from connections.services.settings_edits import Saved, create_settings
from rollouts.services.version_publishing import AT_ONCE, VersionPlan

TOKEN = "dest-token-77aa55cc"


def telemetry(name: str = "metrics", **more: Any) -> dict[str, Any]:
    """A destination for one kind of own telemetry."""
    return {"endpoint": f"https://otel.example:4318/v1/{name}", "headers": {"Authorization": f"Bearer {TOKEN}"}, **more}


def content(*, traces: bool = True, **more: Any) -> dict[str, Any]:
    """Own metrics and own traces."""
    return {"own_metrics": telemetry(), **({"own_traces": telemetry("traces")} if traces else {}), **more}


@pytest.fixture
def make() -> Callable[..., Saved]:
    """Settings released at once to ``env=prod`` unless told otherwise."""

    def make(name: str = "site", whole: Any = None, plan: VersionPlan = AT_ONCE, **values: Any) -> Saved:
        values.setdefault("selector", {"env": "prod"})
        given = {"name": name, "content": content() if whole is None else whole, **values}
        return create_settings(given, by=None, at=timezone.now(), plan=plan)

    return make

"""Mistakes about keys of secrets, as system checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.checks import CheckMessage, Tags, register


@register(Tags.database)
def secrets_can_be_read(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Every stored secret is readable by one of the keys. Runs where the database is asked: ``check --database default``."""
    from variables.services.value_edits import unreadable_secrets

    if not databases:
        return []
    lost = unreadable_secrets()
    if not lost:
        return []
    return [
        checks.Warning(
            f"Secrets that no key reads: {', '.join(lost[:20])}. Agents whose files use them keep what they run.",
            hint="Put the key they were stored under into SECRETS_KEYS (behind the newest), or enter the secrets anew.",
            id="opamp.W010",
        )
    ]

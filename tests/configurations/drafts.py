"""Values that tests of drafts and of deleted configurations begin with."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from agents.remote_config import ConfigFile
from configurations.models import Configuration
from configurations.services import publishing
from configurations.services.drafts import Draft

WITH_SECRET = "exporters:\n  otlp:\n    endpoint: a:4317\n    headers:\n      api_key: s3cr3t-value-of-prod\n"


def wanted(text: str = "a: 1\n", **columns: Any) -> Draft:
    """A draft of one file, its text true."""
    columns.setdefault("selector", {"env": "prod"})
    return Draft(files={"": ConfigFile(text.encode(), "text/yaml")}, true_files=None, **columns)


def published(name: str = "prod", text: str = "a: 1\n", **columns: Any) -> Configuration:
    """A configuration with one revision."""
    draft = wanted(text, **columns)
    return publishing.create_configuration(name, draft, by=None, at=timezone.now())[0]


def publish_again(name: str, text: str, **columns: Any) -> None:
    """Somebody else's edit of it."""
    publishing.update_configuration(name, wanted(text, **columns), by=None, at=timezone.now())

"""Every example configuration that people may copy: from README and docs, the samples, the form, and simulated agents.

Tests take them from here, so that none is shown that would not run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configurations.examples import collector_example
from configurations.management.commands.create_samples import SAMPLES
from configurations.starting_points import CONTENT_TYPE, starting_points
from simulator.collector import _LOCAL_CONFIG

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_BODY = re.compile(r"-d '(\{.*?\})'", re.DOTALL)
_SECTION = re.compile(r"^(receivers|exporters):", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Example:
    """One configuration: its files by config key as (text, content type). ``source`` says where it stands."""

    source: str
    files: dict[str, tuple[str, str]]

    @property
    def is_template(self) -> bool:
        """Whether something is filled in for each agent."""
        return any("{{" in text for text, _kind in self.files.values())

    @property
    def is_collectors(self) -> bool:
        """Whether a Collector is to run it; others are for agents of other kinds."""
        return any(_SECTION.search(text) for text, _kind in self.files.values())


def examples() -> list[Example]:
    """All of them, but for parts and templates: nobody runs those as they stand."""
    pages = [example for example in _of_pages() if not example.is_template]
    return [*pages, *_of_code(), *_of_templates()]


def _of_pages() -> Iterator[Example]:
    for page in PAGES:
        for fence in _FENCE.finditer(page.read_text()):
            source = f"{page.relative_to(ROOT)}:{page.read_text()[: fence.start()].count(chr(10)) + 1}"
            language, text = fence[1], fence[2]
            if language in ("yaml", "yml") and _SECTION.search(text):
                yield Example(source, {"": (text, "text/yaml")})
            bodies = [text] if language == "json" else _BODY.findall(text)
            for body in bodies:
                yield from _of_body(source, body)


def _of_body(source: str, body: str) -> Iterator[Example]:
    """What a request would store; examples with … in them are no JSON, and none is meant to be sent."""
    try:
        said: dict[str, Any] = json.loads(body)
    except json.JSONDecodeError:
        if "raw_config" in body and "…" not in body:
            raise
        return
    kind = said.get("content_type", "text/yaml")
    files = {key: (file["body"], file.get("content_type", kind)) for key, file in said.get("files", {}).items()}
    if "raw_config" in said:
        files[said.get("config_key", "")] = (said["raw_config"], kind)
    # Of parts the page tells something else than what a Collector runs.
    parts = any(_SECTION.search(text) for text, _kind in files.values())
    if files and (not parts or any("service" in text for text, _kind in files.values())):
        yield Example(source, files)


def _of_code() -> Iterator[Example]:
    yield Example("the form", {"": (collector_example(), "text/yaml")})
    yield Example("simulated agents", {"": (_LOCAL_CONFIG, "text/yaml")})
    for name, draft in SAMPLES.items():
        files = {key: (file.body.decode(), file.content_type) for key, file in draft.files.items()}
        yield Example(f"create_samples {name}", files)
    for start in starting_points().values():
        yield Example(f"template {start.name}", {"": (start.text, CONTENT_TYPE)})


def _of_templates() -> Iterator[Example]:
    """Configurations written out in a page of the portal."""
    for path in sorted((ROOT / "templates").rglob("*.html")):
        for text in re.findall(r"<pre[^>]*>(.*?)</pre>", path.read_text(), re.DOTALL):
            if _SECTION.search(text):
                yield Example(str(path.relative_to(ROOT)), {"": (text, "text/yaml")})

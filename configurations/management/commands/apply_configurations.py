"""``manage.py apply_configurations DIR``: make configurations as manifests in a folder say, or keep drafts of that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from configurations.file_trees import FolderTree
from configurations.manifests import UnusableManifests, wanted_in
from configurations.services.applying import NotApplicable, Step, apply_configurations, plan_configurations
from configurations.wanted_json import UnreadableConfigurations
from foundation import command_progress
from foundation.clock import clock
from foundation.errors import DomainError


class Command(BaseCommand):
    """All of it or nothing; what is so already is not touched."""

    help = "Make configurations as the manifests in a folder say, all or none: as drafts, or with --publish for agents."

    def add_arguments(self, parser: CommandParser) -> None:
        """The folder and what may be done."""
        parser.add_argument("folder", metavar="DIR", type=Path)
        parser.add_argument(
            "--publish", action="store_true", help="Make it what agents run, instead of keeping drafts."
        )
        parser.add_argument("--dry-run", action="store_true", help="Only print the plan.")
        parser.add_argument(
            "--prune", action="store_true", help="With --publish: delete configurations that have no manifest."
        )
        parser.add_argument(
            "--allow-empty", action="store_true", help="With --prune: also when there is no manifest at all."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """The plan as a table, findings below; errors of all configurations at once."""
        try:
            wanted, warnings = wanted_in(FolderTree(options["folder"]))
            for warning in warnings:
                self.stderr.write(f"warning: {warning!s}")
            values: dict[str, Any] = {
                "by": None,
                "at": clock.now(),
                "prune": options["prune"],
                "allow_empty": options["allow_empty"],
            }
            with command_progress.progress_shown("configurations looked at", total=len(wanted)):
                if options["dry_run"]:
                    steps = plan_configurations(wanted, **values)
                else:
                    steps = apply_configurations(wanted, **values, as_drafts=not options["publish"])
        except DomainError as error:
            raise CommandError("\n".join([str(error), *_reasons(error)])) from error
        self.stdout.write(table_of(steps))
        if options["dry_run"]:
            self.stdout.write("Nothing was changed.")
        elif not options["publish"]:
            self.stdout.write("Kept as drafts, and nothing is deleted; --publish carries it out.")


def _reasons(error: DomainError) -> list[str]:
    if isinstance(error, UnusableManifests):
        return [str(reason) for reason in error.reasons]
    if isinstance(error, NotApplicable | UnreadableConfigurations):
        return [
            f"{name}: {field}: {text}" if field else f"{name}: {text}"
            for name, fields in error.errors.items()
            for field, texts in fields.items()
            for text in _texts(texts)
        ]
    return []


def _texts(said: Any) -> list[str]:
    """Of what may be nested by field, as errors of single files are."""
    if isinstance(said, dict):
        return [f"{name}: {text}" for name, texts in said.items() for text in _texts(texts)]
    return [text for item in said for text in _texts(item)] if isinstance(said, list | tuple) else [str(said)]


def table_of(steps: Sequence[Step]) -> str:
    """Action and name in columns; below, the findings of what changes, and a line that counts."""
    lines = [f"{step.action.value:<9}  {step.name}" for step in steps]
    for step in steps:
        for item in step.findings:
            place = f" line {item.line}, column {item.column}" if item.line else ""
            lines.append(f"  {step.name}: {item.file or 'main file'}{place}: {item.message!s}")
    counts = dict.fromkeys(("create", "update", "delete", "unchanged"), 0)
    for step in steps:
        counts[step.action.value] += 1
    return "\n".join([*lines, ", ".join(f"{number} {action}" for action, number in counts.items())])

"""``manage.py upload_package NAME VERSION FILE``: add a file to a version of a package, making both where they are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.selectors import InvalidSelector, parse_label_query
from foundation import command_progress
from foundation.clock import clock
from foundation.errors import DomainError
from packages.models import Package, PackageVersion
from packages.services import package_edits, uploading
from packages.services.uploading import FileFacts
from packages.services.version_releases import publish_version
from rollouts.policies import NAMED_POLICIES
from rollouts.services.version_publishing import BY_DEFAULT, VersionPlan


class Command(BaseCommand):
    """Uploads."""

    help = "Add a file to a version of a package; package and version are made where they are not there."

    def add_arguments(self, parser: CommandParser) -> None:
        """What, for whom, and whether to release it."""
        parser.add_argument("name")
        parser.add_argument("package_version", metavar="version")
        parser.add_argument("file", type=Path)
        parser.add_argument("--kind", choices=Package.Kind.values, default=Package.Kind.TOP_LEVEL.value)
        parser.add_argument(
            "--selector", help="Labels of a new package, such as env=prod; without it, it matches nobody."
        )
        parser.add_argument("--os-type", default="", help="As agents report it, such as linux; any without it.")
        parser.add_argument("--architecture", default="", help="As agents report it, such as amd64; any without it.")
        parser.add_argument("--sha256", default="", help="What the file should have.")
        parser.add_argument("--signature", type=Path, help="A file with the Ed25519 signature in base64.")
        parser.add_argument(
            "--release",
            nargs="?",
            const="",
            choices=["", *NAMED_POLICIES],
            help="Release it, by a policy of this name.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say what there is."""
        at = clock.now()
        try:
            version = self._version(options)
            signature = options["signature"].read_text(encoding="ascii").strip() if options["signature"] else ""
            facts = FileFacts(
                filename=options["file"].name,
                os_type=options["os_type"],
                architecture=options["architecture"],
                sha256=options["sha256"],
                signature=signature,
            )
            size = options["file"].stat().st_size
            shown = command_progress.progress_shown(f"{options['file'].name}, bytes", total=size)
            with options["file"].open("rb") as source, shown:
                row = uploading.add_file(version, command_progress.CountedReader(source), facts, by=None, at=at)
            self.stdout.write(f"{row.filename}: {row.size} bytes for {row.platform}, SHA-256 {row.sha256}")
            if options["release"] is not None:
                named = options["release"]
                plan = VersionPlan(NAMED_POLICIES[named]) if named else BY_DEFAULT
                rollout = publish_version(version, by=None, at=at, plan=plan)
                self.stdout.write(
                    f"Rollout {rollout.pk} has begun." if rollout else "Released to everybody it matches."
                )
        except (DomainError, InvalidSelector, OSError, ValueError) as error:
            raise CommandError(str(error)) from error

    def _version(self, options: dict[str, Any]) -> PackageVersion:
        at, name = clock.now(), options["name"]
        packages = list(Package.objects.filter(name=name)[:2])
        if len(packages) > 1:
            raise CommandError(f"There are several packages named {name}: use the API, which names them by number.")
        if packages:
            package = packages[0]
        else:
            values: dict[str, Any] = {"name": name, "kind": options["kind"]}
            if options["selector"]:
                values["selector"] = parse_label_query(options["selector"]).as_json()
            package = package_edits.create_package(values, by=None, at=at)
        wanted = options["package_version"]
        # PostgreSQL cannot ask for a text with U+0000 in it; adding such a version is refused with a reason.
        found = None if "\x00" in wanted else package.versions.filter(version=wanted).first()
        return found or package_edits.add_version(package, wanted, by=None, at=at)

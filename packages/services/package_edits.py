"""What people do with packages and their versions: make, change, delete. What concerns agents is matched anew at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts import services as accounts
from accounts.models import User
from foundation.messages import Message
from packages.errors import InvalidPackage, PackageChanged, PackageInUse
from packages.models import RELEASE_SUBJECT, Artefact, Installation, Package, PackageVersion
from packages.services import store
from packages.services.matching import bump_packages, hold_packages
from packages.services.version_releases import PACKAGE_RELEASES
from rollouts.models import Release, Rollout
from rollouts.services.row_edits import RowEdit, next_version, row_errors

MOST_PACKAGES = 500
MOST_VERSIONS = 500
# What a new one may be given, and what can be changed of one.
FIELDS = ("name", "kind", "selector", "match_all", "priority", "enabled", "notes", "rollout_policy")
_FIXED = ("name", "kind")


@transaction.atomic
def create_package(values: Mapping[str, Any], *, by: User | None, at: datetime) -> Package:
    """Make a package without versions, which reaches nobody. Raises `InvalidPackage`."""
    package = Package(created_at=at, updated_at=at, **values)
    _check(package)
    hold_packages(exclusive=True)
    if Package.objects.count() >= MOST_PACKAGES:
        raise InvalidPackage({"name": [Message("too-many-packages", "At most {most} packages.", most=MOST_PACKAGES)]})
    package.save(force_insert=True)
    accounts.record(by=by, verb="package.create", target=package, name=package.name, data={"kind": package.kind})
    return package


@transaction.atomic
def update_package(
    key: int, values: Mapping[str, Any], *, by: User | None, at: datetime, editions: Collection[int] | None = None
) -> Package:
    """Change columns; agents that it gains or loses are matched anew. ``editions``: one of them must be the present.

    Raises `Package.DoesNotExist`, `InvalidPackage`, `PackageChanged`.
    """
    hold_packages(exclusive=True)
    package = Package.objects.select_for_update().get(pk=key)
    if editions is not None and package.edition not in editions:
        raise PackageChanged(Message("package-changed", "Somebody else has changed the package: look at it again."))
    for name in _FIXED:
        if name in values and values[name] != getattr(package, name):
            raise InvalidPackage(
                {name: [Message("package-fixed-field", "This cannot be changed: make another package.")]}
            )
    edit = RowEdit(package, values)
    _check(package)
    if edit.changed:
        edit.save(PACKAGE_RELEASES, "package.update", by=by, at=at)
    return package


@transaction.atomic
def delete_package(package: Package, *, by: User | None, at: datetime) -> None:
    """Delete it with its versions and files. Raises `PackageInUse` while agents should have it or it is being released."""
    hold_packages(exclusive=True)
    package = Package.objects.select_for_update().get(pk=package.pk)
    agents = Installation.objects.filter(package=package).count()
    if agents or Rollout.objects.active().of(RELEASE_SUBJECT, package.pk).exists():
        raise PackageInUse(
            Message(
                "package-in-use",
                "{count} agents should have {name}, or it is being rolled out: disable it first.",
                count=agents,
                name=package.name,
            )
        )
    Release.objects.of(RELEASE_SUBJECT, package.pk).end(at)
    accounts.record(by=by, verb="package.delete", target=package, name=package.name)
    _forget_files(list(Artefact.objects.filter(version__package=package).exclude(key="").values_list("key", flat=True)))
    package.delete()
    bump_packages()


@transaction.atomic
def add_version(package: Package, version: str, *, note: str = "", by: User | None, at: datetime) -> PackageVersion:
    """Number and store a version without files. Raises `InvalidPackage`."""
    hold_packages(exclusive=True)
    package = Package.objects.select_for_update().get(pk=package.pk)
    row = PackageVersion(package=package, version=version, **next_version(package, by=by, at=at, note=note))
    try:
        row.clean_fields(exclude=["author", "released_at"])
    except ValidationError as error:
        raise InvalidPackage({name: list(texts) for name, texts in error.message_dict.items()}) from error
    if package.versions.count() >= MOST_VERSIONS:
        said = Message("too-many-versions", "At most {most} versions: delete old ones first.", most=MOST_VERSIONS)
        raise InvalidPackage({"version": [said]})
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        taken = Message("package-version-exists", "There is a version {version} already.", version=repr(version))
        raise InvalidPackage({"version": [taken]}) from error
    accounts.record(
        by=by, verb="package.add_version", target=package, name=package.name, data={"version": version, "note": note}
    )
    return row


@transaction.atomic
def delete_version(version: PackageVersion, *, by: User | None, at: datetime) -> None:
    """Delete one with its files. Raises `PackageInUse` while agents should have it, or it is in force for anybody."""
    hold_packages(exclusive=True)
    version = PackageVersion.objects.select_related("package").get(pk=version.pk)
    package = version.package
    agents = Installation.objects.filter(version=version).count()
    live = Release.objects.of(RELEASE_SUBJECT, package.pk).live().filter(version_id=version.pk).exists()
    rolled_out = Rollout.objects.active().of(RELEASE_SUBJECT, package.pk).filter(version_id=version.pk).exists()
    if agents or live or rolled_out:
        raise PackageInUse(
            Message(
                "package-version-in-use",
                "Version {version} is released: {count} agents should have it. Release another one first.",
                version=version.version,
                count=agents,
            )
        )
    accounts.record(
        by=by, verb="package.delete_version", target=package, name=package.name, data={"version": version.version}
    )
    _forget_files(list(version.artefacts.exclude(key="").values_list("key", flat=True)))
    version.delete()
    bump_packages()


def _check(package: Package) -> None:
    errors = row_errors(package)
    if errors:
        raise InvalidPackage(errors)


def _forget_files(keys: list[str]) -> None:
    """After the commit; a file that stays behind is found by ``clean_packages``."""
    for key in keys:
        transaction.on_commit(lambda key=key: store.delete_file(key), robust=True)  # type: ignore[misc]

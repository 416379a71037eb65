"""Files of a version: stored as they come in, checked, and only then known. What is refused leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import services as accounts
from accounts.models import User
from foundation.messages import Message
from packages.errors import InvalidPackage, VersionIsFixed
from packages.models import Artefact, PackageVersion
from packages.models.package_rows import PLATFORM_PATTERN
from packages.services import store
from packages.services.matching import hold_packages
from packages.signatures import is_signed, signature_of

MOST_ARTEFACTS = 50
_PLATFORM = re.compile(PLATFORM_PATTERN)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_MOST_HEADERS = 20
# Whoever downloads sets these; a second one breaks the request.
_TAKEN = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "range", "if-range"})


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What whoever adds a file says of it; an empty ``os_type`` or ``architecture`` is any.

    ``sha256`` is what the file should have, ``""`` for whatever it has. ``signature`` is in base64.
    """

    filename: str = ""
    os_type: str = ""
    architecture: str = ""
    sha256: str = ""
    signature: str = ""
    url: str = ""
    size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def add_file(
    version: PackageVersion, source: store.Source, facts: FileFacts, *, by: User | None, at: datetime
) -> Artefact:
    """Store what ``source`` has, outside of any transaction, and make it known.

    Raises `InvalidPackage`, `VersionIsFixed`, `FileTooLarge`, `StoreAway`, and what ``source`` raises.
    """
    _check(facts, stored=True)
    _require_open(version, facts)
    stored = store.save(source, facts.filename)
    try:
        _check_stored(stored, facts)
        row = Artefact(key=stored.key, size=stored.size, sha256=stored.sha256)
        return _known(version, row, facts, by=by, at=at)
    except BaseException:
        store.delete_file(stored.key)
        raise


def add_address(version: PackageVersion, facts: FileFacts, *, by: User | None, at: datetime) -> Artefact:
    """Make a file known that somebody else keeps, at an https address; its digest is whoever adds it's word.

    Raises `InvalidPackage`, `VersionIsFixed`.
    """
    _check(facts, stored=False)
    _require_open(version, facts)
    _check_signature(facts.sha256.lower(), facts.signature)
    row = Artefact(url=facts.url, size=facts.size, sha256=facts.sha256.lower(), headers=dict(facts.headers))
    return _known(version, row, facts, by=by, at=at)


@transaction.atomic
def delete_artefact(artefact: Artefact, *, by: User | None) -> None:
    """Take a file away from a version that nobody got. Raises `VersionIsFixed`."""
    hold_packages(exclusive=True)
    version = PackageVersion.objects.select_related("package").get(pk=artefact.version_id)
    _require_unreleased(version)
    _record("package.delete_file", artefact, version, by)
    key = artefact.key
    artefact.delete()
    if key:
        transaction.on_commit(lambda: store.delete_file(key), robust=True)


def _known(version: PackageVersion, row: Artefact, facts: FileFacts, *, by: User | None, at: datetime) -> Artefact:
    with transaction.atomic():
        hold_packages(exclusive=True)
        version = PackageVersion.objects.select_related("package").get(pk=version.pk)
        _require_unreleased(version)
        row.version = version
        row.filename = store.safe_name(facts.filename or urlsplit(facts.url).path)
        row.os_type, row.architecture = facts.os_type, facts.architecture
        row.signature = facts.signature.strip()
        row.uploaded_at = at
        row.uploaded_by_name = by.get_username() if by else accounts.SYSTEM
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            raise InvalidPackage({"os_type": [_taken(facts)]}) from error
        _record("package.add_file", row, version, by)
    return row


def _record(verb: str, row: Artefact, version: PackageVersion, by: User | None) -> None:
    data = {
        "version": version.version,
        "file": row.filename,
        "platform": row.platform,
        "sha256": row.sha256,
        "signed": bool(row.signature),
    }
    accounts.record(by=by, verb=verb, target=version.package, name=version.package.name, data=data)


def _require_open(version: PackageVersion, facts: FileFacts) -> None:
    """What can be known before a gigabyte is read. Raises `VersionIsFixed`, `InvalidPackage`."""
    _require_unreleased(version)
    if version.artefacts.filter(os_type=facts.os_type, architecture=facts.architecture).exists():
        raise InvalidPackage({"os_type": [_taken(facts)]})
    if version.artefacts.count() >= MOST_ARTEFACTS:
        said = Message("too-many-package-files", "At most {most} files of one version.", most=MOST_ARTEFACTS)
        raise InvalidPackage({"file": [said]})


def _require_unreleased(version: PackageVersion) -> None:
    if version.released_at is not None:
        raise VersionIsFixed(
            Message(
                "package-version-fixed",
                "Version {version} was released, so its files stay as they are: make another version.",
                version=version.version,
            )
        )


def _taken(facts: FileFacts) -> Message:
    return Message(
        "package-platform-taken",
        "There is a file for {platform} already.",
        platform=f"{facts.os_type or 'any'}/{facts.architecture or 'any'}",
    )


def _check(facts: FileFacts, *, stored: bool) -> None:
    errors: dict[str, list[Any]] = {}
    for name in ("os_type", "architecture"):
        value = getattr(facts, name)
        if value and not _PLATFORM.fullmatch(value):
            errors[name] = [
                Message("package-platform", "Write it as agents report it, such as linux or amd64; empty for any.")
            ]
    if facts.sha256 and not _SHA256.fullmatch(facts.sha256.lower()):
        errors["sha256"] = [Message("package-sha256", "A SHA-256 has 64 hexadecimal digits.")]
    if len(facts.filename) > 200:
        errors["filename"] = [Message("package-filename", "A file name has at most 200 characters.")]
    if facts.signature and signature_of(facts.signature) is None:
        errors["signature"] = [Message("package-signature", "An Ed25519 signature is 64 bytes in base64.")]
    if not stored:
        errors |= _address_errors(facts)
    if errors:
        raise InvalidPackage(errors)


def _address_errors(facts: FileFacts) -> dict[str, list[Any]]:
    errors: dict[str, list[Any]] = {}
    try:
        parts = urlsplit(facts.url)
        named = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        named = False
    if (
        not named
        or len(facts.url) > 2_000
        or not facts.url.isascii()
        or not facts.url.isprintable()
        or " " in facts.url
        or "#" in facts.url
    ):
        errors["url"] = [Message("package-url", "Write a whole https address, without a user or a # in it.")]
    if not facts.sha256:
        errors["sha256"] = [Message("package-sha256-missing", "The SHA-256 of the file is needed here.")]
    if facts.size is not None and not 0 < facts.size < 2**63:
        errors["size"] = [Message("package-size", "A size is a whole number of bytes above 0.")]
    if not _are_headers(facts.headers):
        said = Message(
            "package-headers",
            "At most {most} headers, each named once and a line of text; none that clients set themselves, such as Host.",
            most=_MOST_HEADERS,
        )
        errors["headers"] = [said]
    return errors


def _are_headers(headers: Mapping[str, str]) -> bool:
    names = [name.lower() for name in headers]
    return (
        len(headers) <= _MOST_HEADERS
        and len(set(names)) == len(names)
        and _TAKEN.isdisjoint(names)
        and all(_HEADER.fullmatch(name) for name in headers)
        and all(
            0 < len(value) <= 2_000 and value.isascii() and value.isprintable() and value == value.strip()
            for value in headers.values()
        )
    )


def _check_stored(stored: store.Stored, facts: FileFacts) -> None:
    """Whether it is the file that was meant. Raises `InvalidPackage`."""
    if not stored.size:
        raise InvalidPackage({"file": [Message("package-file-empty", "The file is empty.")]})
    if facts.sha256 and facts.sha256.lower() != stored.sha256:
        wrong = Message("package-wrong-sha256", "The file has SHA-256 {sha256}.", sha256=stored.sha256)
        raise InvalidPackage({"sha256": [wrong]})
    _check_signature(stored.sha256, facts.signature)


def _check_signature(sha256: str, signature: str) -> None:
    """Where the site has keys, one of them must have signed. Raises `InvalidPackage`."""
    keys = settings.PACKAGE_SIGNING_KEYS
    if not keys:
        return
    raw = signature_of(signature)
    if raw is None:
        said = Message("package-unsigned", "This portal takes signed files only: add the signature.")
        raise InvalidPackage({"signature": [said]})
    if not is_signed(sha256, raw, keys):
        said = Message("package-wrong-signature", "None of this portal's keys made this signature of this file.")
        raise InvalidPackage({"signature": [said]})

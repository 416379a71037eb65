"""Contents of versions at rest: encrypted, read, and rotated with all other secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache

from connections.content import Content
from connections.hidden_values import secret_values
from connections.models import SettingsVersion
from variables.encryption import Unreadable, decrypted, encrypted, rotated
from variables.secret_holders import SecretHolder

# Older ones are neither run by agents nor worth the time that each process takes to read them.
_KNOWN_VERSIONS = 2_000


def encrypted_content(content: Content) -> str:
    """``content`` encrypted."""
    return encrypted(json.dumps(content, sort_keys=True))


def content_of(version: SettingsVersion) -> Content:
    """The whole content, which callers leave as it is. Raises `Unreadable`."""
    return _read(version.encrypted)


@lru_cache(maxsize=64)
def _read(token: str) -> Content:
    content: Content = json.loads(decrypted(token))
    return content


def known_secrets() -> Iterator[str]:
    """The secrets of the newest versions that can be read, so that they are hidden wherever they turn up."""
    for token in SettingsVersion.objects.order_by("-pk").values_list("encrypted", flat=True)[:_KNOWN_VERSIONS]:
        try:
            content: Content = json.loads(decrypted(token))
        except Unreadable:
            continue
        yield from secret_values(content)


def rotate_contents() -> tuple[int, list[str]]:
    """Encrypt all contents under the newest key; how many, and which no key reads."""
    count, lost = 0, []
    for version in SettingsVersion.objects.select_related("settings").select_for_update(of=("self",)).order_by("pk"):
        try:
            version.encrypted = rotated(version.encrypted)
        except Unreadable:
            lost.append(f"{version.settings.name} {version.number}")
            continue
        version.save(update_fields=["encrypted"])
        count += 1
    return count, lost


HOLDER = SecretHolder(known_secrets, rotate_contents)

"""What an agent is told to run: a map of named files, and its hash. Pure: standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One ``AgentConfigObject``: opaque ``body`` bytes, optional MIME ``content_type`` and agent-defined ``role`` (S-68).

    ``template``: the body is none yet, but becomes one for each agent; agents are never sent such a file.
    """

    body: bytes
    content_type: str = ""
    role: str = ""
    template: bool = False

    @property
    def text(self) -> str | None:
        """The body as text; ``None`` for bytes that are none, and for text with NUL, which no database or form keeps."""
        try:
            text = self.body.decode()
        except UnicodeDecodeError:
            return None
        return None if "\x00" in text else text


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """One ``AgentConfigMap``: config key to file. Any key is legal, ``""`` included; an empty map means "run with none" (S-67)."""

    files: Mapping[str, ConfigFile]

    def config_hash(self) -> bytes:
        """SHA-256 (32 bytes) over the files in key order, every field length-prefixed (S-59).

        A pure function of the content: map order does not matter, and no two different maps share an input, because
        each field carries its length (8 bytes, big-endian) before it; the keys of templates follow behind a length that no
        field has.
        """
        digest = hashlib.sha256()
        for key in sorted(self.files):
            file = self.files[key]
            for field in (key.encode(), file.body, file.content_type.encode(), file.role.encode()):
                digest.update(len(field).to_bytes(8, "big"))
                digest.update(field)
        for key in sorted(key for key, file in self.files.items() if file.template):
            digest.update(b"\xff" * 8 + len(key.encode()).to_bytes(8, "big") + key.encode())
        return digest.digest()

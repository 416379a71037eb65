"""The configurations offered last, by their hash, so that a thousand agents cost one reading of the files.

Knows nothing of rows: who does not find a configuration here reads it.
"""

from __future__ import annotations

from agents.recent import Recent
from agents.remote_config import RemoteConfig

# For keys, names and objects of one configuration, however small its files are.
_OVERHEAD_BYTES = 1024


class RecentConfigs(Recent[RemoteConfig]):
    """At most ``most_bytes`` of files."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(most_bytes, _size)


def _size(config: RemoteConfig) -> int:
    return _OVERHEAD_BYTES + sum(len(file.body) for file in config.files.values())

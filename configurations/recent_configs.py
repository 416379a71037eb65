"""The configurations offered last, by their hash, so that a thousand agents cost one reading of the files.

A hash says everything about its content, so nothing here can grow stale; what is bounded is how many bytes are kept. Knows
nothing of rows: who does not find a configuration here reads it.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from configurations.remote_config import RemoteConfig

# For keys, names and objects of one configuration, however small its files are.
_OVERHEAD_BYTES = 1024


class RecentConfigs:
    """At most ``most_bytes`` of files, those used longest ago go first; the newest one is kept whatever its size.

    Safe to use from several threads.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._configs: OrderedDict[str, RemoteConfig] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> RemoteConfig | None:
        """The configuration with this hash (hex), ``None`` when it is not here."""
        with self._lock:
            config = self._configs.get(key)
            if config is not None:
                self._configs.move_to_end(key)
            return config

    def put(self, key: str, config: RemoteConfig) -> None:
        """Keep ``config``, and let go what has no room beside it."""
        with self._lock:
            if key in self._configs:
                return
            self._configs[key] = config
            self._bytes += _size(config)
            while self._bytes > self._most_bytes and len(self._configs) > 1:
                _key, oldest = self._configs.popitem(last=False)
                self._bytes -= _size(oldest)


def _size(config: RemoteConfig) -> int:
    return _OVERHEAD_BYTES + sum(len(file.body) for file in config.files.values())

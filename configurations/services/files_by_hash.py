"""The files behind a hash, from memory where they are: a thousand agents that are offered the same cost one reading."""

from __future__ import annotations

from agents.remote_config import RemoteConfig
from configurations.models import Revision
from configurations.recent_configs import RecentConfigs

# Of files, in each process: a few large configurations, or thousands of small ones.
_KEPT_BYTES = 8 * 1024 * 1024

_recent = RecentConfigs(_KEPT_BYTES)


def remote_config_of(config_hash: str) -> RemoteConfig | None:
    """The files with this hash (hex), which are no templates; ``None`` when they were deleted with their configuration."""
    config = _recent.get(config_hash)
    if config is None:
        revision = Revision.objects.filter(hash=config_hash, templated=False).order_by("-id").first()
        if revision is None:
            return None
        config = revision.remote_config()
        _recent.put(config_hash, config)
    return config

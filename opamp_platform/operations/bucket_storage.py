"""The storage in a bucket, with times after which it is given up: boto3's own wait minutes for a store that is gone.

Only imported where there is a bucket, since boto3 weighs 20 MiB in each process.
"""

from __future__ import annotations

from typing import Any

from botocore.config import Config
from storages.backends.s3 import S3Storage

_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 3, 20, 2


class BoundedBucket(S3Storage):  # type: ignore[misc]
    """Django's storage in an S3-compatible bucket."""

    def get_default_settings(self) -> dict[str, Any]:
        """The library's, with ours."""
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": _ATTEMPTS},
            # Stores that are not Amazon's do not know its newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return {**super().get_default_settings(), "client_config": config}

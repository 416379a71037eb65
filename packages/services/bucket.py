"""Files of packages in an S3 bucket: multipart uploads with one part in memory, ranges, presigned addresses.

Names of the bucket and keys come from the storage of the settings. Its own client waits a minute for a store that is gone, so
this one has timeouts of its own. boto3 is imported when it is needed: it weighs 20 MiB in each process.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

# S3 takes 10,000 parts: files of 156 GiB.
_PART_BYTES = 16 * 1024**2
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 3, 30, 2
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


class Bucket:
    """`packages.services.store.Store` in a bucket."""

    def __init__(self, storage: Any) -> None:
        self._name = storage.bucket_name
        self._client = _client(storage.endpoint_url, storage.access_key, storage.secret_key, storage.region_name)

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """All that boto3 raises."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        return (Boto3Error, BotoCoreError, ClientError)

    def save(self, key: str, source: Any) -> None:
        """Part by part; what breaks takes its parts away."""
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(
            multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, use_threads=False, max_concurrency=1
        )
        self._client.upload_fileobj(_ReadOnly(source), self._name, key, Config=config)

    def delete(self, key: str) -> None:
        """One that is not there is no error to S3."""
        self._client.delete_object(Bucket=self._name, Key=key)

    def open(self, key: str, start: int, length: int) -> Any:
        """Raises `FileNotFoundError`."""
        from botocore.exceptions import ClientError

        wanted = {"Range": f"bytes={start}-{start + length - 1}"} if length else {}
        try:
            return self._client.get_object(Bucket=self._name, Key=key, **wanted)["Body"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT:
                raise FileNotFoundError(key) from error
            raise

    def files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """Page by page."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=f"{folder}/")
        for page in pages:
            for entry in page.get("Contents", []):
                yield entry["Key"], entry["LastModified"]

    def end_unfinished(self, folder: str, before: datetime, *, dry_run: bool) -> list[str]:
        """Multipart uploads that nobody goes on with; S3 shows their parts nowhere, and asks money for them."""
        found = []
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._name, Prefix=f"{folder}/")
        for page in pages:
            for upload in page.get("Uploads", []):
                if upload["Initiated"] >= before:
                    continue
                found.append(upload["Key"])
                if not dry_run:
                    self._client.abort_multipart_upload(
                        Bucket=self._name, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
        return found

    def ask(self) -> None:
        """Whether the bucket is there and takes our keys."""
        self._client.head_bucket(Bucket=self._name)

    def presigned_url(self, key: str, seconds: int) -> str:
        """Made here: nobody is asked."""
        url: str = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._name, "Key": key}, ExpiresIn=seconds
        )
        return url


class _ReadOnly:
    """Nothing but ``read``, so that boto3 does not look for the end first."""

    def __init__(self, source: Any) -> None:
        self.read = source.read


@lru_cache(maxsize=4)
def _client(endpoint_url: str | None, access_key: str, secret_key: str, region: str | None) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=region or "us-east-1",
        config=Config(
            # boto3 would sign addresses by version 2, which newer regions and many stores refuse.
            signature_version="s3v4",
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": _ATTEMPTS},
            # Stores that are not Amazon's do not know its newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )

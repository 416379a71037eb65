"""Where files lie, in a folder or a bucket, as Django's `STORAGES` has it; and how agents come to them. Knows no settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opamp_platform.environment import Environment, StrangeValue
from packages.signatures import public_key


def folder_store(folder: Path) -> dict[str, Any]:
    """Files on the disk, their owner's alone."""
    return {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": folder,
            "base_url": None,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    }


def bucket_store(bucket: str, endpoint_url: str, access_key: str, secret_key: str) -> dict[str, Any]:
    """Files in a bucket that is never public."""
    return {
        "BACKEND": "opamp_platform.operations.bucket_storage.BoundedBucket",
        "OPTIONS": {
            "bucket_name": bucket,
            "endpoint_url": endpoint_url or None,
            "access_key": access_key,
            "secret_key": secret_key,
            "default_acl": None,
            "file_overwrite": False,
            "querystring_auth": True,
        },
    }


def public_url(env: Environment) -> str:
    """Where agents fetch packages; empty: where each connected to. Raises `StrangeValue`."""
    text = env.text("PUBLIC_URL").rstrip("/")
    parts = urlsplit(text)
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment):
        raise StrangeValue("PUBLIC_URL must be like https://portal.example.org.")
    return text


def signing_keys(env: Environment) -> list[str]:
    """Ed25519 public keys, one of which must have signed each upload; none: nobody asks. Raises `StrangeValue`."""
    keys = env.items("PACKAGE_SIGNING_KEYS")
    for text in keys:
        if public_key(text) is None:
            raise StrangeValue(f"PACKAGE_SIGNING_KEYS: {text[:60]!r} is no Ed25519 public key (32 bytes in base64).")
    return keys

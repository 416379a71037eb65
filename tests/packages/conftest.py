"""Files in a folder of the test's own, and packages to try with."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils import timezone
from pytest_django import Settings

from packages.models import Package, PackageVersion
from packages.services import store
from packages.services.package_edits import add_version, create_package
from packages.services.uploading import FileFacts, add_file
from packages.services.version_releases import publish_version
from rollouts.services.version_publishing import AT_ONCE

CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def files(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder."""
    root = tmp_path / "files"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": root}},
    }
    monkeypatch.setattr(default_storage, "_wrapped", FileSystemStorage(location=root))
    monkeypatch.setattr(store, "_verdict", None)
    settings.PUBLIC_URL = "http://testserver"
    return root


@pytest.fixture
def make() -> Callable[..., PackageVersion]:
    """A package with one version and one file, released at once unless told otherwise."""

    def make(
        name: str = "agent",
        version: str = "1.0.0",
        content: bytes = CONTENT,
        *,
        released: bool = True,
        package: Package | None = None,
        os_type: str = "",
        architecture: str = "",
        **values: Any,
    ) -> PackageVersion:
        at = timezone.now()
        values.setdefault("selector", {"env": "prod"})
        package = package or create_package({"name": name, **values}, by=None, at=at)
        row = add_version(package, version, by=None, at=at)
        facts = FileFacts(filename=f"{name}-{version}.tar.gz", os_type=os_type, architecture=architecture)
        add_file(row, io.BytesIO(content), facts, by=None, at=at)
        if released:
            publish_version(row, by=None, at=at, plan=AT_ONCE)
        return PackageVersion.objects.select_related("package").get(pk=row.pk)

    return make

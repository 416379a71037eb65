"""Static files under names that hold a hash of their content, so that browsers may keep them for a year.

``collectstatic`` (at the build of an image, or by the first `serve` of this code) writes them to ``STATIC_ROOT`` with
compressed copies beside them. Without it, as under ``runserver`` and in tests, pages name the files as they lie in the
source, and browsers ask for them every minute.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from whitenoise.storage import CompressedManifestStaticFilesStorage

from foundation.command_progress import advance_progress

logger = logging.getLogger(__name__)

_SOURCES = "sources.sha256"


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    """Names by content where files were collected, plain names elsewhere; imports between modules are followed as well."""

    support_js_module_import_aggregation = True
    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """The hashed name of a file that was collected, else the plain one."""
        try:
            return str(super().stored_name(name))
        except ValueError:  # it is not in STATIC_ROOT
            return name

    def post_process(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Hash and compress, and only then note what that was made of."""
        for item in super().post_process(*args, **kwargs):
            advance_progress()
            yield item
        if not kwargs.get("dry_run"):
            Path(self.path(_SOURCES)).write_text(_fingerprint(), encoding="ascii")


def collect() -> bool:
    """Collect when the sources changed since the last time; false when it was not needed or ``STATIC_ROOT`` is read-only.

    One process at a time: several nodes may share the folder. What another version of the code collected stays, for its
    processes may still serve pages that name it.
    """
    root = Path(settings.STATIC_ROOT)
    if _collected(root):
        return False
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _collected(root):
                return False
            call_command("collectstatic", interactive=False, verbosity=0)
    except OSError as error:
        logger.warning(
            "static files are not collected: browsers will ask for them every minute",
            extra={"folder": str(root), "error": str(error)},
        )
        return False
    return True


def _collected(root: Path) -> bool:
    try:
        return (root / _SOURCES).read_text(encoding="ascii") == _fingerprint()
    except OSError:
        return False


def _fingerprint() -> str:
    """Of all sources: names, sizes and times of change say enough, and reading them all would take longer."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = Path(storage.path(path)).stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    digest.update(type(staticfiles_storage).__qualname__.encode())
    return digest.hexdigest()

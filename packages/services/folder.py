"""Files of packages in a folder, through Django's own storage."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import FileSystemStorage

_PART = ".part"


class Folder:
    """`packages.services.store.Store` in a folder of the disk."""

    def __init__(self, storage: FileSystemStorage) -> None:
        self._storage = storage

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """A disk that is full or gone."""
        return (OSError,)

    def save(self, key: str, source: Any) -> None:
        """Under another name first: what is there under its own is whole."""
        part = key + _PART
        written = self._storage.save(part, _Unseekable(source))
        Path(self._storage.path(written)).rename(self._storage.path(key))

    def delete(self, key: str) -> None:
        """With the folder of its own that it lies in."""
        for name in (key, key + _PART):
            self._storage.delete(name)
        with contextlib.suppress(OSError):
            Path(self._storage.path(key)).parent.rmdir()

    def open(self, key: str, start: int, length: int) -> Any:
        """A part of the file."""
        file = Path(self._storage.path(key)).open("rb")  # noqa: SIM115  whoever reads closes it
        file.seek(start)
        return file

    def files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """Also those that were never finished."""
        root = Path(self._storage.path(""))
        for path in sorted((root / folder).glob("*/*")):
            with contextlib.suppress(FileNotFoundError):
                yield str(path.relative_to(root)), datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)

    def end_unfinished(self, folder: str, before: datetime, *, dry_run: bool) -> list[str]:
        """Empty folders; parts of files are among `files`."""
        found = []
        root = Path(self._storage.path(""))
        for path in sorted((root / folder).glob("*")):
            old = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC) < before
            if old and path.is_dir() and not any(path.iterdir()):
                found.append(str(path.relative_to(root)))
                if not dry_run:
                    shutil.rmtree(path, ignore_errors=True)
        return found

    def ask(self) -> None:
        """A folder is there."""

    def presigned_url(self, key: str, seconds: int) -> str:
        """There are none."""
        return ""


class _Unseekable(File[bytes]):
    """A source that is read once, in pieces."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """To its end."""
        source: Any = self.file
        while data := source.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
            yield data

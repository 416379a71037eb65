"""Where files of packages lie: the default storage, in a folder or in a bucket. Streams, and never holds a whole file.

What goes wrong is told as `StoreAway`, `FileTooLarge` or `NoSuchFile`; what was half written is taken away.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage

from foundation import command_progress
from foundation.messages import Message
from packages.errors import FileTooLarge, NoSuchFile, StoreAway
from packages.services.bucket import Bucket
from packages.services.folder import Folder

FOLDER = "packages"
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
# A bucket is asked at most so often whether it is there.
_ASKED_SECONDS = 10.0


class Source(Protocol):
    """What an upload is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes, none at the end."""


class Reader(Protocol):
    """A part of a stored file."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes of the part."""

    def close(self) -> None:
        """Give it back."""


class Store(Protocol):
    """One kind of storage."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What it raises when it cannot be reached."""

    def save(self, key: str, source: Source) -> None:
        """Store all of ``source``."""

    def delete(self, key: str) -> None:
        """Take it away; one that is not there is no error."""

    def open(self, key: str, start: int, length: int) -> Reader:
        """``length`` bytes from ``start``. Raises `FileNotFoundError`."""

    def files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """All keys below ``folder``, each with when it was written."""

    def end_unfinished(self, folder: str, before: datetime, *, dry_run: bool) -> list[str]:
        """Take away what uploads that broke left behind; returns what."""

    def ask(self) -> None:
        """Raises one of `failures` when it cannot be reached."""

    def presigned_url(self, key: str, seconds: int) -> str:
        """An address that needs no other right; empty where there are none."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored, and under which key."""

    key: str
    size: int
    sha256: str


class _Measured:
    """Reads on, and knows how much that was and its digest. Raises `FileTooLarge`; what the source raises stays apart."""

    def __init__(self, source: Source, most: int) -> None:
        self._source, self._most = source, most
        self._digest = hashlib.sha256()
        self.size = 0
        self.broken: Exception | None = None

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._source.read(size)
        except Exception as error:
            self.broken = error
            raise
        self.size += len(data)
        if self.size > self._most:
            self.broken = FileTooLarge(
                Message("package-too-large", "The file is larger than {most} bytes.", most=self._most)
            )
            raise self.broken
        self._digest.update(data)
        return data


def save(source: Source, filename: str) -> Stored:
    """Store all that ``source`` has. Raises `FileTooLarge`, `StoreAway`, and what ``source`` raises; then nothing stays."""
    here = _here()
    key = f"{FOLDER}/{uuid4().hex}/{safe_name(filename)}"
    measured = _Measured(source, settings.PACKAGE_MAX_SIZE)
    try:
        here.save(key, measured)
    except BaseException as error:
        with contextlib.suppress(Exception):
            here.delete(key)
        if measured.broken is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
            raise measured.broken from None
        if isinstance(error, here.failures):
            raise _away(error) from error
        raise
    _note(away=False)
    return Stored(key, measured.size, measured.sha256)


def delete_file(key: str) -> None:
    """Take a file away; when the store is out of reach it stays, for `clean_packages` to find."""
    here = _here()
    with contextlib.suppress(*here.failures):
        here.delete(key)


def open_part(key: str, start: int, length: int) -> Reader:
    """Raises `NoSuchFile`, `StoreAway`."""
    here = _here()
    try:
        return here.open(key, start, length)
    except FileNotFoundError as error:
        raise NoSuchFile(Message("package-file-gone", "The file is not in the store any more.")) from error
    except here.failures as error:
        raise _away(error) from error


def files() -> list[tuple[str, datetime]]:
    """Every stored file of packages. Raises `StoreAway`."""
    here = _here()
    found = []
    try:
        # A bucket tells them a thousand at a time.
        for item in here.files(FOLDER):
            command_progress.advance_progress()
            found.append(item)
    except here.failures as error:
        raise _away(error) from error
    return found


def end_unfinished(before: datetime, *, dry_run: bool) -> list[str]:
    """Parts of uploads that began before and never ended. Raises `StoreAway`."""
    here = _here()
    try:
        return here.end_unfinished(FOLDER, before, dry_run=dry_run)
    except here.failures as error:
        raise _away(error) from error


def presigned_url(key: str) -> str:
    """An address in the bucket, good for `PACKAGE_URL_SECONDS`; empty where files lie in a folder."""
    return _here().presigned_url(key, settings.PACKAGE_URL_SECONDS)


def safe_name(filename: str) -> str:
    """A file name that every store and every URL takes."""
    return _UNSAFE.sub("-", filename.rsplit("/", 1)[-1].rsplit("\\", 1)[-1]).strip("-.")[:120] or "file"


# --- Is it there? ----------------------------------------------------------------------------------------------------

_lock = threading.Lock()
# When it was asked last, and whether it was away then.
_verdict: tuple[float, bool] | None = None
_asking = False


def is_away() -> bool:
    """Whether agents should not be sent there now; answers from memory, and has another thread ask a bucket now and then."""
    if _is_folder():
        return False
    global _asking  # noqa: PLW0603  under its lock
    with _lock:
        verdict = _verdict
        if (verdict is None or time.monotonic() - verdict[0] >= _ASKED_SECONDS) and not _asking:
            _asking = True
            threading.Thread(target=_ask, name="package-store", daemon=True).start()
    return verdict is None or verdict[1]


def ask_now() -> bool:
    """Ask, wait for the answer, and remember it; true when it is there."""
    here = _here()
    try:
        here.ask()
    except here.failures:
        _note(away=True)
        return False
    _note(away=False)
    return True


def _ask() -> None:
    global _asking  # noqa: PLW0603  under its lock
    try:
        ask_now()
    finally:
        with _lock:
            _asking = False


def _note(*, away: bool) -> None:
    global _verdict  # noqa: PLW0603  under its lock
    with _lock:
        _verdict = (time.monotonic(), away)


def _away(error: Exception) -> StoreAway:
    _note(away=True)
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return StoreAway(
        Message(
            "package-store-away", "The store of packages is out of reach; try again later. ({reason})", reason=reason
        )
    )


def _here() -> Store:
    storage: Any = default_storage
    return Folder(storage) if _is_folder() else Bucket(storage)


def _is_folder() -> bool:
    return isinstance(default_storage, FileSystemStorage)

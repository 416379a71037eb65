"""Files by path, read from a folder or a zip archive that somebody else made: bounded, and never from outside of it.

It must not know what the files mean.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from configurations.checks.names import key_problem
from foundation.errors import DomainError
from foundation.messages import Message

MAX_FILE_BYTES = 2 * 1024**2
MAX_TREE_BYTES = 64 * 1024**2
MAX_ENTRIES = 50_000
_MAX_DEPTH = 16
_COMPRESSIONS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class UnusableTree(DomainError):
    """The folder or archive is none that is read; nothing was done."""


class UnreadableFile(DomainError):
    """One file of a tree cannot be read."""


class FileTree:
    """Plain files below a root, by POSIX path. A link is no plain file, wherever it leads."""

    def __init__(self) -> None:
        self._left = MAX_TREE_BYTES
        self.paths: frozenset[str] = frozenset()

    def read(self, path: str) -> bytes:
        """Raises `UnreadableFile` when it is not there or above `MAX_FILE_BYTES`, `UnusableTree` when all read is too much."""
        if path not in self.paths:
            raise UnreadableFile(
                Message("tree-file-missing", "{path} is missing, or is no plain file.", path=repr(path))
            )
        body = self._read(path, MAX_FILE_BYTES + 1)
        if len(body) > MAX_FILE_BYTES:
            raise UnreadableFile(
                Message(
                    "tree-file-too-large", "{path} has more than {most} bytes.", path=repr(path), most=MAX_FILE_BYTES
                )
            )
        self._left -= len(body)
        if self._left < 0:
            raise UnusableTree(
                Message("tree-too-large", "The files have more than {most} bytes in all.", most=MAX_TREE_BYTES)
            )
        return body

    def _read(self, path: str, most: int) -> bytes:
        raise NotImplementedError


class FolderTree(FileTree):
    """The files in ``root``; folders whose names begin with a dot, such as ``.git``, are left out. Raises `UnusableTree`."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        if not root.is_dir():
            raise UnusableTree(Message("tree-no-folder", "{path} is no folder.", path=repr(str(root))))
        paths = set()
        for path in _plain_files(root, "", 0):
            paths.add(path)
            _require_few(len(paths))
        self.paths = frozenset(paths)

    def _read(self, path: str, most: int) -> bytes:
        *folders, name = path.split("/")
        try:
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                for part in folders:
                    inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                    os.close(folder)
                    folder = inner
                opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            finally:
                os.close(folder)
            with os.fdopen(opened, "rb") as file:
                return file.read(most)
        except OSError as error:
            raise UnreadableFile(
                Message("tree-file-unreadable", "{path}: {reason}.", path=repr(path), reason=error.strerror or "")
            ) from error


def _plain_files(folder: Path, prefix: str, depth: int) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UnusableTree(
            Message("tree-file-unreadable", "{path}: {reason}.", path=repr(prefix or "."), reason=error.strerror or "")
        ) from error
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            yield prefix + entry.name
        elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and depth < _MAX_DEPTH:
            yield from _plain_files(folder / entry.name, f"{prefix}{entry.name}/", depth + 1)


class ZipTree(FileTree):
    """The files in an archive. Raises `UnusableTree` for what is none, or names a place outside, or one place twice."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        try:
            self._archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise UnusableTree(Message("tree-no-zip", "This is no zip archive.")) from error
        entries = self._archive.infolist()
        _require_few(len(entries))
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            name = entry.filename
            if not name or key_problem(name.rstrip("/")) is not None or name in self._entries:
                raise UnusableTree(
                    Message(
                        "tree-zip-name",
                        "The archive has an entry {path}, which leads out of it, is there twice, or is no name.",
                        path=repr(name[:300]),
                    )
                )
            if not entry.is_dir() and not stat.S_ISLNK(entry.external_attr >> 16):
                self._entries[name] = entry
        self.paths = frozenset(self._entries)

    def _read(self, path: str, most: int) -> bytes:
        entry = self._entries[path]
        said = Message("tree-zip-unreadable", "{path} cannot be read from the archive.", path=repr(path))
        if entry.flag_bits & 1 or entry.compress_type not in _COMPRESSIONS:
            raise UnreadableFile(said)
        try:
            # However large it says it is: no more than asked for is inflated.
            with self._archive.open(entry) as file:
                return file.read(most)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            ValueError,
            OSError,
        ) as error:
            raise UnreadableFile(said) from error


def _require_few(count: int) -> None:
    if count > MAX_ENTRIES:
        raise UnusableTree(Message("tree-too-many", "There are more than {most} files.", most=MAX_ENTRIES))

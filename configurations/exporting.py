"""Configurations into a folder that may hold other things: nothing is written over that no manifest of the folder names.

Each file is written whole and then given its name. An export that was interrupted is mended by the next one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from configurations.file_trees import FolderTree
from configurations.manifests import MANIFEST, Manifest, free_name, read_manifests, written
from configurations.models import Configuration
from foundation import command_progress
from foundation.errors import DomainError
from foundation.messages import Message

_CHUNK = 100


class ForeignFile(DomainError):
    """Something stands where a file would be written, and no manifest names it."""


@dataclass(frozen=True, slots=True)
class Exported:
    """Names of the configurations whose files were written, were as they should be, and were removed."""

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def all_configurations() -> Iterator[Configuration]:
    """By name, with what is published; their files are not all in memory at once."""
    return Configuration.objects.select_related("current").order_by("name").iterator(chunk_size=_CHUNK)


def export_to(root: Path, *, prune: bool = False) -> Exported:
    """Write all configurations, secrets in clear text, with ``prune`` also remove those that there are no more.

    Where a manifest of the same name is there already, its folder and paths stay. Raises `UnusableTree`, `UnusableManifests`
    when a manifest there cannot be read, `ForeignFile` and `OSError`.
    """
    root.mkdir(parents=True, exist_ok=True)
    known: dict[str, Manifest] = {}
    for manifest in read_manifests(FolderTree(root)):
        known.setdefault(str(manifest.data.get("name")), manifest)
    taken = {entry.name.casefold() for entry in root.iterdir()}
    result = Exported()
    kept = set()
    for row in all_configurations():
        kept.add(row.name)
        former = known.get(row.name)
        folder = root / (former.folder if former else free_name(row.name, taken))
        changed = _write(folder, row, former)
        (result.written if changed else result.unchanged).append(row.name)
        command_progress.advance_progress()
    if prune:
        for name, manifest in sorted(known.items()):
            if name not in kept:
                _remove(root / manifest.folder, [*manifest.files.values(), MANIFEST])
                result.removed.append(name)
    return result


def _write(folder: Path, row: Configuration, former: Manifest | None) -> bool:
    """Whether anything was written or removed. The manifest comes first, so that what was begun is known for ours."""
    stored = row.current.files if row.current else {}
    form = written(row, stored, former=former.files if former else None)
    ours = {MANIFEST, *former.files.values()} if former else set()
    wanted = {MANIFEST: form.manifest.encode(), **form.bodies}
    different = [path for path, body in wanted.items() if _differs(folder, path, body)]
    for path in different:
        if path not in ours and os.path.lexists(folder / path):
            raise ForeignFile(
                Message(
                    "export-foreign-file",
                    "{path} is there already and belongs to no configuration; move it away.",
                    path=repr(str(folder / path)),
                )
            )
    for path in different:
        _replace(folder / path, wanted[path])
    gone = sorted(ours - set(wanted))
    _remove(folder, gone)
    return bool(different or gone)


def _differs(folder: Path, path: str, body: bytes) -> bool:
    """Also when it is no plain file. Raises `ForeignFile` for one behind a link, which is not ours to write through."""
    place = folder / path
    for part in (folder, *(folder / parent for parent in Path(path).parents), place):
        if part.is_symlink():
            raise ForeignFile(
                Message("export-link", "{path} is a link, which is not followed; remove it.", path=repr(str(part)))
            )
    if not place.is_file() or place.stat().st_size != len(body):
        return True
    return place.read_bytes() != body


def _replace(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The same name each time, so that what an interrupted export left is used up by the next.
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _remove(folder: Path, paths: list[str]) -> None:
    """Files that a manifest names, and folders that are empty then."""
    for path in paths:
        place = folder / path
        if folder.is_symlink() or any((folder / parent).is_symlink() for parent in Path(path).parents):
            continue
        place.unlink(missing_ok=True)
        for parent in (place.parent, *place.parent.parents):
            if not parent.is_relative_to(folder) or any(parent.iterdir()):
                break
            parent.rmdir()

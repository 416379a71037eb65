"""Configurations as files: a folder for each, in it ``configuration.yaml``, the manifest, and the files that it names.

A manifest is a configuration as REST has it, but a file may say ``path``, below the manifest's folder, in place of its body.
What the folder is called counts for nothing. It must not know whether files come from a disk or an archive, nor write any.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.reports import JsonObject
from configurations.checks.names import key_problem
from configurations.file_trees import FileTree, UnreadableFile
from configurations.manifest_text import BrokenManifest, manifest_text, read_manifest
from configurations.models import Configuration
from configurations.services.applying import Wanted
from configurations.wanted_json import wanted_of
from foundation.errors import DomainError
from foundation.messages import Message

MANIFEST = "configuration.yaml"
_MOST_REASONS = 50
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# Names that Windows gives to devices, with any ending.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_ENDINGS = {"text/yaml": ".yaml", "application/json": ".json"}


class UnusableManifests(DomainError):
    """Some manifests cannot be used; ``reasons`` has all of them."""

    def __init__(self, reasons: Sequence[Message]) -> None:
        super().__init__(
            Message("manifests-unusable", "{count} manifests or files cannot be used.", count=len(reasons))
        )
        self.reasons = list(reasons)


@dataclass(frozen=True, slots=True)
class Manifest:
    """``data`` is what ``folder`` + `MANIFEST` says; ``files`` are the paths by config key that it names, below ``folder``."""

    folder: str
    data: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where it is."""
        return f"{self.folder}/{MANIFEST}"


def read_manifests(tree: FileTree) -> list[Manifest]:
    """All manifests, by folder. Raises `UnusableManifests` with everything that is wrong with any, `UnusableTree`."""
    found, reasons = [], []
    for path in sorted(tree.paths):
        folder, _slash, name = path.rpartition("/")
        if name != MANIFEST or not folder or "/" in folder or folder.startswith("."):
            continue
        try:
            found.append(_manifest(folder, read_manifest(_text(tree, path), path)))
        except (BrokenManifest, UnreadableFile) as error:
            reasons.append(error.message)
    if reasons:
        raise UnusableManifests(reasons)
    return found


def _text(tree: FileTree, path: str) -> str:
    """Raises `BrokenManifest`, `UnreadableFile`, `UnusableTree`."""
    body = tree.read(path)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        said = Message("manifest-not-utf8", "{path}, line {line}: this is not UTF-8.", path=path, line=line)
        raise BrokenManifest(said) from error


def _manifest(folder: str, data: dict[str, Any]) -> Manifest:
    """Raises `BrokenManifest`."""
    manifest = Manifest(folder, data)
    files = data.get("files")
    for key, entry in files.items() if isinstance(files, dict) else ():
        if not isinstance(entry, dict) or "path" not in entry:
            continue
        path = entry["path"]
        if not isinstance(path, str) or not path or key_problem(path) is not None or path == MANIFEST:
            said = Message(
                "manifest-path",
                "{manifest}: the path {path} is none below its folder, such as main.yaml.",
                manifest=manifest.path,
                path=repr(path)[:300],
            )
            raise BrokenManifest(said)
        if "body" in entry or "body_base64" in entry:
            said = Message(
                "manifest-path-and-body",
                "{manifest}: the file {key} has a path and a body; one of them is enough.",
                manifest=manifest.path,
                key=repr(key[:300]),
            )
            raise BrokenManifest(said)
        manifest.files[key] = path
    return manifest


def wanted_in(tree: FileTree) -> tuple[list[Wanted], list[Message]]:
    """What the manifests want, and warnings. Raises `UnusableManifests`, `UnusableTree`, `UnreadableConfigurations`, `TooMany`."""
    manifests = read_manifests(tree)
    items: list[tuple[str, Any]] = []
    reasons: list[Message] = []
    for manifest in manifests:
        try:
            items.append((manifest.path, _with_bodies(manifest, tree)))
        except UnreadableFile as error:
            reasons.append(Message.at(manifest.path, error.message))
    if reasons:
        raise UnusableManifests(reasons)
    return wanted_of(items), _warnings(manifests, tree)


def _with_bodies(manifest: Manifest, tree: FileTree) -> dict[str, Any]:
    """The configuration as REST takes it. Raises `UnreadableFile`, `UnusableTree`."""
    if not manifest.files:
        return manifest.data
    files = dict(manifest.data["files"])
    for key, path in manifest.files.items():
        entry = {name: value for name, value in files[key].items() if name != "path"}
        files[key] = entry | _body(tree.read(f"{manifest.folder}/{path}"))
    return {**manifest.data, "files": files}


def _body(body: bytes) -> dict[str, str]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\x00"
    return {"body_base64": base64.b64encode(body).decode()} if "\x00" in text else {"body": text}


def _warnings(manifests: Sequence[Manifest], tree: FileTree) -> list[Message]:
    """What stands beside manifests and is named by none, and folders without a manifest: somebody may have meant them."""
    named = {f"{item.folder}/{path}" for item in manifests for path in (*item.files.values(), MANIFEST)}
    folders = {item.folder for item in manifests}
    said: dict[str, Message] = {}
    for path in sorted(tree.paths - named):
        folder, slash, rest = path.partition("/")
        if not slash or folder.startswith(".") or rest.startswith("."):
            continue
        if folder in folders:
            said[path] = Message("manifest-names-it-not", "{path} is named by no manifest.", path=repr(path))
        else:
            said[folder] = Message(
                "folder-without-manifest",
                "The folder {path} has no {manifest}; it is left alone.",
                path=repr(folder),
                manifest=MANIFEST,
            )
    return [*said.values()][:_MOST_REASONS]


def manifest_data(row: Configuration, files: Mapping[str, JsonObject]) -> JsonObject:
    """What a manifest of ``row`` says, with ``files`` as they are given; a PUT of it makes the configuration."""
    return {
        "name": row.name,
        "kind": row.kind,
        "display_name": row.display_name,
        "description": row.description,
        "selector": row.selector,
        "match_all": row.match_all,
        "priority": row.priority,
        "enabled": row.enabled,
        "rollout_policy": row.rollout_policy,
        "content_type": row.content_type,
        "config_key": row.config_key,
        "files": files,
    }


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration as files: the ``manifest`` as text, ``bodies`` by path below its folder."""

    manifest: str
    bodies: dict[str, bytes]


def written(row: Configuration, files: Mapping[str, JsonObject], *, former: Mapping[str, str] | None = None) -> Written:
    """``row`` with ``files`` in the form that rows and REST have them, whose hidden bodies stay in the manifest.

    ``former`` are paths by config key that stay, where somebody has chosen them. Paths are alike on all systems: of ASCII, and
    different in more than the case of letters.
    """
    taken = {MANIFEST.casefold()}
    paths: dict[str, str] = {}
    for key, path in (former or {}).items():
        if key in files and path.casefold() not in taken:
            paths[key] = path
            taken.add(path.casefold())
    for key in sorted(files):
        if key not in paths:
            paths[key] = free_name(_file_name(key, str(files[key].get("content_type", ""))), taken)
    entries: dict[str, JsonObject] = {}
    bodies: dict[str, bytes] = {}
    for key in sorted(files):
        entry = files[key]
        kinds: dict[str, Any] = {"content_type": entry.get("content_type", ""), "role": entry.get("role", "")}
        if entry.get("template"):
            kinds["template"] = True
        body = _stored_body(entry)
        if body is None:
            entries[key] = {"body_base64": entry["body_base64"], **kinds}
        else:
            entries[key] = {"path": paths[key], **kinds}
            bodies[paths[key]] = body
    return Written(manifest_text(manifest_data(row, entries)), bodies)


def _stored_body(entry: JsonObject) -> bytes | None:
    """``None`` for one that is hidden as a whole."""
    if "body" in entry:
        return str(entry["body"]).encode()
    try:
        return base64.b64decode(str(entry["body_base64"]), validate=True)
    except ValueError:
        return None


def _file_name(key: str, content_type: str) -> str:
    """A name for the file of a config key, the same each time."""
    name = _UNSAFE.sub("_", key)[-80:].strip(".-") or f"main{_ENDINGS.get(content_type, '.txt')}"
    return f"_{name}" if _DEVICE.fullmatch(name) else name


def free_name(name: str, taken: set[str]) -> str:
    """``name``, or with a number behind it when ``taken``, which has case-folded names and gets this one."""
    name = f"_{name}" if _DEVICE.fullmatch(name) else name
    stem, dot, ending = name.rpartition(".")
    found, number = name, 1
    while found.casefold() in taken:
        number += 1
        found = f"{stem}-{number}{dot}{ending}" if stem else f"{name}-{number}"
    taken.add(found.casefold())
    return found

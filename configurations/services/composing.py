"""Revisions put together: the files of a whole configuration with those of fragments, and the row that says which they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from django.db import transaction

from agents.remote_config import ConfigFile, RemoteConfig
from configurations.models import Composition, CompositionPart, Revision, files_from_json
from configurations.services.assigning import Target


class Compositions:
    """Finds the compositions of targets, and makes those that there are none of; remembers them for one transaction.

    The caller holds targeting: nobody else deletes any meanwhile.
    """

    def __init__(self) -> None:
        self._known: dict[str, Composition] = {}

    def prepare(self, targets: Iterable[Target | None]) -> None:
        """Those of all ``targets``, in one query; nothing is asked where there are no fragments.

        New ones are made in one order by everybody, since two that make the same wait for each other.
        """
        wanted = {_key_of(target.parts): target for target in targets if target is not None and target.fragments}
        missing = wanted.keys() - self._known.keys()
        if not missing:
            return
        self._known |= {row.key: row for row in Composition.objects.filter(key__in=missing)}
        for key in sorted(missing - self._known.keys()):
            self._known[key] = _made(key, wanted[key].parts)

    def composed(self, target: Target) -> Target:
        """``target``, which has fragments, with the hash of all files together."""
        self.prepare([target])
        found = self._known[_key_of(target.parts)]
        return replace(target, composition_id=found.pk, hash=found.hash, templated=found.templated)


def files_together(files: Iterable[Mapping[str, ConfigFile]]) -> dict[str, ConfigFile]:
    """All in one map, by key; of files with the same key the first counts."""
    merged: dict[str, ConfigFile] = {}
    for each in files:
        for key, file in each.items():
            merged.setdefault(key, file)
    return {key: merged[key] for key in sorted(merged)}


def composed_files(composition_id: int) -> dict[str, ConfigFile]:
    """Of all revisions of a composition. Raises `Composition.DoesNotExist` for one that was deleted."""
    parts = CompositionPart.objects.filter(composition=composition_id).order_by("place")
    stored = list(parts.values_list("revision__files", flat=True))
    if not stored:
        raise Composition.DoesNotExist
    return files_together(map(files_from_json, stored))


def composed_sources(composition_id: int) -> dict[str, int]:
    """From the keys of `composed_files` to the revision (key) that each file comes from."""
    parts = CompositionPart.objects.filter(composition=composition_id).order_by("place")
    sources: dict[str, int] = {}
    for revision, files in parts.values_list("revision_id", "revision__files"):
        for key in files:
            sources.setdefault(key, revision)
    return sources


def forget_unused() -> None:
    """Delete the compositions that no agent is assigned to. The caller holds targeting, exclusively."""
    Composition.objects.unused().delete()


def _key_of(parts: Sequence[Target]) -> str:
    return hashlib.sha256(",".join(str(part.revision_id) for part in parts).encode()).hexdigest()


def _made(key: str, parts: Sequence[Target]) -> Composition:
    keys = [part.revision_id or 0 for part in parts]
    stored = dict(Revision.objects.filter(pk__in=keys).values_list("pk", "files"))
    files = files_together(files_from_json(stored[each]) for each in keys)
    values = {
        "hash": RemoteConfig(files).config_hash().hex(),
        "templated": any(file.template for file in files.values()),
        "newest": max(keys),
    }
    with transaction.atomic():
        row, made = Composition.objects.get_or_create(key=key, defaults=values)
        if made:
            CompositionPart.objects.bulk_create(
                CompositionPart(
                    composition=row,
                    configuration_id=part.configuration_id or 0,
                    revision_id=part.revision_id or 0,
                    place=place,
                )
                for place, part in enumerate(parts)
            )
    return row

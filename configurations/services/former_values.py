"""Former values that revisions go on being rendered with: read once for all revisions, held and given up by changes of values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from configurations.models import HeldValue, Revision
from variables.models import ValueVersion
from variables.services.value_versions import former_of, keep_version
from variables.value_users import Former

# Of committed rows: what is held, as of which generation of values.
_known: list[tuple[UUID, Mapping[int, Mapping[str, Former]]]] = []


def held_values(generation: UUID | None) -> Mapping[int, Mapping[str, Former]]:
    """What each revision (key) that holds something is rendered with, by use; read anew when the values' generation moved.

    Every change of what is held moves it. ``None``: as this transaction sees it, not kept.
    """
    if generation is not None and _known and _known[0][0] == generation:
        return _known[0][1]
    versions: dict[int, list[ValueVersion]] = {}
    for row in HeldValue.objects.select_related("version"):
        versions.setdefault(row.revision_id, []).append(row.version)
    found = {key: former_of(several) for key, several in versions.items()}
    if generation is not None:
        _known[:] = [(generation, found)]
    return found


def hold_former(revisions: Iterable[Revision], former: Mapping[str, Former], at: datetime) -> None:
    """Have these revisions go on with what the names in ``former`` stood for; what one holds already stays.

    In the caller's transaction, which holds targeting and moves the generation of values afterwards.
    """
    made: dict[str, ValueVersion] = {}
    for revision in revisions:
        held = set(HeldValue.objects.filter(revision=revision).values_list("use", flat=True))
        for use in sorted((written_uses(revision.uses) & former.keys()) - held):
            if use not in made:
                made[use] = keep_version(use, former[use], at)
            HeldValue.objects.create(revision=revision, use=use, version=made[use])


def carry_held(former: Revision, revision: Revision, *, but: Collection[str]) -> None:
    """Have a new revision hold what ``former`` does, except for some uses; as `hold_former` in the caller's transaction."""
    for row in HeldValue.objects.filter(revision=former).exclude(use__in=but).order_by("pk"):
        HeldValue.objects.create(revision=revision, use=row.use, version_id=row.version_id)


def give_up_held(configuration_id: int, uses: Collection[str]) -> int:
    """Let a configuration's revisions follow the present values of ``uses`` again; returns how much was held."""
    count, _each = HeldValue.objects.filter(revision__configuration=configuration_id, use__in=uses).delete()
    return count


def forget_unused_versions() -> int:
    """Delete the versions that nothing is rendered with any more; returns how many."""
    count, _each = ValueVersion.objects.exclude(pk__in=HeldValue.objects.values("version")).delete()
    return count


def written_uses(uses: Mapping[str, Collection[str]]) -> set[str]:
    """A revision's ``uses`` as ``vars.name`` and ``secrets.name``."""
    return {f"{group}.{name}" for group in ("vars", "secrets") for name in uses.get(group, ())}

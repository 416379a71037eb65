"""What names stood for before a change: read before it, kept as versions where something goes on being rendered with that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from agents.selectors import parse_selector
from variables.encryption import Unreadable, decrypted, rotated
from variables.models import Secret, ValueVersion, Variable
from variables.services.known_values import Choice, Values
from variables.value_users import Former


def standing_for(uses: Collection[str]) -> dict[str, Former]:
    """What each of ``uses`` (``vars.name``, ``secrets.name``) stands for in this transaction."""
    found = dict.fromkeys(uses, Former())
    names = [use.removeprefix("vars.") for use in uses if use.startswith("vars.")]
    rows = Variable.objects.filter(name__in=names).order_by("name", "-priority", "pk")
    for name, several in groupby(rows, lambda row: row.name):
        found[f"vars.{name}"] = Former(
            tuple({"selector": row.selector, "match_all": row.match_all, "value": row.value} for row in several)
        )
    names = [use.removeprefix("secrets.") for use in uses if use.startswith("secrets.")]
    for row in Secret.objects.filter(name__in=names):
        found[f"secrets.{row.name}"] = Former(encrypted=row.encrypted)
    return found


def keep_version(use: str, former: Former, at: datetime) -> ValueVersion:
    """Store what ``use`` stood for."""
    return ValueVersion.objects.create(use=use, choices=[*former.choices], encrypted=former.encrypted, made_at=at)


def with_former(values: Values, former: Mapping[str, Former]) -> Values:
    """``values``, but with what these names stood for; a secret that cannot be read is ``None``, as among the present ones."""
    variables, secrets = dict(values.variables), dict(values.secrets)
    for use, item in former.items():
        group, _dot, name = use.partition(".")
        (variables if group == "vars" else secrets).pop(name, None)
        if item.choices:
            variables[name] = [
                Choice(parse_selector(each["selector"], match_all=each["match_all"]), each["value"])
                for each in item.choices
            ]
        if item.encrypted:
            secrets[name] = _read(item.encrypted)
    return replace(values, variables=variables, secrets=secrets)


def former_of(versions: Iterable[ValueVersion]) -> dict[str, Former]:
    """What stored versions say, by use."""
    return {row.use: Former(tuple(row.choices), row.encrypted) for row in versions}


def rotate_versions() -> list[str]:
    """Encrypt the secrets among all versions under the newest key; returns the names of those that no key reads."""
    lost: list[str] = []
    for row in ValueVersion.objects.exclude(encrypted="").select_for_update().order_by("pk"):
        try:
            row.encrypted = rotated(row.encrypted)
        except Unreadable:
            lost.append(row.use.removeprefix("secrets."))
            continue
        row.save(update_fields=["encrypted"])
    return lost


def _read(token: str) -> str | None:
    try:
        return decrypted(token)
    except Unreadable:
        return None

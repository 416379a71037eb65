"""All variables and secrets as this process knows them, and the secrets' values that are hidden wherever they turn up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple
from uuid import UUID, uuid4

from agents.redaction.known import know
from agents.selectors import Selector
from variables.encryption import Unreadable, decrypted
from variables.models import Secret, ValuesGeneration, ValueVersion, Variable
from variables.secret_holders import secret_holders
from variables.templating import Scope


class Choice(NamedTuple):
    """One value of a variable, for the agents that ``selector`` matches."""

    selector: Selector
    value: str


@dataclass(frozen=True, slots=True)
class Values:
    """As of one generation. Of a variable the first choice that matches counts; a secret that cannot be read is ``None``."""

    generation: UUID | None
    variables: Mapping[str, Sequence[Choice]] = field(default_factory=dict)
    secrets: Mapping[str, str | None] = field(default_factory=dict)

    def scope(self, labels: Mapping[str, str]) -> Scope:
        """What templates see for an agent with these labels."""
        chosen = {
            name: value
            for name, choices in self.variables.items()
            if (value := next((item.value for item in choices if item.selector.matches(labels)), None)) is not None
        }
        return Scope(labels, chosen, self.secrets)


_known: Values | None = None
# What this process hides, as of which generation.
_hidden: list[UUID | None] = []


def bump_values() -> None:
    """Tell every process to read the values anew; inside the transaction that changed them."""
    ValuesGeneration.objects.update_or_create(pk=1, defaults={"token": uuid4()})


def current_values() -> Values:
    """The values, read only when their generation moved: one small query otherwise.

    Only for transactions that did not change them; those use `fresh_values`, so that nothing uncommitted is kept.
    """
    global _known  # noqa: PLW0603  a cache of committed rows, replaced whole
    token = ValuesGeneration.objects.filter(pk=1).values_list("token", flat=True).first()
    known = _known
    if known is None or known.generation != token:
        known = _known = _read(token)
    return known


def fresh_values() -> Values:
    """The values as this transaction sees them, not kept."""
    return _read(None)


def know_stored_secrets() -> None:
    """Hide what is secret now wherever texts are shown or stored by this process."""
    token = ValuesGeneration.objects.filter(pk=1).values_list("token", flat=True).first()
    if _hidden == [token]:
        return
    found: list[str] = []
    held = ValueVersion.objects.exclude(encrypted="").values_list("encrypted", flat=True)
    for stored in (*_stored_values(), *held):
        try:
            found.append(decrypted(stored))
        except Unreadable:
            continue
    for holder in secret_holders():
        found += holder.values()
    know(found)
    _hidden[:] = [token]


def _stored_values() -> list[str]:
    return [stored for row in Secret.objects.all() for stored in (row.encrypted, *row.former)]


def _read(generation: UUID | None) -> Values:
    know_stored_secrets()
    rows = Variable.objects.order_by("name", "-priority", "pk")
    variables = {
        name: [Choice(row.parsed_selector(), row.value) for row in several]
        for name, several in groupby(rows, lambda row: row.name)
    }
    return Values(generation, variables, {row.name: _value_of(row) for row in Secret.objects.all()})


def _value_of(row: Secret) -> str | None:
    try:
        return decrypted(row.encrypted)
    except Unreadable:
        return None

"""What edits of targeted rows have in common: what is wrong with one, what an edit changes, and whom that concerns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic

from django.core.exceptions import ValidationError
from django.db.models import Max

from accounts import services as accounts
from accounts.models import User
from agents.selectors import InvalidSelector, Selector, parse_selector
from agents.shown import value_shown
from foundation.messages import Message
from rollouts.errors import InvalidPolicy
from rollouts.models import Targeted
from rollouts.policies import parse_policy
from rollouts.services.releasable import Row, Version
from rollouts.services.version_publishing import Releasing

_TARGETING = frozenset({"selector", "match_all", "priority", "enabled"})


def row_errors(row: Targeted) -> dict[str, list[Message | str]]:
    """By field what is wrong with its columns, nothing for a row that can be saved. A selector is put into its stored form."""
    errors: dict[str, list[Message | str]] = {}
    try:
        row.clean_fields()
    except ValidationError as error:
        errors |= {name: list(texts) for name, texts in error.message_dict.items()}
    if row.rollout_policy is not None:
        try:
            parse_policy(row.rollout_policy)
        except InvalidPolicy as error:
            errors["rollout_policy"] = [error.message]
    try:
        row.selector = parse_selector(row.selector, match_all=row.match_all).as_json()
    except InvalidSelector as error:
        errors["selector"] = [*error.problems]
    return errors


@dataclass(slots=True)
class RowEdit(Generic[Row]):
    """``values`` set on a row, which is not saved yet. Judge it before `save`."""

    row: Row
    values: Mapping[str, Any]
    _former: Selector = field(init=False)
    _before: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._former = self.row.parsed_selector()
        self._before = {name: getattr(self.row, name) for name in self.values}
        for name, value in self.values.items():
            setattr(self.row, name, value)

    @property
    def changed(self) -> list[str]:
        """The columns that differ from before."""
        return [name for name, value in self._before.items() if value != getattr(self.row, name)]

    def save(self, releasing: Releasing[Row, Version], verb: str, *, by: User | None, at: datetime) -> None:
        """Store it as another edition, audited as ``verb`` where columns changed; agents that it gains or loses are matched anew.

        In the caller's transaction, which holds the kind.
        """
        row, changed = self.row, self.changed
        row.edition += 1
        row.updated_at = at
        row.save(update_fields=[*changed, "edition", "updated_at"])
        if changed:
            shown = {name: value_shown([self._before[name], getattr(row, name)]) for name in changed}
            accounts.record(by=by, verb=verb, target=row, name=row.name, data={"changed": shown})
        if not _TARGETING.isdisjoint(changed):
            releasing.kind.bump()
            releasing.reassign(row, at, selectors=[self._former])


def next_version(row: Any, *, by: User | None, at: datetime, note: str) -> dict[str, Any]:
    """The columns of a new version of ``row`` that are alike for all kinds; the row is locked by the caller."""
    return {
        "number": (row.versions.aggregate(newest=Max("number"))["newest"] or 0) + 1,
        "note": note,
        "author": by,
        "author_name": by.get_username() if by else accounts.SYSTEM,
        "created_at": at,
    }

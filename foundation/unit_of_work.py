"""The rows of one transaction while they are worked on: new, changed and deleted ones; each is written once.

It must not know what the rows mean. Whoever makes one owns the transaction and has locked the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Model, QuerySet

from foundation.bulk_sql import bulk_insert, bulk_save, is_new


class UnitOfWork:
    """New and changed rows of any models; ``at`` is the time of all of it (UTC)."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._new: dict[type[Model], list[Model]] = {}
        # By identity: a new row may have no key yet. The row itself is kept, so that no other one gets its identity.
        self._changed: dict[int, tuple[Model, set[str]]] = {}
        self._deleted: dict[type[Model], list[Model]] = {}

    def insert(self, row: Model) -> None:
        """Have ``row`` inserted by `save`; rows of one model either all have a key or all get one from the database."""
        self._new.setdefault(type(row), []).append(row)

    def change(self, row: Model, name: str, value: Any) -> bool:
        """Set a field if it differs; true when it did."""
        if getattr(row, name) == value:
            return False
        setattr(row, name, value)
        self.mark(row, (name,))
        return True

    def mark(self, row: Model, names: Iterable[str]) -> None:
        """Have these fields written, which the caller has set."""
        known = self._changed.get(id(row))
        if known is None:
            self._changed[id(row)] = (row, set(names))
        else:
            known[1].update(names)

    def delete(self, row: Model) -> None:
        """Have ``row`` deleted by `save`, whatever changed in it; it is no new one."""
        self._deleted.setdefault(type(row), []).append(row)

    def changes_of(self, row: Model) -> frozenset[str] | set[str]:
        """The names of the fields that were changed."""
        known = self._changed.get(id(row))
        return known[1] if known is not None else frozenset()

    def save(self) -> None:
        """Write every row once: a statement for the new ones of a model, one for those that changed the same fields.

        New rows that nobody wanted inserted are left out.
        """
        for model, gone in self._deleted.items():
            for row in gone:
                self._changed.pop(id(row), None)
            QuerySet(model).filter(pk__in=[row.pk for row in gone]).delete()
        by_model: dict[type[Model], list[tuple[Model, set[str]]]] = {}
        for row, names in self._changed.values():
            if not is_new(row):
                by_model.setdefault(type(row), []).append((row, names))
        for rows in self._new.values():
            bulk_insert(rows)
        for changes in by_model.values():
            bulk_save(changes)
        self._new.clear()
        self._changed.clear()
        self._deleted.clear()

"""Writes many changed rows at once: one statement for all rows that changed the same fields.

The only file that writes SQL by hand. Django's ``bulk_update`` builds a CASE expression of every row and field, which cost
more time than all the rest of a batch together. It must not know what the rows mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import JSONField, Model

_Change = tuple[Model, "set[str]"]
_ROWS_PER_STATEMENT = 1_000


def bulk_save(changes: Iterable[_Change]) -> None:
    """Write the named fields of each row and nothing else; rows without a changed field are left out.

    All rows are of one model, exist, and are locked by the caller: nothing is checked. Rows that are gone are no error.
    """
    groups: dict[tuple[str, ...], list[Model]] = {}
    for row, fields in changes:
        if fields:
            groups.setdefault(tuple(sorted(fields)), []).append(row)
    for names, rows in groups.items():
        bulk_update(rows, names)


def bulk_update(rows: Sequence[Model], names: Sequence[str]) -> None:
    """Write these fields of all rows (of one model), in the order of their keys so that two batches cannot deadlock."""
    if not rows:
        return
    statement = _statement(type(rows[0]), tuple(names), connection.vendor)
    ordered = sorted(rows, key=lambda row: row.pk)
    with connection.cursor() as cursor:
        for start in range(0, len(ordered), _ROWS_PER_STATEMENT):
            part = ordered[start : start + _ROWS_PER_STATEMENT]
            columns = [[value(row) for row in part] for value in statement.values]
            if statement.takes_columns:
                cursor.execute(statement.sql, columns)
            else:
                cursor.executemany(statement.sql, list(zip(*columns, strict=True)))


class _Statement:
    """An UPDATE of one model's fields; the key is the last column. ``values`` read a row as the database wants it."""

    def __init__(self, model: type[Model], names: tuple[str, ...], vendor: str) -> None:
        fields: list[Any] = [*(model._meta.get_field(name) for name in names), model._meta.pk]
        self.values = [_reader(field) for field in fields]
        self.takes_columns = vendor == "postgresql"
        # Names come from the models' definitions, values travel as parameters.
        quote = connection.ops.quote_name
        table, columns = quote(model._meta.db_table), [quote(str(field.column)) for field in fields]
        if self.takes_columns:
            arrays = ", ".join(f"%s::{_array_type(field)}" for field in fields)
            changes = ", ".join(f"{column} = new.{column}" for column in columns[:-1])
            new = f"unnest({arrays}) AS new({', '.join(columns)})"
            self.sql = f"UPDATE {table} SET {changes} FROM {new} WHERE {table}.{columns[-1]} = new.{columns[-1]}"  # noqa: S608
        else:
            changes = ", ".join(f"{column} = %s" for column in columns[:-1])
            self.sql = f"UPDATE {table} SET {changes} WHERE {columns[-1]} = %s"  # noqa: S608


_statement = lru_cache(maxsize=512)(_Statement)


def _reader(field: Any) -> Callable[[Model], Any]:
    """Reads ``field`` of a row, prepared for the database."""
    name, encode = field.attname, field.get_db_prep_save
    if isinstance(field, JSONField) and connection.vendor == "postgresql":
        # The adapter that Django gives for one value does not travel inside an array; text does.
        return lambda row: None if (value := getattr(row, name)) is None else json.dumps(value)
    return lambda row: encode(getattr(row, name), connection)


def _array_type(field: Any) -> str:
    """The column's type without a length: a cast would cut what is too long, where the column itself refuses it."""
    return str(field.db_type(connection)).partition("(")[0] + "[]"

"""Reads and writes many rows at once: one statement for all new rows, one for all rows that changed the same fields.

The only file that writes SQL by hand. Django's ``bulk_update`` builds a CASE expression of every row and field and its
``bulk_create`` prepares every value one by one; together they cost most of a batch. A query set is made into SQL anew each
time, which costs several times what a short query does. PostgreSQL gets the rows as one JSON parameter, SQLite as the rows of
one prepared statement. It must not know what the rows mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

from django.db import connection, models
from django.db.models import Model

_Row = TypeVar("_Row", bound=Model)

_ROWS_PER_STATEMENT = 1_000
# Their Python values are what the database takes; exact classes, for a subclass may translate.
_PLAIN = (
    models.BigAutoField, models.BigIntegerField, models.BooleanField, models.CharField, models.ForeignKey,
    models.IntegerField, models.OneToOneField, models.PositiveIntegerField, models.PositiveSmallIntegerField,
    models.TextField,
)  # fmt: skip
# JSON writes these as PostgreSQL reads them.
_PLAIN_IN_JSON = (*_PLAIN, models.DateTimeField, models.JSONField, models.UUIDField)


def reserve_keys(model: type[Model], count: int) -> list[int]:
    """Primary keys for ``count`` rows that the caller will insert in this transaction."""
    if not count:
        return []
    quote, key = connection.ops.quote_name, model._meta.pk
    table, column = model._meta.db_table, str(key.column)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
                [quote(table), column, count],
            )
            return [int(number) for (number,) in cursor.fetchall()]
        # The transaction is the only writer. Keys of deleted rows are not given again.
        cursor.execute(
            f"SELECT max(coalesce((SELECT max({quote(column)}) FROM {quote(table)}), 0), "  # noqa: S608
            "coalesce((SELECT seq FROM sqlite_sequence WHERE name = %s), 0))",
            [table],
        )
        (last,) = cursor.fetchone()
        return list(range(last + 1, last + 1 + count))


def is_new(row: Model) -> bool:
    """True until the row was read from the database or inserted."""
    return row._state.adding  # noqa: SLF001  Django's own answer has no public name


def bulk_insert(rows: Iterable[Model]) -> None:
    """Insert new rows of one model; a generated key is left to the database unless the rows have one, and not read back."""
    members = list(rows)
    if not members:
        return
    model = type(members[0])
    names = tuple(
        field.attname for field in model._meta.concrete_fields if not field.primary_key or members[0].pk is not None
    )
    _run(_insertion(model, names, connection.vendor), members)
    for row in members:
        row._state.adding = False  # noqa: SLF001


def bulk_update(rows: Iterable[Model], names: Iterable[str]) -> None:
    """Write these fields of all rows of one model, in the order of their keys, so that two batches cannot deadlock.

    The rows are locked by the caller. Rows that are gone are no error.
    """
    members = sorted(rows, key=attrgetter("pk"))
    if members:
        _run(_change(type(members[0]), tuple(names), connection.vendor), members)


def bulk_read(model: type[_Row], name: str, keys: Sequence[int], **conditions: str) -> list[_Row]:
    """All rows whose field ``name`` is among ``keys`` and that meet the ``conditions`` (field = value), by primary key."""
    if not keys:
        return []
    reading = _reading(model, name, tuple(conditions), connection.vendor)
    among = list(keys) if connection.vendor == "postgresql" else json.dumps(list(keys))
    with connection.cursor() as cursor:
        cursor.execute(reading.sql, [among, *conditions.values()])
        rows = cursor.fetchall()
    return [model.from_db(connection.alias, reading.names, values) for values in reading.read(rows)]


def bulk_save(changes: Iterable[tuple[Model, set[str]]]) -> None:
    """Write the named fields of each row of one model and nothing else; rows without a changed field are left out."""
    groups: dict[tuple[str, ...], list[Model]] = {}
    for row, fields in changes:
        if fields:
            groups.setdefault(tuple(sorted(fields)), []).append(row)
    for names, rows in groups.items():
        bulk_update(rows, names)


class _Statement:
    """SQL with the fields whose values it takes, in order."""

    def __init__(self, sql: str, fields: Sequence[Any]) -> None:
        self.sql = sql
        self.columns = [str(field.column) for field in fields]
        self.values = attrgetter(*(field.attname for field in fields))
        plain = _PLAIN_IN_JSON if connection.vendor == "postgresql" else _PLAIN
        self.prepared: list[tuple[int, Callable[..., Any]]] = [
            (position, field.get_db_prep_save) for position, field in enumerate(fields) if type(field) not in plain
        ]

    def read(self, row: Model) -> tuple[Any, ...] | list[Any]:
        """The values of one row as the database takes them."""
        values: tuple[Any, ...] = self.values(row)
        if not self.prepared:
            return values
        changed = list(values)
        for position, prepare in self.prepared:
            changed[position] = prepare(changed[position], connection)
        return changed


class _Reading:
    """SQL with the columns that it reads, in order. What converts their values belongs to one thread's connection."""

    def __init__(self, sql: str, fields: Sequence[Any]) -> None:
        self.sql = sql
        self.names = [field.attname for field in fields]
        self._columns = [field.get_col(field.model._meta.db_table) for field in fields]

    def read(self, rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
        """The values of each row as the model takes them."""
        changed = [
            (position, column, converters)
            for position, column in enumerate(self._columns)
            if (converters := [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)])
        ]
        for row in rows:
            values = list(row)
            for position, column, converters in changed:
                for convert in converters:
                    values[position] = convert(values[position], column, connection)
            yield values


def _run(statement: _Statement, rows: Sequence[Model]) -> None:
    with connection.cursor() as cursor:
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            values = [statement.read(row) for row in rows[start : start + _ROWS_PER_STATEMENT]]
            if connection.vendor == "postgresql":
                records = [dict(zip(statement.columns, row, strict=True)) for row in values]
                # `str` writes times and UUIDs.
                cursor.execute(statement.sql, [json.dumps(records, default=str, separators=(",", ":"))])
            else:
                cursor.executemany(statement.sql, values)


# Names come from the models' definitions; values travel as parameters.


@lru_cache(maxsize=64)
def _insertion(model: type[Model], names: tuple[str, ...], vendor: str) -> _Statement:
    fields = _fields(model, names)
    table, columns = _quoted(model, fields)
    listed = ", ".join(columns)
    if vendor == "postgresql":
        sql = f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {_records(columns, fields)}"  # noqa: S608
    else:
        sql = f"INSERT INTO {table} ({listed}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608
    return _Statement(sql, fields)


@lru_cache(maxsize=512)
def _change(model: type[Model], names: tuple[str, ...], vendor: str) -> _Statement:
    fields = [*_fields(model, names), model._meta.pk]
    table, columns = _quoted(model, fields)
    *changed, key = columns
    if vendor == "postgresql":
        changes = ", ".join(f"{column} = new.{column}" for column in changed)
        sql = f"UPDATE {table} SET {changes} FROM {_records(columns, fields)} WHERE {table}.{key} = new.{key}"  # noqa: S608
    else:
        changes = ", ".join(f"{column} = %s" for column in changed)
        sql = f"UPDATE {table} SET {changes} WHERE {key} = %s"  # noqa: S608
    return _Statement(sql, fields)


@lru_cache(maxsize=64)
def _reading(model: type[Model], name: str, conditions: tuple[str, ...], vendor: str) -> _Reading:
    fields = model._meta.concrete_fields
    table, columns = _quoted(model, fields)
    _, (key, *others) = _quoted(model, _fields(model, [name, *conditions]))
    rows = "= ANY(%s)" if vendor == "postgresql" else "IN (SELECT value FROM json_each(%s))"
    where = " AND ".join([f"{key} {rows}", *(f"{column} = %s" for column in others)])
    order = connection.ops.quote_name(str(model._meta.pk.column))
    return _Reading(f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY {order}", fields)  # noqa: S608


def _fields(model: type[Model], names: Iterable[str]) -> list[Any]:
    by_name = {name: field for field in model._meta.concrete_fields for name in (field.name, field.attname)}
    return [by_name[name] for name in names]


def _quoted(model: type[Model], fields: Iterable[Any]) -> tuple[str, list[str]]:
    quote = connection.ops.quote_name
    return quote(model._meta.db_table), [quote(str(field.column)) for field in fields]


def _records(columns: Sequence[str], fields: Sequence[Any]) -> str:
    """The JSON parameter as a table. No lengths: a cast would cut what is too long, where the column refuses it."""
    types = (str(field.db_type(connection)).partition("(")[0] for field in fields)
    return f"json_to_recordset(%s) AS new({', '.join(map(' '.join, zip(columns, types, strict=True)))})"

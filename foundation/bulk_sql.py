"""Reads and writes many rows at once: one statement for all new rows, one for all rows that changed the same fields.

The only file that writes SQL by hand. Django's ``bulk_update`` builds a CASE expression of every row and field and its
``bulk_create`` prepares every value one by one; together they cost most of a batch. A query set is made into SQL anew each
time, which costs several times what a short query does. PostgreSQL gets the rows as one JSON parameter, SQLite as the rows of
one prepared statement. It must not know what the rows mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import Model, QuerySet

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


def counted_alike(rows: QuerySet[Any], columns: Sequence[str], most: int) -> list[tuple[Any, ...]]:
    """The first ``most`` of ``rows``, in any order, by ``columns``: each combination of values with its number behind it.

    They are counted where they are found. A condition on keys, all that Django can say of a part of a query set, reads the whole
    table beside them.
    """
    try:
        inner, parameters = rows.order_by().values_list(*columns)[:most].query.sql_with_params()
    except EmptyResultSet:
        return []
    places = ", ".join(str(place) for place in range(1, len(columns) + 1))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT *, COUNT(*) FROM ({inner}) AS part GROUP BY {places}", parameters)  # noqa: S608
        return list(cursor.fetchall())


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


def among(name: str, keys: Sequence[int]) -> models.Q:
    """The condition that field ``name`` is one of ``keys``: one parameter, where Django's ``__in`` prepares each by itself."""
    return models.Q(_Among(models.F(name), models.Value(_listed(keys), output_field=models.TextField())))


def bulk_set(model: type[Model], keys: Sequence[int], values: Mapping[str, Any]) -> None:
    """Write the same values into these fields of all rows with these primary keys, which the caller has locked."""
    if not keys or not values:
        return
    statement = _setting(model, tuple(values), connection.vendor)
    prepared = [
        field.get_db_prep_save(value, connection)
        for field, value in zip(_fields(model, values), values.values(), strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*prepared, _listed(keys)])


def bulk_copy(row: Model, owner: str, owners: Sequence[int]) -> None:
    """Insert a row like ``row`` for each of these owners (by key; ``owner`` names the field); ``row`` itself is left alone."""
    if not owners:
        return
    model = type(row)
    (owned_by,) = _fields(model, [owner])
    fields = [field for field in model._meta.concrete_fields if not field.primary_key and field is not owned_by]
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
    statement = _copying(model, owner, tuple(field.attname for field in fields), connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, _listed(owners)])


def bulk_read(
    model: type[_Row],
    among: Mapping[str, Sequence[Any]],
    *,
    beside: tuple[str, ...] = (),
    locked: bool = False,
    **conditions: str,
) -> list[_Row]:
    """All rows one of whose fields has one of its values in ``among``, and that meet the ``conditions`` (field = value).

    They come by primary key. ``beside`` names rows that belong to them, one to one, and are read with them. ``locked`` as by
    `agents.models.AgentQuerySet.locked`.
    """
    fields = tuple(name for name, keys in among.items() if keys)
    if not fields:
        return []
    reading = _reading(model, fields, beside, tuple(conditions), locked, connection.vendor)
    keys = [reading.keys(name, among[name]) for name in fields]
    with connection.cursor() as cursor:
        cursor.execute(reading.sql, [*keys, *conditions.values()])
        return reading.rows(cursor.fetchall())


def bulk_newest(model: type[_Row], owner: str, owners: Sequence[int], *, limit: int) -> dict[int, list[_Row]]:
    """Of each owner (by key; ``owner`` names the field) the rows with the largest keys, at most ``limit``, newest first."""
    if not owners:
        return {}
    reading = _newest(model, owner, limit, connection.vendor)
    found: list[_Row] = []
    with connection.cursor() as cursor:
        parts = [list(owners)] if connection.vendor == "postgresql" else owners
        for part in parts:
            cursor.execute(reading.sql, [part])
            found += reading.rows(cursor.fetchall())
    (field,) = _fields(model, [owner])
    by_owner: dict[int, list[_Row]] = {}
    for row in found:
        by_owner.setdefault(getattr(row, field.attname), []).append(row)
    return by_owner


def bulk_save(changes: Iterable[tuple[Model, set[str]]]) -> None:
    """Write the named fields of each row of one model and nothing else; rows without a changed field are left out."""
    groups: dict[tuple[str, ...], list[Model]] = {}
    for row, fields in changes:
        if fields:
            groups.setdefault(tuple(sorted(fields)), []).append(row)
    for names, rows in groups.items():
        bulk_update(rows, names)


class _Among(models.Func):
    template = "%(expressions)s"
    output_field: ClassVar[Any] = models.BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> Any:
        (column, no_values), (_place, values) = (compiler.compile(each) for each in self.get_source_expressions())
        return f"{column} IN ({_keys(connection.vendor)})", [*no_values, *values]


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


class _Reading(Generic[_Row]):
    """SQL with the columns that it reads, in order. What converts their values belongs to one thread's connection."""

    def __init__(self, sql: str, model: type[_Row], beside: Sequence[Any]) -> None:
        self.sql = sql
        self._model = model
        self._names = [field.attname for field in model._meta.concrete_fields]
        end = len(self._names)
        self._columns = [field.get_col(model._meta.db_table) for field in model._meta.concrete_fields]
        # What belongs to it: the relation, the names of its fields, which of the columns they are, and where its key is.
        self._beside: list[tuple[Any, list[str], slice, int]] = []
        for relation in beside:
            fields = relation.related_model._meta.concrete_fields
            self._columns += [field.get_col(relation.related_model._meta.db_table) for field in fields]
            key = end + fields.index(relation.related_model._meta.pk)
            self._beside.append(
                (relation, [field.attname for field in fields], slice(end, end := end + len(fields)), key)
            )

    def keys(self, name: str, values: Sequence[Any]) -> Any:
        """The parameter for many values of this field."""
        (field,) = _fields(self._model, [name])
        prepared = [field.get_db_prep_value(value, connection) for value in values]
        return prepared if connection.vendor == "postgresql" else json.dumps(prepared)

    def rows(self, found: Iterable[Sequence[Any]]) -> list[_Row]:
        """The rows as Django makes them of what the database said."""
        changed = [
            (position, column, converters)
            for position, column in enumerate(self._columns)
            if (converters := [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)])
        ]
        alias, rows = connection.alias, []
        for values in map(list, found):
            for position, column, converters in changed:
                for convert in converters:
                    values[position] = convert(values[position], column, connection)
            row = self._model.from_db(alias, self._names, values[: len(self._names)])
            for relation, names, columns, key in self._beside:
                if values[key] is None:
                    relation.set_cached_value(row, None)
                    continue
                other = relation.related_model.from_db(alias, names, values[columns])
                relation.set_cached_value(row, other)
                relation.remote_field.set_cached_value(other, row)
            rows.append(row)
        return rows


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


@lru_cache(maxsize=512)
def _setting(model: type[Model], names: tuple[str, ...], vendor: str) -> str:
    table, columns = _quoted(model, [*_fields(model, names), model._meta.pk])
    *changed, key = columns
    changes = ", ".join(f"{column} = %s" for column in changed)
    return f"UPDATE {table} SET {changes} WHERE {key} IN ({_keys(vendor)})"  # noqa: S608


@lru_cache(maxsize=64)
def _copying(model: type[Model], owner: str, names: tuple[str, ...], vendor: str) -> str:
    fields = _fields(model, names)
    table, columns = _quoted(model, [*fields, *_fields(model, [owner])])
    if vendor == "postgresql":
        # Of a parameter that is only selected PostgreSQL would not know the type.
        values = [f"%s::{str(field.db_type(connection)).partition('(')[0]}" for field in fields]
    else:
        values = ["%s"] * len(fields)
    listed = ", ".join([*values, "value"])
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {listed} FROM ({_keys(vendor)}) AS owners"  # noqa: S608


def _keys(vendor: str) -> str:
    """Many keys, one parameter (`_listed`), as a query with the column ``value``."""
    return (
        "SELECT value FROM unnest(%s::bigint[]) AS value"
        if vendor == "postgresql"
        else "SELECT value FROM json_each(%s)"
    )


def _listed(keys: Sequence[int]) -> str:
    listed = ",".join(map(str, keys))
    return f"{{{listed}}}" if connection.vendor == "postgresql" else f"[{listed}]"


@lru_cache(maxsize=64)
def _reading(
    model: type[_Row],
    among: tuple[str, ...],
    beside: tuple[str, ...],
    conditions: tuple[str, ...],
    locked: bool,
    vendor: str,
) -> _Reading[_Row]:
    table, columns = _quoted(model, model._meta.concrete_fields)
    key = f"{table}.{connection.ops.quote_name(str(model._meta.pk.column))}"
    columns = [f"{table}.{column}" for column in columns]
    relations: list[Any] = [model._meta.get_field(name) for name in beside]
    joins = ""
    for relation in relations:
        other, others = _quoted(relation.related_model, relation.related_model._meta.concrete_fields)
        columns += [f"{other}.{column}" for column in others]
        joins += f" LEFT JOIN {other} ON {other}.{connection.ops.quote_name(relation.remote_field.column)} = {key}"
    rows = "= ANY(%s)" if vendor == "postgresql" else "IN (SELECT value FROM json_each(%s))"
    one_of = " OR ".join(f"{table}.{column} {rows}" for column in _quoted(model, _fields(model, among))[1])
    where = [f"({one_of})", *(f"{table}.{column} = %s" for column in _quoted(model, _fields(model, conditions))[1])]
    sql = f"SELECT {', '.join(columns)} FROM {table}{joins} WHERE {' AND '.join(where)} ORDER BY {key}"  # noqa: S608
    if locked and connection.features.has_select_for_update:
        sql += f" FOR UPDATE OF {table}"
    return _Reading(sql, model, relations)


@lru_cache(maxsize=64)
def _newest(model: type[_Row], owner: str, limit: int, vendor: str) -> _Reading[_Row]:
    table, columns = _quoted(model, model._meta.concrete_fields)
    (owned_by,) = _quoted(model, _fields(model, [owner]))[1]
    key = connection.ops.quote_name(str(model._meta.pk.column))
    listed = ", ".join(columns)
    rows = f"SELECT {listed} FROM {table} WHERE {owned_by} = %s ORDER BY {key} DESC LIMIT {limit}"  # noqa: S608
    if vendor == "postgresql":
        own = rows.replace("%s", "owners.id")
        rows = f"SELECT newest.* FROM unnest(%s::bigint[]) AS owners(id) CROSS JOIN LATERAL ({own}) AS newest"  # noqa: S608
    return _Reading(rows, model, [])


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

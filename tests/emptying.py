"""How tests that commit are undone: what they left is deleted, from the tables that hold something.

Django truncates all tables after such a test and makes the rows of its own (content types, permissions) anew, which took a
third of the time of those tests. Here these rows are compared, and only a test that changed them pays that price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models, transaction
from django.test import TransactionTestCase

# Filled in by migrations and after them.
_OWN: tuple[type[models.Model], ...] = (ContentType, Permission, Group, Group.permissions.through)
_SETUP, _TEARDOWN = TransactionTestCase._fixture_setup, TransactionTestCase._fixture_teardown

_before: dict[str, Mapping[str, Any]] = {}


def _own_rows(alias: str) -> Mapping[str, Any]:
    return {model._meta.db_table: set(model._default_manager.using(alias).values_list()) for model in _OWN}


def _tables() -> list[str]:
    own = {model._meta.db_table for model in _OWN}
    found = {model._meta.db_table for model in apps.get_models(include_auto_created=True) if model._meta.managed}
    return sorted(found - own)


def _empty(alias: str) -> None:
    connection = connections[alias]
    quoted = {table: connection.ops.quote_name(table) for table in _tables()}
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        looks = [f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {name})" for table, name in quoted.items()]
        cursor.execute(" UNION ALL ".join(looks))
        for (table,) in cursor.fetchall():
            # Foreign keys are judged at the commit, when all are empty.
            cursor.execute(f"DELETE FROM {quoted[table]}")


def _teardown(case: TransactionTestCase) -> None:
    for alias in case._databases_names(include_mirrors=False):
        if _own_rows(alias) != _before.get(alias):
            _TEARDOWN(case)
            _before[alias] = _own_rows(alias)
            return
        _empty(alias)


def _setup(case: type[TransactionTestCase]) -> None:
    for alias in case._databases_names(include_mirrors=False):
        if alias not in _before:
            _before[alias] = _own_rows(alias)
    _SETUP.__func__(case)


def install() -> None:
    """From now on; before any test that commits."""
    TransactionTestCase._fixture_setup = classmethod(_setup)
    TransactionTestCase._fixture_teardown = _teardown

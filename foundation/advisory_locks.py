"""Locks of the database that stand for no row, held until the transaction ends."""

from __future__ import annotations

from django.db import connection


def hold_advisory(key: int, *, exclusive: bool) -> None:
    """Wait for the lock ``key``: shared beside other shared holders, else alone. SQLite has one writer: there it holds by itself.

    ``key`` is any number that nothing else in this database takes advisory locks under.
    """
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [key])

"""What kept a command of `manage.py` from its work, in one line: of ours, of Django and of libraries.

Only what has its reason outside of the code is said so: database, files, terminal, arguments. A mistake of ours keeps its
traceback, and with ``--traceback`` everything does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import DataError, Error, IntegrityError, connection

_OUTPUT_CLOSED = "The standard output is closed, so there is nowhere to write to. To see nothing, write to /dev/null."
_NO_TERMINAL = "The command asks on a terminal, and there is none."


@contextmanager
def failures_in_one_line(arguments: list[str]) -> Iterator[None]:
    """Around a command with these ``arguments``; raises SystemExit, which writes the line on stderr and ends with 1."""
    if sys.stdout is None:
        # What would be made could not be shown, such as a token; and the next file that is opened would be written to instead.
        raise SystemExit(f"CommandError: {_OUTPUT_CLOSED}")
    try:
        yield
        sys.stdout.flush()
    except (Error, OSError, EOFError, UnicodeError) as error:
        _give_up_broken_output()
        if "--traceback" in arguments:
            raise
        raise SystemExit(f"CommandError: {_reason(error)}") from None


def connect_without_pool() -> None:
    """Raises Django's OperationalError with what the server says; a pool would say only that it waited in vain."""
    if connection.vendor == "postgresql":
        with connection.wrap_database_errors:
            psycopg.connect(**connection.get_connection_params()).close()


def _reason(error: Exception) -> str:
    match error:
        case DataError() | IntegrityError():
            return f"The database does not take this: {_first_line(error)}"
        case Error():
            return _of_the_database(error)
        case OSError():
            return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        case EOFError():
            return _NO_TERMINAL
    return f"A text is no valid UTF-8: {error}"


def _of_the_database(error: Error) -> str:
    # It needs the settings and the models, which a command may have failed to load.
    from opamp_platform.operations.health import missing_migrations

    try:
        connect_without_pool()
        missing = missing_migrations()
    except Error as said:
        return f"The database cannot be used: {_first_line(said)}. See DATABASE_URL."
    if missing:
        return f"The database lacks {missing} migrations: run `.venv/bin/python manage.py migrate`, or start the server once."
    return f"The database cannot be used: {_first_line(error)}. See DATABASE_URL."


def _first_line(error: Exception) -> str:
    from opamp_platform.operations.health import first_line

    return first_line(error)


def _give_up_broken_output() -> None:
    """What could not be written would be tried once more at the end, with a complaint of the interpreter's."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

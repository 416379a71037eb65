"""A request that broke because the database is out of reach: how to tell."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError


def database_is_away() -> bool:
    """True while the exception being handled says so."""
    return isinstance(sys.exc_info()[1], OperationalError | InterfaceError)

"""Marks for tests that say something about one database alone: elsewhere they are skipped and do not pass under the same name."""

from __future__ import annotations

import os

import pytest
from django.conf import settings

ON_POSTGRESQL = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
# Of several processes CI has a run of its own; see tests/conformance/plugin.py.
NEEDS_BOTH = "needs DATABASE_URL and REDIS_URL: only there several processes can share a fleet"
SHARED = ON_POSTGRESQL and bool(os.environ.get("REDIS_URL"))

on_postgresql = pytest.mark.skipif(not ON_POSTGRESQL, reason="needs PostgreSQL in DATABASE_URL")
on_sqlite = pytest.mark.skipif(ON_POSTGRESQL, reason="says how it is on SQLite")
needs_several_processes = pytest.mark.skipif(not SHARED, reason=NEEDS_BOTH)

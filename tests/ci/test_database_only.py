"""What CI leaves out on the second database: only what has none; of what is in doubt, nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.database_only import ROOT

CONFTEST = """
import pytest
from tests import database_only
from tests.database_only import cannot_differ

def pytest_configure(config):
    config.addinivalue_line("markers", "django_db")
    config.addinivalue_line("markers", "any_database")
    config.addinivalue_line("markers", "sqlite_is_enough")

@pytest.fixture
def db(): pass

@pytest.fixture
def rows(db): pass

@pytest.fixture
def shared_portal(): pass

def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if not cannot_differ(item)]
"""
CASES = {
    "def test_it(): pass": "left out",
    "import pytest\n@pytest.mark.parametrize('n', [1])\ndef test_it(n, tmp_path): pass": "left out",
    "import subprocess, pytest\npytestmark = pytest.mark.any_database\ndef test_it(): pass": "left out",
    "'''The word database, and a WebSocket, alone do not matter; nor defaults.'''\ndef test_it(): pass": "left out",
    "import pytest\n@pytest.mark.django_db\ndef test_it(): pass": "stays",
    "import pytest\npytestmark = pytest.mark.django_db(transaction=True)\ndef test_it(): pass": "stays",
    "import pytest\n@pytest.mark.any_database\n@pytest.mark.django_db\ndef test_it(): pass": "stays",
    "import pytest\n@pytest.mark.sqlite_is_enough\n@pytest.mark.django_db\ndef test_it(rows): pass": "left out",
    "def test_it(rows): pass": "stays",
    "def test_it(shared_portal): pass": "stays",
    "import subprocess\ndef test_it(): pass": "stays",
    "from tests.live_server import LiveServer\ndef test_it(): pass": "stays",
    "import tests.raw_socket\ndef test_it(): pass": "stays",
    "from tests import simulated_fleet\ndef test_it(): pass": "stays",
    "from tests.databases import SHARED\ndef test_it(): pass": "stays",
    "from django.db import connection\ndef test_it(): assert connection.vendor": "stays",
    "from agents.models import Agent\ndef test_it(): str(Agent.objects.all().query)": "stays",
    "import os\ndef test_it(): os.environ.get('REDIS_URL')": "stays",
    "from django.test import TestCase\nclass TestIt(TestCase):\n    def test_it(self): pass": "stays",
}


@pytest.mark.parametrize("source", CASES)
def test_only_what_cannot_differ_is_left_out(
    source: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.database_only.TESTS", pytester.path)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(source)
    result = pytester.inline_run("--collect-only", "-p", "no:django")
    names = [item.name for call in result.getcalls("pytest_collection_finish") for item in call.session.items]
    assert ("stays" if names else "left out") == CASES[source]


def test_the_option_leaves_out_what_has_no_database() -> None:
    files = [
        "tests/agents/test_labels.py",
        "tests/configurations/test_pinning.py",
        "tests/opamp_server/test_supervisor.py",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-n0", "--database-only", *files]
    ran = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    kept = {line.partition("::")[0] for line in ran.stdout.splitlines() if "::" in line}
    assert kept == {"tests/configurations/test_pinning.py"}, ran.stdout + ran.stderr

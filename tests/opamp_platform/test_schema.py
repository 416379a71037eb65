"""The OpenAPI document, and the live API held against it by schemathesis."""

from __future__ import annotations

import pytest
import schemathesis
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings

from accounts.models import User
from accounts.services import issue_token


def test_the_schema_has_no_warnings(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


@pytest.fixture
def api_schema(transactional_db: None, live_server):
    """The schema as a live server has it, with every call made by an administrator."""
    person = User.objects.create_superuser("schemathesis")
    _row, token = issue_token(person, name="schemathesis", by=None)
    headers = {"Authorization": f"Bearer {token}"}
    loaded = schemathesis.openapi.from_url(f"{live_server.url}/api/v1/schema?format=json", headers=headers)
    loaded.config.update(headers=headers)
    return loaded


def test_no_call_breaks_the_server(api_schema):
    """Generated calls of every operation, wrong and right, never get a 500."""
    for found in api_schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        def answers(case):
            case.call_and_validate(checks=[schemathesis.checks.not_a_server_error])

        answers()

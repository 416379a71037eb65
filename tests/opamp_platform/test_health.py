"""The verdicts: what is alive, what is ready, and why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from pytest_django import Settings

from tests.live_server import free_port

READY_PATHS = ("/health", "/health/", "/health/ready", "/health/ready/")


def test_live_asks_no_database(client: Client) -> None:
    # No database fixture here: a query would fail the test.
    response = client.get("/health/live")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
class TestReady:
    @pytest.mark.parametrize("path", READY_PATHS)
    def test_a_verdict_for_each_dependency(self, client: Client, settings: Settings, path: str) -> None:
        settings.REDIS_URL = ""
        response = client.get(path)
        assert response.status_code == 200
        verdict = response.json()
        assert verdict["status"] == "ok"
        assert {name: check["status"] for name, check in verdict["checks"].items()} == {
            "database": "ok",
            "migrations": "ok",
            "storage": "ok",
        }

    def test_a_lost_redis_degrades_but_stays_200(self, client: Client, settings: Settings) -> None:
        settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
        response = client.get("/health/ready")
        assert response.status_code == 200
        assert response.json()["status"] == "degraded"
        assert response.json()["checks"]["redis"]["status"] == "degraded"

    def test_a_lost_database_is_503_with_the_reason(self, client: Client) -> None:
        def away(*_arguments: object) -> None:
            raise OperationalError("connection refused\nIs the server running?")

        with connection.execute_wrapper(away):
            response = client.get("/health/ready")
        assert response.status_code == 503
        checks = response.json()["checks"]
        assert response.json()["status"] == "failed"
        assert checks["database"] == {"status": "failed", "detail": "out of reach: connection refused"}
        assert checks["migrations"]["status"] == "failed"

    def test_a_missing_migration_is_named_with_its_remedy(self, client: Client) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
        response = client.get("/health/ready")
        assert response.status_code == 503
        assert "manage.py migrate" in response.json()["checks"]["migrations"]["detail"]

    def test_a_data_directory_that_is_gone_fails(self, client: Client, settings: Settings, tmp_path: Path) -> None:
        settings.DATA_DIR = tmp_path / "gone"
        response = client.get("/health/ready")
        assert response.status_code == 503
        assert "DATA_DIR" in response.json()["checks"]["storage"]["detail"]

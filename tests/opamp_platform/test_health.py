"""The verdicts: what is alive, what is ready, and why not."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from moto.server import ThreadedMotoServer
from pytest_django import Settings

from opamp_platform.operations import health
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


@pytest.fixture
def store() -> Iterator[str]:
    """The address of an S3-compatible store with one bucket, ``opamp``."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    request = urllib.request.Request(f"{address}/opamp", method="PUT", headers={"Host": "s3"})
    urllib.request.urlopen(request).close()
    yield address
    server.stop()


@pytest.mark.django_db
class TestStore:
    @pytest.fixture(autouse=True)
    def _configured(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setattr(health, "_bucket_verdict", [])
        settings.REDIS_URL = ""
        settings.S3_BUCKET, settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY = "opamp", "a", "b"
        settings.S3_ENDPOINT_URL = f"http://127.0.0.1:{free_port()}"

    def test_one_that_answers_is_ok(self, client: Client, settings: Settings, store: str) -> None:
        settings.S3_ENDPOINT_URL = store
        assert client.get("/health/ready").json()["checks"]["storage"] == {"status": "ok", "detail": "S3"}

    def test_a_lost_one_degrades_but_stays_200(self, client: Client) -> None:
        response = client.get("/health/ready")
        assert response.status_code == 200
        assert response.json()["status"] == "degraded"
        assert response.json()["checks"]["storage"]["detail"].startswith("bucket opamp is out of reach: ")

    def test_a_missing_bucket_is_named(self, client: Client, settings: Settings, store: str) -> None:
        settings.S3_ENDPOINT_URL, settings.S3_BUCKET = store, "another"
        assert client.get("/health/ready").json()["checks"]["storage"] == {
            "status": "degraded",
            "detail": "bucket another: there is no such bucket",
        }

    def test_an_address_that_is_none_degrades(self, client: Client, settings: Settings) -> None:
        settings.S3_ENDPOINT_URL = "nonsense"
        assert client.get("/health/ready").json()["checks"]["storage"]["status"] == "degraded"

    def test_probes_do_not_ask_it_each_time(self, client: Client, settings: Settings, store: str) -> None:
        settings.S3_ENDPOINT_URL, dead = store, settings.S3_ENDPOINT_URL
        assert client.get("/health/ready").json()["checks"]["storage"]["status"] == "ok"
        settings.S3_ENDPOINT_URL = dead
        assert client.get("/health/ready").json()["checks"]["storage"]["status"] == "ok"
        health._bucket_verdict[0] = (health._bucket_verdict[0][0] - 10.0, health._bucket_verdict[0][1])
        assert client.get("/health/ready").json()["checks"]["storage"]["status"] == "degraded"

"""Fixtures of the fault tests: how often, and servers that may be killed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults import postgres as postgres_module
from tests.faults import redis_server
from tests.faults.postgres import PostgresCluster
from tests.faults.redis_server import RedisServer
from tests.live_server import LiveServer

FOLDER = Path(__file__).parent
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything here is a fault test. The long ones run when FAULT_ROUNDS asks for more than one round.

    Tests with databases of their own say the same whatever DATABASE_URL is: they run where it is not set.
    """
    own_databases = "DATABASE_URL" in os.environ
    left_out = []
    for item in items:
        if not item.path.is_relative_to(FOLDER):
            continue
        is_long = any(marker.kwargs.get("long") for marker in item.iter_markers("faults"))
        item.add_marker(pytest.mark.faults)
        if (is_long and ROUNDS == 1) or (own_databases and ROUNDS == 1 and "cluster" in item.fixturenames):  # type: ignore[attr-defined]
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def rounds() -> int:
    """How often each fault is repeated."""
    return ROUNDS


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresCluster]:
    """A PostgreSQL of the tests' own."""
    if postgres_module.binaries() is None:
        pytest.skip("needs root and an installed PostgreSQL server: its own cluster runs as the user postgres")
    with PostgresCluster() as running:
        yield running


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    if redis_server.program() is None:
        pytest.skip("needs redis-server")
    with RedisServer(tmp_path) as running:
        yield running


Node = Callable[..., LiveServer]


@pytest.fixture
def node(cluster: PostgresCluster, broker: RedisServer, tmp_path: Path) -> Iterator[Node]:
    """Starts servers that share one database, one Redis and one secret key, as several machines do."""
    with ExitStack() as running:
        shared = {
            "DATABASE_URL": running.enter_context(cluster.database(f"faults_{secrets.token_hex(6)}")),
            "REDIS_URL": broker.url,
            "SECRET_KEY": secrets.token_hex(32),
        }

        def start(name: str, **arguments: object) -> LiveServer:
            folder = tmp_path / name
            folder.mkdir()
            return running.enter_context(LiveServer(folder, **{**shared, **arguments}))  # type: ignore[arg-type]

        yield start

"""Free text in lists of agents: what it finds, the same on both databases, and that PostgreSQL asks an index for it."""

from __future__ import annotations

import importlib
import logging
from uuid import UUID, uuid4

import pytest
from django.db import connection

from agents.models import Agent
from agents.text_search import text_condition
from tests.databases import on_postgresql, on_sqlite

pytestmark = pytest.mark.django_db
migration = importlib.import_module("agents.migrations.0006_fleet_indexes")


def found(text: str) -> set[str]:
    return set(Agent.objects.filter(text_condition(text)).values_list("name", flat=True))


class TestWhatIsFound:
    @pytest.fixture(autouse=True)
    def fleet(self) -> None:
        for name, host, service in (
            ("edge-1", "rack7.example", "collector"),
            ("EDGE-2", "rack8.example", "Collector"),
            ("50%_off", "back\\slash", "shop"),
            ("db", "primary", "postgres"),
            ("nobody's", "", ""),
        ):
            Agent.objects.create(instance_uid=uuid4(), name=name, hostname=host, service_name=service)

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("edge", {"edge-1", "EDGE-2"}),
            ("DGE-1", {"edge-1"}),
            ("ck8.ex", {"EDGE-2"}),
            ("COLLECT", {"edge-1", "EDGE-2"}),
            ("ostgre", {"db"}),
            ("dy'", {"nobody's"}),
            ("nothing like it", set()),
            # Signs that mean something in a LIKE pattern stand for themselves.
            ("50%", {"50%_off"}),
            ("%_o", {"50%_off"}),
            ("k\\s", {"50%_off"}),
            ("e_1", set()),
            ("e%1", set()),
            ("___", set()),
            # A text is not found across the end of one field and the beginning of the next.
            ("dbp", set()),
            ("db primary", set()),
        ],
    )
    def test_a_part_of_name_host_or_service_whatever_its_case(self, text: str, names: set[str]) -> None:
        assert found(text) == names

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("e", {"edge-1", "EDGE-2"}),
            ("ED", {"edge-1", "EDGE-2"}),
            ("r", {"edge-1", "EDGE-2"}),
            ("po", {"db"}),
            ("dg", set()),
            ("b", {"50%_off"}),
            ("5", {"50%_off"}),
            ("%", set()),
            ("_", set()),
        ],
    )
    def test_one_or_two_characters_are_looked_for_at_the_beginning(self, text: str, names: set[str]) -> None:
        assert found(text) == names

    def test_a_whole_uid_finds_its_agent_alone(self) -> None:
        agent = Agent.objects.create(instance_uid=UUID(int=7), name="seven")
        Agent.objects.create(instance_uid=uuid4(), name=str(UUID(int=7)))
        assert found(str(agent.instance_uid)) == {"seven"}


TEXTS = pytest.mark.parametrize("text", ["host-0004711", "a.b", "ab", "a", "50%", "it's"])


@on_postgresql
@TEXTS
def test_postgresql_asks_the_trigram_index(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = Agent.objects.order_by().filter(text_condition(text)).explain()
    assert "Bitmap Index Scan on agent_search" in plan


@on_sqlite
@TEXTS
def test_sqlite_reads_the_rows(text: str) -> None:
    assert "SCAN agents_agent" in Agent.objects.order_by().filter(text_condition(text)).explain()


@on_sqlite
def test_sqlite_gets_none_of_postgresqls_indexes() -> None:
    with connection.cursor() as cursor:
        before = connection.introspection.get_constraints(cursor, "agents_agent")
        migration.create_postgresql_indexes(None, connection.schema_editor())
        assert connection.introspection.get_constraints(cursor, "agents_agent") == before


@on_postgresql
def test_a_database_user_without_the_right_to_create_the_extension_migrates_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    editor = connection.schema_editor()  # not entered: the test's transaction is enough
    with connection.cursor() as cursor:
        migration.drop_postgresql_indexes(None, editor)
        cursor.execute("DROP EXTENSION pg_trgm")
        # All of this goes with the test's transaction.
        cursor.execute("CREATE ROLE tenant_of_tests")
        cursor.execute("ALTER TABLE agents_agent OWNER TO tenant_of_tests")
        cursor.execute("GRANT ALL ON SCHEMA public TO tenant_of_tests")
        cursor.execute("SET LOCAL ROLE tenant_of_tests")
        with caplog.at_level(logging.WARNING):
            migration.create_postgresql_indexes(None, editor)
        names = set(connection.introspection.get_constraints(cursor, "agents_agent"))
        assert "agent_labels" in names
        assert "agent_search" not in names
        (warning,) = caplog.messages
        assert "permission denied" in warning
        assert migration.EXTENSION in warning
        assert migration.SEARCH in warning
        Agent.objects.create(instance_uid=uuid4(), name="found all the same")
        assert found("all the") == {"found all the same"}

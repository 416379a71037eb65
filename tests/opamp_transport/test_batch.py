"""One batch in one transaction: what it may cost whatever the size of the fleet."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, Transport
from agents.remote_config import ConfigFile
from agents.reports import AgentDescription, StatusReport
from agents.services.arrivals import Arrival, Lease
from configurations.models import Assignment
from configurations.services.publishing import Draft, create_configuration
from opamp_transport import report_queue
from opamp_transport.batch import Processed, process_reports
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import COLLECTOR, FakeAgent, Socket, poll, run

pytestmark = pytest.mark.django_db(transaction=True)


class Costs:
    """Queries and fetched rows of every batch of reports that the report queue processes, counted in its database threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[tuple[int, int]] = []
        self._counting = threading.local()
        real_attribute = CursorWrapper.__getattr__

        def attribute(cursor: CursorWrapper, name: str) -> Any:
            found = real_attribute(cursor, name)
            counts = getattr(self._counting, "rows", None)
            if counts is None or name not in {"fetchone", "fetchmany", "fetchall"}:
                return found

            def fetch(*arguments: Any) -> Any:
                rows = found(*arguments)
                counts.append(len(rows) if name != "fetchone" else int(rows is not None))
                return rows

            return fetch

        monkeypatch.setattr(CursorWrapper, "__getattr__", attribute)
        monkeypatch.setattr(report_queue, "process_reports", self._process)

    def _process(self, arrivals: Sequence[Arrival], **given: Any) -> list[Processed]:
        self._counting.rows = []
        try:
            with CaptureQueriesContext(connection) as queries:
                return process_reports(arrivals, **given)
        finally:
            self.batches.append((len(queries), sum(self._counting.rows)))
            self._counting.rows = None


def fill(count: int) -> None:
    """So many connected agents, to each of which a configuration was offered and who has not answered yet."""
    arrivals = [
        Arrival(
            StatusReport(
                instance_uid=uuid4(),
                capabilities=COLLECTOR,
                agent_description=AgentDescription({"service.name": "otelcol"}, {"env": "prod"}),
            ),
            Lease(f"ws-{number}-{count}", "elsewhere", Transport.WEBSOCKET, "127.0.0.1"),
        )
        for number in range(count)
    ]
    for start in range(0, count, 250):
        process_reports(arrivals[start : start + 250], at=timezone.now())


@pytest.mark.defect(9)
@pytest.mark.parametrize("transport", ["ws", "http"])
def test_a_report_costs_the_same_in_a_fleet_of_ten_and_of_five_hundred(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = Costs(monkeypatch)

    async def reports() -> list[tuple[int, int]]:
        """What a registration, a change of health and a change of labels cost an agent that gets the configuration."""
        agent = FakeAgent(env="prod")
        ill = opamp_pb2.ComponentHealth(healthy=False, last_error="broken")
        messages = [agent.message(**agent.full_parts()), agent.message(health=ill)]
        agent.labels["tier"] = "front"
        messages.append(agent.message(agent_description=agent.description()))
        costs.batches.clear()
        if transport == "http":
            for message in messages:
                await poll(message)
        else:
            async with Socket() as socket:
                for message in messages:
                    await socket.exchange(message)
        return list(costs.batches)

    async def body() -> None:
        draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
        await sync_to_async(create_configuration)("everywhere", draft, by=None, at=timezone.now())
        await sync_to_async(fill)(10)
        await reports()  # fills what is kept in memory: selectors, files by hash
        small = await reports()
        await sync_to_async(fill)(490)
        assert await sync_to_async(Assignment.objects.filter(offer_count=1).count)() >= 500
        large = await reports()
        assert len(small) == len(large) == 3
        assert large == small
        assert all(queries < 30 and rows < 20 for queries, rows in large)

    run(body())


def test_the_rows_of_a_batch_are_freed_without_collecting_garbage() -> None:
    """A server collects seldom: what thousands of reports left would be there for minutes."""
    fill(2)
    uids = list(Agent.objects.values_list("instance_uid", flat=True))
    lease = Lease("", "elsewhere", Transport.HTTP, "127.0.0.1")
    reports = [StatusReport(uid, 1, COLLECTOR) for uid in [*uids, uuid4()]]
    gc.collect()
    gc.disable()
    try:
        process_reports([Arrival(report, lease) for report in reports], at=timezone.now())
        # Not by `isinstance`, which would evaluate lazy objects that other tests left.
        assert not [kept for kept in gc.get_objects() if type(kept) is Agent]
    finally:
        gc.enable()

"""What agents should not say of packages: bounded, and believed only of what they were offered (S-91, S-92)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from opamp_transport.proto import opamp_pb2
from packages.models import Installation, PackageVersion
from tests.fake_agent import FakeAgent, run
from tests.opamp_transport.conversations import BOTH, Line
from tests.packages.test_offers import ACCEPTS, DOWNLOADING, FAILED, INSTALLED

pytestmark = pytest.mark.django_db(transaction=True)
Make = Callable[..., PackageVersion]


@BOTH
class TestAgents:
    def test_what_it_says_of_packages_is_bounded_and_believed_of_what_it_was_offered(
        self, transport: str, make: Make
    ) -> None:
        version = make()

        async def body() -> None:
            agent = FakeAgent(env="prod", capabilities=ACCEPTS)
            async with Line(transport) as line:
                offer = (await line.tell_all(agent)).packages_available
                for change in (
                    {"status": 99},
                    {"status": FAILED, "server_offered_hash": b"x" * 5_000},
                    {"status": INSTALLED, "agent_has_hash": b"x" * 5_000, "agent_has_version": "9" * 9_000},
                    {"status": DOWNLOADING, "percent": float("nan")},
                    {"status": DOWNLOADING, "percent": float("-inf")},
                    {"status": DOWNLOADING, "percent": 1e300},
                ):
                    await line.exchange(agent.message(package_statuses=said_of(offer, **change)))
                    row = await installation()
                    assert row.status in ("offered", "installing"), change
                    assert row.percent is None or 0 <= row.percent <= 100
                crowd = opamp_pb2.PackageStatuses(server_provided_all_packages_hash=b"y" * 3_000)
                for number in range(2_000):
                    crowd.packages[f"p{number}\x00\u202e"].name = "x" * 100
                await line.exchange(agent.message(package_statuses=crowd))
                error = "\x00\u202e<script>" + "e" * 50_000
                await line.exchange(agent.message(package_statuses=said_of(offer, status=FAILED, error_message=error)))
            row = await installation()
            assert (row.status, len(row.error_message), row.version_id) == ("failed", 2_000, version.pk)

        run(body())

    def test_one_that_says_all_of_it_before_it_was_offered_anything(self, transport: str, make: Make) -> None:
        make()
        offer = opamp_pb2.PackagesAvailable(all_packages_hash=b"z" * 32)
        offer.packages["agent"].version = "0.9"
        offer.packages["agent"].hash = b"z" * 32

        async def body() -> None:
            agent = FakeAgent(env="prod", capabilities=ACCEPTS)
            async with Line(transport) as line:
                for status in (FAILED, DOWNLOADING, INSTALLED):
                    reply = await line.tell_all(agent, package_statuses=said_of(offer, status=status))
                    assert status != FAILED or reply.packages_available.packages["agent"].version == "1.0.0"
            assert (await installation()).status == "offered"

        run(body())


def said_of(offer: opamp_pb2.PackagesAvailable, *, percent: float = 0.0, **changes: Any) -> opamp_pb2.PackageStatuses:
    said = opamp_pb2.PackageStatuses(server_provided_all_packages_hash=offer.all_packages_hash)
    for name, package in offer.packages.items():
        each = said.packages[name]
        each.name, each.server_offered_version, each.server_offered_hash = name, package.version, package.hash
        for field, value in changes.items():
            setattr(each, field, value)
        if percent:
            each.download_details.download_percent = percent
    return said


@sync_to_async
def installation() -> Installation:
    return Installation.objects.get()

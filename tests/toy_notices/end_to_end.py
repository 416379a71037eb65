"""Released in stages, matched, told, rolled back to nothing left: run by `tests/test_offers.py` with this app installed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from rollouts.models import Rollout
from rollouts.policies import parse_policy
from rollouts.services.ticking import tick_all
from rollouts.services.version_publishing import AT_ONCE, VersionPlan
from tests.fake_agent import COLLECTOR, FakeAgent, Socket, run
from tests.toy_notices.models import Notice, NoticeVersion
from tests.toy_notices.releases import RELEASES

pytestmark = pytest.mark.django_db(transaction=True)


def test_versions_reach_whom_the_selector_matches_and_roll_out_in_stages() -> None:
    notice = Notice.objects.create(name="hello", selector={"env": "prod"})
    first, second = (
        NoticeVersion.objects.create(notice=notice, number=number, text=f"text {number}") for number in (1, 2)
    )
    agent, canary, stranger = (
        FakeAgent(capabilities=COLLECTOR, **labels)
        for labels in ({"env": "prod"}, {"env": "prod", "canary": "yes"}, {"env": "dev"})
    )
    staged = VersionPlan(parse_policy({"stages": [{"selector": {"canary": "yes"}}]}))
    publish = sync_to_async(RELEASES.publish)
    now = timezone.now()

    async def body() -> None:
        await publish(first, by=None, at=now, plan=AT_ONCE)
        async with Socket() as socket, Socket() as other, Socket() as third:
            said = [
                await each.exchange(one.message(**one.full_parts()))
                for each, one in ((socket, agent), (other, canary), (third, stranger))
            ]
            assert [each.custom_message.data for each in said] == [b"text 1", b"text 1", b""]
            rollout = await publish(second, by=None, at=now, plan=staged)
            assert rollout is not None
            assert (await other.receive()).custom_message.data == b"text 2"
            assert not (await socket.exchange(agent.message())).HasField("custom_message")
            for seconds in (1, 2):
                await sync_to_async(tick_all)(timezone.now() + timedelta(seconds=seconds))
            assert (await socket.receive()).custom_message.data == b"text 2"

    run(body())
    rollout: Any = Rollout.objects.get()
    assert (rollout.subject, rollout.name) == ("notice", "hello")

"""An agent over HTTP whose connection broke repeats its message at once, while the first one still waits here."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.remote_config import ConfigFile
from configurations.services.publishing import Draft, create_configuration
from tests.fake_agent import FakeAgent, post, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.rule("S-46", "S-62", transport="http")
@pytest.mark.parametrize("is_new", [True, False])
def test_the_answer_to_the_repetition_has_the_offer_too(is_new: bool) -> None:
    async def body() -> None:
        draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
        agent = FakeAgent(env="prod")
        if not is_new:
            await post(agent.message(**agent.full_parts()).SerializeToString())
        await sync_to_async(create_configuration)("prod-config", draft, by=None, at=timezone.now())
        message = agent.message(**agent.full_parts()).SerializeToString()
        # Nobody reads the first answer.
        _lost, repeated = await asyncio.gather(post(message), post(message))
        assert repeated.reply.HasField("remote_config")
        assert not repeated.reply.flags

    run(body())

"""An adopted configuration comes to the agents that run it already: offered once, applied, and silence."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.models import Agent
from configurations.services import effective_groups
from configurations.services.adopting import adopt_and_publish
from configurations.services.effective_groups import note_likeness, propose_for_group
from tests.fake_agent import APPLIED, FakeAgent, answered, effective_config, run
from tests.opamp_transport.conversations import BOTH, PROD, Line, events_of, publish, row_of

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "receivers:\n  otlp: {}\n"


@sync_to_async
def adopt_the_largest() -> bytes:
    """What a person does with the first of the groups; returns the hash that is offered now."""
    note_likeness(timezone.now())
    found = propose_for_group(effective_groups.agent_groups()[0].key, by=None)
    assert found is not None
    made, _findings = adopt_and_publish(found, found.draft, name="adopted", by=None, at=timezone.now(), force=True)
    assert made.current is not None
    return bytes.fromhex(made.current.hash)


@BOTH
def test_it_is_offered_once_and_disturbs_nobody_else(transport: str) -> None:
    async def body() -> None:
        one, other = FakeAgent(**PROD), FakeAgent(env="dev")
        async with Line(transport) as line, Line(transport) as another:
            await line.tell_all(one, effective_config=effective_config(TEXT))
            await another.tell_all(other, effective_config=effective_config("receivers: {}\n"))
            wanted = await adopt_the_largest()
            agent = await sync_to_async(Agent.objects.get)(configuration_name="adopted")
            (to, its), (quiet, idle) = ((one, line), (other, another))
            if agent.instance_uid != one.uid:
                (to, its), (quiet, idle) = (quiet, idle), (to, its)
            reply = await its.hear(to)
            assert reply.remote_config.config_hash == wanted
            said = to.message(remote_config_status=answered(wanted, APPLIED), effective_config=effective_config(TEXT))
            assert not (await its.exchange(said)).HasField("remote_config")
            assert await its.nothing_comes(to)
            assert await idle.nothing_comes(quiet)
            assert [kind for kind, _data in await events_of(to, "offered")] == ["offered"]
            row = await row_of(to)
            assert row.in_sync
            assert not row.config_drifted
            # Nor when the server has forgotten what it said.
            await publish(name="another", selector={"env": "nobody"})
            assert await its.nothing_comes(to)

    run(body())

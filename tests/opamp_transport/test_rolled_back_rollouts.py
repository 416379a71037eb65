"""After a roll back each agent is offered what it should run again, unless it has said since that it runs it."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.remote_config import ConfigFile
from configurations.services.drafts import Draft
from configurations.services.publishing import ReleasePlan, update_configuration
from rollouts.models import Rollout
from rollouts.policies import parse_policy
from rollouts.services import rolling_out
from tests.fake_agent import APPLIED, APPLYING, FAILED, FakeAgent, run
from tests.opamp_transport.conversations import BOTH, PROD, Line, publish, row_of

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = "a: 1\n", "b: 2\n"


@sync_to_async
def roll_out() -> None:
    """The new text to everybody, in a rollout."""
    draft = Draft(selector=PROD, files={"": ConfigFile(NEW.encode(), "text/yaml")})
    plan = ReleasePlan(parse_policy({"stages": []}))
    update_configuration("prod-config", draft, by=None, at=timezone.now(), force=True, plan=plan)


@sync_to_async
def roll_back() -> None:
    rolling_out.roll_back_rollout(Rollout.objects.active().get().pk, by=None, at=timezone.now())


async def says(line: Line, agent: FakeAgent, config_hash: bytes, status: int, error: str = "") -> Any:
    said = {"last_remote_config_hash": config_hash, "status": status, "error_message": error}
    return await line.exchange(agent.message(remote_config_status=said))


@BOTH
@pytest.mark.parametrize(
    ("words", "comes"),
    [("nothing", True), ("applying", True), ("applied", True), ("failed", True), ("went back", False)],
)
def test_who_is_offered_the_former_files_again(transport: str, words: str, comes: bool) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        old = await publish(body=OLD)
        async with Line(transport) as line:
            assert (await line.tell_all(agent)).remote_config.config_hash == old
            await says(line, agent, old, APPLIED)
            await roll_out()
            new = (await line.hear(agent)).remote_config.config_hash
            assert new not in (b"", old)
            if words == "applying":
                await says(line, agent, new, APPLYING)
            if words == "applied":
                await says(line, agent, new, APPLIED)
            if words in ("failed", "went back"):
                await says(line, agent, new, FAILED, "no such receiver")
            if words == "went back":
                await says(line, agent, old, APPLIED)
            await roll_back()
            if not comes:
                assert await line.nothing_comes(agent)
                assert (await row_of(agent)).in_sync is True
                return
            assert (await line.hear(agent)).remote_config.config_hash == old
            # Once; and what the agent says of the other meanwhile does not bring it again.
            assert await line.nothing_comes(agent)
            assert not (await says(line, agent, new, FAILED, "no such receiver")).HasField("remote_config")
            await says(line, agent, old, APPLIED)
            assert await line.nothing_comes(agent)
            assert (await row_of(agent)).in_sync is True

    run(body())


@BOTH
def test_one_that_left_in_the_middle_is_offered_them_when_it_comes_back(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        old = await publish(body=OLD)
        async with Line(transport) as line:
            await line.tell_all(agent)
            await says(line, agent, old, APPLIED)
            await roll_out()
            assert (await line.hear(agent)).HasField("remote_config")
        await roll_back()
        async with Line(transport) as line:
            said = {"last_remote_config_hash": old, "status": APPLIED}
            reply = await line.tell_all(agent, remote_config_status=said)
            assert reply.remote_config.config_hash == old
            assert await line.nothing_comes(agent)

    run(body())

"""Fragments over both transports: one offer with all files, anew when a fragment changes, and after a lost wake-up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.remote_config import ConfigFile, RemoteConfig
from configurations.models import Assignment, Configuration
from configurations.opamp import ConfigurationOffer
from configurations.services.drafts import Draft
from configurations.services.publishing import create_configuration, update_configuration
from tests.fake_agent import APPLIED, FAILED, FakeAgent, answered, run
from tests.opamp_transport.conversations import BOTH, PROD, Line, lose_memory, publish, row_of

pytestmark = pytest.mark.django_db(transaction=True)


def _file(text: str) -> ConfigFile:
    return ConfigFile(text.encode(), "text/yaml")


@sync_to_async
def publish_fragment(text: str, name: str = "logging") -> None:
    draft = Draft(kind="fragment", selector=PROD, config_key=name, files={name: _file(text)})
    verb = update_configuration if Configuration.objects.filter(name=name).exists() else create_configuration
    verb(name, draft, by=None, at=timezone.now(), force=True)


@sync_to_async
def pending() -> set[object]:
    return set(ConfigurationOffer.pending_since(timezone.now() - timedelta(minutes=1)))


@BOTH
@pytest.mark.rule("S-59")
def test_all_files_are_offered_together_and_anew_when_a_fragment_changes(transport: str) -> None:
    async def body() -> None:
        await publish(body="a: 1\n")
        agent, other = FakeAgent(**PROD), FakeAgent(env="lab")
        async with Line(transport) as line, Line(transport) as second:
            await line.tell_all(agent)
            await second.tell_all(other)
            await publish_fragment("b: 1\n")
            offered = (await line.hear(agent)).remote_config
            assert {key: file.body for key, file in offered.config.config_map.items()} == {
                "": b"a: 1\n",
                "logging": b"b: 1\n",
            }
            whole = RemoteConfig({"": _file("a: 1\n"), "logging": _file("b: 1\n")})
            assert offered.config_hash == whole.config_hash()
            reply = await line.exchange(agent.message(remote_config_status=answered(offered.config_hash, APPLIED)))
            assert not reply.HasField("remote_config")
            assert (await row_of(agent)).in_sync
            await publish_fragment("b: 2\n")
            again = (await line.hear(agent)).remote_config
            assert again.config.config_map["logging"].body == b"b: 2\n"
            reply = await line.exchange(agent.message(remote_config_status=answered(again.config_hash, FAILED, "no")))
            assert not reply.HasField("remote_config")
            assert await line.nothing_comes(agent)
            assert (await row_of(agent)).config_failed
            assert await second.nothing_comes(other)

    run(body())


@BOTH
def test_after_a_restart_of_the_server_the_same_files_are_not_offered_again(transport: str) -> None:
    async def body() -> None:
        await publish_fragment("b: 1\n")
        agent = FakeAgent(**PROD)
        async with Line(transport) as line:
            offered = (await line.tell_all(agent)).remote_config
            assert list(offered.config.config_map) == ["logging"]
            await line.exchange(agent.message(remote_config_status=answered(offered.config_hash, APPLIED)))
        await lose_memory()
        async with Line(transport) as line:
            reply = await line.tell_all(agent, remote_config_status=answered(offered.config_hash, APPLIED))
            assert not reply.HasField("remote_config")
            assert (await row_of(agent)).in_sync

    run(body())


def test_an_agent_whose_wake_up_was_lost_is_found() -> None:
    async def body() -> None:
        await publish(body="a: 1\n")
        agent = FakeAgent(**PROD)
        async with Line("http") as line:
            offered = (await line.tell_all(agent)).remote_config
            await line.exchange(agent.message(remote_config_status=answered(offered.config_hash, APPLIED)))
            assert await pending() == set()
            await publish_fragment("b: 1\n")
            assert await pending() == {agent.uid}
            assert (await line.hear(agent)).remote_config.config.config_map["logging"].body == b"b: 1\n"
            assert await pending() == set()
            assert await sync_to_async(Assignment.objects.filter(composition__isnull=False).count)() == 1

    run(body())

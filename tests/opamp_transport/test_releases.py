"""A release reaches its audience alone, seen from the agents' side; the others keep what the former release gives them."""

from __future__ import annotations

import functools
import importlib

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import Agent
from agents.remote_config import ConfigFile, RemoteConfig
from configurations.models import Configuration, Revision
from configurations.services.edit_errors import AlreadyReleased
from configurations.services.publishing import add_revision
from configurations.services.releasing import release
from configurations.services.targeting import hold_targeting
from rollouts.audiences import EVERYONE, Instances
from rollouts.models import Release
from tests.fake_agent import APPLIED, FakeAgent, run
from tests.opamp_transport.conversations import BOTH, PROD, Line, publish

pytestmark = pytest.mark.django_db(transaction=True)


def _run(test):
    """The test, run on a loop of its own."""

    @functools.wraps(test)
    def on_a_loop(**arguments):
        run(test(**arguments))

    return on_a_loop


@sync_to_async
def _release(body, to, *, selector=PROD):
    with transaction.atomic():
        hold_targeting(exclusive=True)
        row = Configuration.objects.select_related("current").get()
        row.selector = selector
        row.save(update_fields=["selector"])
        config = RemoteConfig({"": ConfigFile(body.encode(), "text/yaml")})
        revision = add_revision(row, config, by=None, at=timezone.now(), note="")
        release(revision, to=to, by=None, at=timezone.now())
    return bytes.fromhex(revision.hash)


@sync_to_async
def _seen(agent):
    row = Agent.objects.get(instance_uid=agent.uid)
    return row.configuration_name, row.configuration_revision, row.in_sync


async def _apply(line, agent, offered):
    await line.exchange(agent.message(remote_config_status={"last_remote_config_hash": offered, "status": APPLIED}))


@BOTH
@_run
async def test_a_release_to_a_part_reaches_that_part_alone(transport):
    first = await publish(body="a: 1\n")
    canary, other = FakeAgent(**PROD), FakeAgent(**PROD)
    async with Line(transport) as one, Line(transport) as two:
        for line, agent in ((one, canary), (two, other)):
            assert (await line.tell_all(agent)).remote_config.config_hash == first
            await _apply(line, agent, first)
        second = await _release("a: 2\n", Instances(frozenset({canary.uid})))
        assert (await one.hear(canary)).remote_config.config_hash == second
        assert await two.nothing_comes(other)
        await _apply(one, canary, second)
        assert await _seen(canary) == ("prod-config", 2, True)
        assert await _seen(other) == ("prod-config", 1, True)
        third = await _release("a: 3\n", EVERYONE)
        for line, agent in ((one, canary), (two, other)):
            assert (await line.hear(agent)).remote_config.config_hash == third


@_run
async def test_joining_and_leaving_happen_with_the_audience():
    await publish(body="a: 1\n")
    prod, dev, late = FakeAgent(**PROD), FakeAgent(env="dev"), FakeAgent(**PROD)
    async with Line("http") as line:
        for agent in (prod, dev):
            await line.tell_all(agent)
        await _release("a: 2\n", Instances(frozenset({dev.uid})), selector={"env": "dev"})
        assert (await _seen(prod))[:2] == ("prod-config", 1)
        assert (await _seen(dev))[:2] == ("prod-config", 2)
        await line.tell_all(late)
        assert (await _seen(late))[:2] == ("prod-config", 1)
        await _release("a: 3\n", EVERYONE, selector={"env": "dev"})
        assert (await _seen(prod))[:2] == ("", None)
        assert (await _seen(dev))[:2] == ("prod-config", 3)


@sync_to_async
def _publish_twice():
    row = Configuration.objects.select_related("current").get()
    with pytest.raises(AlreadyReleased):
        release(row.current, to=EVERYONE, by=None, at=timezone.now())
    return [release.ended_at is None for release in Release.objects.order_by("pk")], AuditEntry.objects.count()


@_run
async def test_a_release_to_everyone_ends_those_before_and_each_publish_is_audited_once():
    await publish(body="a: 1\n")
    await publish(body="a: 2\n")
    assert await _publish_twice() == ([False, True], 2)


@_run
async def test_an_upgrade_releases_what_is_current():
    @sync_to_async
    def upgraded():
        migration = importlib.import_module("configurations.migrations.0004_releases")
        migration.forget_releases(apps, None)
        assert not Release.objects.exists()
        migration.release_what_is_current(apps, None)
        return list(Revision.objects.released().values_list("number", flat=True))

    await publish(body="a: 1\n")
    await publish(body="a: 2\n")
    assert await upgraded() == [2]
    agent = FakeAgent(**PROD)
    async with Line("http") as line:
        await line.tell_all(agent)
    assert (await _seen(agent))[:2] == ("prod-config", 2)

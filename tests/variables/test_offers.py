"""What agents get of templates, seen from their side, and what becomes of their rows."""

from __future__ import annotations

import functools

import pytest
import yaml
from asgiref.sync import sync_to_async
from django.test import override_settings
from django.utils import timezone

from agents.models import AgentEvent
from agents.remote_config import ConfigFile
from configurations.models import Configuration, Revision
from configurations.services.drafts import Draft
from configurations.services.publishing import create_configuration, update_configuration
from tests.fake_agent import APPLIED, FAILED, FakeAgent, run
from tests.opamp_transport.conversations import BOTH, PROD, Line, events_of, lose_memory, retry, row_of
from variables.models import Secret, Variable
from variables.services import value_edits

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = 'exporters:\n  otlp:\n    endpoint: {{ vars.endpoint }}\n    headers: {host: "{{ labels.host }}"}\n'
TOKEN = "exporters:\n  otlp:\n    endpoint: a:1\n    headers: {x-token: {{ secrets.token | yaml }}}\n"


def _run(test):
    @functools.wraps(test)
    def on_a_loop(**arguments):
        run(test(**arguments))

    return on_a_loop


@sync_to_async
def publish(text, *, selector=PROD, name="prod-config", template=True):
    draft = Draft(selector=selector, files={"": ConfigFile(text.encode(), "text/yaml", template=template)})
    known = Configuration.objects.filter(name=name).exists()
    verb = update_configuration if known else create_configuration
    configuration, _findings = verb(name, draft, by=None, at=timezone.now())
    return configuration.current.hash


@sync_to_async
def variable(name, value, **columns):
    row = Variable.objects.filter(name=name, **columns).first()
    if columns.get("selector"):
        columns = {"match_all": False, **columns}
    return value_edits.save_variable(row, {"name": name, "value": value, **columns}, by=None, at=timezone.now())


@sync_to_async
def secret(value, name="token", *, dry_run=False):
    row = Secret.objects.filter(name=name).first()
    return value_edits.save_secret(row, {"name": name, "value": value}, by=None, at=timezone.now(), dry_run=dry_run)


def text_of(reply):
    return reply.remote_config.config.config_map[""].body.decode()


async def apply(line, agent, reply, status=APPLIED, **parts):
    said = {"last_remote_config_hash": reply.remote_config.config_hash, "status": status, **parts}
    return await line.exchange(agent.message(remote_config_status=said))


@BOTH
@_run
async def test_each_agent_gets_its_own_and_is_in_sync_with_that(transport):
    await variable("endpoint", "default:4317")
    await variable("endpoint", "eu:4317", selector={"region": "eu"}, priority=5)
    template_hash = await publish(TEXT)
    eu, us = FakeAgent(**PROD, region="eu", host="web-1"), FakeAgent(**PROD, region="us", host="web-2")
    async with Line(transport) as one, Line(transport) as two:
        first, second = await one.tell_all(eu), await two.tell_all(us)
        assert yaml.safe_load(text_of(first))["exporters"]["otlp"] == {
            "endpoint": "eu:4317",
            "headers": {"host": "web-1"},
        }
        assert "default:4317" in text_of(second)
        assert "web-2" in text_of(second)
        assert first.remote_config.config_hash != second.remote_config.config_hash
        row = await row_of(eu)
        assert row.configuration_hash == first.remote_config.config_hash.hex() != template_hash
        assert (row.in_sync, row.assignment.status) == (False, "offered")
        await apply(one, eu, first)
        row = await row_of(eu)
        assert (row.in_sync, row.assignment.status, row.configuration_revision) == (True, "applied", 1)


@BOTH
@_run
async def test_a_changed_value_reaches_those_whose_files_it_changes_and_nobody_else(transport):
    await variable("endpoint", "default:4317")
    await variable("endpoint", "eu:4317", selector={"region": "eu"}, priority=5)
    await publish(TEXT)
    eu, us = FakeAgent(**PROD, region="eu", host="web-1"), FakeAgent(**PROD, region="us", host="web-2")
    async with Line(transport) as one, Line(transport) as two:
        await apply(one, eu, await one.tell_all(eu))
        await apply(two, us, await two.tell_all(us))
        change = await variable("endpoint", "eu:9999", selector={"region": "eu"}, priority=5)
        assert [(item.name, item.agents, item.changes, item.failures) for item in change.effects] == [
            ("prod-config", 2, 1, 0)
        ]
        reply = await one.hear(eu)
        assert "eu:9999" in text_of(reply)
        assert await two.nothing_comes(us)
        assert (await row_of(us)).in_sync is True
        await apply(one, eu, reply)
        assert (await row_of(eu)).in_sync is True


@BOTH
@_run
async def test_a_new_secret_is_released_and_its_value_is_stored_nowhere(transport):
    await secret("first-value")
    await publish(TOKEN)
    agent = FakeAgent(**PROD)
    async with Line(transport) as line:
        reply = await line.tell_all(agent)
        assert "first-value" in text_of(reply)
        await apply(line, agent, reply)
        counted = await secret("second-value", dry_run=True)
        assert (counted.row, counted.agents) == (None, 1)
        assert await line.nothing_comes(agent)
        await secret("second-value")
        reply = await line.hear(agent)
        assert "second-value" in text_of(reply)
        body = "a: first-value\nb: 'x second-value'\n"
        await line.exchange(
            agent.message(effective_config={"config_map": {"config_map": {"": {"body": body.encode()}}}})
        )
        row = await row_of(agent)
        assert row.reported.effective_config.content[""]["body"] == "a: [redacted]\nb: 'x [redacted]'\n"


@_run
async def test_nothing_of_a_secret_stands_in_any_table():
    await secret("clear-text-value")
    await publish(TOKEN)
    agent = FakeAgent(**PROD)
    async with Line("http") as line:
        reply = await line.tell_all(agent)
        body = text_of(reply).encode()
        await line.exchange(agent.message(effective_config={"config_map": {"config_map": {"": {"body": body}}}}))
    assert "clear-text-value" in body.decode()
    assert await _tables_with("clear-text-value") == []


@sync_to_async
def _tables_with(value):
    from django.apps import apps

    found = []
    for model in apps.get_models():
        if model._meta.managed:
            found += [model.__name__ for row in model._default_manager.values() if value in repr(row)]
    return found


@BOTH
@_run
async def test_agents_without_a_result_keep_what_they_run_and_say_why(transport):
    await publish("a: 1\n", template=False)
    good, bad = FakeAgent(**PROD, host="web-1"), FakeAgent(**PROD, host="web\nreceivers: {}")
    async with Line(transport) as one, Line(transport) as two:
        for line, agent in ((one, good), (two, bad)):
            await apply(line, agent, await line.tell_all(agent))
        await publish("a: {{ labels.host }}\n")
        assert text_of(await one.hear(good)) == "a: web-1\n"
        assert await two.nothing_comes(bad)
        row = await row_of(bad)
        assert (row.assignment.status, row.config_failed, row.in_sync) == ("failed", True, False)
        assert "line 1" in row.assignment.error_message
        assert "| yaml" in row.assignment.error_message
        assert "receivers" not in row.assignment.error_message
        assert (await events_of(bad, AgentEvent.Kind.FAILED.value))[-1][1]["revision"] == 2
        assert not await retry(bad)
        assert await two.nothing_comes(bad)
        bad.labels["host"] = "web-2"
        reply = await two.tell_all(bad)
        assert text_of(reply) == "a: web-2\n"
        row = await row_of(bad)
        assert (row.assignment.status, row.assignment.error_message, row.config_failed) == ("offered", "", False)


@_run
async def test_a_failed_rendering_stays_booked_while_the_values_are_what_they_were():
    await variable("endpoint", "one:1")
    await publish(TEXT)
    agent = FakeAgent(**PROD, host="web-1")
    async with Line("http") as line:
        first = await line.tell_all(agent)
        await apply(line, agent, first, FAILED, error_message="no such host")
        assert (await row_of(agent)).config_failed
        await variable("endpoint", "two:2")
        second = await line.hear(agent)
        assert "two:2" in text_of(second)
        await apply(line, agent, second)
        await variable("endpoint", "one:1")
        assert await line.nothing_comes(agent)
        row = await row_of(agent)
        assert (row.assignment.status, row.assignment.error_message) == ("failed", "no such host")
        assert await retry(agent)
        assert text_of(await line.hear(agent)) == text_of(first)


@BOTH
@_run
async def test_after_a_restart_the_same_files_are_offered_under_the_same_hash(transport):
    await secret("some-secret-value")
    await publish(TOKEN)
    agent = FakeAgent(**PROD)
    async with Line(transport) as line:
        first = await line.tell_all(agent)
    await lose_memory()
    await sync_to_async(_forget)()
    async with Line(transport) as line:
        await line.tell_all(agent)
        assert await retry(agent)
        assert (await line.hear(agent)).remote_config == first.remote_config


def _forget():
    from configurations.services import rendering
    from variables.services import known_values

    rendering.forget_renderings()
    known_values._known = None


@_run
async def test_a_lost_key_is_an_error_of_the_agents_and_no_crash():
    with override_settings(SECRETS_KEYS=["k" * 40]):
        await secret("some-secret-value")
        await publish(TOKEN)
    await sync_to_async(_forget)()
    agent = FakeAgent(**PROD)
    async with Line("http") as line:
        assert not (await line.tell_all(agent)).HasField("remote_config")
        row = await row_of(agent)
        assert row.assignment.status == "failed"
        assert "token cannot be read" in row.assignment.error_message


@_run
async def test_what_breaks_the_file_for_some_agents_reaches_none_of_them():
    await variable("endpoint", "good:1")
    await publish(TEXT)
    agent = FakeAgent(**PROD, region="eu", host="web-1")
    async with Line("http") as line:
        await apply(line, agent, await line.tell_all(agent))
        change = await variable("endpoint", "bad: : [", selector={"region": "eu"}, priority=5)
        assert [(item.changes, item.failures) for item in change.effects] == [(0, 1)]
        assert await line.nothing_comes(agent)
        row = await row_of(agent)
        assert row.assignment.status == "failed"
        assert "line 3" in row.assignment.error_message


@_run
async def test_new_files_in_place_of_templates_and_back():
    await variable("endpoint", "one:1")
    await publish(TEXT)
    agent = FakeAgent(**PROD, host="web-1")
    async with Line("http") as line:
        first = await line.tell_all(agent)
        await publish("a: 1\n", template=False)
        assert text_of(await line.hear(agent)) == "a: 1\n"
        await publish(TEXT)
        assert text_of(await line.hear(agent)) == text_of(first)
    assert await sync_to_async(lambda: list(Revision.objects.order_by("pk").values_list("templated", flat=True)))() == [
        True,
        False,
        True,
    ]

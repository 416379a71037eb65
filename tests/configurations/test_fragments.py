"""Fragments from the agents' side: who gets which files together, and when they are offered anew."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Agent, AgentEvent
from agents.remote_config import ConfigFile, RemoteConfig
from agents.reports import RemoteConfigStatuses
from configurations.models import Assignment, Composition, Configuration, DeletedConfiguration
from configurations.services import pinning
from configurations.services.collisions import FilesCollide
from configurations.services.drafts import Draft, InvalidConfiguration
from configurations.services.edit_errors import PinRefused
from configurations.services.publishing import (
    AT_ONCE,
    create_configuration,
    delete_configuration,
    update_configuration,
)
from configurations.services.restoring_deleted import restore_configuration
from configurations.services.retrying import retry_offer
from rollouts.audiences import EVERYONE
from rollouts.services import freezing
from tests.rollouts.fleet import Fleet, RememberingAgent
from tests.rollouts.test_rolling_out import AT, NEW, OLD, draft

pytestmark = pytest.mark.django_db(transaction=True)
LOGS, LOGS2, METRICS = "exporters: {logs: }\n", "exporters: {logs2: }\n", "exporters: {metrics: }\n"
FAILED = RemoteConfigStatuses.FAILED


def fragment(key: str, text: str, **fields: Any) -> Draft:
    files = {key: ConfigFile(text.encode(), "text/yaml", template=fields.pop("template", False))}
    return draft(**{"kind": "fragment", "config_key": key, "files": files, **fields})


def make(name: str, wanted: Draft) -> None:
    create_configuration(name, wanted, by=None, at=AT, force=True)


def change(name: str, wanted: Draft) -> None:
    update_configuration(name, wanted, by=None, at=AT, force=True, plan=AT_ONCE)


@pytest.fixture
def fleet() -> Fleet:
    """Three production agents that have applied the whole c, and one that nothing matches."""
    make("c", draft(OLD))
    fleet = Fleet(AT)
    fleet.join(3, env="prod")
    fleet.join(1, env="lab")
    fleet.answer(fleet.agents)
    return fleet


def row(remembering: RememberingAgent) -> Agent:
    return Agent.objects.select_related("assignment__composition").get(instance_uid=remembering.uid)


def latest(fleet: Fleet) -> list[str]:
    """What each was offered last, which it applies."""
    fleet.wake()
    fleet.answer(fleet.agents)
    return [agent.latest for agent in fleet.agents]


def test_a_fragment_is_added_to_what_agents_get_and_the_hash_covers_all_files(fleet):
    make("logs", fragment("logs", LOGS))
    assert latest(fleet) == [OLD + LOGS] * 3 + [""]
    agent = row(fleet.agents[0])
    files = {"": ConfigFile(OLD.encode(), "text/yaml"), "logs": ConfigFile(LOGS.encode(), "text/yaml")}
    assert agent.configuration_hash == RemoteConfig(files).config_hash().hex() == fleet.agents[0].hash.hex()
    assert (agent.configuration_name, agent.configuration_revision, agent.in_sync) == ("c", 1, True)
    assert Composition.objects.count() == 1
    line = AgentEvent.objects.filter(agent=agent, kind="assigned").latest("pk")
    assert line.data == {"configuration": "c", "revision": 1, "fragments": [["logs", 1]]}


def test_a_change_of_a_fragment_reaches_exactly_its_agents(fleet):
    make("logs", fragment("logs", LOGS, selector={"host.name": "agent-001"}))
    fleet.wake()
    fleet.answer(fleet.agents)
    change("logs", fragment("logs", LOGS2, selector={"host.name": "agent-001"}))
    fleet.wake()
    assert [agent.offers for agent in fleet.agents] == [[OLD], [OLD, OLD + LOGS, OLD + LOGS2], [OLD], []]
    # New targeting of the same files offers nothing anew.
    fleet.answer(fleet.agents)
    change("logs", fragment("logs", LOGS2, selector={"host.name": "agent-001", "env": "prod"}))
    fleet.wake()
    assert len(fleet.agents[1].offers) == 3
    assert row(fleet.agents[1]).in_sync


def test_a_change_of_the_whole_keeps_the_fragments(fleet):
    make("logs", fragment("logs", LOGS, selector={"host.name": "agent-001"}))
    make("metrics", fragment("metrics", METRICS, selector={"host.name": "agent-001"}, priority=5))
    change("c", draft(NEW))
    assert latest(fleet) == [NEW, NEW + LOGS + METRICS, NEW, ""]


def test_agents_that_only_fragments_match_get_these_alone(fleet):
    make("logs", fragment("logs", LOGS, selector={"env": "lab"}))
    assert latest(fleet)[3] == LOGS
    fleet.answer(fleet.agents[3:])
    agent = row(fleet.agents[3])
    assert (agent.configuration_name, agent.in_sync) == ("", True)
    assert agent.assignment.reason == Assignment.Reason.FRAGMENTS
    make("w", draft(NEW, selector={"env": "lab"}))
    assert latest(fleet)[3] == NEW + LOGS
    delete_configuration("w", by=None, at=AT)
    assert latest(fleet)[3] == LOGS
    delete_configuration("logs", by=None, at=AT)
    agent = row(fleet.agents[3])
    assert (agent.configuration_hash, agent.assignment.status) == ("", "none")
    assert not Composition.objects.exists()


def test_disabled_deleted_and_restored_fragments(fleet):
    make("logs", fragment("logs", LOGS))
    change("logs", fragment("logs", LOGS, enabled=False))
    assert latest(fleet) == [OLD] * 3 + [""]
    change("logs", fragment("logs", LOGS))
    assert latest(fleet)[0] == OLD + LOGS
    delete_configuration("logs", by=None, at=AT)
    assert latest(fleet)[0] == OLD
    restored = restore_configuration(DeletedConfiguration.objects.get().pk, by=None, at=AT)
    assert (restored.kind, restored.enabled) == ("fragment", False)
    change("logs", fragment("logs", LOGS))
    assert latest(fleet)[0] == OLD + LOGS


def test_agents_that_join_or_change_labels_are_matched_with_fragments(fleet):
    make("logs", fragment("logs", LOGS, selector={"tier": "edge"}))
    (late,) = fleet.join(1, env="prod", tier="edge")
    assert late.latest == OLD + LOGS
    fleet.relabel(fleet.agents[0], tier="edge")
    assert fleet.agents[0].latest == OLD + LOGS
    fleet.answer(fleet.agents)
    fleet.relabel(fleet.agents[0], tier="core")
    assert fleet.agents[0].latest == OLD
    assert Composition.objects.count() == 1


def test_without_fragments_a_batch_asks_nothing_of_them(fleet):
    with CaptureQueriesContext(connection) as asked:
        fleet.join(2, env="prod")
        fleet.wake()
        fleet.answer(fleet.agents)
        change("c", draft(NEW))
    statements = [query["sql"] for query in asked if 'FROM "configurations_composition' in query["sql"]]
    # Publishing looks for compositions that nobody has any more, and for fragments whose files could collide.
    assert len(statements) == 1


def test_a_failure_is_booked_for_all_files_together_and_not_offered_again(fleet):
    make("logs", fragment("logs", LOGS))
    fleet.wake()
    fleet.answer(fleet.agents[:1], FAILED, error="no")
    agent = row(fleet.agents[0])
    assert (agent.config_failed, agent.assignment.error_message) == (True, "no")
    offers = len(fleet.agents[0].offers)
    fleet.wake()
    assert len(fleet.agents[0].offers) == offers
    # Labels that take the fragment away and bring it back offer the failed files no more.
    fleet.relabel(fleet.agents[0], env="lab")
    fleet.relabel(fleet.agents[0], env="prod")
    fleet.wake()
    assert len(fleet.agents[0].offers) == offers
    assert row(fleet.agents[0]).config_failed
    # Published anew they go out once more.
    change("logs", fragment("logs", LOGS2))
    change("logs", fragment("logs", LOGS))
    fleet.wake()
    assert fleet.agents[0].offers[-1] == OLD + LOGS
    assert len(fleet.agents[0].offers) == offers + 1


def test_a_late_failure_of_files_that_are_no_longer_wanted_is_booked(fleet):
    make("logs", fragment("logs", LOGS, selector={"tier": "edge"}))
    agent, (other,) = fleet.agents[0], fleet.join(1, env="prod", tier="edge")
    assert other.latest == OLD + LOGS
    fleet.relabel(agent, tier="edge")
    failed = agent.hash
    fleet.relabel(agent, tier="core")
    agent.hash = failed
    fleet.answer([agent], FAILED, error="no")
    fleet.relabel(agent, tier="edge")
    assert row(agent).config_failed
    assert agent.offers[-1] == OLD


def test_a_person_may_retry(fleet):
    make("logs", fragment("logs", LOGS, selector={"env": "lab"}))
    fleet.wake()
    fleet.answer(fleet.agents[3:], FAILED, error="no")
    retry_offer(row(fleet.agents[3]).pk, by=None, at=AT)
    fleet.wake()
    assert fleet.agents[3].offers == [LOGS, LOGS]


def test_a_pinned_agent_keeps_its_whole_and_follows_the_fragments(fleet):
    change("c", draft(NEW))
    pinned = row(fleet.agents[0])
    pinning.pin_agent(pinned.pk, configuration="c", revision=1, reason="why", by=None, at=AT)
    make("logs", fragment("logs", LOGS))
    assert latest(fleet)[:2] == [OLD + LOGS, NEW + LOGS]
    with pytest.raises(PinRefused):
        pinning.pin_agent(pinned.pk, configuration="logs", reason="why", by=None, at=AT)


def test_a_held_agent_gets_the_fragment_when_the_hold_ends(fleet):
    freeze = freezing.start_freeze(EVERYONE, reason="party", by=None, at=AT)
    make("logs", fragment("logs", LOGS))
    assert latest(fleet)[0] == OLD
    assert row(fleet.agents[0]).assignment.status == "pending"
    freezing.end_freeze(freeze.pk, by=None, at=AT)
    assert latest(fleet)[0] == OLD + LOGS


def test_templates_of_whole_and_fragment_are_rendered_together(fleet):
    change(
        "c",
        draft(files={"": ConfigFile(b"receivers: {h: {a: {{ labels['host.name'] }}}}\n", "text/yaml", template=True)}),
    )
    make("logs", fragment("logs", "exporters: {e: {a: {{ labels['env'] }}}}\n", template=True))
    make("metrics", fragment("metrics", METRICS))
    assert latest(fleet)[1] == "receivers: {h: {a: agent-001}}\nexporters: {e: {a: prod}}\n" + METRICS
    fleet.answer(fleet.agents)
    assert row(fleet.agents[1]).in_sync
    assert Composition.objects.count() == 1
    change("logs", fragment("logs", "exporters: {e: {a: {{ labels['missing'] }}}}\n", template=True))
    agent = row(fleet.agents[1])
    assert "missing" in agent.assignment.rendering_error
    assert latest(fleet)[1].startswith("receivers: {h: {a: agent-001}}")


def test_the_kind_never_changes(fleet):
    for name, wanted in (("c", fragment("c", OLD)),):
        with pytest.raises(InvalidConfiguration) as refused:
            change(name, wanted)
        assert list(refused.value.errors) == ["kind"]
    assert Configuration.objects.get(name="c").kind == "whole"


class TestCollisions:
    def test_the_same_key_for_the_same_agents_is_refused_with_both_names(self, fleet):
        with pytest.raises(FilesCollide) as refused:
            make("logs", fragment("", LOGS))
        (said,) = refused.value.errors["files"]
        assert "logs and c" in str(said)
        assert not Configuration.objects.filter(name="logs").exists()

    def test_selectors_that_nothing_can_match_both_of_do_not_collide(self, fleet):
        make("logs", fragment("", LOGS, selector={"env": "lab"}))
        with pytest.raises(FilesCollide):
            change("logs", fragment("", LOGS, selector={"tier": "edge"}))
        assert latest(fleet)[3] == LOGS

    def test_fragments_collide_with_each_other_and_a_whole_with_a_fragment(self, fleet):
        make("logs", fragment("logs", LOGS))
        with pytest.raises(FilesCollide):
            make("more", fragment("logs", METRICS))
        with pytest.raises(FilesCollide):
            change("c", draft(files={"logs": ConfigFile(OLD.encode(), "text/yaml")}))
        make("other", draft(NEW))

    def test_a_disabled_one_collides_when_it_is_switched_on(self, fleet):
        make("logs", fragment("", LOGS, enabled=False))
        with pytest.raises(FilesCollide):
            change("logs", fragment("", LOGS))

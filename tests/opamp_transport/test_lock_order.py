"""Whoever changes agents locks them in one order, so that reports and operators wait for each other and never both at once.

The order: targeting (the advisory lock), agents by their keys, then what belongs to them. SQLite has one writer and nothing
to order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from agents.instance_uids import new_instance_uid
from agents.models import Agent, AgentCommand, AgentPresence, DuplicateUid, Transport
from agents.remote_config import ConfigFile
from agents.reports import AgentDescription, ComponentHealth, RemoteConfigStatus, RemoteConfigStatuses, StatusReport
from agents.services import commands, credentials, editing, identity, leases
from agents.services.arrivals import Arrival, Lease
from configurations.models import Configuration
from configurations.services.publishing import (
    Draft,
    create_configuration,
    delete_configuration,
    draft_of,
    roll_back,
    update_configuration,
)
from configurations.services.retrying import retry_offer
from opamp_transport.batch import answer_wakeups, process_reports
from tests import not_run
from tests.people import CAPABLE
from tests.preemption import Operation, stopped_everywhere

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timedelta(hours=1)
STARTED_AT = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True)
def rows_are_locked(request: pytest.FixtureRequest) -> None:
    """Only where transactions can wait for each other's rows."""
    if connection.vendor != "postgresql":
        not_run.note(request.node, "lock order", "no PostgreSQL", request.node.originalname)
        pytest.skip("needs PostgreSQL in DATABASE_URL: SQLite has one writer, so there is no order of locks")


class Scene:
    """Four connected agents that run ``base``, each through a connection of its own."""

    def __init__(self) -> None:
        Agent.objects.all().delete()
        for configuration in Configuration.objects.all():
            delete_configuration(configuration.name, by=None, at=timezone.now())
        self.now = timezone.now()
        create_configuration("base", self.draft(1), by=None, at=self.now)
        # Connections are made in another order than agents are registered in.
        uids = [new_instance_uid() for _ in range(4)]
        self.leases = {uid: Lease(f"ws-{uid.hex}", "test", Transport.WEBSOCKET, "127.0.0.1") for uid in uids}
        process_reports([Arrival(self.full(uid), self.leases[uid]) for uid in uids], at=self.now)
        self.agents = list(Agent.objects.order_by("id"))

    def draft(self, number: int, **fields: object) -> Draft:
        """A configuration for everybody, with another text for each number."""
        draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(b"a: %d\n" % number, "text/yaml")})
        return replace(draft, **fields)  # type: ignore[arg-type]

    def full(self, uid: object, **labels: str) -> StatusReport:
        """Everything an agent tells first."""
        return StatusReport(
            instance_uid=uid,  # type: ignore[arg-type]
            capabilities=CAPABLE,
            agent_description=AgentDescription({"service.name": "otelcol"}, {"env": "prod", **labels}),
            health=ComponentHealth(True, "", "", STARTED_AT, STARTED_AT, {"healthy": True}),
            remote_config_status=RemoteConfigStatus(b"", RemoteConfigStatuses.UNSET, ""),
        )

    def batch(self, make: Callable[[Agent, int], StatusReport]) -> Operation:
        """Reports of all agents in one transaction, the last registered agent first."""
        arrivals = [
            Arrival(make(agent, 1), self.leases[agent.instance_uid], known_sequence_num=0, known_at=self.now)
            for agent in reversed(self.agents)
        ]
        return lambda: process_reports(arrivals, at=timezone.now())

    def statuses(self) -> Operation:
        """All say that they run what they were offered; nothing has to be matched."""
        status = RemoteConfigStatus(bytes.fromhex(self.agents[0].configuration_hash), RemoteConfigStatuses.APPLIED, "")
        return self.batch(
            lambda agent, number: StatusReport(agent.instance_uid, number, CAPABLE, remote_config_status=status)
        )

    def descriptions(self) -> Operation:
        """All have other labels."""
        return self.batch(
            lambda agent, number: replace(self.full(agent.instance_uid, tier="front"), sequence_num=number)
        )

    def restarts(self) -> Operation:
        """All have restarted."""
        health = ComponentHealth(True, "", "", STARTED_AT + 10**9, STARTED_AT + 10**9, {"healthy": True})
        return self.batch(lambda agent, number: StatusReport(agent.instance_uid, number, CAPABLE, health=health))


def edits_files(scene: Scene) -> Operation:
    return lambda: update_configuration("base", scene.draft(2), by=None, at=timezone.now())


def edits_targeting(scene: Scene) -> Operation:
    return lambda: update_configuration("base", scene.draft(2, priority=5), by=None, at=timezone.now())


def rolls_back(scene: Scene) -> Operation:
    update_configuration("base", scene.draft(2), by=None, at=timezone.now())
    return lambda: roll_back("base", 1, by=None, at=timezone.now())


def switches_off(_scene: Scene) -> Operation:
    draft = replace(draft_of(Configuration.objects.get(name="base")), enabled=False)
    return lambda: update_configuration("base", draft, by=None, at=timezone.now())


def deletes(_scene: Scene) -> Operation:
    return lambda: delete_configuration("base", by=None, at=timezone.now())


def creates_a_better_one(scene: Scene) -> Operation:
    return lambda: create_configuration("better", scene.draft(3, priority=9), by=None, at=timezone.now())


def offers_again(scene: Scene) -> Operation:
    return lambda: retry_offer(scene.agents[2].pk, by=None, at=timezone.now())


def relabels(scene: Scene) -> Operation:
    keys = [agent.pk for agent in reversed(scene.agents)]
    return lambda: editing.edit_labels(keys, assign={"team": "a"}, remove=(), by=None, at=timezone.now())


def edits_one_agent(scene: Scene) -> Operation:
    return lambda: editing.edit_agent(
        scene.agents[1].pk, by=None, at=timezone.now(), operator_labels={"team": "a"}, custom_name="the one"
    )


def forgets(scene: Scene) -> Operation:
    return lambda: editing.forget_agents([agent.pk for agent in reversed(scene.agents)], by=None)


def asks_for_restarts(scene: Scene) -> Operation:
    return lambda: commands.request_restarts([agent.pk for agent in scene.agents], by=None, at=timezone.now())


def gives_up_restarts(scene: Scene) -> Operation:
    commands.request_restarts([agent.pk for agent in scene.agents], by=None, at=scene.now)
    AgentCommand.objects.update(outcome=AgentCommand.Outcome.SENT, sent_at=scene.now - LONG_AGO)
    return lambda: commands.expire_commands(at=timezone.now())


def assigns_a_uid(scene: Scene) -> Operation:
    return lambda: identity.assign_instance_uid(scene.agents[3], by=None, at=timezone.now())


def revokes(scene: Scene) -> Operation:
    keys = [agent.pk for agent in reversed(scene.agents)]
    return lambda: credentials.revoke_credentials(keys, by=None, at=timezone.now())


def allows_enrolment(scene: Scene) -> Operation:
    keys = [agent.pk for agent in reversed(scene.agents)]
    Agent.objects.update(credential_issued_at=scene.now)
    return lambda: credentials.allow_enrolment(keys, by=None, at=timezone.now())


def loses_connections(scene: Scene) -> Operation:
    # One speaks on a second connection as well, and the first one's lease expired.
    first, *_others, last = scene.agents
    DuplicateUid.objects.create(agent=first, stage=DuplicateUid.Stage.CONNECTIONS, lease_id=last.lease_id, returns=1)
    Agent.objects.filter(pk=first.pk).update(connected=False)
    keys = [agent.lease_id for agent in scene.agents]
    return lambda: leases.release_leases(keys, reason="connection closed", at=timezone.now())


def loses_a_process(_scene: Scene) -> Operation:
    return lambda: leases.expire_process("test", beat_at=None, at=timezone.now())


def takes_back(scene: Scene) -> Operation:
    Agent.objects.update(connected=False)
    claims = [leases.Claim(agent.pk, scene.leases[agent.instance_uid]) for agent in reversed(scene.agents)]
    return lambda: leases.reclaim(claims, at=timezone.now())


def expires_the_silent(_scene: Scene) -> Operation:
    """Two are overdue, and the deadlines of the others were set by a clock that jumped."""
    Agent.objects.update(transport=Transport.HTTP)
    for number, presence in enumerate(AgentPresence.objects.order_by("-agent_id")):
        presence.expires_at = timezone.now() + (24 * LONG_AGO if number % 2 else -LONG_AGO)
        presence.save(update_fields=["expires_at"])
    return lambda: leases.expire_agents(at=timezone.now())


def renews_deadlines(scene: Scene) -> Operation:
    expires_the_silent(scene)
    return lambda: leases.renew_deadlines(at=timezone.now())


def notes_heartbeats(scene: Scene) -> Operation:
    seen = [
        leases.Sighting(agent.pk, timezone.now(), 7, agent.lease_id, timedelta(seconds=30))
        for agent in reversed(scene.agents)
    ]
    return lambda: leases.note_sightings(seen, at=timezone.now())


def answers_rings(scene: Scene) -> Operation:
    update_configuration("base", scene.draft(2), by=None, at=timezone.now())
    woken = {agent.instance_uid: scene.leases[agent.instance_uid] for agent in reversed(scene.agents)}
    return lambda: answer_wakeups(woken, at=timezone.now())


def moves_to_an_assigned_uid(scene: Scene) -> Operation:
    """The first agent uses the uid that was assigned to it, in one batch with the others."""
    first, *others = scene.agents
    new = identity.assign_instance_uid(first, by=None, at=timezone.now())
    lease = scene.leases[first.instance_uid]
    arrivals = [
        Arrival(StatusReport(agent.instance_uid, 1, CAPABLE), scene.leases[agent.instance_uid], 0, scene.now)
        for agent in others
    ]
    arrivals.append(Arrival(StatusReport(new, 1, CAPABLE), lease, first_word=True))
    return lambda: process_reports(arrivals, at=timezone.now())


def reports_of_a_forgotten_one(scene: Scene) -> Operation:
    """One of them was just deleted, which the process that hears it does not know: it is registered and matched anew."""
    operation = scene.statuses()
    Agent.objects.filter(pk=scene.agents[2].pk).delete()
    return operation


def descriptions(scene: Scene) -> Operation:
    return scene.descriptions()


def restarts(scene: Scene) -> Operation:
    return scene.restarts()


OPERATIONS: Mapping[str, Callable[[Scene], Operation]] = {
    function.__name__: function
    for function in (
        edits_files, edits_targeting, rolls_back, switches_off, deletes, creates_a_better_one, offers_again, relabels,
        edits_one_agent, forgets, asks_for_restarts, gives_up_restarts, assigns_a_uid, revokes, allows_enrolment,
        loses_connections, loses_a_process, takes_back, expires_the_silent, renews_deadlines,
        notes_heartbeats, answers_rings,
    )
}  # fmt: skip
MATCHING = ("edits_files", "edits_targeting", "deletes", "creates_a_better_one", "relabels")
ORDERS = pytest.mark.parametrize("reports_first", [True, False], ids=["reports stopped", "operation stopped"])


def meet(reports: Callable[[Scene], Operation], operation: str, *, reports_first: bool) -> None:
    def prepare() -> tuple[Operation, Operation]:
        scene = Scene()
        other = OPERATIONS[operation](scene)
        reporting = reports(scene)
        return (reporting, other) if reports_first else (other, reporting)

    assert stopped_everywhere(prepare) >= 2


@ORDERS
@pytest.mark.parametrize("operation", OPERATIONS)
def test_reports_of_statuses_and_any_operation_end(operation: str, reports_first: bool) -> None:
    meet(Scene.statuses, operation, reports_first=reports_first)


@ORDERS
@pytest.mark.parametrize("operation", MATCHING)
@pytest.mark.parametrize("reports", [descriptions, moves_to_an_assigned_uid, reports_of_a_forgotten_one])
def test_reports_that_have_to_be_matched_and_targeting_end(
    reports: Callable[[Scene], Operation], operation: str, reports_first: bool
) -> None:
    meet(reports, operation, reports_first=reports_first)


@ORDERS
def test_reports_of_restarts_and_giving_up_on_them_end(reports_first: bool) -> None:
    meet(restarts, "gives_up_restarts", reports_first=reports_first)

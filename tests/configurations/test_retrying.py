"""A retry asks an agent anew: the failure is no longer what is shown, and nothing the agent reported is rewritten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import AuditEntry
from agents.models import Agent, ReportedState, Transport
from agents.remote_config import ConfigFile
from agents.reports import AgentCapabilities, RemoteConfigStatus, RemoteConfigStatuses, StatusReport
from agents.services.arrivals import Arrival, Lease
from configurations.models import Assignment
from configurations.outcome import AssignmentStatus
from configurations.services.drafts import Draft
from configurations.services.publishing import create_configuration, update_configuration
from configurations.services.retrying import NothingToRetry, retry_offer
from opamp_transport.batch import process_reports
from tests.people import CAPABLE

pytestmark = pytest.mark.django_db(transaction=True)
AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
LATER = datetime(2026, 2, 3, 5, 0, 0, tzinfo=UTC)
# What the portal itself weighs; every other column of the agent's row is the agent's own word or has nothing to do with a retry.
WEIGHED = {"in_sync", "config_failed", "config_applying"}


def draft(body: bytes) -> Draft:
    return Draft(selector={"env": "prod"}, files={"": ConfigFile(body, "text/yaml")})


@pytest.fixture
def failed(report, alice) -> Agent:
    """An agent that answered FAILED to what it should run."""
    create_configuration("c", draft(b"a: 1\n"), by=alice, at=AT, force=True)
    agent = report(env="prod")
    lease = Lease(agent.lease_id, "test", Transport.WEBSOCKET, "127.0.0.1")
    said = RemoteConfigStatus(bytes.fromhex(agent.configuration_hash), RemoteConfigStatuses.FAILED, "no")
    process_reports([Arrival(StatusReport(agent.instance_uid, 1, CAPABLE, remote_config_status=said), lease)], at=AT)
    assert status(agent) == AssignmentStatus.FAILED
    return Agent.objects.get(pk=agent.pk)


def status(agent: Agent) -> str:
    """The status of the agent's assignment, which the agent's row must agree with."""
    row, assignment = Agent.objects.get(pk=agent.pk), Assignment.objects.get(agent=agent)
    assert row.config_failed == (assignment.status == AssignmentStatus.FAILED) == bool(assignment.error_message)
    return assignment.status


def columns(agent: Agent) -> dict[str, Any]:
    """Every column of the agent and of its reported state, but for what the portal weighs."""
    row = Agent.objects.filter(pk=agent.pk).values().get()
    state = ReportedState.objects.filter(agent=agent).values().get()
    return {**{k: v for k, v in row.items() if k not in WEIGHED}, **{f"state.{k}": v for k, v in state.items()}}


def test_a_retry_leaves_what_was_reported_and_is_audited(failed, alice):
    before = columns(failed)
    retry_offer(failed.pk, by=alice, at=LATER)
    assert columns(failed) == before
    entry = AuditEntry.objects.get(verb="configuration.retry")
    assert (entry.actor, entry.object_id) == (alice, str(failed.pk))


def test_a_retried_agent_is_no_longer_shown_as_failed(failed, alice):
    retry_offer(failed.pk, by=alice, at=LATER)
    assert status(failed) == AssignmentStatus.PENDING
    assert Assignment.objects.get(agent=failed).retry_requested


def test_an_agent_with_a_new_revision_is_no_longer_shown_as_failed(failed, alice):
    update_configuration("c", draft(b"a: 2\n"), by=alice, at=LATER, force=True)
    assert status(failed) == AssignmentStatus.PENDING


def test_without_a_configuration_there_is_nothing_to_retry(report, alice):
    with pytest.raises(NothingToRetry, match="No configuration is assigned"):
        retry_offer(report(env="dev").pk, by=alice, at=AT)
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("capabilities", [0, 1, CAPABLE & ~AgentCapabilities.ACCEPTS_REMOTE_CONFIG])
def test_who_accepts_no_configuration_is_asked_nothing(failed, alice, capabilities):
    Agent.objects.filter(pk=failed.pk).update(capabilities=capabilities)
    with pytest.raises(NothingToRetry, match="does not accept remote configuration"):
        retry_offer(failed.pk, by=alice, at=LATER)
    assert status(failed) == AssignmentStatus.FAILED


@pytest.fixture
def unrendered(report, alice) -> Agent:
    """An agent whose labels its configuration's template cannot do without."""
    file = ConfigFile(b'a: {{ labels["tier"] | yaml }}\n', "text/yaml", template=True)
    create_configuration("t", Draft(selector={"env": "prod"}, files={"": file}), by=alice, at=AT, force=True)
    agent = report(env="prod")
    assert Assignment.objects.get(agent=agent).rendering_error
    return agent


def test_a_template_without_a_result_offers_nothing(unrendered, alice):
    AuditEntry.objects.all().delete()
    with pytest.raises(NothingToRetry, match="no result"):
        retry_offer(unrendered.pk, by=alice, at=LATER)
    assert not AuditEntry.objects.exists()


def test_a_template_that_has_a_result_by_now_is_offered(unrendered, alice):
    Agent.objects.filter(pk=unrendered.pk).update(labels={**unrendered.labels, "tier": "one"})
    retry_offer(unrendered.pk, by=alice, at=LATER)
    assignment = Assignment.objects.get(agent=unrendered)
    assert (assignment.rendering_error, assignment.status) == ("", AssignmentStatus.PENDING)

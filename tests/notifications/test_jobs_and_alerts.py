"""Who hears of jobs, alerts and rollouts: the same people who may read them, and of jobs their owners and administrators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services import OPERATOR, issue_token
from agents.models import Agent
from alerts.models import Alert, AlertDelivery, AlertRule
from alerts.services.acknowledging import acknowledge
from alerts.services.delivering import carry_out, retry
from alerts.services.evaluating import evaluate_all
from alerts.services.receiver_edits import create_receiver, delete_receiver
from alerts.services.rule_edits import create_rule
from foundation.messages import Message
from jobs.models import Job
from jobs.services.starting import cancel_job, start_job
from notifications import hub
from tests.jobs.working import Counting, counting, one_connection, work
from tests.notifications.listening import Socket, in_thread, of_page, of_program, run, session_of

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["counting", "one_connection"]


def topics_of(message: Any) -> set[str]:
    return {item["topic"] for item in message["changes"]}


async def heard_by(person: User, topics: list[str], act: Callable[[], Any]) -> set[str]:
    """The topics of which the page of ``person`` hears when ``act`` has happened; none is an empty set."""
    headers = of_page(await in_thread(session_of, person))
    async with Socket(headers) as socket:
        await socket.subscribe(*topics)
        await in_thread(act)
        if await socket.communicator.receive_nothing(0.4):
            return set()
        return topics_of(await socket.heard())


class TestJobs:
    """``jobs`` and ``job:<id>``."""

    def test_owners_and_administrators_hear_of_each_slice_and_nobody_else(
        self, alice: User, bob: User, counting: Counting
    ) -> None:
        carol = User.objects.create_superuser("carol-admin", password="x")
        bob.user_permissions.set([])
        job = start_job("test.count", by=alice, items=[1, 2, 3])
        User.objects.filter(pk=alice.pk).update(is_superuser=False)
        topics = ["jobs", f"job:{job.pk}"]
        alice.groups.add(Group.objects.get(name=OPERATOR))
        alice.refresh_from_db()
        assert run(heard_by(alice, topics, lambda: work(1))) == {"jobs", f"job:{job.pk}"}
        assert run(heard_by(carol, topics, lambda: work(1))) == {"jobs", f"job:{job.pk}"}
        other = start_job("test.count", by=alice, items=[1, 2, 3])
        assert run(heard_by(bob, ["jobs", f"job:{other.pk}"], lambda: work(1))) == set()

    def test_two_pages_hear_of_a_cancelled_job(self, alice: User, counting: Counting) -> None:
        job = start_job("test.count", by=alice, items=[1, 2, 3])

        async def test() -> tuple[set[str], set[str], list[str]]:
            page = of_page(await in_thread(session_of, alice))
            async with Socket(page) as one, Socket(page) as two, Socket(page) as elsewhere:
                await one.subscribe(f"job:{job.pk}")
                await two.subscribe("jobs")
                await elsewhere.subscribe("job:999999")
                await in_thread(cancel_job, job.pk, by=alice)
                found = topics_of(await one.heard()), topics_of(await two.heard())
                assert await elsewhere.is_silent()
                answer = await in_thread(_read, alice, job)
                return (*found, [answer])

        assert run(test()) == ({f"job:{job.pk}"}, {"jobs"}, ["cancelled"])

    def test_a_program_hears_of_its_own(self, bob: User, counting: Counting) -> None:
        bob.is_superuser = True
        bob.save()
        job = start_job("test.count", by=bob, items=[1])
        token = issue_token(bob, name="jobs", by=None)[1]

        async def test() -> Any:
            async with Socket(of_program(token)) as socket:
                said = await socket.subscribe("jobs", f"job:{job.pk}", "job", "jobs:1")
                assert said["subscribed"] == ["jobs", f"job:{job.pk}"]
                assert said["refused"] == ["job", "jobs:1"]
                await in_thread(work, 1)
                return topics_of(await socket.heard())

        assert run(test()) == {"jobs", f"job:{job.pk}"}

    def test_whoever_is_no_administrator_any_more_hears_only_of_their_own(
        self, alice: User, bob: User, counting: Counting
    ) -> None:
        other = User.objects.create_superuser("other", password="x")
        other.groups.set(bob.groups.all())
        start_job("test.count", by=alice, items=[1, 2, 3, 4, 5])

        async def test() -> bool:
            async with Socket(of_page(await in_thread(session_of, other))) as socket:
                await socket.subscribe("jobs")
                await in_thread(work, 1)
                assert topics_of(await socket.heard()) == {"jobs"}
                await in_thread(User.objects.filter(pk=other.pk).update, is_superuser=False)
                await hub.current_hub().look_again()
                await in_thread(work, 1)
                await hub.current_hub().tell()
                return await socket.is_silent()

        assert run(test())


def _read(person: User, job: Job) -> str:
    client = Client()
    client.force_login(person)
    found: str = client.get(f"/api/v1/jobs/{job.pk}").json()["state"]
    return found


@pytest.fixture
def rule(alice: User) -> AlertRule:
    values = {"name": "Gone", "kind": "agents_gone", "severity": "warning", "dwell_seconds": 0, "clear_seconds": 0}
    return create_rule(values, by=alice, at=timezone.now())


class TestAlerts:
    """``alerts`` and ``alert:<id>``."""

    def test_one_that_fires_and_is_acknowledged(self, alice: User, bob: User, rule: AlertRule) -> None:
        at = timezone.now()
        alert = Alert.objects.create(
            rule=rule, rule_name="Gone", kind=rule.kind, severity="warning", group_key="", state="firing",
            text=Message("x", "x").as_json(), started_at=at, last_at=at,
        )  # fmt: skip
        topics = ["alerts", f"alert:{alert.pk}"]
        assert run(heard_by(bob, topics, lambda: acknowledge(alert.pk, by=alice, at=at))) == set(topics)
        # Nothing gives cause any more: the rule is evaluated, and it is over.
        assert run(heard_by(bob, topics, lambda: evaluate_all(timezone.now()))) == set(topics)

    def test_a_notice_on_its_way(self, alice: User, bob: User, rule: AlertRule) -> None:
        """That it was made, each attempt, and that it goes with its receiver."""
        at = timezone.now()
        hook = {"name": "hook", "kind": "webhook", "address": "http://127.0.0.1:9/", "is_default": True}
        receiver = create_receiver(hook, by=alice, at=at)
        agent = {"connected": False, "disconnected_at": at - timedelta(days=1), "first_seen_at": at - timedelta(days=2)}
        Agent.objects.create(instance_uid=uuid4(), **agent)
        bob.user_permissions.add(*Permission.objects.filter(codename="view_alertdelivery"))
        assert run(heard_by(bob, ["alert-deliveries", "alert-delivery:1"], lambda: evaluate_all(at))) >= {
            "alert-deliveries"
        }
        delivery = AlertDelivery.objects.get()
        topics = ["alert-deliveries", f"alert-delivery:{delivery.pk}"]
        # Loopback is not allowed here, so it is given up at once.
        assert run(heard_by(bob, topics, lambda: carry_out(delivery.pk, at))) == set(topics)
        assert run(heard_by(bob, topics, lambda: retry(delivery.pk, by=alice, at=at))) == set(topics)
        assert run(heard_by(bob, topics, lambda: delete_receiver(receiver, by=alice))) == {"alert-deliveries"}

    def test_whoever_may_not_see_deliveries_hears_of_none(self, bob: User) -> None:
        bob.groups.clear()
        bob.user_permissions.set(Permission.objects.filter(codename="view_alert"))

        async def test() -> Any:
            async with Socket(of_page(await in_thread(session_of, bob))) as socket:
                return await socket.subscribe("alerts", "alert-deliveries", "alert-delivery:1")

        said = run(test())
        assert (said["subscribed"], said["refused"]) == (["alerts"], ["alert-deliveries", "alert-delivery:1"])

    def test_whoever_may_not_see_alerts_hears_of_none(self, bob: User) -> None:
        bob.groups.clear()
        bob.user_permissions.set(Permission.objects.filter(codename="view_agent"))

        async def test() -> Any:
            async with Socket(of_page(await in_thread(session_of, bob))) as socket:
                return await socket.subscribe("alerts", "alert:1", "rollouts", "agents")

        said = run(test())
        assert (said["subscribed"], said["refused"]) == (["agents"], ["alerts", "alert:1", "rollouts"])


class TestPages:
    """What pages subscribe to."""

    def test_pages_name_their_topics(self, alice: User, counting: Counting) -> None:
        client = Client()
        client.force_login(alice)
        job = start_job("test.count", by=alice, items=[1])
        at = timezone.now()
        alert = Alert.objects.create(
            rule_name="Gone", kind="agents_gone", severity="warning", group_key="", state="firing",
            text=Message("x", "x").as_json(), started_at=at, last_at=at,
        )  # fmt: skip
        hook = create_receiver({"name": "h", "kind": "webhook", "address": "http://127.0.0.1:9/"}, by=alice, at=at)
        delivery = AlertDelivery.objects.create(
            receiver=hook, alert=alert, sequence=1, event="firing", created_at=at, notice={}
        )
        for path, topics in {
            "jobs/job/": "jobs",
            f"jobs/job/{job.pk}/change/": f"job:{job.pk}",
            "alerts/alert/": "alerts",
            f"alerts/alert/{alert.pk}/change/": f"alert:{alert.pk}",
            "alerts/alertdelivery/": "alert-deliveries",
            f"alerts/alertdelivery/{delivery.pk}/change/": f"alert-delivery:{delivery.pk}",
            "rollouts/rollout/": "rollouts",
        }.items():
            page = client.get(f"/admin/{path}").content.decode()
            assert f'data-topics="{topics}" data-seconds' in page, path
            assert page.count('data-topics="alerts"') >= 1

    def test_the_bell_is_counted_when_somebody_has_heard_that_it_changed(self, alice: User, charlie: User) -> None:
        client = Client()
        client.force_login(alice)
        assert "No alerts" in client.get("/admin/alerts/alert/bell/").content.decode()
        at = timezone.now()
        Alert.objects.create(
            rule_name="Gone", kind="agents_gone", severity="warning", group_key="", state="firing",
            text=Message("x", "x").as_json(), started_at=at, last_at=at,
        )  # fmt: skip
        answer = client.get("/admin/alerts/alert/bell/").content.decode()
        assert "1 alert" in answer
        assert "<html" not in answer
        client.force_login(charlie)
        assert client.get("/admin/alerts/alert/bell/").status_code in (302, 403)

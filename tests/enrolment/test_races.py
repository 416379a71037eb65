"""Uses are counted once and never beyond the most, whoever comes at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from agents.credentials import EnrolmentPass
from agents.models import Agent, Transport
from agents.reports import StatusReport
from agents.services.arrivals import Arrival, Lease
from enrolment.models import Enrolment, EnrolmentToken
from enrolment.services.tokens import revoke_enrolment_token
from opamp_transport.batch import process_reports
from tests.enrolment.conftest import Issue

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("by_token")]


def arrivals(token: EnrolmentToken, count: int) -> list[Arrival]:
    """So many new agents that come by ``token``."""
    shown = EnrolmentPass(token.pk, token.name)
    return [
        Arrival(
            StatusReport(instance_uid=uuid4()),
            Lease(f"ws-{uuid4().hex}", "test", Transport.WEBSOCKET, "10.0.0.1", token_id=token.pk),
            credential=shown,
        )
        for _ in range(count)
    ]


def at_once(batches: list[list[Arrival]]) -> int:
    """Work on these batches in threads that begin together, as processes would; how many agents came in."""
    barrier = threading.Barrier(len(batches))

    def one(batch: list[Arrival]) -> int:
        try:
            barrier.wait(10)
            return sum(done.denial is None for done in process_reports(batch, at=timezone.now()))
        finally:
            connection.close()

    with ThreadPoolExecutor(len(batches)) as pool:
        return sum(pool.map(one, batches))


def test_batches_at_once_never_bring_one_too_many(issue: Issue) -> None:
    token, _text = issue(max_uses=10)
    assert at_once([arrivals(token, 4) for _ in range(5)]) == 10
    token.refresh_from_db()
    assert token.uses == 10 == Agent.objects.count() == Enrolment.objects.count()


def test_two_tokens_in_crossing_orders(issue: Issue) -> None:
    one, other = issue("one")[0], issue("other")[0]
    orders = [(one, other), (other, one)] * 2
    batches = [arrivals(first, 3) + arrivals(second, 3) for first, second in orders]
    assert at_once(batches) == 24
    assert sorted(EnrolmentToken.objects.values_list("uses", flat=True)) == [12, 12]


def test_one_uid_in_two_batches_counts_once(issue: Issue) -> None:
    token, _text = issue()
    same = arrivals(token, 1)
    barrier = threading.Barrier(2)

    def one(_number: int) -> None:
        try:
            barrier.wait(10)
            try:
                process_reports(same, at=timezone.now())
            except IntegrityError:  # as the queue does it, one by one
                process_reports(same, at=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(2)))
    token.refresh_from_db()
    assert (token.uses, Agent.objects.count()) == (1, 1)


def test_after_revoking_nobody_comes_whatever_a_process_remembers(issue: Issue) -> None:
    token, _text = issue()
    revoke_enrolment_token(token.pk, reason="lost", by=None, at=timezone.now())
    assert at_once([arrivals(token, 3)]) == 0
    assert not Agent.objects.exists()


def test_the_last_use_goes_to_one_of_a_batch(issue: Issue) -> None:
    token, _text = issue(max_uses=1)
    assert at_once([arrivals(token, 5)]) == 1

"""Enrolment tokens as a way in (S-115, S-117): who may come by one, and what becomes of those it brings.

At the handshake a token is known or not; which agent comes is told by its message, so that is judged in the batch's
transaction: each new uid counts once, and an agent that a token brought may come back by it. Locks: agents, then tokens.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from agents.credentials import Denial, EnrolmentPass
from agents.models import Agent, AgentEvent, Approval, Transport
from agents.services.batch import Batch, ReportingAgent
from agents.services.labelling import described, label
from agents.services.ways_in import Admitted, Caller, Enrolling, Judgement, LookUp, WayIn, token_of
from enrolment import metrics
from enrolment.enrolment_lines import ENROLLED
from enrolment.models import Enrolment, EnrolmentToken
from enrolment.services import known_tokens, refusals
from enrolment.tokens import TokenState, TokenText, looks_like_enrolment_token, read_token
from foundation.clock import clock

# A token in use all the time writes when it was used last no more often.
_LAST_USED_GRANULARITY = timedelta(minutes=1)


class EnrolmentTokens(WayIn):
    """Come in by an enrolment token."""

    def judge(self, text: str) -> Judgement | None:
        """From memory where the token was looked up lately. Which agent comes, and so whether it may, is not known yet."""
        if not looks_like_enrolment_token(text):
            return None
        token = read_token(text, key=settings.SECRET_KEY)
        if token is None:
            return _refused(0, Denial.ENROLMENT_UNKNOWN)
        recent, state = known_tokens.recalled(token.number)
        return _judged(token, state) if recent else LookUp(partial(_look_up, token))

    def enrol(self, batch: Batch[Any], callers: Sequence[Caller]) -> Enrolling | None:
        """Judge those who come by a token: new agents while it may bring more, known ones that it brought.

        Who is in by it costs nothing more: that a token was revoked closes what it opened, and each request shows it anew.
        """
        coming = [caller for caller in callers if caller.arrival.enrolment is not None and not _is_in(caller)]
        return Enrolled(batch, coming) if coming else Enrolling()

    def withdrawn(self, token_ids: Collection[int], at: datetime) -> Mapping[int, Denial]:
        """Tokens that were revoked, or have expired for good."""
        rows = EnrolmentToken.objects.filter(pk__in=token_ids)
        return {row.pk: denial for row in rows if (denial := row.state().denial(at)) is not None}


class Enrolled(Enrolling):
    """Those of one batch who come by a token. Tokens that may bring somebody new are locked until the batch commits."""

    def __init__(self, batch: Batch[Any], coming: Sequence[Caller]) -> None:
        self._batch = batch
        found: dict[UUID, Denial] = {}
        self.denials = found
        self._tokens: dict[UUID, EnrolmentToken] = {}
        self._before = _enrolments_of(coming)
        keys = {caller.arrival.report.instance_uid: token_of(caller.arrival.credential) for caller in coming}
        rows = EnrolmentToken.objects.in_bulk(set(keys.values()))
        new = {key for uid, key in keys.items() if uid not in self._before}
        # Counted under lock: two batches never bring one agent too many.
        rows |= {row.pk: row for row in EnrolmentToken.objects.select_for_update().filter(pk__in=new).order_by("pk")}
        taken: Counter[int] = Counter()
        for caller in coming:
            uid = caller.arrival.report.instance_uid
            token = rows.get(keys[uid])
            denial = self._judge(caller.row, token, taken, returns=uid in self._before)
            if denial is not None:
                found[uid] = denial
                self._count(keys[uid], denial)
            elif token is not None:
                taken[token.pk] += uid not in self._before
                self._tokens[uid] = token

    def note_admitted(self, entries: Sequence[ReportingAgent]) -> None:
        """Count who is new, stamp the token's labels on agents the fleet does not have, and say which token it was."""
        at, counted = self._batch.at, Counter[int]()
        used: dict[int, EnrolmentToken] = {}
        for entry in entries:
            uid = entry.arrival.report.instance_uid
            token = self._tokens.get(uid)
            # Who is told another uid comes again under that one.
            if token is None or not entry.speaks:
                continue
            used[token.pk] = token
            before = self._before.get(uid)
            if before is None:
                counted[token.pk] += 1
                self._batch.insert(Enrolment(token=token, agent=entry.agent, instance_uid=uid, enrolled_at=at))
                entry.events.append(AgentEvent(agent=entry.agent, at=at, kind=ENROLLED, data={"token": token.name}))
            elif before.agent_id != entry.agent.pk:
                Enrolment.objects.filter(pk=before.pk).update(agent_id=entry.agent.pk)
            if entry.is_new:
                _stamp(entry, token)
            entry.change("enrolled_by", token.name)
        for key, token in sorted(used.items()):
            self._note_use(token, counted[key])

    def _judge(
        self, row: Agent | None, token: EnrolmentToken | None, taken: Counter[int], *, returns: bool
    ) -> Denial | None:
        if token is None:
            return Denial.ENROLMENT_UNKNOWN
        state, at = token.state(), self._batch.at
        if returns:
            return state.denial(at)
        if row is not None and row.credential_used_at is not None and settings.OPAMP_AGENT_CREDENTIALS:
            return state.denial(at) or Denial.ENROLMENT_FOREIGN
        return state.denial_of_new(at, uses=token.uses + taken[token.pk], max_uses=token.max_uses)

    def _count(self, token_id: int, denial: Denial) -> None:
        if refusals.count(token_id, denial):
            # A batch that is rolled back has refused nobody.
            transaction.on_commit(partial(refusals.write, token_id, denial))

    def _note_use(self, token: EnrolmentToken, counted: int) -> None:
        at = self._batch.at
        row = EnrolmentToken.objects.filter(pk=token.pk)
        if counted:
            row.update(uses=F("uses") + counted, last_used_at=at)
            transaction.on_commit(partial(metrics.ENROLLED.inc, counted))
        elif token.last_used_at is None or at - token.last_used_at >= _LAST_USED_GRANULARITY:
            row.update(last_used_at=at)


def _is_in(caller: Caller) -> bool:
    """Whether the agent is connected by its token already."""
    arrival, row = caller.arrival, caller.row
    enrolment = arrival.enrolment
    if row is None or enrolment is None or row.enrolled_by != enrolment.name or not row.connected:
        return False
    return row.transport == Transport.HTTP if arrival.over_http else row.lease_id == arrival.lease.id


def _enrolments_of(coming: Sequence[Caller]) -> dict[UUID, Enrolment]:
    """By the uid they come with, those that the token they show brought before; under a former uid too (S-30)."""
    uids = [caller.arrival.report.instance_uid for caller in coming]
    keys = [caller.row.pk for caller in coming if caller.row is not None]
    tokens = {token_of(caller.arrival.credential) for caller in coming}
    rows = list(Enrolment.objects.filter(Q(instance_uid__in=uids) | Q(agent__in=keys), token__in=tokens))
    by_uid = {(row.token_id, row.instance_uid): row for row in rows}
    by_agent = {(row.token_id, row.agent_id): row for row in rows if row.agent_id is not None}
    found = {}
    for caller in coming:
        token, uid = token_of(caller.arrival.credential), caller.arrival.report.instance_uid
        row = by_uid.get((token, uid))
        if row is None and caller.row is not None:
            row = by_agent.get((token, caller.row.pk))
        if row is not None:
            found[uid] = row
    return found


def _stamp(entry: ReportingAgent, token: EnrolmentToken) -> None:
    """A new agent has the token's labels as an operator's, which win over its own, and waits where the token says so."""
    agent = entry.agent
    agent.operator_labels = dict(token.labels)
    label(agent, described(entry.state))
    agent.approval = Approval.PENDING if token.asks_approval() else Approval.APPROVED


def _refused(token_id: int, denial: Denial) -> Judgement:
    return LookUp(partial(_write_refusal, token_id, denial)) if refusals.count(token_id, denial) else denial


def _write_refusal(token_id: int, denial: Denial) -> Denial:
    refusals.write(token_id, denial)
    return denial


def _judged(token: TokenText, state: TokenState | None) -> Judgement:
    if state is None or not hmac.compare_digest(state.digest, token.digest):
        return _refused(0 if state is None else state.token_id, Denial.ENROLMENT_UNKNOWN)
    denial = state.denial(clock.now())
    return Admitted(EnrolmentPass(state.token_id, state.name)) if denial is None else _refused(state.token_id, denial)


def _look_up(token: TokenText) -> Admitted | Denial:
    found = _judged(token, known_tokens.look_up(token.number))
    return found.run() if isinstance(found, LookUp) else found

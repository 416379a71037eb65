"""Rows of certificates in any state, for tests of what people see and do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from agents.models import Agent
from certificates.models import AgentCertificate

State = AgentCertificate.State
KEY = "ab" * 32


def made(agent: Agent, state: str = State.PENDING, **fields: Any) -> AgentCertificate:
    now = timezone.now()
    given: dict[str, Any] = {
        "agent": agent, "instance_uid": agent.instance_uid, "state": state, "key_sha256": KEY, "key_type": "P-256",
        "csr": "-----BEGIN CERTIFICATE REQUEST-----", "requested_at": now, "changed_at": now,
        "open": state in {State.PENDING, State.APPROVED},
    }  # fmt: skip
    if state in {State.ISSUED, State.REVOKED}:
        given |= {
            "certificate": "-----BEGIN CERTIFICATE-----", "digest": uuid4().hex, "serial_number": "5eb1",
            "not_before": now - timedelta(days=1), "not_after": now + timedelta(days=89),
        }  # fmt: skip
    return AgentCertificate.objects.create(**given | fields)

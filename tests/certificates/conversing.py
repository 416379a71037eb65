"""Agents and people in conversations about certificates: asked for, decided, brought, shown. ``signs`` is a fixture."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry
from agents.models import AgentEvent
from certificates.models import AgentCertificate
from certificates.services import deciding, signing
from opamp_platform.environment import Environment
from opamp_platform.tls_settings import _networks
from opamp_transport import runtime
from opamp_transport.consumers import websocket
from opamp_transport.proto import opamp_pb2
from tests.certificate_files import new_key
from tests.certificates.asking import asking, csr_of, options_of, row_now, sign_now
from tests.fake_agent import FakeAgent
from tests.opamp_transport.agent_credentials import HOST, SECRET
from tests.opamp_transport.conversations import Line, processed

State = AgentCertificate.State
HEADER = "x-client-cert"
RULES = pytest.mark.rule("S-84", "S-85", "S-86", "S-88")
REQUESTS, OFFERS = 0x40, 0x20


@pytest.fixture
def signs(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key signs what was approved; certificates are shown by a proxy. Nothing is signed but when a test says so."""
    settings.OPAMP_SECRET_KEY = SECRET
    proxies = _networks(Environment({"P": "10.0.0.1"}), "P")
    settings.OPAMP_CERTIFICATES = options_of(tmp_path, header=HEADER, proxies=proxies)
    monkeypatch.setattr(websocket, "_DENIED_SECONDS", 0.0)
    monkeypatch.setattr(signing, "SECONDS", 3_600.0)
    monkeypatch.setattr(runtime, "MISSED_CHANGE_SECONDS", 3_600.0)
    monkeypatch.setattr(signing, "look", lambda _at: None)


@sync_to_async
def approve(agent: FakeAgent) -> None:
    row = AgentCertificate.objects.get(instance_uid=agent.uid, state=State.PENDING)
    deciding.approve_certificate(row.pk, key_sha256=row.key_sha256, by=None, at=timezone.now())


@sync_to_async
def deny(agent: FakeAgent) -> None:
    row = AgentCertificate.objects.get(instance_uid=agent.uid, state=State.PENDING)
    deciding.deny_certificate(row.pk, key_sha256=row.key_sha256, reason="unknown machine", by=None, at=timezone.now())


@sync_to_async
def revoke(agent: FakeAgent) -> None:
    row = AgentCertificate.objects.get(instance_uid=agent.uid, state=State.ISSUED)
    deciding.revoke_certificate(row.pk, reason="stolen", by=None, at=timezone.now())


@sync_to_async
def steps(agent: FakeAgent) -> list[str]:
    events = AgentEvent.objects.filter(agent__instance_uid=agent.uid, kind="certificate").order_by("pk")
    return [event.data["step"] for event in events]


@sync_to_async
def audited(verb: str) -> int:
    return AuditEntry.objects.filter(verb=verb).count()


@sync_to_async
def count(agent: FakeAgent) -> int:
    return AgentCertificate.objects.filter(instance_uid=agent.uid).count()


def brought(reply: opamp_pb2.ServerToAgent) -> bytes:
    """The certificate in an answer; empty without one."""
    return reply.connection_settings.opamp.certificate.cert


async def obtained(line: Line, agent: FakeAgent, key: Any = None) -> tuple[Any, opamp_pb2.ServerToAgent]:
    """Have ``agent`` ask, and somebody approve; its key, and the answer with the certificate."""
    key = key or new_key()
    await line.tell_all(agent, **asking(csr_of(key)))
    if (await row_now(agent.uid)).state == State.PENDING:
        await approve(agent)
    await sign_now()
    await processed()
    return key, await line.exchange(agent.message())


def showing(certificate: bytes) -> dict[str, str]:
    """Headers of a proxy that verified it."""
    return {**HOST, HEADER: quote(certificate.decode())}

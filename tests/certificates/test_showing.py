"""Certificates over both transports: shown by agents, and revoked (S-83, S-87, S-117)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as project
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry
from agents.connection_settings import opamp_settings
from agents.credentials import Denial
from agents.models import Agent, AgentEvent
from agents.services import identity
from certificates.models import AgentCertificate
from certificates.services import deciding, signing
from opamp_platform.environment import Environment
from opamp_platform.tls_settings import _networks
from opamp_transport import runtime
from opamp_transport.consumers import websocket
from opamp_transport.proto import opamp_pb2
from tests.certificate_files import new_key
from tests.certificates.asking import asking, csr_of, options_of, row_now, sign_now
from tests.fake_agent import FakeAgent, Socket, run
from tests.opamp_transport.agent_credentials import HOST, SECRET, SHARED, denial, rejected
from tests.opamp_transport.conversations import BOTH, Line, processed
from tests.opamp_transport.test_connection_settings import TAKES

State = AgentCertificate.State
HEADER = "x-client-cert"
RULES = pytest.mark.rule("S-84", "S-85", "S-86", "S-88")
pytestmark = [pytest.mark.django_db(transaction=True)]
REQUESTS, OFFERS = 0x40, 0x20


@pytest.fixture(autouse=True)
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


@BOTH
@pytest.mark.rule("S-83", "S-87", "S-117")
class TestUsing:
    def test_it_speaks_for_its_agent_alone(self, transport: str) -> None:
        async def body() -> None:
            agent, other = FakeAgent(capabilities=TAKES), FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                _key, reply = await obtained(line, agent)
            mine = showing(brought(reply))
            assert await denial(transport, mine, agent.message()) is None
            row = await row_now(agent.uid)
            assert row.used_at is not None
            assert not row.open
            assert await denial(transport, mine, other.message()) is Denial.FOREIGN_CERTIFICATE
            assert (await steps(agent))[-1] == "used"

        run(body())

    def test_it_outlives_a_change_of_uid(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                _key, reply = await obtained(line, agent)
            row = await sync_to_async(Agent.objects.get)(instance_uid=agent.uid)
            agent.uid = await sync_to_async(identity.assign_instance_uid)(row, by=None, at=timezone.now())
            assert await denial(transport, showing(brought(reply)), agent.message(**agent.full_parts())) is None

        run(body())

    def test_revoked_it_is_refused(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                key, reply = await obtained(line, agent)
            mine = showing(brought(reply))
            assert await denial(transport, mine, agent.message()) is None
            await revoke(agent)
            assert await denial(transport, mine, agent.message()) is Denial.CERTIFICATE_REVOKED
            # The agent may come with the secret, and not ask for that key.
            async with Line(transport, SHARED) as line:
                assert not (await line.exchange(agent.message())).HasField("error_response")
                refused = await line.exchange(agent.message(**asking(csr_of(key))))
                assert "was revoked" in refused.error_response.error_message

        run(body())

    def test_of_a_forgotten_agent_it_counts_nothing(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                _key, reply = await obtained(line, agent)
            await sync_to_async(Agent.objects.all().delete)()
            found = await denial(transport, showing(brought(reply)), agent.message())
            assert found is Denial.CERTIFICATE_REVOKED

        run(body())

    def test_no_other_settings_take_it_away(self, transport: str, settings: Settings) -> None:
        settings.OPAMP_OFFER_HEARTBEAT, settings.OPAMP_HEARTBEAT_SECONDS = True, 45

        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES | 0x2000)
            async with Line(transport, SHARED) as line:
                _key, reply = await obtained(line, agent)
                if not brought(reply):
                    reply = await line.exchange(agent.message())
            assert brought(reply)
            async with Line(transport, showing(brought(reply))) as line:
                assert not (await line.tell_all(agent)).HasField("connection_settings")

        run(body())


@pytest.mark.rule("S-83")
def test_revoking_closes_the_connection_that_it_opened_and_no_other() -> None:
    async def body() -> None:
        agent, bystander = FakeAgent(capabilities=TAKES), FakeAgent(capabilities=TAKES)
        async with Line("websocket", SHARED) as line:
            _key, reply = await obtained(line, agent)
        async with Socket(SHARED) as other, Socket(showing(brought(reply))) as socket:
            await other.exchange(bystander.message(**bystander.full_parts()))
            await socket.exchange(agent.message(**agent.full_parts()))
            await revoke(agent)
            assert await rejected(socket, await socket.receive()) is Denial.CERTIFICATE_REVOKED
            assert await other.nothing_comes()
        row = await sync_to_async(Agent.objects.get)(instance_uid=agent.uid)
        assert not row.connected

    run(body())


def test_the_hash_is_of_the_certificate_too() -> None:
    from agents.connection_settings import with_certificate

    base = opamp_settings(
        scheme="ws",
        path="/v1/opamp",
        headers={"host": "a"},
        credentials=(),
        interval_seconds=30,
        key=project.SECRET_KEY,
    )
    assert base is not None
    hashes = {
        with_certificate(base, *pair, key="k").settings_hash for pair in ((b"a", b"b"), (b"b", b"a"), (b"ab", b""))
    }
    assert len(hashes | {base.settings_hash}) == 4

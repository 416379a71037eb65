"""Certificates over both transports: asked for, approved, offered, used, renewed, revoked (S-84 … S-88, S-83)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from cryptography import x509
from django.utils import timezone
from pytest_django import Settings

from agents.models import Agent
from certificates.models import AgentCertificate
from certificates.portal_options import CertificatePolicy
from certificates.services import deciding, signing
from opamp_transport.proto import opamp_pb2
from tests.certificate_files import new_key, pem_of
from tests.certificates.asking import AUTHORITY, asking, change, csr_of, row_now, sign_now
from tests.certificates.conversing import (
    OFFERS,
    REQUESTS,
    RULES,
    State,
    approve,
    audited,
    brought,
    count,
    deny,
    obtained,
    showing,
    steps,
)
from tests.fake_agent import FakeAgent, run
from tests.opamp_transport.agent_credentials import SECRET, SHARED, denial, enrolled, with_own
from tests.opamp_transport.conversations import BOTH, Line, processed
from tests.opamp_transport.test_connection_settings import SETTINGS_FAILED, TAKES, TELLS, status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("signs")]


@BOTH
@RULES
class TestAsking:
    def test_a_person_approves_and_the_agent_is_offered_it(self, transport: str) -> None:
        async def body() -> None:
            agent, key = FakeAgent(capabilities=TELLS), new_key()
            async with Line(transport, SHARED) as line:
                reply = await line.tell_all(agent, **asking(csr_of(key)))
                assert not reply.HasField("error_response")
                assert reply.capabilities & REQUESTS
                assert reply.capabilities & OFFERS
                assert not brought(reply)
                row = await row_now(agent.uid)
                assert (row.state, row.requests) == (State.PENDING, 1)
                # Asked again, it is the same request.
                await line.exchange(agent.message(**asking(csr_of(key))))
                assert (await row_now(agent.uid)).requests == 2
                assert await count(agent) == 1
                await approve(agent)
                assert not brought(await line.exchange(agent.message()))
                await sign_now()
                await processed()
                offered = await line.exchange(agent.message())
                settings_offer = offered.connection_settings.opamp
                assert settings_offer.destination_endpoint.endswith("://opamp.example:8443/v1/opamp")
                assert settings_offer.heartbeat_interval_seconds > 0
                assert [one.value for one in settings_offer.headers.headers] == [f"Bearer {SECRET}"]
                made = x509.load_pem_x509_certificate(settings_offer.certificate.cert)
                assert made.public_key() == key.public_key()
                assert settings_offer.certificate.ca_cert == pem_of(AUTHORITY.certificate)
                assert not settings_offer.certificate.private_key
                # Once on a connection; and not any more when it was taken.
                assert not brought(await line.exchange(agent.message()))
                taken = status(offered.connection_settings.hash)
                assert not brought(await line.exchange(agent.message(**taken)))
            row = await row_now(agent.uid)
            assert (row.state, row.open) == (State.ISSUED, False)
            assert await steps(agent) == ["requested", "approved", "issued"]
            assert await audited("certificate.approve") == 1
            async with Line(transport, SHARED) as line:
                assert not brought(await line.tell_all(agent))

        run(body())

    def test_a_person_denies_and_the_agent_is_told_once(self, transport: str) -> None:
        async def body() -> None:
            agent, csr = FakeAgent(capabilities=TAKES), csr_of()
            async with Line(transport, SHARED) as line:
                await line.tell_all(agent, **asking(csr))
                await deny(agent)
                told = await line.hear(agent)
                assert told.error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest
                assert told.error_response.error_message == "The certificate was denied: unknown machine"
                assert not (await line.exchange(agent.message())).HasField("error_response")
                again = await line.exchange(agent.message(**asking(csr)))
                assert "unknown machine" in again.error_response.error_message
                # With another key it may be asked again.
                assert not (await line.exchange(agent.message(**asking(csr_of())))).HasField("error_response")
            assert (await row_now(agent.uid)).state == State.PENDING
            assert await count(agent) == 2

        run(body())

    def test_what_is_wrong_is_a_bad_request_and_written_down_once(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                await line.tell_all(agent)
                for csr in (b"nonsense", csr_of(name=str(FakeAgent().uid)), b""):
                    reply = await line.exchange(agent.message(**asking(csr)))
                    assert reply.error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest
                    assert reply.instance_uid == agent.uid.bytes
                assert not (await line.exchange(agent.message())).HasField("error_response")
            assert await count(agent) == 0
            assert await steps(agent) == ["refused"]
            assert await audited("certificate.refuse") == 1

        run(body())

    def test_an_agent_that_takes_no_settings_gets_none(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport, SHARED) as line:
                reply = await line.tell_all(agent, **asking(csr_of()))
            assert "AcceptsOpAMPConnectionSettings" in reply.error_response.error_message
            # What it reported is known all the same.
            assert (await sync_to_async(Agent.objects.get)(instance_uid=agent.uid)).labels

        run(body())

    def test_switched_off_nobody_listens(self, transport: str, settings: Settings) -> None:
        change(settings, policy=CertificatePolicy.OFF)

        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                reply = await line.tell_all(agent, **asking(csr_of()))
            assert not reply.HasField("error_response")
            assert not reply.capabilities & REQUESTS
            assert await count(agent) == 0

        run(body())

    def test_another_key_takes_the_place_of_the_one_that_waits(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                await line.tell_all(agent, **asking(csr_of()))
                first = await row_now(agent.uid)
                await line.exchange(agent.message(**asking(csr_of())))
                second = await row_now(agent.uid)
            assert first.pk == second.pk
            assert first.key_sha256 != second.key_sha256
            with pytest.raises(deciding.NotWaiting):
                await sync_to_async(deciding.approve_certificate)(
                    first.pk, key_sha256=first.key_sha256, by=None, at=timezone.now()
                )

        run(body())

    def test_what_cannot_be_signed_is_told(self, transport: str, settings: Settings, tmp_path: Path) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                await line.tell_all(agent, **asking(csr_of()))
                await approve(agent)
                change(settings, ca_key=str(tmp_path / "gone"))
                for hours in range(5):
                    await sync_to_async(signing.sign_waiting)(timezone.now() + timedelta(hours=hours))
                row = await row_now(agent.uid)
                assert row.state == State.FAILED
                assert "OPAMP_CA_KEY cannot be read" in row.reason
                told = await line.hear(agent)
                assert "could not be signed" in told.error_response.error_message
                assert str(tmp_path) not in told.error_response.error_message

        run(body())


@BOTH
@RULES
class TestPolicy:
    def test_who_came_with_its_own_needs_no_person(self, transport: str, settings: Settings) -> None:
        change(settings, policy=CertificatePolicy.AUTO)
        settings.OPAMP_AGENT_CREDENTIALS = settings.OPAMP_OFFER_HEARTBEAT = True

        async def body() -> None:
            shared, own = FakeAgent(capabilities=TAKES), FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                await line.tell_all(shared, **asking(csr_of()))
            assert (await row_now(shared.uid)).state == State.PENDING
            text = await enrolled(transport, own)
            async with Line(transport, with_own(text)) as line:
                await line.exchange(own.message(**asking(csr_of())))
                row = await row_now(own.uid)
                assert (row.state, row.decided_by_name) == (State.APPROVED, "policy")
                await sign_now()
                await processed()
                reply = await line.exchange(own.message())
                assert brought(reply)
                headers = reply.connection_settings.opamp.headers.headers
                assert [header.value for header in headers] == [f"Bearer {text}"]

        run(body())

    def test_renewal_by_itself_from_two_thirds_of_the_time_on(self, transport: str, settings: Settings) -> None:
        change(settings, policy=CertificatePolicy.AUTO)

        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                _key, reply = await obtained(line, agent)
            mine = showing(brought(reply))
            async with Line(transport, mine) as line:
                await line.tell_all(agent, **asking(csr_of()))
            assert (await row_now(agent.uid)).state == State.PENDING, "too early: a person decides"
            await sync_to_async(AgentCertificate.objects.filter(state=State.ISSUED).update)(
                not_before=timezone.now() - timedelta(days=70), not_after=timezone.now() + timedelta(days=20)
            )
            async with Line(transport, mine) as line:
                await line.tell_all(agent, **asking(csr_of()))
                assert (await row_now(agent.uid)).state == State.APPROVED
                await sign_now()
                await processed()
                renewed = brought(await line.exchange(agent.message()))
            assert renewed
            assert renewed != brought(reply)
            # Both are good, as long as the agent has not moved on.
            assert await denial(transport, mine, agent.message()) is None
            assert await denial(transport, showing(renewed), agent.message()) is None

        run(body())

    def test_who_asks_again_with_the_same_key_gets_the_same_again(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            async with Line(transport, SHARED) as line:
                key, reply = await obtained(line, agent)
                await line.exchange(agent.message(**status(reply.connection_settings.hash, SETTINGS_FAILED)))
                assert await steps(agent) == ["requested", "approved", "issued", "not taken"]
                again = await line.exchange(agent.message(**asking(csr_of(key))))
            assert brought(again) == brought(reply)
            assert await count(agent) == 1

        run(body())

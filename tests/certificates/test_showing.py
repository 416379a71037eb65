"""Certificates over both transports: shown by agents, and revoked (S-83, S-87, S-117)."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as project
from django.utils import timezone
from pytest_django import Settings

from agents.connection_settings import opamp_settings
from agents.credentials import Denial
from agents.models import Agent
from agents.services import identity
from agents.services.editing import forget_agents
from tests.certificates.asking import asking, csr_of, row_now
from tests.certificates.conversing import brought, obtained, revoke, showing, steps
from tests.fake_agent import FakeAgent, Socket, run
from tests.opamp_transport.agent_credentials import SHARED, denial, rejected
from tests.opamp_transport.conversations import BOTH, Line
from tests.opamp_transport.test_connection_settings import TAKES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("signs")]


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
            row = await sync_to_async(Agent.objects.get)(instance_uid=agent.uid)
            await sync_to_async(forget_agents)([row.pk], by=None)
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

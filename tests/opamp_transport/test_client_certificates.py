"""Client certificates of agents, shown by a proxy that verified them, over both transports (S-23, S-117)."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from pytest_django import Settings

from agents.credentials import ClientCertificate, Denial
from certificates.identity import digest_of
from certificates.portal_options import CertificateOptions
from opamp_platform.environment import Environment
from opamp_platform.tls_settings import certificate_options
from opamp_transport.client_certificates import client_certificate, refused_certificate
from tests.certificate_files import Authority, new_key, pem_of
from tests.fake_agent import FakeAgent, Socket, post, run
from tests.opamp_transport.agent_credentials import SECRET, denial
from tests.opamp_transport.conversations import BOTH

AUTHORITY, STRANGER = Authority.made(), Authority.made("a stranger")
UID = UUID("0190b0a0-0000-7000-8000-000000000001")
PROXY, HEADER = "10.0.0.1", "x-client-cert"
RULES = pytest.mark.rule("S-23", "S-117")
SCOPE: dict[str, Any] = {"client": (PROXY, 1)}


@pytest.fixture(autouse=True)
def behind_a_proxy(settings: Settings, tmp_path: Path) -> CertificateOptions:
    said = {
        "TLS_CLIENT_CA": str(AUTHORITY.write(tmp_path)),
        "OPAMP_CLIENT_CERTIFICATE_HEADER": HEADER,
        "OPAMP_CLIENT_CERTIFICATE_PROXIES": f"{PROXY}, fd00::/8",
    }
    settings.OPAMP_SECRET_KEY = SECRET
    settings.OPAMP_CERTIFICATES = options = certificate_options(Environment(said), proxies=1)
    return options


def shown(uid: UUID, authority: Authority = AUTHORITY, **options: Any) -> dict[str, str]:
    return {HEADER: quote(pem_of(authority.of_agent(uid, new_key(), **options)).decode())}


class TestWhoseItIs:
    def test_each_spelling_of_proxies_is_read(self) -> None:
        certificate = AUTHORITY.of_agent(UID, new_key())
        pem = pem_of(certificate).decode()
        bare = "".join(pem.splitlines()[1:-1])
        for text in (quote(pem), pem.replace("\n", " "), bare, quote(bare), f"{bare},{bare}"):
            found = client_certificate(SCOPE, {HEADER: text})
            assert found == ClientCertificate(UID, digest_of(certificate)), text

    def test_a_common_name_that_is_a_uid_counts_where_no_urn_is(self) -> None:
        def of(name: str, *uris: str) -> UUID | None:
            pem = pem_of(AUTHORITY.sign(new_key(), common_name=name, uris=uris)).decode()
            found = client_certificate(SCOPE, {HEADER: quote(pem)})
            return None if found is None else found.instance_uid

        other = uuid4()
        assert of(str(UID)) == UID
        assert of(str(UID), "spiffe://example.org/agent") == UID
        assert of(str(UID), f"urn:opamp:agent:{other}") == other
        assert of("web-1", f"urn:opamp:agent:{UID}", f"urn:opamp:agent:{other}") is None
        assert of("web-1") is None
        assert of(str(UID).replace("-", "")) is None
        assert of("web-1", "urn:opamp:agent:everybody") is None

    def test_what_is_not_good_counts_nothing(self) -> None:
        now = datetime.now(UTC)
        for headers in (
            shown(UID, STRANGER),
            shown(UID, begin=now - timedelta(days=2), end=now - timedelta(days=1)),
            shown(UID, begin=now + timedelta(hours=1), end=now + timedelta(days=1)),
            {HEADER: ""},
            {HEADER: "no certificate"},
            {HEADER: base64.b64encode(b"neither").decode()},
            {HEADER: "A" * 20_000},
            {HEADER: "%ff%fe-----BEGIN CERTIFICATE-----"},
            {},
        ):
            assert client_certificate(SCOPE, headers) is None, headers

    def test_an_authority_that_is_none_signs_nothing(self, settings: Settings, tmp_path: Path) -> None:
        key = new_key()
        leaf = AUTHORITY.of_agent(UID, key)
        path = tmp_path / "leaf.pem"
        path.write_bytes(pem_of(leaf))
        settings.OPAMP_CERTIFICATES = replace(settings.OPAMP_CERTIFICATES, client_ca=str(path))
        assert client_certificate(SCOPE, shown(uuid4(), Authority(key, leaf))) is None

    def test_of_tls_itself(self) -> None:
        certificate = AUTHORITY.of_agent(UID, new_key())
        scope = {
            "client": ("192.0.2.1", 1),
            "extensions": {"tls": {"client_cert_chain": [pem_of(certificate).decode()]}},
        }
        assert client_certificate(scope, {}) == ClientCertificate(UID, digest_of(certificate))
        assert client_certificate({"extensions": {"tls": {"client_cert_chain": []}}}, {}) is None
        assert client_certificate({"extensions": None}, {}) is None

    def test_without_a_header_there_is_none(self) -> None:
        assert isinstance(client_certificate(SCOPE, shown(UID)), ClientCertificate)
        assert client_certificate(SCOPE, {}) is None


class TestStrangers:
    @pytest.mark.parametrize("client", [("10.0.0.2", 1), ("fe80::1%eth0", 1), ("a socket", 0), None])
    def test_a_header_of_somebody_else_is_refused(self, client: Any) -> None:
        headers = shown(UID)
        assert client_certificate({"client": client}, headers) is None
        refusal = refused_certificate({"client": client}, headers, None)
        assert refusal is not None
        assert refusal.status == 403
        assert refused_certificate({"client": client}, {}, None) is None

    def test_networks_and_mapped_addresses_are_known(self) -> None:
        for address in ("fd00::7", f"::ffff:{PROXY}"):
            assert refused_certificate({"client": (address, 1)}, shown(UID), None) is None

    def test_where_one_is_required_nothing_else_is_enough(self, settings: Settings) -> None:
        settings.OPAMP_CERTIFICATES = replace(settings.OPAMP_CERTIFICATES, required=True)
        refusal = refused_certificate(SCOPE, {}, None)
        assert refusal is not None
        assert refusal.status == 401
        assert refused_certificate(SCOPE, {}, ClientCertificate(UID, "")) is None


async def is_refused(transport: str, headers: dict[str, str], agent: FakeAgent) -> bool:
    """Whether the request is, before any upgrade."""
    if transport == "http":
        return (await post(agent.message().SerializeToString(), headers)).status == 401
    socket = Socket(headers)
    socket.communicator.scope["extensions"] = {}
    accepted, _ = await socket.communicator.connect()
    return not accepted


@BOTH
@RULES
@pytest.mark.django_db(transaction=True)
class TestAtTheDoor:
    def test_it_needs_no_secret_and_speaks_for_one_agent(self, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("opamp_transport.consumers.websocket._DENIED_SECONDS", 0.0)

        async def body() -> None:
            agent, other = FakeAgent(), FakeAgent()
            mine = shown(agent.uid)
            assert await denial(transport, mine, agent.message(**agent.full_parts())) is None
            said = await denial(transport, mine, other.message(**other.full_parts()))
            assert said is Denial.FOREIGN_CERTIFICATE
            # The next certificate of the same agent is as good.
            assert await denial(transport, shown(agent.uid), agent.message()) is None

        run(body())

    def test_without_any_it_is_refused(self, transport: str, settings: Settings) -> None:
        settings.OPAMP_CERTIFICATES = replace(settings.OPAMP_CERTIFICATES, required=True)

        async def body() -> None:
            agent = FakeAgent()
            secret = {"authorization": f"Bearer {SECRET}"}
            assert await is_refused(transport, secret, agent)
            assert await denial(transport, shown(agent.uid), agent.message()) is None

        run(body())

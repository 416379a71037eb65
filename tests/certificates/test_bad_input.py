"""Requests for certificates and decisions about them that nobody should send (S-84 … S-87)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEntry, User
from agents.models import Agent, AgentEvent
from certificates.identity import named_in
from certificates.issuing import sign
from certificates.models import AgentCertificate
from certificates.requests import LARGEST, BadRequest, read_request
from opamp_transport.proto import opamp_pb2
from tests.certificate_files import new_key, pem_of_key, rsa_key
from tests.certificates.asking import AUTHORITY, asking, csr_of
from tests.fake_agent import FakeAgent, run
from tests.opamp_transport.agent_credentials import SHARED
from tests.opamp_transport.conversations import BOTH, Line
from tests.opamp_transport.test_connection_settings import TAKES

UID = UUID("0190b0a0-0000-7000-8000-000000000001")
NOT_TAKEN = {"csr-unreadable", "csr-too-large", "csr-of-another", "csr-weak-key", "csr-unsigned"}


def code_of(csr: bytes) -> str:
    try:
        read_request(csr, UID)
    except BadRequest as error:
        return error.code
    return ""


def with_names(names: list[x509.GeneralName], key: Any = None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key or new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_many_names() -> None:
    few = [x509.DNSName(f"host-{number}.example") for number in range(100)]
    assert code_of(with_names(few)) == ""
    many = [x509.DNSName(f"host-{number}.example") for number in range(2_000)]
    assert len(with_names(many)) > LARGEST
    assert code_of(with_names(many)) == "csr-too-large"


@pytest.mark.parametrize(
    "uri",
    [
        "urn:opamp:agent:",
        f"urn:opamp:agent:{UID}/..",
        f"urn:opamp:agent:{UID}%00",
        "urn:opamp:agent:*",
        "urn:opamp:agent:" + "9" * 4_000,
        f"urn:opamp:agent:{{{UID}}}",
    ],
)
def test_names_that_are_nearly_its_own(uri: str) -> None:
    assert code_of(csr_of(uris=(uri,))) == "csr-of-another"


def test_what_it_asks_for_beside_its_key_is_not_given() -> None:
    """A request for an authority of its own, for servers, for other names: the certificate has none of it."""
    greedy = csr_of(
        name="root",
        extensions=[
            x509.BasicConstraints(ca=True, path_length=None),
            x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]),
            x509.SubjectAlternativeName([x509.DNSName("portal.example"), x509.RFC822Name("root@example.org")]),
        ],
    )
    made = sign(
        read_request(greedy, UID),
        UID,
        authority=AUTHORITY.certificate,
        key=AUTHORITY.key,
        at=timezone.now(),
        lifetime=timezone.timedelta(days=1),
    )
    assert made.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(UID))])
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [f"urn:opamp:agent:{UID}"]
    assert named_in(made).instance_uid == UID


def test_several_blocks_and_what_stands_around_them() -> None:
    key = new_key()
    csr = csr_of(key)
    foreign = csr_of(uris=(f"urn:opamp:agent:{uuid4()}",))
    for text in (
        b"Certificate Request:\n" + csr,
        csr + pem_of_key(key),
        pem_of_key(key) + csr,
        csr.replace(b"\n", b"\r\n"),
    ):
        found = read_request(text, UID)
        assert b"PRIVATE" not in found.pem.encode(), "what is kept is the request alone"
    assert code_of(foreign + csr) == "csr-of-another"
    assert b"another" not in read_request(csr + foreign, UID).pem.encode()


def test_what_is_cut_or_changed_is_refused_and_nothing_worse() -> None:
    csr = csr_of(rsa_key(), uris=(f"urn:opamp:agent:{UID}",))
    for at in range(0, len(csr), 61):
        assert code_of(csr[:at]) in {*NOT_TAKEN, "csr-missing"}
        changed = csr[:at] + bytes([csr[at] ^ 0x15]) + csr[at + 1 :]
        assert code_of(changed) in {*NOT_TAKEN, ""}
    for csr in (b"-----BEGIN CERTIFICATE REQUEST-----\n" * 400, b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END"):
        assert code_of(csr) == "csr-unreadable"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("signs")
@BOTH
def test_an_agent_that_asks_badly_again_and_again(transport: str) -> None:
    """Told each time; one line and one entry say so to people."""

    async def body() -> None:
        agent = FakeAgent(capabilities=TAKES)
        async with Line(transport, SHARED) as line:
            await line.tell_all(agent)
            for csr in (b"", b"\x00" * 9_000, csr_of(rsa_key(1024)), csr_of(uris=(f"urn:opamp:agent:{uuid4()}",))):
                reply = await line.exchange(agent.message(**asking(csr)))
                assert reply.error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest
                assert not reply.HasField("connection_settings")

    run(body())
    assert not AgentCertificate.objects.exists()
    assert AuditEntry.objects.filter(verb="certificate.refuse").count() == 1
    assert AgentEvent.objects.filter(kind="certificate", data__step="refused").count() == 1


@pytest.mark.django_db
class TestDecisions:
    @pytest.fixture
    def waiting(self) -> AgentCertificate:
        """One that awaits approval."""
        at = timezone.now()
        agent = Agent.objects.create(instance_uid=UID, name="edge-1", first_seen_at=at)
        request = read_request(csr_of(), UID)
        return AgentCertificate.objects.create(
            agent=agent,
            instance_uid=UID,
            state="pending",
            csr=request.pem,
            key_sha256=request.key_sha256,
            key_type=request.key_type,
            requested_at=at,
            changed_at=at,
        )

    @pytest.mark.parametrize(
        ("action", "body", "status"),
        [
            ("deny", {"reason": "a\x1b[31m"}, 400),
            ("deny", {"reason": "a\u202eb"}, 400),
            ("deny", {"reason": "a\x00"}, 400),
            ("deny", {"reason": " \n "}, 400),
            ("deny", {"reason": "x" * 501}, 400),
            ("deny", {"reason": 5}, 400),
            ("deny", {"reason": "no", "key_sha256": "0" * 64}, 409),
            ("approve", {"key_sha256": "0" * 64}, 409),
            ("approve", {"key_sha256": "x" * 65}, 400),
            ("approve", {"key_sha256": None}, 400),
            ("approve", {"reason": "yes"}, 400),
            ("revoke", {"reason": "gone", "key_sha256": None}, 400),
        ],
    )
    def test_over_rest(
        self,
        api_of: Callable[[User], APIClient],
        alice: User,
        waiting: AgentCertificate,
        action: str,
        body: dict[str, Any],
        status: int,
    ) -> None:
        whole = body if "key_sha256" in body else {"key_sha256": waiting.key_sha256, **body}
        assert api_of(alice).post(f"/api/v1/certificates/{waiting.pk}/{action}", whole).status_code == status
        waiting.refresh_from_db()
        assert (waiting.state, waiting.reason) == ("pending", "")

    def test_the_same_decision_twice_and_two_at_once(
        self, api_of: Callable[[User], APIClient], alice: User, waiting: AgentCertificate
    ) -> None:
        url = f"/api/v1/certificates/{waiting.pk}"
        seen = {"key_sha256": waiting.key_sha256.upper()}
        assert api_of(alice).post(f"{url}/approve", seen).status_code == 409, "a key is compared as it is shown"
        seen = {"key_sha256": waiting.key_sha256}
        assert api_of(alice).post(f"{url}/approve", seen).status_code == 200
        assert api_of(alice).post(f"{url}/approve", seen).status_code == 409
        assert api_of(alice).post(f"{url}/deny", {**seen, "reason": "late"}).status_code == 409
        assert api_of(alice).post(f"{url}/revoke", {"reason": "early"}).status_code == 409

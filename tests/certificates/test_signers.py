"""Who signs, and what is not taken of them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pytest_django import Settings

from agents.models import Agent
from certificates.issuing import CannotSign
from certificates.models import AgentCertificate
from certificates.requests import read_request
from certificates.services import signers, signing
from certificates.services.signers import authority_pem, signed
from tests.certificate_files import DAY, Authority, new_key, pem_of, pem_of_key, rsa_key
from tests.certificates.asking import AUTHORITY, change, csr_of, options_of
from tests.certificates.rows import made

UID = UUID("0190b0a0-0000-7000-8000-000000000001")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def authority(settings: Settings, tmp_path: Path) -> None:
    settings.OPAMP_CERTIFICATES = options_of(tmp_path)


@pytest.mark.rule("S-85")
def test_what_a_certificate_says_is_decided_here() -> None:
    wishes = [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    ]
    csr = csr_of(name="root", uris=("spiffe://everything",), extensions=wishes)
    made = signed(read_request(csr, UID), UID, now())
    extensions = {one.oid._name: one.value for one in made.extensions}
    assert extensions["basicConstraints"].ca is False
    assert list(extensions["extendedKeyUsage"]) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    usage = extensions["keyUsage"]
    assert usage.digital_signature
    assert not any((usage.key_cert_sign, usage.crl_sign, usage.key_encipherment, usage.key_agreement))
    names = extensions["subjectAltName"].get_values_for_type(x509.UniformResourceIdentifier)
    assert names == [f"urn:opamp:agent:{UID}"]
    assert made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == str(UID)
    assert made.not_valid_after_utc - now() <= timedelta(days=90)
    made.verify_directly_issued_by(AUTHORITY.certificate)
    assert authority_pem() == pem_of(AUTHORITY.certificate)


@pytest.mark.django_db
def test_a_request_that_cannot_be_read_keeps_none_of_the_others_waiting(report: Callable[..., Agent]) -> None:
    damaged, whole = made(report("damaged"), "approved"), made(report("whole"), "approved", csr="", key_sha256="")
    request = read_request(csr_of(), whole.instance_uid)
    AgentCertificate.objects.filter(pk=whole.pk).update(csr=request.pem, key_sha256=request.key_sha256)
    assert signing.sign_waiting(now()) == 1
    whole.refresh_from_db()
    damaged.refresh_from_db()
    assert (whole.state, damaged.state, damaged.tries) == ("issued", "approved", 1)


def test_it_ends_with_its_authority(settings: Settings) -> None:
    change(settings, lifetime=timedelta(days=500))
    made = signed(read_request(csr_of(rsa_key()), UID), UID, now())
    assert made.not_valid_after_utc == AUTHORITY.certificate.not_valid_after_utc
    with pytest.raises(CannotSign, match="expired"):
        signed(read_request(csr_of(), UID), UID, now() + 200 * DAY)


def test_files_that_do_not_fit(settings: Settings, tmp_path: Path) -> None:
    request = read_request(csr_of(), UID)
    strange = tmp_path / "strange.key"
    cases: list[tuple[dict[str, Any], bytes, str]] = [
        ({"ca_key": str(strange)}, pem_of_key(new_key()), "not the key of"),
        ({"ca_key": str(strange)}, pem_of_key(new_key(), b"secret"), "encrypted"),
        ({"ca_key": str(strange)}, b"nonsense", "no private key"),
        ({"ca_key": str(tmp_path / "none")}, b"", "cannot be read"),
        ({"ca_cert": str(strange)}, b"nonsense", "no certificate in PEM form"),
        ({"ca_key": str(strange)}, pem_of_key(ed25519.Ed25519PrivateKey.generate()), "not the key of"),
    ]
    before = settings.OPAMP_CERTIFICATES
    for options, content, text in cases:
        strange.write_bytes(content)
        settings.OPAMP_CERTIFICATES = replace(before, **options)
        with pytest.raises(CannotSign, match=text):
            signed(request, UID, now())


SIGNER = """
import os, sys, time
sys.path.insert(0, {root!r})
mode, key_file, ca_file = sys.argv[1:]
csr = sys.stdin.buffer.read()
assert "DATABASE_URL" not in os.environ and "SECRET_KEY" not in os.environ
if mode == "fails":
    sys.exit("no")
if mode == "hangs":
    time.sleep(60)
if mode == "pours":
    sys.stdout.write("x" * 100_000)
if mode in ("signs", "other agent", "too long"):
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from datetime import UTC, datetime, timedelta
    from tests.certificate_files import Authority, pem_of
    key = serialization.load_pem_private_key(open(key_file, "rb").read(), None)
    authority = Authority(key, x509.load_pem_x509_certificate(open(ca_file, "rb").read()))
    request = x509.load_pem_x509_csr(csr)
    class Asked:
        public_key = staticmethod(request.public_key)
    uid = os.environ["OPAMP_INSTANCE_UID"] if mode != "other agent" else "0190b0a0-0000-7000-8000-0000000000ff"
    days = int(os.environ["OPAMP_LIFETIME_DAYS"]) if mode != "too long" else 400
    made = authority.of_agent(uid, Asked, end=datetime.now(UTC) + timedelta(days=days))
    sys.stdout.buffer.write(pem_of(made))
"""


@pytest.fixture
def command(settings: Settings, tmp_path: Path) -> Any:
    program = tmp_path / "sign.py"
    program.write_text(SIGNER.format(root=str(Path(__file__).parents[2])))
    key, cert = settings.OPAMP_CERTIFICATES.ca_key, settings.OPAMP_CERTIFICATES.ca_cert

    def use(mode: str) -> None:
        change(settings, ca_key="", command=(sys.executable, str(program), mode, key, cert))

    return use


@pytest.mark.rule("S-114")
class TestCommand:
    def test_it_reads_the_csr_and_writes_the_certificate(self, command: Any) -> None:
        command("signs")
        made = signed(read_request(csr_of(), UID), UID, now())
        made.verify_directly_issued_by(AUTHORITY.certificate)

    @pytest.mark.parametrize(
        ("mode", "text"),
        [
            ("fails", "status 1"),
            ("hangs", "did not end within"),
            ("pours", "too much"),
            ("silent", "no certificate"),
            ("other agent", "does not name the agent"),
            ("too long", "longer than OPAMP_CERTIFICATE_DAYS"),
        ],
    )
    def test_what_goes_wrong(self, command: Any, mode: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if mode == "hangs":
            monkeypatch.setattr(signers, "SECONDS", 0.3)
        command(mode)
        with pytest.raises(CannotSign, match=text):
            signed(read_request(csr_of(), UID), UID, now())

    def test_a_command_that_is_not_there(self, settings: Settings) -> None:
        change(settings, ca_key="", command=("/nonexistent",))
        with pytest.raises(CannotSign, match="cannot be run"):
            signed(read_request(csr_of(), UID), UID, now())


class Service(BaseHTTPRequestHandler):
    """Answers as the class says."""

    answer: tuple[int, Any] = (200, b"")
    asked: list[Any] = []

    def do_POST(self) -> None:
        csr = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked.append((self.headers, csr))
        status, body = self.answer
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(body(csr) if callable(body) else body)

    def log_message(self, *_args: Any) -> None:
        return


@pytest.fixture
def service(settings: Settings) -> Iterator[type[Service]]:
    Service.asked = []
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        change(settings, ca_key="", url=f"http://127.0.0.1:{server.server_port}/sign", token="a-token")
        yield Service
        server.shutdown()
        thread.join()


@pytest.mark.rule("S-114")
class TestService:
    def test_it_is_sent_the_csr(self, service: type[Service]) -> None:
        def answer(csr: bytes) -> bytes:
            class Asked:
                public_key = staticmethod(x509.load_pem_x509_csr(csr).public_key)

            return pem_of(AUTHORITY.of_agent(UID, Asked))

        service.answer = (201, answer)
        request = read_request(csr_of(), UID)
        assert signed(request, UID, now()).not_valid_after_utc > now()
        ((headers, csr),) = service.asked
        assert csr.decode() == request.pem
        assert headers["Authorization"] == "Bearer a-token"
        assert headers["OpAMP-Instance-UID"] == str(UID)

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            ((500, b"no"), "status 500"),
            ((302, b""), "status 302"),
            ((200, b"x" * 70_000), "too much"),
            ((200, b"nonsense"), "no certificate"),
            ((200, pem_of(AUTHORITY.of_agent(UID, new_key()))), "another key"),
        ],
    )
    def test_what_goes_wrong(self, service: type[Service], answer: tuple[int, bytes], text: str) -> None:
        service.answer = answer
        with pytest.raises(CannotSign, match=text):
            signed(read_request(csr_of(), UID), UID, now())

    def test_nobody_answers(self, settings: Settings) -> None:
        change(settings, ca_key="", url="http://127.0.0.1:1/")
        with pytest.raises(CannotSign, match="cannot be reached"):
            signed(read_request(csr_of(), UID), UID, now())


def test_of_others_a_certificate_must_be_one_for_clients_that_signs_nothing(service: type[Service]) -> None:
    key = new_key()
    request = read_request(csr_of(key), UID)
    stranger = Authority.made("stranger")
    service.answer = (200, pem_of(stranger.of_agent(UID, key)))
    with pytest.raises(CannotSign, match="not signed for clients"):
        signed(request, UID, now())
    service.answer = (200, pem_of(AUTHORITY.of_agent(UID, key, end=now() - timedelta(hours=1))))
    with pytest.raises(CannotSign, match="not good now"):
        signed(request, UID, now())
    service.answer = (200, pem_of(AUTHORITY.of_agent(uuid4(), key)))
    with pytest.raises(CannotSign, match="does not name"):
        signed(request, UID, now())

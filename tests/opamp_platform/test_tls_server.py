"""A server that serves over TLS itself: portal, agents of both transports, new certificates while it runs."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage

from opamp_transport.proto import opamp_pb2
from tests import not_run
from tests.certificate_files import DAY, Authority, new_key, pem_of, pem_of_key, rsa_key
from tests.fake_agent import FakeAgent
from tests.live_server import ROOT
from tests.tls_server import TIMEOUT, TlsServer


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.made()


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Iterator[TlsServer]:
    with TlsServer(tmp_path, authority, HSTS_SECONDS="1000") as running:
        yield running


def exchange(socket: Any, agent: FakeAgent, **parts: Any) -> opamp_pb2.ServerToAgent:
    """One message over a WebSocket, and its answer."""
    socket.send(b"\x00" + agent.message(**parts).SerializeToString())
    return opamp_pb2.ServerToAgent.FromString(socket.recv(timeout=TIMEOUT)[1:])


def poll(server: TlsServer, agent: FakeAgent, **parts: Any) -> opamp_pb2.ServerToAgent:
    """The same over HTTP."""
    body = agent.message(**parts).SerializeToString()
    response, answer = server.open("/v1/opamp", body, content_type="application/x-protobuf")
    assert response.status == 200, answer
    return opamp_pb2.ServerToAgent.FromString(answer)


def test_one_process_serves_people_and_agents_over_tls(server: TlsServer, tmp_path: Path) -> None:
    page, body = server.open("/admin/login/")
    assert page.status == 200
    assert "Secure" in page.headers["set-cookie"]
    assert page.headers["strict-transport-security"] == "max-age=1000"
    assert b"csrfmiddlewaretoken" in body
    _response, metrics = server.open("/metrics")
    line = next(line for line in metrics.decode().splitlines() if line.startswith("opamp_server_certificate_expiry"))
    assert 29 * 86_400 < float(line.split()[1]) < 30 * 86_400
    health = json.loads(server.open("/health/ready")[1])
    assert health["checks"]["certificate"]["status"] == "ok"

    poller, talker = FakeAgent(test="tls"), FakeAgent(test="tls")
    assert poll(server, poller, **poller.full_parts()).instance_uid == poller.uid.bytes
    with server.connect() as opened:
        assert exchange(opened, talker, **talker.full_parts()).instance_uid == talker.uid.bytes
        assert exchange(opened, talker).instance_uid == talker.uid.bytes
        # A certificate of another kind of key comes; who is here stays.
        before = server.served().serial_number
        server.authority.write_server(tmp_path, key=rsa_key())
        server.renew()
        server.eventually(lambda: server.served().serial_number != before, what="the new certificate is served")
        assert exchange(opened, talker).instance_uid == talker.uid.bytes
        # Files that do not fit are left.
        current = server.served().serial_number
        server.cert.write_bytes(pem_of(server.authority.certificate))
        server.renew()
        server.eventually(lambda: "the former one stays" in server.log_tail(), what="the mistake is logged")
        assert server.served().serial_number == current
    assert poll(server, poller).instance_uid == poller.uid.bytes
    with pytest.raises((ConnectionError, urllib.error.URLError, OSError)):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health/live", timeout=TIMEOUT)


@pytest.mark.rule("S-23", "S-117")
def test_agents_come_in_with_client_certificates(tmp_path: Path, authority: Authority) -> None:
    agent, poller, stranger = FakeAgent(test="tls"), FakeAgent(test="tls"), FakeAgent(test="tls")

    def showing(who: FakeAgent, signer: Authority) -> ssl.SSLContext:
        key = new_key()
        path = tmp_path / f"{who.uid}.pem"
        path.write_bytes(pem_of_key(key) + pem_of(signer.of_agent(who.uid, key)))
        context = server.trusting()
        context.load_cert_chain(path)
        return context

    options = ("--tls-client-ca", str(authority.write(tmp_path, "clients")))
    settings = {"OPAMP_SECRET_KEY": "a-secret-of-the-fleet", "OPAMP_CLIENT_CERTIFICATES": "required"}
    with TlsServer(tmp_path, authority, *options, **settings) as server:
        mine = showing(agent, authority)
        with server.connect(mine) as opened:
            assert exchange(opened, agent, **agent.full_parts()).instance_uid == agent.uid.bytes
            assert exchange(opened, agent).instance_uid == agent.uid.bytes
        with server.connect(mine) as opened:
            refused = exchange(opened, stranger, **stranger.full_parts())
            assert "names another agent" in refused.error_response.error_message
        body = poller.message(**poller.full_parts()).SerializeToString()
        secret = "Bearer a-secret-of-the-fleet"
        response, said = server.open("/v1/opamp", body, content_type="application/x-protobuf", authorization=secret)
        assert response.status == 401
        assert b"client certificate" in said
        request = urllib.request.Request(
            f"{server.url}/v1/opamp", data=body, headers={"content-type": "application/x-protobuf"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT, context=showing(poller, authority)) as answer:
            assert opamp_pb2.ServerToAgent.FromString(answer.read()).instance_uid == poller.uid.bytes
        unknown, ends = (
            showing(stranger, Authority.made("elsewhere")),
            (OSError, EOFError, ConnectionClosed, InvalidMessage),
        )
        with pytest.raises(ends), server.connect(unknown) as opened:
            exchange(opened, stranger)
        assert server.open("/admin/login/")[0].status == 200


def test_the_servers_old_versions_are_refused(tmp_path: Path, authority: Authority) -> None:
    with TlsServer(tmp_path, authority, TLS_MIN_VERSION="1.3", OPAMP_SERVER="stock") as server:
        old = server.trusting()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)), server.connect(old):
            pass
        agent = FakeAgent(test="tls")
        with server.connect() as opened:
            assert exchange(opened, agent, **agent.full_parts()).instance_uid == agent.uid.bytes
        before = server.served().serial_number
        authority.write_server(tmp_path)
        server.renew()
        server.eventually(lambda: server.served().serial_number != before, what="uvicorn's own protocols have it too")


def test_several_workers_are_replaced_with_the_new_certificate(
    tmp_path: Path, authority: Authority, request: pytest.FixtureRequest
) -> None:
    if not (os.environ.get("DATABASE_URL", "").startswith("postgres") and os.environ.get("REDIS_URL")):
        not_run.note(request.node, "workers", "no PostgreSQL and Redis", request.node.originalname)
        pytest.skip("needs DATABASE_URL and REDIS_URL: only there several workers can share a fleet")
    with TlsServer(tmp_path, authority, workers=2) as server:
        agent = FakeAgent(test="tls")
        with server.connect() as opened:
            exchange(opened, agent, **agent.full_parts())
            before = server.served().serial_number
            authority.write_server(tmp_path)
            server.renew()
            with pytest.raises(ConnectionClosed):
                opened.recv(timeout=TIMEOUT)
        serials = {server.served().serial_number for _ in range(8)}
        assert len(serials) == 1
        assert before not in serials


def test_nothing_listens_with_files_that_cannot_be_used(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.write_server(tmp_path, "old", end=authority.certificate.not_valid_before_utc + DAY / 2)
    cases = [
        (["--tls-cert", str(cert), "--tls-key", str(key)], "expired at"),
        (["--tls-cert", str(cert)], "TLS_CERT and TLS_KEY go together"),
    ]
    for options, text in cases:
        done = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", "1", *options],
            cwd=ROOT, env={**os.environ, "DATA_DIR": str(tmp_path)}, capture_output=True, text=True, check=False,
            timeout=TIMEOUT,
        )  # fmt: skip
        assert done.returncode == 1
        assert text in done.stderr
        assert "Traceback" not in done.stderr

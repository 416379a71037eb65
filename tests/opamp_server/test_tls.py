"""What files of TLS must hold, and new ones in a running context."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from opamp_server.options import TlsFiles
from opamp_server.tls import LiveContext, TlsProblem, context_of, files_problem, not_after
from tests.certificate_files import DAY, Authority, new_key, pem_of, pem_of_key, rsa_key


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.made()


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> TlsFiles:
    cert, key = authority.write_server(tmp_path)
    return TlsFiles(str(cert), str(key))


def test_a_pair_is_fine(files: TlsFiles) -> None:
    assert files_problem(files) is None
    assert context_of(files).minimum_version is ssl.TLSVersion.TLSv1_2
    newest = TlsFiles(files.certificate, files.key, "1.3")
    assert context_of(newest).minimum_version is ssl.TLSVersion.TLSv1_3


def test_what_is_wrong_is_said(tmp_path: Path, authority: Authority, files: TlsFiles) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(pem_of_key(new_key(), b"secret"))
    _cert, other_key = authority.write_server(tmp_path, "other")
    cases: list[tuple[TlsFiles, str]] = [
        (TlsFiles(str(tmp_path / "none.pem"), files.key), "none.pem cannot be read: No such file"),
        (TlsFiles(files.certificate, str(tmp_path / "none.key")), "none.key cannot be read"),
        (TlsFiles(str(tmp_path), files.key), "Is a directory"),
        (TlsFiles(str(empty), files.key), "empty.pem holds no certificate"),
        (TlsFiles(files.key, files.key), "holds no certificate"),
        (TlsFiles(files.certificate, files.certificate), "holds no private key"),
        (TlsFiles(files.certificate, str(encrypted)), "is encrypted"),
        (TlsFiles(files.certificate, str(other_key)), "is not that of the certificate"),
        (TlsFiles(files.certificate, files.key, client_authorities=(str(empty),)), "empty.pem holds no certificate"),
    ]
    for wrong, text in cases:
        assert text in (files_problem(wrong) or ""), wrong


def test_dates_are_looked_at(tmp_path: Path, authority: Authority) -> None:
    now = datetime.now(UTC)
    cert, key = authority.write_server(tmp_path, "old", begin=now - 9 * DAY, end=now - DAY)
    old = TlsFiles(str(cert), str(key))
    assert "expired at" in (files_problem(old) or "")
    assert files_problem(old, now - 2 * DAY) is None
    assert not_after(str(cert)) < now
    cert, key = authority.write_server(tmp_path, "early", begin=now + DAY, end=now + 9 * DAY)
    assert "is good from" in (files_problem(TlsFiles(str(cert), str(key))) or "")


def test_new_files_reach_a_context_that_is_in_use(tmp_path: Path, authority: Authority, files: TlsFiles) -> None:
    live = LiveContext(files)
    context = live()
    before = served_serial(context, authority)
    assert before == serial_in(files.certificate)
    # Another type of key: it must not stand beside the former one.
    authority.write_server(tmp_path, key=rsa_key())
    live.reload()
    after = served_serial(context, authority)
    assert after == serial_in(files.certificate) != before
    Path(files.key).write_bytes(b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
    with pytest.raises(TlsProblem):
        live.reload()
    assert served_serial(context, authority) == after


def test_a_client_certificate_is_asked_for_and_verified(tmp_path: Path, authority: Authority, files: TlsFiles) -> None:
    clients = TlsFiles(files.certificate, files.key, client_authorities=(str(authority.write(tmp_path)),))
    assert context_of(files).verify_mode is ssl.CERT_NONE
    assert context_of(clients).verify_mode is ssl.CERT_OPTIONAL


def serial_in(path: str) -> int:
    return x509.load_pem_x509_certificate(Path(path).read_bytes()).serial_number


def served_serial(context: ssl.SSLContext, authority: Authority) -> int:
    """The serial number of the certificate that a client is shown."""
    client = ssl.create_default_context(cadata=pem_of(authority.certificate).decode())
    shown: list[bytes] = []
    ours, theirs = socket.socketpair()
    serving = threading.Thread(target=quietly, args=(lambda: context.wrap_socket(ours, server_side=True).close(),))
    serving.start()
    with client.wrap_socket(theirs, server_hostname="127.0.0.1") as connection:
        shown.append(connection.getpeercert(binary_form=True) or b"")
    serving.join()
    ours.close()
    return x509.load_der_x509_certificate(shown[0]).serial_number


def quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except OSError:
        return

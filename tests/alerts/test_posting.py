"""What may be called and what may not, and receivers that misbehave; against real sockets."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from alerts import posting
from alerts.errors import CannotDeliver
from alerts.posting import checked_url, post_json
from alerts.public_addresses import is_allowed
from tests.alerts.conftest import NOW, Listener, status

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)


def post(url: str, *, allowed: Any = LOOPBACK, seconds: float = 5.0) -> int:
    return post_json(url, b"{}", {}, allowed=allowed, seconds=seconds).status


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1", "64:ff9b:1:7f00:0:100:101:101", "fec0::1", "4000::1",
        "2002:7f00:1::", "2002:a00:1::", "2001:0:0:0:0:0:80ff:fffe", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), ())


def test_networks_that_are_allowed() -> None:
    networks = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
    assert is_allowed(ipaddress.ip_address("10.1.2.3"), networks)
    assert is_allowed(ipaddress.ip_address("::ffff:10.1.2.3"), networks)
    assert is_allowed(ipaddress.ip_address("fd00::1"), networks)
    assert not is_allowed(ipaddress.ip_address("10.2.0.1"), networks)


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "ftp://example.com/", "file:///etc/passwd", "http://", "http:///x", "https://user:pass@example.com/",
        "http://example.com:0/", "http://example.com:99999/", "http://example.com/a b", "http://exa\nmple.com/", "http://[::1",
        "http://éxample.com/", "http://example.com/" + "x" * 2_000, "//example.com/", "javascript:alert(1)", "http://@h/",
        "http://a..b/", "http://.h/", f"http://{'a' * 64}.example/", f"http://{'a.' * 130}example/", "https://bücher.example/",
    ],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(CannotDeliver) as refused:
        checked_url(url)
    assert refused.value.lasting


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_loopback_under_its_many_names(listener: Listener, host: str) -> None:
    url = f"http://{host}:{listener.server_address[1]}/"
    with pytest.raises(CannotDeliver) as refused:
        post(url, allowed=())
    assert refused.value.message.code in {"receiver-address-refused", "receiver-unknown-host"}
    assert not listener.received


def test_a_name_that_leads_inside(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """One inner address among public ones is enough to refuse it."""
    port = listener.server_address[1]

    def resolve(*_args: Any, **_options: Any) -> Any:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(CannotDeliver) as refused:
        post(f"http://hooks.example.com:{port}/", allowed=())
    assert refused.value.message.code == "receiver-address-refused"
    assert not listener.received


def test_a_name_that_changes_after_it_was_checked(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was checked is called; the name is not resolved once more."""
    asked = []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host == "hooks.example.com":
            asked.append(host)
            if len(asked) > 1:
                raise AssertionError("resolved twice")
            return real("127.0.0.1", port, *args, **options)
        return real(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert post(f"http://hooks.example.com:{listener.server_address[1]}/hook?a=b") == 200
    path, headers, _body = listener.received[0]
    assert path == "/hook?a=b"
    assert headers["Host"].startswith("hooks.example.com:")


def test_an_address_that_nobody_is_at_is_not_the_last(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    port = listener.server_address[1]
    both = (ipaddress.ip_network("127.0.0.0/8"),)
    real = socket.getaddrinfo

    def resolve(host: Any, asked: Any, *args: Any, **options: Any) -> Any:
        if host != "hooks.example.com":
            return real(host, asked, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in ("127.0.0.9", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert post(f"http://hooks.example.com:{port}/", allowed=both) == 200


def test_proxies_of_the_environment_are_not_used(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert post(listener.url) == 200


def test_redirects_are_not_followed(listener: Listener) -> None:
    listener.answer = lambda handler: status(handler, 302, Location=f"{listener.url}/elsewhere")
    with pytest.raises(CannotDeliver) as refused:
        post(listener.url)
    assert refused.value.message.code == "receiver-redirects"
    assert (refused.value.status, refused.value.lasting) == (302, True)
    assert len(listener.received) == 1


@pytest.mark.parametrize(
    ("code", "lasting"), [(400, True), (401, True), (404, True), (408, False), (429, False), (500, False), (503, False)]
)
def test_what_is_worth_another_attempt(listener: Listener, code: int, lasting: bool) -> None:
    listener.answer = lambda handler: status(handler, code, b"no\nway", Retry_After="120")
    with pytest.raises(CannotDeliver) as refused:
        post(listener.url)
    assert (refused.value.status, refused.value.lasting, refused.value.retry_after) == (code, lasting, 120.0)
    assert str(refused.value.message) == f"It answered with status {code}: no way"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7), (" 7 ", 7), ("0", 0), ("99999999999999999999", 3_600), ("-5", 0), ("1.5", 0), ("nan", 0), ("inf", 0), ("soon", 0),
        ("Tue, 01 Jan 2030 12:10:00 GMT", 600), ("Tue, 01 Jan 2030 11:00:00 GMT", 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
        ("Tue, 01 Jan 2030 12:10:00", 0), ("Fri, 99 Dec 9999 99:99:99 GMT", 0),
    ],
)  # fmt: skip
def test_when_it_asks_to_be_tried_again(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, text: str, seconds: int
) -> None:
    monkeypatch.setattr(posting, "clock", SimpleNamespace(now=lambda: NOW))
    listener.answer = lambda handler: status(handler, 429, Retry_After=text)
    with pytest.raises(CannotDeliver) as refused:
        post(listener.url)
    assert refused.value.retry_after == seconds


def test_a_huge_answer_is_not_read(listener: Listener) -> None:
    def huge(handler: Any) -> None:
        handler.send_response(500)
        handler.end_headers()
        with suppress(OSError):
            for _ in range(20_000):
                handler.wfile.write(b"x" * 65_536)

    listener.answer = huge
    began = time.monotonic()
    with pytest.raises(CannotDeliver) as refused:
        post(listener.url)
    assert time.monotonic() - began < 4
    assert len(str(refused.value.message)) < 300


def _dripping(piece: bytes, first: bytes = b"") -> Callable[[Any], None]:
    def answer(handler: Any) -> None:
        with suppress(OSError):
            handler.wfile.write(first)
            for _ in range(100):
                handler.wfile.write(piece)
                handler.wfile.flush()
                time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        lambda _handler: time.sleep(1),
        _dripping(b"H"),
        _dripping(b"X-A: b\r\n", b"HTTP/1.1 200 OK\r\n"),
        _dripping(b"x", b"HTTP/1.1 500 No\r\n\r\n"),
        _dripping(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_slow_receivers_are_cut(listener: Listener, answer: Any) -> None:
    listener.answer = answer
    began = time.monotonic()
    with pytest.raises(CannotDeliver) as refused:
        post(listener.url, seconds=0.3)
    assert time.monotonic() - began < 0.9
    assert not refused.value.lasting


def test_who_is_not_there_and_who_speaks_otherwise() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(CannotDeliver) as refused:
            post(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert refused.value.message.code == "receiver-away"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            wire, _address = server.accept()
            with wire:
                wire.sendall(b"220 smtp.example.com ESMTP\r\n")
                wire.recv(65_536)

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(CannotDeliver) as refused:
            post(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
    assert not refused.value.lasting
    with pytest.raises(CannotDeliver) as refused:
        post("https://127.0.0.1:1/")
    assert refused.value.message.code == "receiver-away"


def test_a_certificate_that_is_not_trusted(listener: Listener) -> None:
    """Plain HTTP where TLS is expected: an error, not an exception of another kind."""
    with pytest.raises(CannotDeliver):
        post(listener.url.replace("http:", "https:"), seconds=2)

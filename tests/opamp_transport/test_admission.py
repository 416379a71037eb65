"""The verdict before any upgrade: secrets, rates, overload, addresses behind proxies."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from agents.credentials import Denial
from agents.excess import Excess
from opamp_transport import metrics
from opamp_transport.admission import Gate, Refusal, forwarded_for, ip_address, peer_address, rejected
from opamp_transport.message_io import peer_of

SECRET = "s3cret-of-the-fleet"
GOOD = {"authorization": f"Bearer {SECRET}"}


@pytest.fixture
def secret(settings) -> None:  # type: ignore[no-untyped-def]
    """Agents are asked for a secret."""
    settings.OPAMP_SECRET_KEY = SECRET


@pytest.fixture
def slow(settings) -> None:  # type: ignore[no-untyped-def]
    """One handshake and one request a second, ten at once."""
    settings.OPAMP_HANDSHAKES_PER_SECOND = 1
    settings.OPAMP_REQUESTS_PER_SECOND = 1


def ask(
    gate: Gate,
    headers: dict[str, str] | None = None,
    *,
    address: str = "192.0.2.1",
    websocket: bool = True,
    full: bool = False,
    now: float = 0.0,
) -> Refusal | None:
    """One request."""
    return gate.admit(headers or {}, address=address, websocket=websocket, queue_is_full=full, now=now)


class TestSecret:
    @pytest.mark.rule("S-22", "S-23")
    @pytest.mark.parametrize("websocket", [True, False])
    @pytest.mark.parametrize(
        ("headers", "admitted"),
        [
            ({"authorization": f"Bearer {SECRET}"}, True),
            ({"authorization": f"bearer   {SECRET} "}, True),
            ({"authorization": f"Secret-Key {SECRET}"}, True),
            ({"secret-key": SECRET}, True),
            ({}, False),
            ({"secret-key": ""}, False),
            ({"authorization": SECRET}, False),
            ({"authorization": f"Basic {SECRET}"}, False),
            ({"authorization": "Bearer wrong"}, False),
            ({"authorization": "Bearer \u00ff\u20ac"}, False),
            ({"secret-key": SECRET + "x"}, False),
            ({"secret-key": SECRET[:-1]}, False),
        ],
    )
    def test_who_is_admitted(self, secret: None, websocket: bool, headers: dict[str, str], admitted: bool) -> None:
        refusal = ask(Gate(), headers, websocket=websocket)
        assert (refusal is None) is admitted
        if refusal is not None:
            assert refusal.status == 401
            assert refusal.headers["WWW-Authenticate"].startswith("Bearer")
            assert SECRET not in refusal.text

    def test_while_it_is_changed_the_previous_one_is_good_too_and_counted(self, secret: None, settings: Any) -> None:
        old = {"authorization": "Bearer the-former-secret"}
        assert ask(Gate(), old) is not None
        settings.OPAMP_PREVIOUS_SECRET_KEY = "the-former-secret"
        before = metrics.PREVIOUS_SECRET._value.get()
        assert ask(Gate(), old) is None
        assert ask(Gate(), {"secret-key": SECRET}) is None
        assert metrics.PREVIOUS_SECRET._value.get() == before + 1
        assert ask(Gate(), {"secret-key": "the-former"}) is not None

    def test_wrong_secrets_are_limited_for_each_address(self, secret: None) -> None:
        gate = Gate()
        statuses = [refusal.status for _ in range(150) if (refusal := ask(gate)) is not None]
        assert statuses == [401] * 100 + [429] * 50
        elsewhere = ask(gate, address="192.0.2.2")
        assert elsewhere is not None
        assert elsewhere.status == 401
        later = ask(gate, now=10.0)
        assert later is not None
        assert later.status == 401

    def test_somebody_with_a_wrong_secret_shuts_nobody_out_behind_the_same_address(
        self, secret: None, slow: None
    ) -> None:
        gate = Gate()
        for _ in range(10_000):
            assert ask(gate) is not None
        assert ask(gate, GOOD) is None

    def test_without_a_secret_nobody_is_asked(self) -> None:
        assert ask(Gate(), {"authorization": "Bearer whatever"}) is None


class TestRates:
    @pytest.mark.rule("S-103")
    @pytest.mark.parametrize("websocket", [True, False])
    def test_above_the_rate_of_an_address_429_says_when_to_come_back(self, slow: None, websocket: bool) -> None:
        gate = Gate()
        refusals = [ask(gate, websocket=websocket) for _ in range(40)]
        assert refusals[:10] == [None] * 10
        waits = []
        for refusal in refusals[10:]:
            assert refusal is not None
            assert refusal.status == 429
            waits.append(int(refusal.headers["Retry-After"]))
        assert min(waits) >= 1
        assert len(set(waits)) > 5, "all told the same time would come back together"
        assert ask(gate, websocket=websocket, address="192.0.2.2") is None
        assert ask(gate, websocket=websocket, now=2.0) is None

    def test_zero_switches_it_off(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_HANDSHAKES_PER_SECOND = 0
        gate = Gate()
        assert not any(ask(gate) for _ in range(20_000))

    def test_addresses_of_one_ipv6_network_share(self, slow: None) -> None:
        gate = Gate()
        refusals = [ask(gate, address=f"2001:db8::{number:x}") for number in range(1, 12)]
        assert refusals[:10] == [None] * 10
        assert refusals[10] is not None

    def test_faults_draw_429_in_the_end(self) -> None:
        gate = Gate()
        fault = Refusal(400, "malformed", "no")
        answers = [gate.fault(fault, address="192.0.2.1", now=0.0).status for _ in range(101)]
        assert answers == [400] * 100 + [429]

    @pytest.mark.rule("S-103")
    @pytest.mark.parametrize("seconds", [30, 300])
    def test_a_full_queue_is_503_with_a_jittered_retry_after(self, settings, seconds: int) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_RETRY_AFTER_SECONDS = seconds
        gate = Gate()
        waits = set()
        for _ in range(50):
            refusal = ask(gate, full=True)
            assert refusal is not None
            assert refusal.status == 503
            waits.add(int(refusal.headers["Retry-After"]))
        assert seconds <= min(waits) < max(waits) < 2 * seconds
        assert len(waits) > 5


class TestAddress:
    @pytest.mark.parametrize(
        ("forwarded", "proxies", "address"),
        [
            ([], 0, "10.0.0.9"),
            (["198.51.100.1"], 0, "10.0.0.9"),
            ([], 1, "10.0.0.9"),
            (["198.51.100.1"], 1, "198.51.100.1"),
            (["6.6.6.6, 198.51.100.1"], 1, "198.51.100.1"),
            (["6.6.6.6, 198.51.100.1, 10.0.0.2"], 2, "198.51.100.1"),
            (["6.6.6.6", "198.51.100.1, 10.0.0.2"], 2, "198.51.100.1"),
            (["198.51.100.1"], 3, "198.51.100.1"),
            ([" , ,"], 1, "10.0.0.9"),
            (["x" * 500], 1, "10.0.0.9"),
            (["198.51.100.1, unknown"], 1, "10.0.0.9"),
            (["_hidden, 10.0.0.2"], 2, "10.0.0.9"),
            (["198.51.100.1:5678"], 1, "198.51.100.1"),
            (["6.6.6.6, [2001:DB8::0:1]:1234"], 1, "2001:db8::1"),
            (["[2001:db8::1]"], 1, "2001:db8::1"),
            (["2001:db8::1"], 1, "2001:db8::1"),
            (['"[2001:db8::1]:4711"'], 1, "2001:db8::1"),
            (["fe80::1%eth0"], 1, "fe80::1"),
            (["[fe80::1%eth0]:80"], 1, "fe80::1"),
            (["::ffff:198.51.100.1"], 1, "198.51.100.1"),
            (["[::ffff:198.51.100.1]:80"], 1, "198.51.100.1"),
            (["198.51.100.1:port"], 1, "10.0.0.9"),
            (["198.51.100.1:123456"], 1, "10.0.0.9"),
            (["198.51.100.300"], 1, "10.0.0.9"),
            (["198.51.100.1/24"], 1, "10.0.0.9"),
            (["010.0.0.1"], 1, "10.0.0.9"),
            (["2001:db8::1]:80"], 1, "10.0.0.9"),
            (["\x1b[31m198.51.100.1"], 1, "10.0.0.9"),
            (["1985229328"], 1, "10.0.0.9"),
            (["[]:80"], 1, "10.0.0.9"),
            (['"'], 1, "10.0.0.9"),
            (["%"], 1, "10.0.0.9"),
            (["198.51.100.\u0661"], 1, "10.0.0.9"),
        ],
    )
    def test_as_many_proxies_as_are_trusted(self, forwarded: list[str], proxies: int, address: str) -> None:
        raw = [(b"x-forwarded-for", value.encode()) for value in forwarded]
        assert peer_address("10.0.0.9", forwarded_for(raw, proxies=proxies)) == address

    @pytest.mark.parametrize(
        ("client", "address"),
        [("::ffff:192.0.2.1", "192.0.2.1"), ("fe80::1%eth0", "fe80::1"), ("", ""), ("a-test", "a-test")],
    )
    def test_who_opened_the_connection_is_spelled_in_one_way(self, client: str, address: str) -> None:
        assert peer_address(client, "") == address

    @given(st.text())
    def test_any_text_has_an_answer(self, text: str) -> None:
        found = ip_address(text)
        assert ip_address(found) == found

    def test_what_is_no_address_is_counted(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_TRUSTED_PROXIES = 1
        scope = {"client": ("10.0.0.9", 1), "headers": [(b"x-forwarded-for", b"unknown")]}
        before = REGISTRY.get_sample_value("opamp_forwarded_no_addresses_total") or 0.0
        assert peer_of(scope) == "10.0.0.9"
        assert peer_of({**scope, "headers": [(b"x-forwarded-for", b"192.0.2.1:80")]}) == "192.0.2.1"
        assert REGISTRY.get_sample_value("opamp_forwarded_no_addresses_total") == before + 1


@pytest.mark.parametrize(
    ("denial", "status", "header"),
    [
        (Excess.TOO_MANY_NEW, 429, "Retry-After"),
        (Excess.FLEET_FULL, 503, "Retry-After"),
        (Denial.FOREIGN, 403, None),
        (Denial.FOREIGN_CERTIFICATE, 403, None),
        *((each, 401, "WWW-Authenticate") for each in Denial if not each.name.startswith("FOREIGN")),
    ],
)
def test_the_answer_says_whether_to_come_again_or_what_to_bring(denial: Any, status: int, header: str | None) -> None:
    uid = uuid4()
    refusal = rejected(denial, uid)
    assert refusal.status == status
    assert list(refusal.headers) == ([header] if header else [])
    assert str(uid) in refusal.text
    assert denial.text in refusal.text

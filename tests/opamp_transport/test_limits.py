"""Counting: buckets, addresses, budgets, log lines. The clock is an argument."""

from __future__ import annotations

import pytest

from opamp_server.rates import TokenBucket
from opamp_transport.limits import AddressLimit, Budget, Complaints, limit_key, paced


class TestTokenBucket:
    def test_a_full_bucket_lets_a_storm_through_and_then_its_rate(self) -> None:
        bucket = TokenBucket(5, 0.0)
        assert [bucket.take(1.0, 5, 0.0) for _ in range(5)] == [0.0] * 5
        assert bucket.take(1.0, 5, 0.0) == pytest.approx(1.0)
        assert bucket.take(1.0, 5, 1.0) == 0.0
        assert bucket.take(1.0, 5, 1.25) == pytest.approx(0.75)

    def test_it_never_holds_more_than_its_burst(self) -> None:
        bucket = TokenBucket(2, 0.0)
        assert [bucket.take(10.0, 2, 1_000.0) for _ in range(2)] == [0.0, 0.0]
        assert bucket.take(10.0, 2, 1_000.0) > 0

    def test_a_clock_that_goes_back_gives_nothing(self) -> None:
        bucket = TokenBucket(1, 100.0)
        assert bucket.take(1.0, 1, 100.0) == 0.0
        assert bucket.take(1.0, 1, 50.0) == pytest.approx(1.0)


class TestPace:
    def test_a_storm_passes_and_then_one_waits_for_each(self) -> None:
        due, waits = 0.0, []
        for _ in range(103):
            wait, due = paced(due, 10.0, 1_000.0)
            waits.append(wait)
        assert waits[:100] == pytest.approx([0.0] * 100, abs=1e-6)
        assert waits[100:] == pytest.approx([0.1, 0.2, 0.3])

    def test_whoever_waits_keeps_to_the_rate(self) -> None:
        due, now = 0.0, 0.0
        for _ in range(600):
            wait, due = paced(due, 10.0, now)
            now += wait
        assert now == pytest.approx(50.0)

    def test_rest_gives_the_storm_back(self) -> None:
        due = 0.0
        for _ in range(200):
            _, due = paced(due, 10.0, 0.0)
        assert paced(due, 10.0, 0.0)[0] == 1.0, "nobody waits longer"
        assert paced(due, 10.0, 5.0)[0] == 0.0
        assert paced(due, 10.0, 1_000.0) == (0.0, 1_000.1)

    def test_zero_is_no_limit(self) -> None:
        assert paced(0.0, 0, 1.0) == (0.0, 0.0)


class TestAddressLimit:
    def test_addresses_do_not_share(self) -> None:
        limit = AddressLimit(1.0)
        assert sum(1 for _ in range(50) if not limit.take("10.0.0.1", 0.0)) == 10
        assert not limit.take("10.0.0.2", 0.0)

    def test_ten_thousand_agents_of_one_address_are_in_again_within_thirty_seconds(self) -> None:
        limit = AddressLimit(500.0)
        waiting, second = 10_000, 0
        while waiting:
            waiting -= sum(1 for _ in range(waiting) if not limit.take("198.51.100.7", float(second)))
            second += 1
        assert second <= 30

    def test_zero_is_no_limit_and_no_memory(self) -> None:
        limit = AddressLimit(0)
        assert not any(limit.take("10.0.0.1", 0.0) for _ in range(100_000))
        assert len(limit) == 0

    def test_memory_is_bounded(self) -> None:
        limit = AddressLimit(1.0)
        for number in range(30_000):
            limit.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
        assert len(limit) == 10_000

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
            ("::ffff:192.0.2.1", "192.0.2.1", True),
            ("fe80::1%eth0", "fe80::2", True),
            ("192.0.2.1", "192.0.2.2", False),
            ("not:an:address", "not:an:address", True),
            ("", "", True),
        ],
    )
    def test_an_ipv6_network_of_64_bits_counts_as_one(self, one: str, other: str, same: bool) -> None:
        assert (limit_key(one) == limit_key(other)) is same


class TestBudget:
    def test_there_is_room_until_the_limit_and_again_when_bytes_are_given_back(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_INBOUND_MEMORY = 1000
        settings.OPAMP_MAX_MESSAGE_SIZE = 100
        budget = Budget()
        assert budget.change(900)
        assert not budget.change(200)
        assert budget.change(-200)
        assert budget.change(100)

    def test_two_messages_fit_whatever_is_set(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_INBOUND_MEMORY = 1000
        settings.OPAMP_MAX_MESSAGE_SIZE = 5000
        assert Budget().limit == 10_000


class TestComplaints:
    def test_the_first_is_worth_a_line_then_one_a_minute_that_says_how_many(self) -> None:
        complaints = Complaints()
        assert complaints.worth_a_line("malformed", "10.0.0.1", 0.0) == 1
        assert [complaints.worth_a_line("malformed", "10.0.0.1", 1.0 + n / 1000) for n in range(500)] == [0] * 500
        assert complaints.worth_a_line("malformed", "10.0.0.1", 60.0) == 501
        assert complaints.worth_a_line("malformed", "10.0.0.1", 60.1) == 0

    def test_another_reason_or_address_is_another_line(self) -> None:
        complaints = Complaints()
        assert complaints.worth_a_line("malformed", "10.0.0.1", 0.0)
        assert complaints.worth_a_line("unauthorized", "10.0.0.1", 0.0)
        assert complaints.worth_a_line("malformed", "10.0.0.2", 0.0)

    def test_many_addresses_together_do_not_flood_the_log_either(self) -> None:
        complaints = Complaints(most=500)
        lines = sum(
            bool(complaints.worth_a_line("malformed", f"10.0.{n >> 8}.{n & 255}", n / 10_000)) for n in range(10_000)
        )
        assert 100 <= lines <= 111
        assert len(complaints) == 500

"""Guessing passwords: growing pauses at every entry point, for whoever guesses and nobody else."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.contrib.auth import authenticate
from django.db import connections
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts import guessing
from accounts.guessing import SignInPaused, count_attempt, forgive
from accounts.models import AuditEntry, SignInAttempts

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"


def sign_in(client: Client, password: str, name: str = "alice", address: str = "192.0.2.1"):
    """One answer of the login page to somebody at ``address``."""
    return client.post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)


class TestTheLoginPage:
    def test_of_twenty_five_wrong_passwords_a_few_are_looked_at(self, client, alice):
        answers = [sign_in(client, f"guess-{number}") for number in range(25)]
        looked_at = [answer for answer in answers if answer.status_code == 200]
        paused = [answer for answer in answers if answer.status_code == 429]
        assert len(looked_at) <= 6
        assert len(looked_at) + len(paused) == 25
        for answer in paused:
            assert 1 <= int(answer["Retry-After"]) <= 5
            assert f"try again in {answer['Retry-After']} second" in answer.content.decode()
        assert AuditEntry.objects.filter(verb="login.fail").count() == len(looked_at)

    def test_a_right_password_is_not_looked_at_either(self, client, alice, later):
        for _number in range(10):
            sign_in(client, "guess")
        assert sign_in(client, "alice-password").status_code == 429
        later(6)
        assert sign_in(client, "alice-password").status_code == 302

    def test_nobody_else_has_to_wait(self, alice, bob):
        for _number in range(25):
            sign_in(Client(), "guess")
        assert sign_in(Client(), "alice-password", address="198.51.100.7").status_code == 302
        assert sign_in(Client(), "bob-password", name="bob").status_code == 302

    def test_pauses_grow_and_end_growing(self, client, alice, later):
        pauses = []
        for _number in range(16):
            while (answer := sign_in(client, "guess")).status_code == 200:
                pass
            pauses.append(int(answer["Retry-After"]))
            later(pauses[-1])
        assert pauses[:4] == [5, 10, 20, 40]
        assert pauses == sorted(pauses)
        assert pauses[-1] == 900

    def test_signing_in_starts_anew(self, client, alice):
        for _number in range(3):
            for _again in range(4):
                assert sign_in(Client(), "guess").status_code == 200
            assert sign_in(Client(), "alice-password").status_code == 302

    def test_it_is_forgotten_in_time(self, client, alice, later):
        for _number in range(7):
            sign_in(client, "guess")
        later(24 * 3600)
        assert [sign_in(client, "guess").status_code for _number in range(5)] == [200] * 5

    def test_an_account_that_there_is_not_is_told_nothing_else(self, client, alice):
        for name in ("alice", "nobody"):
            answers = [sign_in(Client(), "guess", name=name) for _number in range(8)]
            assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3, name
        assert "hunter2" not in str(list(AuditEntry.objects.values()) + list(SignInAttempts.objects.values()))

    def test_what_was_typed_for_a_name_is_not_kept(self, client, alice):
        sign_in(client, "alice", name="my-password")
        assert "my-password" not in str(list(AuditEntry.objects.values()) + list(SignInAttempts.objects.values()))
        assert AuditEntry.objects.get().data == {"address": "192.0.2.1", "unknown_account": True}

    def test_one_password_for_many_accounts_is_guessing_too(self, client, alice, later):
        answers = [sign_in(client, "Summer2026", name=f"person-{number}") for number in range(40)]
        assert 30 <= [answer.status_code for answer in answers].count(200) <= 31
        assert sign_in(Client(), "alice-password", address="198.51.100.7").status_code == 302

    def test_it_is_said_in_chinese_too(self, client, alice):
        for _number in range(6):
            answer = client.post(LOGIN, {"username": "alice", "password": "x"}, headers={"Accept-Language": "zh-hans"})
        assert answer.status_code == 429
        assert "密码错误次数过多" in answer.content.decode()


class TestOtherPasswordDoors:
    def test_the_present_password_of_a_change(self, client, alice):
        client.force_login(alice)
        new = {"new_password1": "fresh-and-long-9", "new_password2": "fresh-and-long-9"}
        url = "/admin/password_change/"
        answers = [client.post(url, {"old_password": f"guess-{number}", **new}) for number in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        assert int(answers[-1]["Retry-After"]) >= 1
        assert client.post(url, {"old_password": "alice-password", **new}).status_code == 429
        alice.refresh_from_db()
        assert alice.check_password("alice-password")

    def test_the_password_that_is_asked_again(self, client, alice, report):
        client.force_login(alice)
        url = f"/admin/agents/agent/{report().pk}/secrets/"
        answers = [client.post(url, {"confirm_password": f"guess-{number}"}) for number in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        assert int(answers[-1]["Retry-After"]) >= 1
        assert client.post(url, {"confirm_password": "alice-password"}).status_code == 429

    def test_all_doors_count_together(self, client, alice):
        client.force_login(alice)
        new = {"new_password1": "fresh-and-long-9", "new_password2": "fresh-and-long-9"}
        for number in range(5):
            client.post("/admin/password_change/", {"old_password": f"guess-{number}", **new}, REMOTE_ADDR="192.0.2.1")
        assert sign_in(Client(), "guess").status_code == 429

    def test_any_other_that_asks_django(self, alice):
        request = RequestFactory().post("/")
        for _number in range(5):
            assert authenticate(request, username="alice", password="guess") is None
        with pytest.raises(SignInPaused):
            authenticate(request, username="alice", password="alice-password")


class TestAddresses:
    def test_behind_a_trusted_proxy_it_is_the_callers(self, alice, settings):
        settings.OPAMP_TRUSTED_PROXIES = 1

        def behind(proxied: str, password: str) -> int:
            form = {"username": "alice", "password": password}
            return Client().post(LOGIN, form, headers={"X-Forwarded-For": proxied}).status_code

        for _number in range(8):
            behind("203.0.113.5, 192.0.2.1", "guess")  # what stands further left is whatever the caller wrote
        assert behind("198.51.100.77, 192.0.2.1", "alice-password") == 429
        assert behind("192.0.2.2", "alice-password") == 302
        assert {entry.data["address"] for entry in AuditEntry.objects.filter(verb="login.fail")} == {"192.0.2.1"}

    def test_without_one_the_header_counts_nothing(self, alice):
        for number in range(8):
            form = {"username": "alice", "password": "guess"}
            answer = Client().post(LOGIN, form, headers={"X-Forwarded-For": f"192.0.2.{number}"})
        assert answer.status_code == 429

    def test_an_ipv6_subscriber_is_one(self, alice):
        for number in range(8):
            answer = sign_in(Client(), "guess", address=f"2001:db8:1:2::{number:x}")
        assert answer.status_code == 429
        assert sign_in(Client(), "alice-password", address="2001:db8:1:3::1").status_code == 302


class TestRows:
    def test_they_are_bounded(self, monkeypatch):
        monkeypatch.setattr(guessing, "_MOST_ROWS", 40)
        monkeypatch.setattr(guessing, "_DELETED_AT_ONCE", 10)
        at = timezone.now()
        for number in range(60):
            count_attempt(f"person-{number}", f"192.0.2.{number}", at=at + timedelta(seconds=number))
        assert SignInAttempts.objects.count() <= 42

    def test_those_that_mean_nothing_any_more_go(self):
        at = timezone.now()
        count_attempt("alice", "192.0.2.1", at=at)
        count_attempt("bob", "192.0.2.2", at=at + timedelta(days=2))
        assert SignInAttempts.objects.count() == 2

    def test_a_clock_that_ran_ahead_shuts_nobody_out(self):
        at = timezone.now()
        for _number in range(5):
            count_attempt("alice", "192.0.2.1", at=at + timedelta(days=365))
        count_attempt("alice", "192.0.2.1", at=at)

    def test_a_right_password_takes_its_own_back_alone(self):
        at = timezone.now()
        for number in range(20):
            count_attempt(f"person-{number}", "192.0.2.1", at=at)
        for _number in range(20):
            count_attempt("alice", "192.0.2.1", at=at)
            forgive("alice", "192.0.2.1", at=at)
        for number in range(20, 30):
            count_attempt(f"person-{number}", "192.0.2.1", at=at)
        with pytest.raises(SignInPaused):
            count_attempt("somebody", "192.0.2.1", at=at)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_no_way_round(alice):
    let_in: list[int] = []
    failures: list[Exception] = []
    start = threading.Barrier(12)

    def guess() -> None:
        start.wait(10)
        try:
            count_attempt("alice", "192.0.2.1", at=timezone.now())
            let_in.append(1)
        except SignInPaused:
            pass
        except Exception as error:  # noqa: BLE001  a thread has nobody else to tell
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=guess) for _number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(let_in) == 5, failures

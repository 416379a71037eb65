"""Maintenance windows by the clocks of a place: over midnight, and when clocks are put forward or back. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from rollouts.errors import InvalidPolicy
from rollouts.windows import Window, parse_window

BERLIN = "Europe/Berlin"
# In 2026 clocks skip from 02:00 to 03:00 on Sunday 29 March, and go back from 03:00 to 02:00 on Sunday 25 October.
SUNDAY = 6


def window(opens: str, closes: str, *, zone: str = BERLIN, days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)) -> Window:
    return Window(frozenset(days), time.fromisoformat(opens), time.fromisoformat(closes), zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("opens", "closes", "days", "at", "is_open"),
    [
        # Winter: an hour ahead of UTC.
        ("22:00", "23:00", range(7), "2026-01-05 20:59", False),
        ("22:00", "23:00", range(7), "2026-01-05 21:00", True),
        ("22:00", "23:00", range(7), "2026-01-05 21:59:59", True),
        ("22:00", "23:00", range(7), "2026-01-05 22:00", False),
        # Summer: two hours.
        ("22:00", "23:00", range(7), "2026-07-06 19:59", False),
        ("22:00", "23:00", range(7), "2026-07-06 20:00", True),
        # Over midnight it belongs to the day on which it opened: Monday 5 January.
        ("22:00", "04:00", [0], "2026-01-05 20:59", False),
        ("22:00", "04:00", [0], "2026-01-05 21:00", True),
        ("22:00", "04:00", [0], "2026-01-05 22:30", True),
        ("22:00", "04:00", [0], "2026-01-06 02:59", True),
        ("22:00", "04:00", [0], "2026-01-06 03:00", False),
        ("22:00", "04:00", [0], "2026-01-05 02:00", False),
        ("22:00", "04:00", [SUNDAY], "2026-01-05 02:00", True),
        ("22:00", "04:00", [SUNDAY], "2026-01-05 21:00", False),
        # Two equal times are a whole day.
        ("08:00", "08:00", [0], "2026-01-05 07:00", True),
        ("08:00", "08:00", [0], "2026-01-06 06:59", True),
        ("08:00", "08:00", [0], "2026-01-06 07:00", False),
        # Another day of the week.
        ("22:00", "23:00", [1], "2026-01-05 21:30", False),
        ("22:00", "23:00", [1], "2026-01-06 21:30", True),
        # 02:15 to 02:45 is skipped on 29 March.
        ("02:15", "02:45", range(7), "2026-03-29 00:59", False),
        ("02:15", "02:45", range(7), "2026-03-29 01:00", False),
        ("02:15", "02:45", range(7), "2026-03-29 01:30", False),
        # Of 01:30 to 03:30 an hour is left.
        ("01:30", "03:30", range(7), "2026-03-29 00:30", True),
        ("01:30", "03:30", range(7), "2026-03-29 01:29", True),
        ("01:30", "03:30", range(7), "2026-03-29 01:30", False),
        # 02:15 comes twice on 25 October.
        ("02:15", "02:45", range(7), "2026-10-25 00:15", True),
        ("02:15", "02:45", range(7), "2026-10-25 00:45", False),
        ("02:15", "02:45", range(7), "2026-10-25 01:15", True),
        ("02:15", "02:45", range(7), "2026-10-25 01:45", False),
    ],
)
def test_is_open(opens: str, closes: str, days: list[int], at: str, is_open: bool) -> None:
    assert window(opens, closes, days=tuple(days)).is_open(utc(at)) is is_open


@pytest.mark.parametrize(
    ("opens", "closes", "days", "at", "opening"),
    [
        ("22:00", "23:00", range(7), "2026-01-05 21:30", "2026-01-05 21:30"),
        ("22:00", "23:00", range(7), "2026-01-05 22:00", "2026-01-06 21:00"),
        ("22:00", "23:00", [0], "2026-01-05 22:00", "2026-01-12 21:00"),
        # The first night of summer time: at 22:00 by the clocks, an hour earlier for everybody else.
        ("22:00", "23:00", range(7), "2026-03-28 23:00", "2026-03-29 20:00"),
        # The whole window is skipped with the hour: the next night.
        ("02:15", "02:45", range(7), "2026-03-29 00:00", "2026-03-30 00:15"),
        # A weekly one that is skipped opens a week later.
        ("02:15", "02:45", [SUNDAY], "2026-03-22 05:00", "2026-04-05 00:15"),
        # Its first half hour is skipped: it opens when the clocks have gone forward.
        ("02:30", "03:30", range(7), "2026-03-29 00:00", "2026-03-29 01:00"),
        # It comes twice.
        ("02:15", "02:45", range(7), "2026-10-25 00:00", "2026-10-25 00:15"),
        ("02:15", "02:45", range(7), "2026-10-25 00:50", "2026-10-25 01:15"),
    ],
)
def test_next_opening(opens: str, closes: str, days: list[int], at: str, opening: str) -> None:
    assert window(opens, closes, days=tuple(days)).next_opening(utc(at)) == utc(opening)


def test_it_opens_again_from_any_minute_of_a_year_whatever_clocks_do() -> None:
    for zone in (BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"):
        one = window("02:15", "02:45", zone=zone, days=(SUNDAY,))
        at, end = utc("2026-01-01 00:00"), utc("2027-01-01 00:00")
        while at < end:
            opening = one.next_opening(at)
            assert at <= opening <= at + timedelta(days=15)
            assert one.is_open(opening)
            at += timedelta(hours=61, minutes=7)


def test_the_stored_form_comes_back() -> None:
    form = {"days": ["mon", "sun"], "from": "22:00", "to": "04:05", "timezone": BERLIN}
    assert parse_window(form).as_json() == form


def test_days_and_time_zone_may_be_left_out() -> None:
    assert parse_window({"from": "00:00", "to": "23:59"}) == window("00:00", "23:59", zone="UTC")


@pytest.mark.parametrize(
    "form",
    [
        None,
        [],
        "22:00",
        {},
        {"from": "22:00"},
        {"to": "22:00"},
        {"from": "22:00", "to": "04:00", "until": "now"},
        {"from": "22", "to": "04:00"},
        {"from": "22:60", "to": "04:00"},
        {"from": "1:00", "to": "04:00"},
        {"from": "24:00", "to": "04:00"},
        {"from": "2:000", "to": "04:00"},
        {"from": 22, "to": "04:00"},
        {"from": "22:00", "to": "04:00", "days": []},
        {"from": "22:00", "to": "04:00", "days": "mon"},
        {"from": "22:00", "to": "04:00", "days": ["monday"]},
        {"from": "22:00", "to": "04:00", "days": [1]},
        {"from": "22:00", "to": "04:00", "timezone": "Mars/Olympus"},
        {"from": "22:00", "to": "04:00", "timezone": "../../etc/passwd"},
        {"from": "22:00", "to": "04:00", "timezone": 1},
    ],
)
def test_what_is_no_window_is_refused(form: object) -> None:
    with pytest.raises(InvalidPolicy):
        parse_window(form)

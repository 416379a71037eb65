"""Maintenance windows: on which days, between which hours, of which time zone. Pure; the time zone data is Python's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from foundation.messages import Message
from rollouts.errors import InvalidPolicy

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# A weekly window that clocks skip opens a week later.
_LONGEST_DAYS = 15
# Nowhere do clocks skip more at once, but for whole days.
_LONGEST_SKIP = timedelta(hours=3)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Open on ``days`` (0 is Monday) from ``opens`` to ``closes`` by the clocks of ``timezone``.

    One that closes at or before it opens ends on the next day. An hour that clocks skip in spring opens nothing; in
    autumn the hour that comes twice is open twice.
    """

    days: frozenset[int]
    opens: time
    closes: time
    timezone: str

    def is_open(self, at: datetime) -> bool:
        """Whether ``at``, an aware time, lies in it; the closing minute does not."""
        local = at.astimezone(ZoneInfo(self.timezone))
        now, today = local.time(), local.weekday()
        if self.opens < self.closes:
            return today in self.days and self.opens <= now < self.closes
        return (today in self.days and now >= self.opens) or ((today - 1) % 7 in self.days and now < self.closes)

    def next_opening(self, at: datetime) -> datetime:
        """When it opens next, ``at`` itself while it is open."""
        if self.is_open(at):
            return at
        zone = ZoneInfo(self.timezone)
        today = at.astimezone(zone).date()
        for days in range(_LONGEST_DAYS):
            for opening in self._openings(datetime.combine(today + timedelta(days=days), self.opens, zone)):
                if opening > at and self.is_open(opening):
                    return opening
        raise AssertionError("a window opens at least every second week")

    @staticmethod
    def _openings(local: datetime) -> Iterator[datetime]:
        """When clocks show ``local``, in UTC: twice where they go back, and where they skip it, the minutes after the skip."""
        first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        if first <= second:
            yield from (first, second)
            return
        minute = first - _LONGEST_SKIP
        while minute <= first:
            yield minute
            minute += _MINUTE

    def as_json(self) -> dict[str, Any]:
        """The stored form, which `parse_window` reads."""
        return {
            "days": [DAYS[day] for day in sorted(self.days)],
            "from": f"{self.opens:%H:%M}",
            "to": f"{self.closes:%H:%M}",
            "timezone": self.timezone,
        }


def parse_window(form: Any) -> Window:
    """From ``{"days", "from", "to", "timezone"}``; no days are all days, no time zone is UTC. Raises `InvalidPolicy`."""
    problem = Message(
        "rollout-window",
        "A maintenance window has days ({days}), from and to as hours and minutes (22:00), and a time zone as Europe/Berlin.",
        days=", ".join(DAYS),
    )
    if not isinstance(form, Mapping) or set(form) - {"days", "from", "to", "timezone"}:
        raise InvalidPolicy(problem)
    days, zone = form.get("days", list(DAYS)), form.get("timezone", "UTC")
    if not isinstance(days, list) or not days or not all(isinstance(day, str) and day in DAYS for day in days):
        raise InvalidPolicy(problem)
    if not isinstance(zone, str) or zone not in available_timezones():
        raise InvalidPolicy(problem)
    opens, closes = (_time(form.get(name)) for name in ("from", "to"))
    if opens is None or closes is None:
        raise InvalidPolicy(problem)
    return Window(frozenset(DAYS.index(day) for day in days), opens, closes, zone)


def _time(said: Any) -> time | None:
    if not isinstance(said, str) or len(said) != len("22:00"):
        return None
    try:
        return datetime.strptime(said, "%H:%M").time()  # noqa: DTZ007  hours and minutes alone
    except ValueError:
        return None

"""What stays in memory of the configurations offered: few large ones or many small ones."""

from __future__ import annotations

import threading

from agents.remote_config import ConfigFile, RemoteConfig
from configurations.recent_configs import RecentConfigs

KIB = 1024


def config(size: int) -> RemoteConfig:
    """One of ``size`` bytes."""
    return RemoteConfig({"": ConfigFile(bytes(size))})


def test_what_was_put_is_found_until_there_is_no_room() -> None:
    kept = RecentConfigs(10 * KIB)
    small = config(KIB)
    kept.put("a", small)
    assert kept.get("a") is small
    assert kept.get("b") is None
    for number in range(4):
        kept.put(str(number), config(KIB))
    assert kept.get("a") is small
    kept.put("large", config(7 * KIB))
    # Used a moment ago, so it outlasts those that came after it.
    assert kept.get("a") is small
    assert [kept.get(str(number)) for number in range(4)] == [None] * 4
    assert kept.get("large") is not None


def test_one_that_is_larger_than_all_room_is_kept_until_the_next_comes() -> None:
    kept = RecentConfigs(KIB)
    kept.put("huge", config(64 * KIB))
    assert kept.get("huge") is not None
    kept.put("next", config(1))
    assert kept.get("huge") is None
    assert kept.get("next") is not None


def test_putting_the_same_twice_takes_room_once() -> None:
    kept = RecentConfigs(5 * KIB)
    for _ in range(10):
        kept.put("a", config(KIB))
    kept.put("b", config(KIB))
    assert kept.get("a") is not None


def test_very_many_empty_ones_are_bounded_too() -> None:
    kept = RecentConfigs(10 * KIB)
    for number in range(1_000):
        kept.put(str(number), config(0))
    assert sum(kept.get(str(number)) is not None for number in range(1_000)) == 10


def test_threads_do_not_disturb_each_other() -> None:
    kept = RecentConfigs(10 * KIB)
    failed: list[BaseException] = []

    def use(first: int) -> None:
        try:
            for number in range(2_000):
                kept.put(str((first + number) % 50), config(KIB))
                kept.get(str(number % 50))
        except BaseException as error:  # noqa: BLE001  shown by the assertion below
            failed.append(error)

    threads = [threading.Thread(target=use, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failed
    kept.put("last", config(4 * KIB))
    assert kept.get("last") is not None
    assert sum(kept.get(str(number)) is not None for number in range(50)) == 2

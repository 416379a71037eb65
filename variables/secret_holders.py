"""Apps above this one that store secrets of their own: the registry, so that those are hidden and rotated as secrets are.

Filled in ``AppConfig.ready``. Whoever changes what is stored calls `variables.services.known_values.bump_values`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecretHolder:
    """One of them. ``values`` gives the secrets that can be read; ``rotate`` encrypts all under the newest key.

    ``rotate`` runs in the caller's transaction and returns how many it did, and the names of those that no key reads.
    """

    values: Callable[[], Iterable[str]]
    rotate: Callable[[], tuple[int, list[str]]]


_registered: list[SecretHolder] = []


def register_holder(holder: SecretHolder) -> None:
    """Have it asked too; a second registration changes nothing."""
    if holder not in _registered:
        _registered.append(holder)


def secret_holders() -> tuple[SecretHolder, ...]:
    """All of them, in the order of registration."""
    return tuple(_registered)

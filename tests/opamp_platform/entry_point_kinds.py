"""Kinds of URLs, and the right that each method of one needs."""

from __future__ import annotations

import re
from dataclasses import dataclass

PUBLIC: frozenset[str] = frozenset({"public"})
SIGNED_IN: frozenset[str] = frozenset()
"""Anybody who is signed in: no right beside that."""


@dataclass(frozen=True)
class EntryPoint:
    """What each method needs; ``None`` stands for all that are not named. ``staff``: a page of the portal."""

    needs: dict[str | None, frozenset[str]]
    staff: bool = False


def page(*rights: str, post: str = "") -> EntryPoint:
    """A page; ``post`` is the right to send its form, where that is not the same as to see it."""
    needs: dict[str | None, frozenset[str]] = {None: frozenset(rights)}
    if post:
        needs |= {method: frozenset(post.split()) for method in ("POST", "PUT", "PATCH", "DELETE")}
    return EntryPoint(needs, staff=True)


def rest(**needs: str) -> EntryPoint:
    """A REST URL: the rights of each method that there is."""
    rights: dict[str | None, frozenset[str]] = {
        method.upper(): frozenset(text.split()) for method, text in needs.items()
    }
    if "GET" in rights:
        return EntryPoint(rights | {"HEAD": rights["GET"], "OPTIONS": rights["GET"]})
    # Whoever may see the things may ask what can be done to them.
    seeing = {re.sub(r"\.[a-z]+_", ".view_", right) for needed in rights.values() for right in needed}
    return EntryPoint(rights | {"OPTIONS": frozenset(seeing)})


def crud(model: str) -> dict[str, EntryPoint]:
    """The stock pages of a ModelAdmin at ``app/model``."""
    app, name = model.split("/")
    right = f"{app}.{{}}_{name}".format
    return {
        f"admin/{model}/": page(right("view")),
        f"admin/{model}/add/": page(right("add")),
        f"admin/{model}/<path:object_id>/history/": page(right("view")),
        f"admin/{model}/<path:object_id>/delete/": page(right("delete")),
        f"admin/{model}/<path:object_id>/change/": page(right("view"), post=right("change")),
        # Leads to the one before, which asks.
        f"admin/{model}/<path:object_id>/": page(),
    }

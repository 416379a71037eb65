"""Marks answers in which a secret stands in clear text, so that what handles all answers can keep away from it."""

from __future__ import annotations

from typing import TypeVar

from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers

AnyResponse = TypeVar("AnyResponse", bound=HttpResponseBase)


def showing_secret(response: AnyResponse) -> AnyResponse:
    """``response``, marked: it is kept in no cache and travels uncompressed."""
    add_never_cache_headers(response)
    response.shows_secret = True  # type: ignore[attr-defined]  # no header: the client has no use for it
    return response


def shows_secret(response: HttpResponseBase) -> bool:
    """Whether `showing_secret` marked it."""
    return getattr(response, "shows_secret", False)

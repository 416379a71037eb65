"""If-Match and If-None-Match: which editions of a configuration or a draft a request is meant for (RFC 9110 section 13.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from configurations.models import Configuration, ConfigurationDraft

IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description='The ETags that the edit may be based on, such as `"3"` or `"3", "4"`, or `*`; 412 when none is the present one.',
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`*` makes a new configuration or none: 412 when there is one of this name.",
)
_TAGS = re.compile(r'\s*(?:W/)?"([^"]*)"\s*')
# Another representation has another ETag; that of either says which edition an edit is based on.
_SHOWN = "-shown"
_EDITION = re.compile(rf"([0-9]{{1,9}})(?:{_SHOWN})?")


class NoSuchTag(APIException):
    """A precondition that nothing can fulfil: it names no ETag, or one that is not the present one."""

    status_code = 412
    default_code = "etag-not-present"
    default_detail = _('If-Match is not the ETag of this configuration; it looks like "3", or "3", "4".')


class Exists(APIException):
    """The request wants to make what is there already."""

    status_code = 412
    default_code = "configuration-exists"
    default_detail = _("There is a configuration of this name already.")


class PreconditionMissing(APIException):
    """The request is based on an ETag, and there is no configuration of this name."""

    status_code = 412
    default_code = "configuration-missing"
    default_detail = _("There is no configuration of this name.")


@dataclass(frozen=True, slots=True)
class Preconditions:
    """``editions`` that an edit may be based on (``None``: any), whether one ``must_exist``, or must not."""

    editions: frozenset[int] | None = None
    must_exist: bool = False
    excluded: frozenset[int] | None = None
    must_be_new: bool = False

    @classmethod
    def of(cls, request: Request) -> Preconditions:
        """Raises `NoSuchTag` for a header that is no list of ETags."""
        match, none_match = (request.headers.get(name, "").strip() for name in ("If-Match", "If-None-Match"))
        return cls(
            editions=None if match in ("", "*") else _editions(match),
            must_exist=bool(match),
            excluded=None if none_match in ("", "*") else _editions(none_match),
            must_be_new=none_match == "*",
        )

    def require(self, present: Configuration | None) -> None:
        """Raises `Missing` or `Exists`; ``editions`` are compared where the row is locked."""
        if present is None and self.must_exist:
            raise PreconditionMissing
        if present is not None and (self.must_be_new or (self.excluded and present.edition in self.excluded)):
            raise Exists


def etag_of(row: Configuration | ConfigurationDraft, *, secrets_shown: bool = False) -> str:
    """Another one with every edit, and for the representation with secrets."""
    return f'"{row.edition}{_SHOWN if secrets_shown else ""}"'


def _editions(header: str) -> frozenset[int]:
    tags = []
    for part in header.split(","):
        found = _TAGS.fullmatch(part)
        if found is None:
            raise NoSuchTag
        tags.append(found[1])
    return frozenset(int(found[1]) for tag in tags if (found := _EDITION.fullmatch(tag)))

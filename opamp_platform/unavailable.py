"""A page that broke because the database is out of reach: how to tell, and what to show instead."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext

RETRY_AFTER_SECONDS = 5


def database_is_away() -> bool:
    """True while the exception being handled says so."""
    return isinstance(sys.exc_info()[1], OperationalError | InterfaceError)


def page() -> HttpResponse:
    """503 for people; needs neither session nor template."""
    text = gettext("The database is out of reach. Connected agents stay connected; try again in a moment.")
    return HttpResponse(format_html("<!doctype html><title>503</title><p>{}</p>", text), status=503)

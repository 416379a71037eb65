"""Where the server's static files are is looked up once in a process, and not by every client of a test.

Each test client makes the middleware anew, and whitenoise then looks at some two hundred files: more work than most requests.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware

_LOOK = WhiteNoiseMiddleware.add_files_from_finders
# What is kept of a file depends on these, which tests may set.
_SETTINGS = (
    "static_root",
    "static_prefix",
    "max_age",
    "charset",
    "allow_all_origins",
    "add_headers_function",
    "index_file",
)
_found: dict[tuple[Any, ...], dict[str, Any]] = {}


def _add_files(middleware: Any) -> None:
    key = (
        *(getattr(middleware, name) for name in _SETTINGS),
        *map(str, settings.STATICFILES_DIRS),
        *settings.STATICFILES_FINDERS,
    )
    if key not in _found:
        _LOOK(middleware)
        _found[key] = dict(middleware.files)
    middleware.files.update(_found[key])


def install() -> None:
    """From now on."""
    WhiteNoiseMiddleware.add_files_from_finders = _add_files

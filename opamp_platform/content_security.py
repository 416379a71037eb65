"""What pages of the portal may load, as a Content-Security-Policy: nothing from elsewhere, and no inline code."""

from __future__ import annotations

from csp.constants import NONE, SELF

PAGES_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

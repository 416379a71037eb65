"""The pages of the API in a browser."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request


class ApiPages(BrowsableAPIRenderer):
    """DRF's own, but for the form that changes something: it begins with what that is now, and not with empty values.

    Whoever changed one line of an empty form and sent it would have disabled a configuration.
    """

    def get_raw_data_form(self, data: Any, view: Any, method: str, request: Request) -> Any:
        """The form; what may be sent and is not told, such as a note, is left out of it."""
        if not isinstance(data, Mapping):
            return super().get_raw_data_form(data, view, method, request)
        # A plain mapping: of what DRF knows the row of, it would ask that for members that only the request has.
        form = super().get_raw_data_form(dict(data), view, method, request)
        if not form or method not in {"PUT", "PATCH"}:
            return form
        content = form.fields["_content"]
        told = {name: data[name] for name in json.loads(content.initial or "{}") if name in data}
        if told:
            content.initial = JSONRenderer().render(told, "application/json; indent=4").decode()
        return form

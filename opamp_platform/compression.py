"""Pages and answers of the API travel compressed; not those that show a secret.

Whoever sees how long compressed answers are, and has a browser ask for what they like, learns a secret that stands beside
their own words letter by letter (BREACH). Django masks its CSRF tokens anew in each answer, and the file name of random
length that its middleware writes blurs the rest; an answer that shows a secret is left alone altogether.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from foundation.secrecy import shows_secret


class CompressedAnswers(GZipMiddleware):
    """gzip for who accepts it, from 200 bytes on; an ETag becomes a weak one, which ``If-Match`` takes as well."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The answer, compressed where that pays and tells nobody anything."""
        # Of a compressed answer nobody could say which bytes of the file a range is.
        if shows_secret(response) or response.has_header("Accept-Ranges"):
            return response
        return super().process_response(request, response)

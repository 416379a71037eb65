"""What all REST endpoints share: every error as problem JSON (RFC 9457), translated here and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import (
    BadRequest,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from agents.labels import InvalidLabels
from agents.queries import InvalidQuery
from agents.selectors import InvalidSelector
from agents.services.offers import registered_offers
from agents.services.saved_views import InvalidView
from alerts.errors import InvalidAlerting
from configurations.api_serializers import findings_json
from configurations.services.applying import NotApplicable
from configurations.services.drafts import InvalidConfiguration
from configurations.services.edit_errors import StaleRevision
from configurations.wanted_json import UnreadableConfigurations
from connections.errors import InvalidSettings
from foundation.errors import Category, DomainError
from foundation.languages import in_readers_language
from foundation.messages import Message
from opamp_platform import refusal
from opamp_platform.operations import unavailable
from packages.errors import InvalidPackage
from variables.services.value_edits import InvalidValue

PROBLEM_TYPE = "application/problem+json"
API_PATH = "/api/v1"
_log = logging.getLogger(__name__)
_STATUS = {
    Category.INVALID: 400,
    Category.FORBIDDEN: 403,
    Category.NOT_FOUND: 404,
    Category.CONFLICT: 409,
    Category.OUTDATED: 409,
    Category.REFUSED_BY_AGENTS: 422,
    Category.TOO_LARGE: 413,
    Category.UNAVAILABLE: 503,
    Category.GONE: 410,
}
_AWAY = Message("database-unreachable", "The database is out of reach; try again later.")
_TOO_LARGE = Message("body-too-large", "The request body is too large.")
_UNREADABLE = Message("unreadable-request", "The request cannot be read.")
_INVALID = Message("invalid-request", "The request is not valid.")
_NOT_FOUND = Message("not-found", "There is nothing of that name here.")
_NUL = Message("null-character", "Null characters are not allowed.")


class ProblemRenderer(JSONRenderer):
    """JSON under the media type of problems."""

    media_type = PROBLEM_TYPE


def problem_body(
    status: int,
    detail: Message | str,
    *,
    code: str = "",
    errors: Mapping[str, Any] | None = None,
    findings: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """One problem document in the caller's language. ``errors`` maps fields to their messages.

    ``code`` is the message's unless another is given; it never depends on the language.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code or (detail.problem_code if isinstance(detail, Message) else ""),
        "detail": in_readers_language(detail),
        "errors": {name: _in_readers_language(texts) for name, texts in (errors or {}).items()},
    }
    if findings:
        body["findings"] = findings
    return body


def _in_readers_language(said: Any) -> Any:
    """Messages, in lists or by name."""
    if isinstance(said, Message | str):
        return in_readers_language(said)
    if isinstance(said, Mapping):
        return {name: _in_readers_language(text) for name, text in said.items()}
    return [_in_readers_language(text) for text in said] if isinstance(said, list | tuple) else said


def problem(
    status: int,
    detail: Message | str,
    *,
    code: str = "",
    errors: Mapping[str, Any] | None = None,
    findings: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a DRF response."""
    body = problem_body(status, detail, code=code, errors=errors, findings=findings)
    return Response(body, status=status, headers=dict(headers or {}))


def problem_response(error: Exception, context: Mapping[str, Any]) -> HttpResponseBase | None:
    """DRF's exception handler: domain errors and framework errors become problems; anything else stays a 500.

    A browser that nobody signed in to is sent to the login page. In the browsable API a problem is shown as a page.
    """
    request: Request | None = context.get("request")
    if request is not None and isinstance(error, exceptions.NotAuthenticated) and _is_visit(request):
        return redirect_to_login(request.get_full_path())
    response = _problem_of(error, context)
    renderer = getattr(request, "accepted_renderer", None)
    if response is not None and request is not None and getattr(renderer, "format", "") != "api":
        request.accepted_renderer = ProblemRenderer()
        request.accepted_media_type = PROBLEM_TYPE
    return response


def _is_visit(request: Request) -> bool:
    return request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("Accept", "")


def _problem_of(error: Exception, context: Mapping[str, Any]) -> Response | None:
    match error:
        case OperationalError() | InterfaceError():
            return problem(503, _AWAY, headers={"Retry-After": str(refusal.RETRY_AFTER_SECONDS)})
        case RequestDataTooBig():
            return problem(413, _TOO_LARGE)
        case SuspiciousOperation() | MultiPartParserError():
            return problem(400, _UNREADABLE)
        case exceptions.ValidationError():
            return problem(400, _INVALID, errors=_by_field(error.detail))
        case DomainError():
            return _domain_problem(error, by_header=bool(context["request"].headers.get("If-Match")))
        case ObjectDoesNotExist() | Http404():
            return problem(404, _NOT_FOUND)
        case exceptions.APIException() | PermissionDenied():
            return _translated(error, context)
    return _problem_of_offers(error)


def _problem_of_offers(error: Exception) -> Response | None:
    """What a kind of offer says of its own errors."""
    for offer in registered_offers():
        for kind, status in offer.errors.items():
            if isinstance(error, kind):
                return problem(
                    int(status), in_readers_language(error), code=HTTPStatus(status).phrase.lower().replace(" ", "-")
                )
    return None


def _domain_problem(error: DomainError, *, by_header: bool) -> Response:
    """The category says the status and the message the code; some errors tell more."""
    status = 412 if by_header and error.category is Category.OUTDATED else _STATUS[error.category]
    match error:
        case InvalidConfiguration():
            return problem(status, error.message, errors=error.errors, findings=findings_json(error.findings))
        case InvalidValue() | InvalidPackage() | InvalidView() | InvalidAlerting() | InvalidSettings():
            return problem(status, error.message, errors=error.errors)
        case NotApplicable():
            found = [
                {"name": name, **item} for name, several in error.findings.items() for item in findings_json(several)
            ]
            return problem(status, error.message, errors={"configurations": error.errors}, findings=found)
        case UnreadableConfigurations():
            return problem(status, error.message, errors={"configurations": error.errors})
        case StaleRevision():
            return problem(status, error.message, errors={"revision": [error.message]})
        case InvalidLabels():
            by_label = {key: [text] for key, text in error.errors}
            return problem(status, error.message, errors={"operator_labels": by_label})
        case InvalidQuery():
            place = {
                "severity": "error",
                "kind": "query",
                "file": "",
                "path": "q",
                "line": 1,
                "column": error.position + 1,
            }
            findings = [{**place, "code": error.code, "message": in_readers_language(error.problem)}]
            return problem(status, error.message, errors={"q": [error.message]}, findings=findings)
        case InvalidSelector():
            return problem(status, error.where, code=error.code, errors={"label": error.problems})
    return problem(status, error.message)


def _translated(error: Exception, context: Mapping[str, Any]) -> Response | None:
    response = exception_handler(error, dict(context))
    if response is None:
        return None
    detail = response.data.get("detail", "") if isinstance(response.data, dict) else response.data
    headers = {
        name: value for name, value in response.headers.items() if name in {"WWW-Authenticate", "Retry-After", "Allow"}
    }
    return problem(response.status_code, str(detail), code=_code_of(error), headers=headers)


def _code_of(error: Exception) -> str:
    """The framework's own code for what went wrong, in kebab case."""
    code = error.get_codes() if isinstance(error, exceptions.APIException) else exceptions.PermissionDenied.default_code
    return str(code).replace("_", "-")


def _by_field(detail: Any) -> dict[str, Any]:
    return detail if isinstance(detail, dict) else {"": detail if isinstance(detail, list) else [detail]}


# --- Outside of DRF's views ------------------------------------------------------------------------------------------


class NoSuchUrl(APIView):
    """An unknown API path is a problem too, not an HTML page; whoever is not signed in learns nothing, not even that."""

    permission_classes = [IsAuthenticated]
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises `NotFound` for every method."""
        super().initial(request, *args, **kwargs)
        raise exceptions.NotFound(_("There is no such API URL."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 400, as a problem below the API's path; elsewhere, as with all of these, a page with the way back."""
    return _api_problem(request, 400, _UNREADABLE) or refusal.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 403, as a problem below the API's path."""
    said = Message("permission-denied", "You do not have the right to do this. An administrator can give it to you.")
    return _api_problem(request, 403, said) or refusal.forbidden(request, exception)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's 403 of a form without its token, as a problem below the API's path."""
    return _api_problem(request, 403, Message("csrf-token", "CSRF token missing or incorrect.")) or refusal.forged(
        request
    )


def nul_in_query(request: HttpRequest) -> HttpResponse:
    """400 for a NUL character in a query, which no database holds; the problem names the parameters that have one."""
    named = [name for name, values in request.GET.lists() if "\x00" in name or any("\x00" in value for value in values)]
    errors = {name.replace("\x00", "\N{REPLACEMENT CHARACTER}"): [_NUL] for name in named}
    return _api_problem(request, 400, _INVALID, errors) or refusal.bad_request(request, BadRequest())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 404, as a problem below the API's path."""
    return _api_problem(request, 404, _NOT_FOUND) or refusal.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's 500, as a problem below the API's path; the log has the reason. 503 when it is the database."""
    if unavailable.database_is_away():
        answer = _api_problem(request, 503, _AWAY) or _whatever_happens(refusal.unavailable, request, 503)
        answer.headers["Retry-After"] = str(refusal.RETRY_AFTER_SECONDS)
        return answer
    said = Message("server-error", "The server failed to answer; its log has the reason.")
    return _api_problem(request, 500, said) or _whatever_happens(refusal.failed, request, 500)


def _whatever_happens(page: Callable[[HttpRequest], HttpResponse], request: HttpRequest, status: int) -> HttpResponse:
    """A page, even where what failed is what pages are made of."""
    try:
        return page(request)
    except Exception:  # noqa: BLE001  whatever it was is in the log
        _log.exception("the page of a failure failed too")
        return refusal.bare(status)


def _api_problem(
    request: HttpRequest, status: int, detail: Message, errors: Mapping[str, Any] | None = None
) -> HttpResponse | None:
    if not f"{request.path_info}/".startswith(f"{API_PATH}/"):
        return None
    return JsonResponse(problem_body(status, detail, errors=errors), status=status, content_type=PROBLEM_TYPE)

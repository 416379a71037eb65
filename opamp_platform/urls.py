"""All URLs of the portal. `/v1/opamp` is not here: `opamp_platform.asgi` sends it to the entry points directly."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, include, path, re_path

from accounts.preferences import switch_language
from opamp_platform.api import problems
from opamp_platform.operations import health, metrics
from packages import downloads


def home(request: HttpRequest) -> HttpResponse:
    """The portal is the admin."""
    return redirect("admin:index")


urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("i18n/setlang/", switch_language, name="set_language"),
    path("api/v1", problems.NoSuchUrl.as_view()),
    path("api/v1/", include("opamp_platform.api.urls")),
    path("packages/<str:token>/<str:filename>", downloads.download, name="package-download"),
    re_path(r"^health/live/?$", health.live, name="health-live"),
    re_path(r"^health(?:/ready)?/?$", health.ready, name="health-ready"),
    re_path(r"^metrics/?$", metrics.view, name="metrics"),
]

handler400 = problems.bad_request
handler403 = problems.forbidden
handler404 = problems.not_found
handler500 = problems.server_error

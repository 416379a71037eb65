"""All URLs of the portal. `/v1/opamp` is not here: `opamp_platform.asgi` sends it to the doors directly."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, include, path, re_path

from opamp_platform import health, metrics, rest


def home(request: HttpRequest) -> HttpResponse:
    """The portal is the admin."""
    return redirect("admin:index")


urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/v1", rest.NoSuchUrl.as_view()),
    path("api/v1/", include("opamp_platform.api_urls")),
    re_path(r"^health/live/?$", health.live, name="health-live"),
    re_path(r"^health(?:/ready)?/?$", health.ready, name="health-ready"),
    re_path(r"^metrics/?$", metrics.view, name="metrics"),
]

handler400 = rest.bad_request
handler403 = rest.forbidden
handler404 = rest.not_found
handler500 = rest.server_error

"""All URLs of the portal. `/v1/opamp` is not here: `opamp_platform.asgi` sends it to the doors directly."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, path


def home(request: HttpRequest) -> HttpResponse:
    """The portal is the admin."""
    return redirect("admin:index")


urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
]

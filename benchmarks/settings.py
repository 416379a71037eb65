"""The portal's settings with the benchmarks' instruments added; production never loads this."""

from __future__ import annotations

from opamp_platform.settings import *  # noqa: F403
from opamp_platform.settings import INSTALLED_APPS as _PORTAL_APPS
from opamp_platform.settings import MIDDLEWARE as _PORTAL_MIDDLEWARE

INSTALLED_APPS = [*_PORTAL_APPS, "benchmarks.instruments.Instruments"]
MIDDLEWARE = ["benchmarks.page_costs.PageCosts", *_PORTAL_MIDDLEWARE]

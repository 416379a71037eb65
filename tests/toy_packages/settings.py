"""The portal with one app more."""

from opamp_platform.settings import *  # noqa: F403
from opamp_platform.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.toy_packages.apps.ToyPackagesConfig"]
ROOT_URLCONF = "tests.toy_packages.urls"

"""The portal with one app more."""

from opamp_platform.settings import *  # noqa: F403
from opamp_platform.settings import DATABASES as _DATABASES
from opamp_platform.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.toy_packages.apps.ToyPackagesConfig"]
ROOT_URLCONF = "tests.toy_packages.urls"

# The tests around this one have a test database too.
if "postgresql" in _DATABASES["default"]["ENGINE"]:
    _DATABASES["default"]["TEST"] = {"NAME": f"test_toy_{_DATABASES['default']['NAME']}"}

"""The portal with one app more."""

from opamp_platform.settings import *  # noqa: F403
from opamp_platform.settings import DATA_DIR as _DATA_DIR
from opamp_platform.settings import DATABASES as _DATABASES
from opamp_platform.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.toy_notices.apps.ToyNoticesConfig"]

# The tests around this one have a test database too.
_IS_POSTGRESQL = "postgresql" in _DATABASES["default"]["ENGINE"]
_NAME = f"test_notices_{_DATABASES['default']['NAME']}" if _IS_POSTGRESQL else str(_DATA_DIR / "test_notices.sqlite3")
_DATABASES["default"]["TEST"] = {"NAME": _NAME}

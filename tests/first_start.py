"""What the first start of a server makes, and a token for tests; ``python -m tests.first_start`` prints the token.

Every server of a test needs it, and a password and a process take seconds: they begin with a database that has it already.
What a first start says and does is shown by tests whose servers begin with less (tests/opamp_platform/test_serve.py).
"""

from __future__ import annotations

import os
import sys

import django
from django.core.management import call_command

TOKEN_NAME = "tests"


def main(username: str, password: str) -> None:
    """Migrate, and make the roles, the admin and the token."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "opamp_platform.settings"
    django.setup()
    from accounts import services
    from accounts.models import User

    call_command("migrate", interactive=False, verbosity=0)
    services.ensure_roles()
    services.ensure_first_admin(username=username, password=password)
    admin = User.objects.get(username=username)
    # Clocks of tests jump by years.
    _row, text = services.issue_token(admin, name=TOKEN_NAME, by=None, expires_at=services.Never.EXPIRES)
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])

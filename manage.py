#!/usr/bin/env python
"""Django's command line for the OpAMP Platform."""

import os
import sys


def main() -> None:
    """Run a management command with the project's settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opamp_platform.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as exc:
        raise SystemExit(
            "Django is not installed here: run `make install`, then use .venv/bin/python manage.py …"
        ) from exc
    from opamp_platform.environment import StrangeValue
    from opamp_platform.operations.command_failures import failures_in_one_line

    try:
        with failures_in_one_line(sys.argv):
            execute_from_command_line(sys.argv)
    except StrangeValue as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()

"""Django's command, which also collects what `foundation.messages.Message` says."""

from __future__ import annotations

from django.core.management.commands import makemessages


class Command(makemessages.Command):
    """With one more function whose second argument is a text for translation."""

    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=Message:2"]

"""What lower layers say, in the language of whoever reads the page or the answer. For entry points alone: ask where it is shown."""

from __future__ import annotations

from django.utils.translation import gettext

from foundation.messages import Message


def in_readers_language(said: Message | str | Exception) -> str:
    """The message, or what the error says, translated with all within it; other text as it is."""
    message = said.args[0] if isinstance(said, Exception) and said.args else said
    return message.text(gettext) if isinstance(message, Message) else str(said)

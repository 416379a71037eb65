"""What lower layers say, in the language of whoever reads the page or the answer. For entry points alone: ask where it is shown."""

from __future__ import annotations

from django.utils.translation import gettext

from foundation.messages import Sentence


def in_readers_language(said: str | Exception) -> str:
    """The sentence, or what the error says, translated with all within it; other text as it is."""
    text = said.args[0] if isinstance(said, Exception) and said.args else said
    if not isinstance(text, Sentence):
        return str(said)
    values = {
        name: in_readers_language(value) if isinstance(value, str) else value for name, value in text.values.items()
    }
    return gettext(text.template).format(**values)

"""Hides secrets in documents and messages before they are shown (S-116). Pure: text in, text out; what is stored stays whole.

What counts as a secret is decided by the name of its key (`names`), by its own shape (`tokens`, `addresses`), by where it
stands (`tree`, `pairs`), and by its value where that is stored as a secret (`known`). References such as ``${env:TOKEN}`` are
no secrets: they stay readable. What is no YAML, or nested too deeply or too long, is shown by its lines (`lines`), which hides
more.
"""

from agents.redaction.restoring import Restored, hidden_values, restored
from agents.redaction.showing import redacted, redacted_files, redacted_json, redacted_message
from agents.redaction.tree import Path
from agents.redaction.values import HIDDEN

__all__ = [
    "HIDDEN",
    "Path",
    "Restored",
    "hidden_values",
    "redacted",
    "redacted_files",
    "redacted_json",
    "redacted_message",
    "restored",
]

"""What the editor itself says, by its English words, in the reader's language."""

from __future__ import annotations

from django.utils.translation import gettext


def phrases() -> dict[str, str]:
    """Each phrase of the editor to how it is said; ``$`` stands for a number."""
    return {
        # Searching.
        "Find": gettext("Find"),
        "Replace": gettext("Replace with"),
        "next": gettext("next match"),
        "previous": gettext("previous match"),
        "all": gettext("select all matches"),
        "match case": gettext("match case"),
        "regexp": gettext("regular expression"),
        "by word": gettext("whole words"),
        "replace": gettext("replace"),
        "replace all": gettext("replace all"),
        "close": gettext("close"),
        "current match": gettext("current match"),
        "on line": gettext("on line"),
        "replaced $ matches": gettext("replaced $ matches"),
        "replaced match on line $": gettext("replaced the match on line $"),
        "Go to line": gettext("Go to line"),
        "go": gettext("go"),
        # Editing.
        "Selection deleted": gettext("Selection deleted"),
        "Control character": gettext("Control character"),
        "Completions": gettext("Completions"),
        # Folding.
        "Fold line": gettext("Fold line"),
        "Unfold line": gettext("Unfold line"),
        "Folded lines": gettext("Folded lines"),
        "Unfolded lines": gettext("Unfolded lines"),
        "folded code": gettext("folded text"),
        "unfold": gettext("unfold"),
        "to": gettext("to line"),
        # Problems and comparing.
        "Diagnostics": gettext("Problems"),
        "No diagnostics": gettext("No problems found."),
        "$ unchanged lines": gettext("$ unchanged lines"),
    }

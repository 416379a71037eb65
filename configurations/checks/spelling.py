"""Which known word was most likely meant by one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from configurations.checks.findings import shown_value
from foundation.messages import Message

_LONGEST = 40
# Texts are as long as their authors like, so both what is guessed from and what is guessed at are bounded.
_MOST_WORDS = 200


def meant(text: str, words: Iterable[str], *, most: int = 2) -> str | None:
    """The word nearest to ``text``: but for case and blanks the same, or at most ``most`` typing mistakes away, two or one.

    Two mistakes count only in words of five letters and more that begin alike: ``device`` is not ``service``.
    """
    given = text.strip().casefold()
    best: tuple[int, str] | None = None
    letters = set(given)
    for word in islice(words, _MOST_WORDS):
        known = word.casefold()
        if given == known:
            return word
        if max(len(given), len(known)) > _LONGEST or abs(len(given) - len(known)) > 2 or len(known) < 3:
            continue
        if len(letters.difference(known)) > 2:
            continue
        mistakes = _mistakes(given, known)
        far = most if len(known) >= 5 and given[:1] == known[:1] else 1
        if mistakes <= far and (best is None or (mistakes, word) < best):
            best = mistakes, word
    return None if best is None else best[1]


def with_suggestion(problem: Message, text: str, words: Iterable[str]) -> Message:
    """``problem``, and what was meant if that can be guessed."""
    word = meant(text, words)
    if word is None:
        return problem
    return Message("suggestion", "{problem} Did you mean {word}?", problem=problem, word=shown_value(word))


def _mistakes(given: str, known: str) -> int:
    """Letters left out, added, changed, or swapped with their neighbour: the optimal string alignment distance."""
    before: list[int] = []
    row = list(range(len(known) + 1))
    for i, letter in enumerate(given, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(known, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == known[j - 2] and given[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]

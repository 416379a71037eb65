"""Which names of values name secrets: English and other languages, vendors' keys, whatever the spelling. Pure.

A name is split into words at separators and capitals, after look-alike letters were made the ones they look like. What
the last word calls something about the secret, such as its file or its lifetime, names no secret.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from functools import lru_cache

from agents.redaction.words import (
    ABOUT,
    COUNTED,
    ENDINGS,
    KEY_CONTENT,
    KEY_OF,
    KEY_WORDS,
    LIKELY_KEY_OF,
    NO_PASS,
    NOT_STEMS,
    PASSING,
    SECTIONS,
    STEMS,
    WHOLE,
    WORDS,
)

_LONGEST = 256


class Verdict(enum.IntEnum):
    """How sure a name is; `agents.redaction.values.worth_hiding` looks at the value where it is not."""

    NO = 0
    TOKENS = 1
    """Hidden is what looks like a token: long, of letters and digits."""
    LIKELY = 2
    """Hidden is what is no number, path or lower-case identifier."""
    KEY = 3
    """Hidden is what is no path of a file."""
    YES = 4


_HINT = re.compile(
    r"pass|p[4@]s|s3c|pw|psw|sec|tok|key|auth|bearer|cook|csrf|xsrf|sess|dsn|sas|psk|jwt|otp|salt|mnemonic|communit|cred|conn|sig|pin|pat\b|senha|segredo|clave|contra|hes|haslo|parol|sifre|mdp|motd|mot.?de|palavra|gesl|wacht"
    r"|schl|cle\b|chiave|cheie|kennw|geheim|losung|adgang|losen|salas|jels|lozin|slapt|parool|khau|sandi|honeycomb|licen|private|encrypt|recov|backup|verifier|assert|zugang|id.?rsa|id.?ed|id.?dsa|id.?ecdsa|kek|dek|seed|xapi|netrc|docker",
)
_NOT_STEM = re.compile("|".join(NOT_STEMS))
_CAPITALS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"\d+$")
_NUMBER = re.compile(r"(?<!\d)(?<!base)(?<!b)\d{1,20}$")

# Letters that look like Latin ones (Unicode TR39 confusables, as far as they are letters of living scripts).
_LOOKALIKES = str.maketrans(
    "аеорсухкмтнвіѕјԁԛԝɡոսցһӏгпдɑοАВЕКМНОРСТУХІЅЈΑΒΕΖΗΙΚΜΝΟΡΤΥΧαερκτνυιχωσıłøđⅼꜱᴀᴏᴡᴅᴘʀᴇᴛᴋʏ",
    "aeopcyxkmthbisjdqwgnughlrndaoABEKMHOPCTYXISJABEZHIKMNOPTYXaepktvuixwsilodlsaowdpretky",
)
_LEET = str.maketrans("013457@$!", "oieastasi")


def verdict(name: str, parent: str = "") -> Verdict:
    """Whether a value called ``name`` in a section called ``parent`` is a secret."""
    name = name[-_LONGEST:]
    if not may_name_secrets(name):
        return Verdict.NO
    # Names that are numbered are judged once.
    numbered = _NUMBER.search(name)
    return _verdict(name if numbered is None else f"{name[: numbered.start()]}9", parent[-_LONGEST:])


@lru_cache(maxsize=16_384)
def _verdict(name: str, parent: str) -> Verdict:
    plain = _without_marks(name)
    found = _judged(plain)
    if found < Verdict.YES and not name.isascii():
        found = max(found, _judged(plain.translate(_LOOKALIKES)))
    if found < Verdict.KEY and parent:
        found = max(found, _within(_words(plain), parent))
    return found


def may_name_secrets(text: str) -> bool:
    """Whether a name of a secret may be in ``text``: a quick look that spares most texts a closer one."""
    return not text.isascii() or _HINT.search(text.lower()) is not None


@lru_cache(maxsize=16_384)
def section_verdict(name: str, parent: str = "") -> bool:
    """Whether everything in the section ``name`` is secret. A component's id counts without the name after its slash."""
    found = verdict(name.partition("/")[0], parent)
    words = _words(_without_marks(name.partition("/")[0][-_LONGEST:]))
    return found >= Verdict.KEY and not (words and words[-1] in SECTIONS)


def is_about(name: str) -> bool:
    """Whether the name is that of a file, a kind, a lifetime: in a section of secrets it stays readable."""
    words = _words(_without_marks(name[-_LONGEST:]))
    return bool(words) and words[-1] in ABOUT


def _without_marks(name: str) -> str:
    """Compatibility letters (full width) made plain, accents and invisible characters left out."""
    if name.isascii():
        return name
    decomposed = unicodedata.normalize("NFKD", name)
    kept = "".join(letter for letter in decomposed if unicodedata.category(letter) not in ("Mn", "Cf"))
    return unicodedata.normalize("NFC", kept)


# As the letters of names are once marks are gone.
_STEM = re.compile("|".join(_without_marks(stem).casefold() for stem in STEMS))


def _words(name: str) -> list[str]:
    spaced = _CAPITALS.sub(" ", name)
    return [word.casefold() for word in _SEPARATORS.split(spaced) if word]


def _judged(name: str) -> Verdict:
    words = _words(name)
    if not words:
        return Verdict.NO
    last = words[-1]
    joined = "".join(words)
    if words == ["authentication"]:
        return Verdict.LIKELY
    if last in ABOUT or (len(words) > 1 and last.isdigit() and words[-2] in ABOUT):
        return Verdict.NO
    if _NOT_STEM.search(joined):
        return Verdict.NO
    if joined in WHOLE or _has_leet(name) or any(not stem.endswith("key") for stem in _STEM.findall(joined)):
        return Verdict.YES
    # Unsplit as well: TOKEN2, passWord.
    whole = [*(_DIGITS.sub("", word) or word for word in words), _DIGITS.sub("", name.casefold().strip("_.- "))]
    if any(word in WORDS or _ends_secretly(word) for word in whole) and not _is_harmless(words):
        return Verdict.YES
    return max(_key_verdict(words), Verdict.KEY if _STEM.search(joined) else Verdict.NO)


def _has_leet(name: str) -> bool:
    if name.isalpha() or not any(letter in name for letter in "013457@$!"):
        return False
    joined = _SEPARATORS.sub("", name.casefold().translate(_LEET))
    return any(stem in joined and stem not in name.casefold() for stem in ("password", "passwd", "secret"))


def _ends_secretly(word: str) -> bool:
    return len(word) > 3 and word.endswith(ENDINGS) and word not in NO_PASS


def _is_harmless(words: list[str]) -> bool:
    """Counts of tokens, filters that pass something."""
    if "pass" in words:
        place = words.index("pass")
        harmless = (place > 0 and words[place - 1] in PASSING) or words[place + 1 : place + 2] in (
            ["through"],
            ["rate"],
        )
        return harmless and not any(word in WORDS for word in words if word != "pass")
    if "tokens" in words or "token" in words:
        return words[0] in COUNTED or "per" in words or "count" in words
    return False


def _key_verdict(words: list[str]) -> Verdict:
    found = Verdict.NO
    if "public" in words or "publishable" in words or "pub" in words:
        return found
    if words[-1] in ("id", "ids"):
        return Verdict.YES if len(words) > 1 and words[-2] == "session" else found
    for place, word in enumerate(_DIGITS.sub("", word) or word for word in words):
        if word in KEY_WORDS:
            before = words[place - 1] if place else ""
            after = words[place + 1] if place + 1 < len(words) else ""
            if before in KEY_OF or after in KEY_CONTENT:
                found = max(found, Verdict.KEY)
            else:
                found = max(found, Verdict.LIKELY if before in LIKELY_KEY_OF else Verdict.TOKENS)
        elif word.endswith(("key", "keys")):
            before = word.removesuffix("s").removesuffix("key")
            if before in KEY_OF:
                found = max(found, Verdict.KEY)
            elif before in LIKELY_KEY_OF:
                found = max(found, Verdict.LIKELY)
    if words[-1] in ("auth", "signature", "sig", "license", "licence"):
        found = max(found, Verdict.TOKENS if words[-1] != "auth" else Verdict.LIKELY)
    if words in (["private"], ["encrypt"]):
        found = max(found, Verdict.LIKELY)
    return found


def _within(words: list[str], parent: str) -> Verdict:
    """``key`` in ``api``, ``value`` in ``token``: both names together."""
    if not words or words[0] not in ("key", "keys", "token", "pass", "string"):
        return Verdict.NO
    around = _words(_without_marks(parent.partition("/")[0][-_LONGEST:]))
    return _key_verdict([*around[-1:], *words]) if around else Verdict.NO

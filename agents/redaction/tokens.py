"""Secrets known by their own shape: vendors' tokens, private keys, signed tokens, password hashes. Data and one search. Pure.

Each kind has a text that every such secret contains, so that a document without it is not searched for that kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_VENDORS = (
    # text it contains, pattern
    ("AKIA", r"(?<![A-Za-z0-9])AKIA[A-Z0-9]{12,20}(?![A-Za-z0-9])"),  # AWS
    ("ASIA", r"(?<![A-Za-z0-9])ASIA[A-Z0-9]{12,20}(?![A-Za-z0-9])"),
    ("ABIA", r"(?<![A-Za-z0-9])ABIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("gh", r"(?<![A-Za-z0-9])gh[opusr]_[A-Za-z0-9]{10,255}"),  # GitHub
    ("github_pat_", r"github_pat_[A-Za-z0-9_]{10,255}"),
    ("gl", r"(?<![A-Za-z0-9])gl(?:pat|dt|ptt|rt|agent|cbt|soat|ft|imt|oas|ffct)-[A-Za-z0-9_.-]{10,300}"),  # GitLab
    ("GR1348941", r"GR1348941[A-Za-z0-9_-]{10,60}"),
    ("xox", r"xox[abeoprs]-[A-Za-z0-9-]{8,300}"),  # Slack
    ("xapp-", r"xapp-[A-Za-z0-9-]{8,300}"),
    ("xoxe.", r"xoxe\.[A-Za-z0-9.-]{8,300}"),
    ("k_live_", r"(?:sk|rk|pk)_live_[A-Za-z0-9]{8,255}"),  # Stripe
    ("k_test_", r"(?:sk|rk)_test_[A-Za-z0-9]{8,255}"),
    ("whsec_", r"whsec_[A-Za-z0-9+/=]{8,255}"),
    ("AIza", r"AIza[A-Za-z0-9_-]{20,60}"),  # Google
    ("ya29.", r"ya29\.[A-Za-z0-9_-]{10,500}"),
    ("GOCSPX-", r"GOCSPX-[A-Za-z0-9_-]{10,60}"),
    ("GOOG1", r"(?<![A-Za-z0-9])GOOG1[A-Z0-9]{10,80}"),
    ("NRA", r"NRA[KAL]-[A-Za-z0-9-]{8,80}"),  # New Relic
    ("NRI", r"NRI[IQ]-[A-Za-z0-9_-]{8,80}"),
    ("NRJS-", r"NRJS-[A-Za-z0-9]{8,80}"),
    ("NRRA-", r"NRRA-[A-Za-z0-9]{8,80}"),
    ("NRAL", r"(?<![A-Za-z0-9])[A-Za-z0-9]{30,40}NRAL(?![A-Za-z0-9])"),
    ("dt0", r"(?<![A-Za-z0-9])dt0[a-z]\d{2}\.[A-Za-z0-9_-]{8,40}(?:\.[A-Za-z0-9_-]{8,120})?"),  # Dynatrace
    ("hc", r"(?<![A-Za-z0-9])hc[abx][a-z0-9]{1,4}k_[A-Za-z0-9]{20,80}"),  # Honeycomb
    ("glc_", r"glc_[A-Za-z0-9+/=]{10,500}"),  # Grafana
    ("glsa_", r"glsa_[A-Za-z0-9_]{10,100}"),
    ("eyJrIjoi", r"eyJrIjoi[A-Za-z0-9+/=]{10,500}"),
    ("dd", r"(?<![A-Za-z0-9])dd[apw]_[A-Za-z0-9]{20,80}"),  # Datadog
    ("ddpat_", r"ddpat_[A-Za-z0-9_]{10,100}"),
    ("pub", r"(?<![A-Za-z0-9])pub[0-9a-f]{32}(?![A-Za-z0-9])"),
    ("shp", r"(?<![A-Za-z0-9])shp(?:at|ca|pa|ss|ua|tka|rt)_[A-Fa-f0-9]{16,64}"),  # Shopify
    ("hv", r"(?<![A-Za-z0-9])hv[sbr]\.[A-Za-z0-9_-]{10,500}"),  # Vault
    ("SG.", r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{8,64}\.[A-Za-z0-9_-]{8,128}"),  # SendGrid
    ("key-", r"(?<![A-Za-z0-9])key-[0-9a-f]{32}(?![A-Za-z0-9])"),  # Mailgun
    ("-us", r"(?<![A-Za-z0-9])[0-9a-f]{32}-us\d{1,2}(?![A-Za-z0-9])"),  # Mailchimp
    ("xkeysib-", r"xkeysib-[a-f0-9]{16,80}-[A-Za-z0-9]{8,32}"),
    ("sk-", r"(?<![A-Za-z0-9])sk-(?:proj-|ant-|svcacct-|or-v1-|admin-|lf-)?[A-Za-z0-9_-]{20,300}"),  # OpenAI and its like
    ("hf_", r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{16,80}"),
    ("gsk_", r"(?<![A-Za-z0-9])gsk_[A-Za-z0-9]{20,80}"),
    ("npm_", r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{16,80}"),
    ("pypi-", r"pypi-[A-Za-z0-9_-]{16,300}"),
    ("rubygems_", r"rubygems_[a-f0-9]{16,80}"),
    ("dckr_", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{10,80}"),
    ("do", r"(?<![A-Za-z0-9])do[oprt]_v1_[a-f0-9]{16,80}"),  # DigitalOcean
    ("PMAK-", r"PMAK-[A-Za-z0-9-]{16,80}"),
    ("lin_api_", r"lin_api_[A-Za-z0-9]{16,80}"),
    ("ntn_", r"(?<![A-Za-z0-9])ntn_[A-Za-z0-9]{20,80}"),
    ("secret_", r"(?<![A-Za-z0-9_])secret_[A-Za-z0-9]{32,60}"),
    ("sntry", r"sntry[su]_[A-Za-z0-9+/=_-]{10,300}"),  # Sentry
    ("phc_", r"(?<![A-Za-z0-9])ph[cx]_[A-Za-z0-9]{20,80}"),
    ("phx_", r"(?<![A-Za-z0-9])phx_[A-Za-z0-9]{20,80}"),
    ("xaat-", r"xaa[tp]-[0-9a-f-]{20,60}"),  # Axiom
    ("xapt-", r"xapt-[0-9a-f-]{20,60}"),
    ("ATATT", r"ATATT[A-Za-z0-9_=.-]{16,300}"),  # Atlassian
    ("ATBB", r"(?<![A-Za-z0-9])ATBB[A-Za-z0-9]{16,80}"),
    ("tskey-", r"tskey-[a-z]{2,12}-[A-Za-z0-9-]{8,100}"),  # Tailscale
    ("pul-", r"(?<![A-Za-z0-9])pul-[a-f0-9]{20,60}"),
    (".atlasv1.", r"[A-Za-z0-9]{10,20}\.atlasv1\.[A-Za-z0-9_=-]{20,100}"),
    ("AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{20,80}"),
    ("dapi", r"(?<![A-Za-z0-9])dapi[0-9a-f]{32}(?:-\d)?(?![A-Za-z0-9])"),  # Databricks
    ("pscale_", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{10,80}"),
    ("EAA", r"(?<![A-Za-z0-9])EAA[A-Za-z0-9]{60,300}"),
    ("sq0", r"sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{16,80}"),
    ("AC", r"(?<![A-Za-z0-9])(?:AC|SK)[0-9a-f]{32}(?![A-Za-z0-9])"),  # Twilio
    ("AAAA", r"AAAA[A-Za-z0-9_-]{7}:[A-Za-z0-9_-]{100,200}"),
    ("u+", r"(?<![A-Za-z0-9])u\+[A-Za-z0-9]{20,60}"),
    ("apikey-", r"apikey-[A-Za-z0-9]{16,80}"),
    ("cfut_", r"cfut_[A-Za-z0-9_-]{16,80}"),
    ("v1.0-", r"v1\.0-[A-Fa-f0-9]{20,40}-[A-Fa-f0-9]{60,200}"),
    ("pylf_", r"pylf_v\d_[a-z]{2}_[A-Za-z0-9]{20,80}"),
    (":AA", r"(?<![A-Za-z0-9])\d{7,12}:AA[A-Za-z0-9_-]{30,40}"),  # Telegram
    # Signed and encrypted tokens; what servers are told to take them by.
    ("eyJ", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,4000}\.[A-Za-z0-9_-]{2,8000}(?:\.[A-Za-z0-9_-]{0,8000}){0,3}"),
    ("AWS4-HMAC", r"(?<=Signature=)[0-9a-f]{16,128}"),
    # Hashes of passwords.
    ("$", r"\$(?:1|2[abxy]?|5|6|7|y|apr1|argon2(?:id?|d)|scrypt|pbkdf2[\w-]{0,20}|md5|sha1)\$[^\s\"',]{8,500}"),
    ("SHA", r"\{S?(?:SHA|MD5|CRYPT)(?:256|384|512)?\}[A-Za-z0-9+/=$.]{8,200}"),
    ("pbkdf2_", r"pbkdf2_sha\d+\$\d+\$[^\s\"',]{8,300}"),
    ("SCRAM-SHA", r"SCRAM-SHA-\d+\$[^\s\"',]{8,300}"),
)  # fmt: skip
_PATTERNS = tuple((needed, re.compile(pattern)) for needed, pattern in _VENDORS)

_KEY_BLOCK = re.compile(r"-{4,5} ?BEGIN (?:[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?|PGP MESSAGE)[A-Z0-9 ]{0,20}-{4,5}")
_KEY_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]{2,60}-{4,5}")
_PUTTY = re.compile(r"PuTTY-User-Key-File-\d")

# "Bearer abc…": the words that are no token are those of sentences and settings.
_SCHEMES = re.compile(
    r"(?<![\w/-])(?P<scheme>Bearer|Basic|Digest|Negotiate|NTLM|Api-?Token|Api-?Key|Token|Splunk"
    r"|SharedAccessSignature|GenieKey|DD-API-KEY|SSWS|Hawk|GoogleLogin auth=)"
    r"(?:[ \t]+|%20|\\u0020|:[ \t]*(?=Bearer|Basic))(?P<token>[\w.~+/=:%&-]{6,8000})",
    re.IGNORECASE,
)
_WORDS_AFTER = re.compile(
    r"(?:auth\w*|tokens?|scheme\w*|headers?|credentials?|access|realm\b.*|bearer|basic|methods?|error\w*"
    r"|is|was|file\w*|based|support\w*|invalid|expired|missing|required|config\w*|settings?|usage|example"
    r"|user\w*|password|login|requests?|response|source|bucket|endpoint|value|values|from|must|should"
    r"|cannot|with|signature\w*|response|digests?|rotation|refresh\w*|limit\w*|expir\w*|validation"
    r"|validat\w*|exchang\w*|issuer|revo\w*|counter?s?|information|information\w*|authenticat\w*|not|has"
    r"|have|does|provided|received|returned)",
    re.IGNORECASE,
)


def token_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where such secrets stand in ``text``, in no order; spans may overlap. Linear: what repeats is bounded."""
    for needed, pattern in _PATTERNS:
        if needed in text:
            for found in pattern.finditer(text):
                yield found.span()
    yield from _key_blocks(text)
    for found in _SCHEMES.finditer(text):
        if _is_scheme_token(found["scheme"], found["token"]):
            yield found.span("token")


def _key_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Private keys from their first to their last line; one without its end goes on to the end of the text."""
    if "BEGIN" in text:
        position = 0
        while (begun := _KEY_BLOCK.search(text, position)) is not None:
            ended = _KEY_END.search(text, begun.end())
            position = ended.end() if ended else len(text)
            yield begun.start(), position
    if "PuTTY-User-Key-File-" in text and (begun := _PUTTY.search(text)) is not None:
        yield begun.start(), len(text)


def _is_scheme_token(scheme: str, token: str) -> bool:
    token = token.rstrip(".:")
    if _WORDS_AFTER.fullmatch(token):
        return False
    unusual = any(letter.isdigit() or letter in "=+/_~" for letter in token) or any(
        letter.isupper() for letter in token[1:]
    )
    if scheme.lower() in ("bearer", "splunk", "sharedaccesssignature", "geniekey", "ssws", "dd-api-key"):
        return unusual or len(token) >= 20
    return unusual and len(token) >= 8 and not token.startswith(("/", "http"))

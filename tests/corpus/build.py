"""The corpus: messages as no agent should send them, each with what it must get.

``python -m tests.corpus.build`` writes ``data/<group>/<name>.bin`` and ``manifest.json``; ``--check`` says whether they are
current. Whatever is larger than a few KiB is not a file but a recipe, built when it is needed. What a message must get
follows from how it was put together here, never from asking the decoder.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from tests.corpus.cases import (
    DATA,
    MANIFEST,
    MAX_FILE,
    Built,
)
from tests.corpus.message_cases import cuts, deep, many, noise, numbers, repeated, strings, uids, unknown, wire_format
from tests.corpus.transport_cases import compressed, content_types, headers, sizes, texts

GROUPS = (headers, cuts, wire_format, uids, strings, numbers, unknown, repeated, deep, many, sizes, compressed,
          content_types, texts, noise)  # fmt: skip


def build() -> list[Built]:
    """All cases with their bytes; ``None`` for a recipe."""
    built = [one for group in GROUPS for one in group()]
    names = {(case.group, case.name) for case, _ in built}
    if len(names) != len(built):
        raise RuntimeError("two cases have one name")
    return built


def manifest(built: list[Built]) -> str:
    """The manifest as it is written."""
    return json.dumps({"cases": [asdict(case) for case, _ in built]}, indent=1, ensure_ascii=False) + "\n"


def stale(built: list[Built]) -> list[str]:
    """What in the folder differs from what would be written."""
    wanted = {case.path: content for case, content in built if content is not None}
    found = set(DATA.rglob("*.bin"))
    wrong = [str(path) for path, content in wanted.items() if path not in found or path.read_bytes() != content]
    wrong += [f"{path} (nobody's)" for path in found - set(wanted)]
    if not MANIFEST.exists() or MANIFEST.read_text(encoding="utf-8") != manifest(built):
        wrong.append(str(MANIFEST))
    return wrong


def main() -> int:
    """Write everything, or check that it is current."""
    built = build()
    if "--check" in sys.argv:
        wrong = stale(built)
        for name in wrong:
            print(f"not current: {name}")
        return bool(wrong)
    for path in DATA.rglob("*.bin"):
        path.unlink()
    for case, content in built:
        if content is not None:
            if len(content) > MAX_FILE:
                raise RuntimeError(f"{case.name} has {len(content)} bytes: make it a recipe")
            case.path.parent.mkdir(parents=True, exist_ok=True)
            case.path.write_bytes(content)
    MANIFEST.write_text(manifest(built), encoding="utf-8")
    print(f"{len(built)} cases, {sum(content is not None for _, content in built)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())

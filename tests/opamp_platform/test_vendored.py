"""What is bundled into the portal is what its lock file says, with its licences, and asks for nothing from elsewhere."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
VENDOR = ROOT / "static/portal/vendor"
LOCK = json.loads((ROOT / "tools/editor/package-lock.json").read_text(encoding="utf-8"))
MOST_BYTES = 200 * 1024


def test_the_licences_are_those_of_the_locked_versions() -> None:
    told = re.findall(r"^(\S+) (\d\S*) \(([\w.-]+)\)$", (VENDOR / "codemirror.LICENSES.txt").read_text(), re.MULTILINE)
    assert len(told) >= 10
    locked = {name.removeprefix("node_modules/"): entry for name, entry in LOCK["packages"].items() if name}
    for name, version, licence in told:
        assert (locked[name]["version"], licence) == (version, "MIT"), name
    wanted = json.loads((ROOT / "tools/editor/package.json").read_text(encoding="utf-8"))["dependencies"]
    assert set(wanted) <= {name for name, _version, _licence in told}


def test_the_bundle_is_small_and_self_contained() -> None:
    text = (VENDOR / "codemirror.js").read_text(encoding="utf-8")
    assert len(gzip.compress(text.encode())) <= MOST_BYTES
    assert not re.search(r"""(?:import|from)\s*["'(]\s*(?:https?:)?/""", text)
    assert "sourceMappingURL" not in text
    assert not re.search(r"\beval\(|new Function\(", text)

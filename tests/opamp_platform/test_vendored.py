"""What is bundled into the portal is what its lock file says, with its licences, and asks for nothing from elsewhere.

What is generated is there in a fresh clone.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest

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


@pytest.mark.defect(19)
def test_what_is_generated_is_committed() -> None:
    generated = [
        "opamp_transport/proto/anyvalue_pb2.py",
        "opamp_transport/proto/opamp_pb2.py",
        "static/portal/vendor/codemirror.js",
        "templates/locale/zh_Hans/LC_MESSAGES/django.mo",
    ]
    if not (ROOT / ".git").exists():
        pytest.skip("no clone")
    done = subprocess.run(["git", "ls-files", "-z", *generated], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split("\0")[:-1]) == generated

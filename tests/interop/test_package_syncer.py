"""Packages as the reference client's own syncer installs them: our addresses, our hashes, its words of progress."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.interop.programs import KINDS
from tests.interop.stage import Stage
from tests.interop.uploads import UploadedPackage, content_of, sha256_of

pytestmark = [
    pytest.mark.sqlite_is_enough,
    pytest.mark.interop,
    pytest.mark.parametrize(
        "kind", [kind for kind in KINDS if kind.program == "go"], ids=lambda kind: kind.name, indirect=True
    ),
]
MIB = 1024**2


def installation(stage: Stage) -> dict[str, Any]:
    """What REST says of the agent's one package."""
    found = stage.server.get(f"agents/{stage.sees()['instance_uid']}/installations")
    rows = found["results"] if isinstance(found, dict) else found
    return dict(rows[0]) if rows else {}


def reaches(stage: Stage, **fields: Any) -> dict[str, Any]:
    """The installation, once it has these fields."""

    def claim() -> dict[str, Any] | None:
        row = installation(stage)
        return row if fields.items() <= row.items() else None

    return stage.server.eventually(claim, 60, f"an installation with {fields}") or {}


@pytest.mark.rule("S-89", "S-90", "S-91", "S-92")
def test_it_installs_what_is_offered_and_then_the_next_version(stage: Stage) -> None:
    package = UploadedPackage.made(stage.server, stage.name, stage.selector)
    first, second = content_of(2 * MIB, 1), content_of(100_000, 2)
    assert package.put(package.add_version("1.0.0"), first).status == 201
    package.release(1)
    seen = set[float]()
    with stage.program("--packages", "--pace", "100ms", interval_seconds=0.2) as agent:
        agent.expect("packages_offered")

        def progresses() -> bool:
            with contextlib.suppress(AssertionError):
                row = installation(stage)
                seen.update({row["percent"]} - {None} if row.get("status") == "installing" else ())
            return bool(agent.count("installed"))

        stage.server.eventually(progresses, 60, "it installs")
        done = agent.expect("installed", name=stage.name, version="1.0.0")
        assert done["sha256"] == sha256_of(first)
        assert reaches(stage, status="installed", version="1.0.0")["error_message"] == ""
        assert any(0 < percent < 100 for percent in seen), seen
        stage.wait_for_messages(3)
        assert agent.count("packages_offered") == 1
        assert package.put(package.add_version("2.0.0"), second).status == 201
        package.release(2)
        assert agent.expect("installed", version="2.0.0")["sha256"] == sha256_of(second)
        reaches(stage, status="installed", version="2.0.0")
        agent.expect("packages_in_sync", after=1)
        stage.wait_for_messages(3)
        assert agent.count("packages_offered") == 2


@pytest.mark.rule("S-90")
def test_a_download_that_fails_is_told_and_tried_when_a_person_says_so(stage: Stage) -> None:
    package = UploadedPackage.made(stage.server, stage.name, stage.selector)
    content = content_of(1000, 3)
    answer = package.put(package.add_version("1.0.0"), content)
    assert answer.status == 201
    stored = list((stage.server.data_dir / "files" / "packages").glob(f"*/{answer.json['filename']}"))
    # The test's run over the other transport has stored the same content before.
    same = [found for found in stored if sha256_of(found.read_bytes()) == answer.json["sha256"]]
    path = max(same, key=lambda found: found.stat().st_mtime_ns)
    away = path.with_suffix(".away")
    path.rename(away)
    package.release(1)
    with stage.program("--packages") as agent:
        agent.expect("packages_offered")
        assert "HTTP response=404" in reaches(stage, status="failed")["error_message"]
        stage.wait_for_messages(4)
        assert agent.count("packages_offered") == 1
        assert agent.count("installed") == 0
        put_back(away, path)
        stage.server.post(f"agents/{stage.sees()['instance_uid']}/installations/retry")
        assert agent.expect("installed")["sha256"] == sha256_of(content)
        assert reaches(stage, status="installed")["error_message"] == ""


@pytest.mark.rule("S-91")
def test_what_nobody_should_have_any_more_is_removed(stage: Stage) -> None:
    package = UploadedPackage.made(stage.server, stage.name, stage.selector)
    assert package.put(package.add_version("1.0.0"), b"short").status == 201
    package.release(1)
    with stage.program("--packages") as agent:
        agent.expect("installed")
        reaches(stage, status="installed")
        assert stage.server.api("PATCH", f"packages/{package.id}", {"enabled": False}).status == 200
        agent.expect("removed", name=stage.name)
        stage.server.eventually(lambda: installation(stage) == {}, what="it should have none")


def put_back(away: Path, path: Path) -> None:
    """The file is there again."""
    away.rename(path)

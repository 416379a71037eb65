"""What an agent's word means, what hashes cover, which file fits: pure rules."""

from __future__ import annotations

import pytest

from agents.replies import PackagesOffer, Reply
from agents.reply_parts import Known
from agents.reports import StatusReport
from packages.installation_outcome import (
    NOTHING,
    InstallationStatus,
    PackageAnswer,
    answer_of,
    best_platform,
    package_hash,
    set_hash,
)
from packages.wanted_packages import WantedPackages

OURS, OTHER = "a" * 64, "b" * 64
PENDING, INSTALLED = InstallationStatus.PENDING, InstallationStatus.INSTALLED
FAILED, INSTALLING = InstallationStatus.FAILED, InstallationStatus.INSTALLING


def said(package, *, offered=True, former=PENDING):
    return answer_of(package, package_hash=OURS, version="1.0", offered=offered, former=former)


@pytest.mark.parametrize(
    ("package", "former", "meaning"),
    [
        ({"status": "Installed", "hash": OURS}, PENDING, PackageAnswer(INSTALLED)),
        ({"status": "Installed", "server_offered_hash": OURS}, PENDING, PackageAnswer(INSTALLED)),
        ({"status": "Installed", "version": "1.0"}, PENDING, PackageAnswer(INSTALLED)),
        ({"status": "Installed", "version": "0.9"}, PENDING, None),
        ({"status": "Installed", "hash": OTHER, "server_offered_hash": OURS}, PENDING, None),
        ({"status": "Installed", "hash": OTHER, "version": "1.0"}, INSTALLED, PackageAnswer(PENDING)),
        (
            {"status": "InstallFailed", "server_offered_hash": OURS, "error_message": "e"},
            PENDING,
            PackageAnswer(FAILED, "e"),
        ),
        ({"status": "InstallFailed", "server_offered_hash": OTHER}, PENDING, None),
        ({"status": "InstallFailed"}, PENDING, PackageAnswer(FAILED)),
        ({"status": "Installing", "server_offered_hash": OURS}, PENDING, PackageAnswer(INSTALLING)),
        (
            {"status": "Downloading", "server_offered_hash": OURS, "download_percent": 250.0},
            PENDING,
            PackageAnswer(INSTALLING, percent=100.0),
        ),
        (
            {"status": "Downloading", "server_offered_hash": OURS, "download_percent": float("nan")},
            PENDING,
            PackageAnswer(INSTALLING),
        ),
        ({"status": "Unknown", "server_offered_hash": OURS}, PENDING, None),
        (None, PENDING, None),
        (None, FAILED, None),
        (None, INSTALLED, PackageAnswer(PENDING)),
    ],
)
@pytest.mark.rule("S-92")
def test_what_an_agent_says_of_a_package(package, former, meaning):
    assert said(package, former=former) == meaning


def test_a_failure_without_a_hash_counts_for_what_was_offered_alone():
    assert said({"status": "InstallFailed"}, offered=False) is None


@pytest.mark.rule("S-91")
def test_a_hash_covers_each_fact():
    facts = {
        "name": "a", "addon": False, "version": "1", "sha256": OURS, "signature": "s", "headers": {"h": "v"}, "attempt": 0,
    }  # fmt: skip
    others = {
        "name": "b", "addon": True, "version": "2", "sha256": OTHER, "signature": "", "headers": {"h": "w"}, "attempt": 1,
    }  # fmt: skip
    hashes = {package_hash(**facts), *(package_hash(**{**facts, key: value}) for key, value in others.items())}
    assert len(hashes) == 8
    # What runs together differs.
    assert package_hash(**{**facts, "name": "ab", "version": "c"}) != package_hash(
        **{**facts, "name": "a", "version": "bc"}
    )


@pytest.mark.rule("S-89")
def test_the_hash_of_a_set_is_of_names_and_hashes_in_no_order():
    assert set_hash([("a", OURS), ("b", OTHER)]) == set_hash([("b", OTHER), ("a", OURS)])
    assert set_hash([("a", OURS), ("b", OTHER)]) != set_hash([("b", OURS), ("a", OTHER)])
    assert len(NOTHING) == 64


@pytest.mark.parametrize(
    ("platforms", "chosen"),
    [
        ([("", ""), ("linux", ""), ("linux", "amd64"), ("", "amd64")], ("linux", "amd64")),
        ([("", ""), ("linux", ""), ("", "amd64")], ("linux", "")),
        ([("", ""), ("", "amd64")], ("", "amd64")),
        ([("windows", "amd64"), ("linux", "arm64")], None),
        ([], None),
    ],
)
def test_the_closest_platform(platforms, chosen):
    assert best_platform(platforms, os_type="linux", architecture="amd64") == chosen


@pytest.mark.parametrize(
    ("capabilities", "offered", "retry_due", "over_http", "repeated", "reported", "due"),
    [
        (0x00, False, False, False, False, True, False),
        (0x08, False, False, False, False, True, True),
        (0x08, True, False, False, False, True, False),
        (0x08, True, True, False, False, False, False),
        (0x08, True, True, False, False, True, True),
        (0x08, True, True, True, False, False, False),
        (0x18, True, True, True, False, False, True),
        (0x18, True, False, True, True, False, True),
        (0x18, True, False, False, True, False, False),
    ],
)
@pytest.mark.rule("S-89", "S-90")
def test_when_packages_are_due(capabilities, offered, retry_due, over_http, repeated, reported, due):
    from uuid import uuid4

    offer = PackagesOffer({}, b"x" * 32)
    known = Known(1, capabilities, over_http=over_http, repeated=repeated)
    report = StatusReport(uuid4(), package_statuses={} if reported else None)
    part = WantedPackages(offer, offered=offered, retry_due=retry_due)
    reply = part.add_to(Reply(instance_uid=b""), known, report)
    assert (reply.packages == offer) is due

"""Hostile archives of configurations: names that lead out, doubled names, bombs, links, damage."""

from __future__ import annotations

import io
import os
import stat
import zipfile

import pytest

from configurations import file_trees
from configurations.file_trees import UnusableTree, ZipTree
from configurations.manifests import UnusableManifests, wanted_in


def archive(entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, body in entries:
            made.writestr(name, body)
    file.seek(0)
    return file


@pytest.mark.parametrize("name", ["../x", "/x", "web/../../x", "a\\b", "C:/x", "a//b", "x\x01"])
def test_an_archive_names_no_place_outside(name):
    with pytest.raises(UnusableTree):
        ZipTree(archive([(zipfile.ZipInfo(name), b"x")]))


def test_an_archive_has_each_name_once():
    with pytest.warns(UserWarning, match="Duplicate name"):
        file = archive([("web/a", b"1"), ("web/a", b"2")])
    with pytest.raises(UnusableTree):
        ZipTree(file)


def test_no_bomb_is_inflated(monkeypatch):
    bomb = archive([("web/configuration.yaml", b"name: web\nfiles: {'': {path: b}}\n"), ("web/b", b"\0" * 10_000_000)])
    assert len(bomb.getvalue()) < 20_000
    with pytest.raises(UnusableManifests) as refused:
        wanted_in(ZipTree(bomb))
    assert refused.value.reasons[0].problem_code == "tree-file-too-large"
    monkeypatch.setattr(file_trees, "MAX_ENTRIES", 1)
    with pytest.raises(UnusableTree):
        ZipTree(bomb)


def test_links_odd_compressions_and_damage_in_archives():
    link = zipfile.ZipInfo("web/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert ZipTree(archive([(link, b"/etc/passwd"), ("web/x", b"")])).paths == {"web/x"}
    packed = zipfile.ZipInfo("web/x")
    packed.compress_type = zipfile.ZIP_LZMA
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(packed, b"x")
    with pytest.raises(file_trees.UnreadableFile):
        ZipTree(file).read("web/x")
    whole = archive([("web/x", os.urandom(200))]).getvalue()
    with pytest.raises(file_trees.UnreadableFile):
        ZipTree(io.BytesIO(whole[:60] + b"\xff" * 40 + whole[100:])).read("web/x")
    with pytest.raises(UnusableTree):
        ZipTree(io.BytesIO(b"no zip"))

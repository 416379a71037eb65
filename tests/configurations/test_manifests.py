"""Configurations as files: the round trip, folders that hold other things, and hostile folders and archives."""

from __future__ import annotations

import io
import os

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import AuditEntry, User
from agents.remote_config import ConfigFile
from configurations import file_trees
from configurations.file_trees import FolderTree, UnusableTree
from configurations.manifest_text import manifest_text, read_manifest
from configurations.manifests import MANIFEST, UnusableManifests, wanted_in, written
from configurations.models import Configuration, ConfigurationDraft, Revision, files_to_json
from configurations.services.draft_saving import save_draft
from configurations.services.drafts import Draft, draft_of
from configurations.services.publishing import create_configuration

TEXT = "receivers:\n  otlp: {}\n"


def make(name, files=None, **fields):
    files = files or {"": ConfigFile(TEXT.encode(), "text/yaml")}
    fields = {"selector": {"env": name}, **fields}
    return create_configuration(name, Draft(files=files, **fields), by=None, at=timezone.now())[0]


def run(command, folder, *options):
    out, err = io.StringIO(), io.StringIO()
    call_command(command, str(folder), *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def tree_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def person():
    return User.objects.create_user("somebody")


def rows():
    return Revision.objects.count(), AuditEntry.objects.count()


def manifest_in(folder, text, name="web"):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / MANIFEST).write_text(text)
    return folder


# --- The round trip ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_is_exported_is_unchanged_and_makes_the_same_elsewhere(tmp_path):
    odd = {
        "": ConfigFile(b"a: \xff\x00", "application/octet-stream", "blob"),
        "conf.d/main.yaml": ConfigFile(TEXT.encode(), "text/yaml"),
        "conf.d_main.yaml": ConfigFile(b"password: hunter2-hunter2\r\n", "text/yaml", "extra"),
        "CON": ConfigFile(b"", ""),
        "\N{SNOWMAN}": ConfigFile(b"{}", "application/json"),
        MANIFEST: ConfigFile(b"x: 1\n", "text/yaml"),
    }
    make("web", description="of the shop\nsince 2020-01-01", display_name="no", priority=-3)
    make("Web", files=odd, config_key="CON", enabled=False)
    make("con", rollout_policy={"stages": [{"percent": 10}]})
    out, _err = run("export_configurations", tmp_path)
    assert out.startswith("3 written, 0 unchanged")
    first = tree_of(tmp_path)
    assert b"hunter2" in b"".join(first.values())
    assert len({path.casefold() for path in first}) == len(first)
    assert run("export_configurations", tmp_path)[0].startswith("0 written, 3 unchanged")
    before = rows()
    out, err = run("apply_configurations", tmp_path, "--publish", "--prune")
    assert ("3 unchanged" in out, err, rows()) == (True, "", before)
    kept = {row.name: (row.current.hash, row.selector, row.priority) for row in Configuration.objects.all()}
    Configuration.objects.update(current=None)
    Configuration.objects.all().delete()
    out, _err = run("apply_configurations", tmp_path, "--dry-run")
    assert ("3 create" in out, Configuration.objects.count()) == (True, 0)
    run("apply_configurations", tmp_path, "--publish")
    assert {row.name: (row.current.hash, row.selector, row.priority) for row in Configuration.objects.all()} == kept
    run("export_configurations", tmp_path)
    assert tree_of(tmp_path) == first


_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=0, max_size=30).map(str.strip)
_KEY = (
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/\\:"), max_size=20)
    .map(str.strip)
    .filter(lambda key: key not in (".", ".."))
)
_KIND = st.sampled_from(["", "text/plain", "application/octet-stream"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True).filter(
        lambda n: n != "preview"
    ),
    words=st.tuples(_LINE, _LINE, _LINE),
    files=st.dictionaries(
        _KEY, st.tuples(st.binary(max_size=60) | _LINE.map(str.encode), _KIND), min_size=1, max_size=4
    ),
)
def test_any_name_text_and_file_comes_back_as_it_was(tmp_path_factory, name, words, files):
    folder = tmp_path_factory.mktemp("any")
    stored = {key: ConfigFile(body, kind) for key, (body, kind) in files.items()}
    key = next(iter(stored))
    row = Configuration(
        name=name, display_name=words[0], description=words[1], selector={"env": words[2]}, config_key=key
    )
    form = written(row, files_to_json(stored))
    for path, body in {MANIFEST: form.manifest.encode(), **form.bodies}.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / path).write_bytes(body)
    [wanted], warnings = wanted_in(FolderTree(folder))
    assert warnings == []
    assert wanted.name == name
    assert (wanted.draft.display_name, wanted.draft.description) == words[:2]
    assert (wanted.draft.selector, wanted.draft.config_key) == ({"env": words[2]}, key)
    assert wanted.draft.files == stored


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["0", "no", "2020-01-01", "=", "~", "1e3", "09", "<<x", "a"]), _VALUE, min_size=1)
)
def test_a_manifest_says_what_json_says(data):
    assert read_manifest(manifest_text(data), "x") == data


# --- Exporting into what is there --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_foreign_files_stay_and_what_is_ours_goes(tmp_path):
    (tmp_path / "README.md").write_text("ours")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "main.yaml").write_text("not a configuration")
    make("web")
    make("old")
    run("export_configurations", tmp_path)
    assert (tmp_path / "web" / "main.yaml").read_text() == "not a configuration"
    assert (tmp_path / "web-2" / "main.yaml").read_text() == TEXT
    (tmp_path / "old" / "notes.txt").write_text("mine")
    row = Configuration.objects.get(name="old")
    Configuration.objects.filter(pk=row.pk).update(current=None)
    row.delete()
    assert run("export_configurations", tmp_path)[0].startswith("0 written, 1 unchanged, 0 removed")
    assert run("export_configurations", tmp_path, "--prune")[0].startswith("0 written, 1 unchanged, 1 removed")
    assert sorted(path.name for path in (tmp_path / "old").iterdir()) == ["notes.txt"]
    assert (tmp_path / "README.md").read_text() == "ours"


@pytest.mark.django_db
def test_folders_and_paths_that_people_chose_stay(tmp_path):
    make("web")
    run("export_configurations", tmp_path)
    (tmp_path / "web").rename(tmp_path / "frontend")
    (tmp_path / "frontend" / "collector").mkdir()
    (tmp_path / "frontend" / "main.yaml").rename(tmp_path / "frontend" / "collector" / "all.yaml")
    manifest = tmp_path / "frontend" / MANIFEST
    manifest.write_text(manifest.read_text().replace("path: main.yaml", "path: collector/all.yaml"))
    assert "1 unchanged" in run("apply_configurations", tmp_path)[0]
    before = tree_of(tmp_path)
    assert run("export_configurations", tmp_path)[0].startswith("0 written, 1 unchanged")
    assert tree_of(tmp_path) == before


@pytest.mark.django_db
def test_an_export_that_was_interrupted_is_mended_by_the_next(tmp_path):
    make("web", files={"": ConfigFile(b"a: 1\n", "text/yaml"), "b": ConfigFile(b"b: 1\n", "text/yaml")})
    run("export_configurations", tmp_path)
    whole = tree_of(tmp_path)
    (tmp_path / "web" / "b").unlink()
    (tmp_path / "web" / ".main.yaml.partial").write_text("a:")
    (tmp_path / "web" / "main.yaml").write_text("a: 0\n")
    with pytest.raises(CommandError, match="'web/b' is missing"):
        run("apply_configurations", tmp_path, "--publish")
    run("export_configurations", tmp_path)
    assert tree_of(tmp_path) == whole


@pytest.mark.django_db
def test_nothing_is_written_through_links_or_over_what_is_not_ours(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "repo"
    make("web")
    run("export_configurations", folder)
    (folder / "web" / "main.yaml").unlink()
    (outside / "victim").write_text("safe")
    (folder / "web" / "main.yaml").symlink_to(outside / "victim")
    with pytest.raises(CommandError, match="is a link"):
        run("export_configurations", folder)
    with pytest.raises(CommandError, match="no plain file"):
        run("apply_configurations", folder)
    assert (outside / "victim").read_text() == "safe"
    (folder / "web" / "main.yaml").unlink()
    manifest = folder / "web" / MANIFEST
    manifest.write_text(manifest.read_text().replace("path: main.yaml", "body: 'a: 1'"))
    (folder / "web" / "main.yaml").write_text("mine")
    with pytest.raises(CommandError, match="belongs to no configuration"):
        run("export_configurations", folder)
    assert (folder / "web" / "main.yaml").read_text() == "mine"


# --- Applying what somebody wrote --------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: web\nfiles: [\n", "web/configuration.yaml, line 2"),
        ("name: web\n\tx: 1\n", "line 2"),
        ("- web\n", "line 1: a manifest is a map"),
        ("", "nothing stands in it"),
        ("name: web\nname: web\n", "line 2"),
        ("name: &a web\ndescription: *a\n", "line 1: anchors"),
        ("name: !!binary d2Vi\n", "line 1: anchors"),
        ("name: web\n1: x\n", "line 2: a key is a text"),
        ("name: web\n---\nname: db\n", "line 2"),
        ("name: web\nfiles:\n  '': {path: ../secret}\n", "the path '../secret'"),
        ("name: web\nfiles:\n  '': {path: /etc/passwd}\n", "the path '/etc/passwd'"),
        ("name: web\nfiles:\n  '': {path: 'C:\\x'}\n", "the path"),
        ("name: web\nfiles:\n  '': {path: configuration.yaml}\n", "the path 'configuration.yaml'"),
        ("name: web\nfiles:\n  '': {path: 5}\n", "the path 5"),
        ("name: web\nfiles:\n  '': {path: a, body: b}\n", "a path and a body"),
        ("name: web\nfiles:\n  '': {path: gone.yaml}\n", "'web/gone.yaml' is missing"),
        ("name: web\nfiles:\n  '': {boddy: a}\n", "web: files"),
        ("name: web\nprio: 1\nraw_config: a\n", "web: prio: There is no such field"),
        ("name: ../web\nraw_config: 'a: 1'\n", "../web: name: "),
        ("name: 5\nraw_config: 'a: 1'\n", "web/configuration.yaml: name: Not a valid string"),
        ("raw_config: 'a: 1'\n", "web/configuration.yaml: name: "),
        ("name: web\n", "web: raw_config: A configuration needs at least one file"),
        ("a: " + "[" * 3000 + "]" * 3000, "line 1"),
    ],
)
def test_a_broken_manifest_is_refused_by_file_and_line(tmp_path, text, said):
    make("other")
    before = rows()
    with pytest.raises(CommandError) as refused:
        run("apply_configurations", manifest_in(tmp_path, text), "--publish", "--prune")
    assert said in str(refused.value)
    assert rows() == before


@pytest.mark.django_db
def test_what_is_not_utf8_and_all_reasons_at_once(tmp_path):
    manifest_in(tmp_path, "name: [\n", "a")
    (manifest_in(tmp_path, "", "b") / "b" / MANIFEST).write_bytes(b"name: web\nx: \xff\n")
    with pytest.raises(CommandError) as refused:
        run("apply_configurations", tmp_path)
    assert "b/configuration.yaml, line 2: this is not UTF-8" in str(refused.value)
    assert "a/configuration.yaml, line" in str(refused.value)


@pytest.mark.django_db
def test_two_manifests_of_one_name(tmp_path):
    for name in ("a", "b"):
        manifest_in(tmp_path, "name: web\nraw_config: 'a: 1'\n", name)
    with pytest.raises(CommandError, match="web: name: The name is given twice"):
        run("apply_configurations", tmp_path)


@pytest.mark.django_db
def test_what_no_manifest_names_is_a_warning(tmp_path):
    make("web")
    run("export_configurations", tmp_path)
    (tmp_path / "web" / "old.yaml").write_text("x")
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "configuration.yml").write_text("name: db")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / MANIFEST).write_text("name: hidden")
    (tmp_path / MANIFEST).write_text("name: top")
    out, err = run("apply_configurations", tmp_path)
    assert "1 unchanged" in out
    assert err.splitlines() == [
        "warning: The folder 'db' has no configuration.yaml; it is left alone.",
        "warning: 'web/old.yaml' is named by no manifest.",
    ]


@pytest.mark.django_db
def test_pruning_by_an_empty_folder_is_asked_twice(tmp_path):
    make("web")
    with pytest.raises(CommandError, match="The list is empty"):
        run("apply_configurations", tmp_path, "--publish", "--prune")
    run("apply_configurations", tmp_path, "--publish", "--prune", "--allow-empty", "--dry-run")
    assert Configuration.objects.count() == 1
    run("apply_configurations", tmp_path, "--publish", "--prune", "--allow-empty")
    assert Configuration.objects.count() == 0


@pytest.mark.django_db
def test_without_publish_there_are_drafts_once(tmp_path):
    make("old")
    manifest_in(tmp_path, "name: web\nselector: {env: prod}\nfiles: {'': {path: main.yaml}}\n")
    text = tmp_path / "web" / "main.yaml"
    text.write_text("exporters:\n  debug:\n")
    out, _err = run("apply_configurations", tmp_path, "--dry-run")
    assert out.startswith("create     web\n")
    assert "line " in out
    assert "Nothing was changed" in out
    assert not ConfigurationDraft.objects.exists()
    out, _err = run("apply_configurations", tmp_path, "--prune")
    assert "Kept as drafts" in out
    assert [row.name for row in Configuration.objects.all()] == ["old"]
    first = ConfigurationDraft.objects.get()
    before = rows()
    run("apply_configurations", tmp_path)
    assert (ConfigurationDraft.objects.get().pk, rows()) == (first.pk, before)
    text.write_text("receivers:\n  otlp:\n")
    run("apply_configurations", tmp_path)
    assert "otlp" in str(ConfigurationDraft.objects.get().state)
    run("apply_configurations", tmp_path, "--publish")
    assert not ConfigurationDraft.objects.exists()
    text.write_text("receivers:\n  zipkin:\n")
    run("apply_configurations", tmp_path)
    assert ConfigurationDraft.objects.get().base_revision == 1
    mine = save_draft("web", draft_of(Configuration.objects.get(name="web")), by=person(), at=timezone.now())
    text.write_text("receivers:\n  otlp:\n")
    assert "1 unchanged" in run("apply_configurations", tmp_path)[0]
    assert ConfigurationDraft.objects.get() == mine


def test_folders_are_bounded(tmp_path, monkeypatch):
    with pytest.raises(UnusableTree):
        FolderTree(tmp_path / "none")
    monkeypatch.setattr(file_trees, "MAX_FILE_BYTES", 50)
    monkeypatch.setattr(file_trees, "MAX_TREE_BYTES", 80)
    manifest_in(tmp_path, "name: web\nfiles: {'': {path: big}}\n")
    (tmp_path / "web" / "big").write_bytes(b"x" * 51)
    with pytest.raises(UnusableManifests) as refused:
        wanted_in(FolderTree(tmp_path))
    assert refused.value.reasons[0].problem_code == "tree-file-too-large"
    (tmp_path / "web" / "big").write_bytes(b"x" * 50)
    with pytest.raises(UnusableTree):
        wanted_in(FolderTree(tmp_path))
    monkeypatch.setattr(file_trees, "MAX_ENTRIES", 1)
    with pytest.raises(UnusableTree):
        FolderTree(tmp_path)


def test_a_pipe_is_no_plain_file(tmp_path):
    manifest_in(tmp_path, "name: web\nfiles: {'': {path: pipe}}\n")
    os.mkfifo(tmp_path / "web" / "pipe")
    with pytest.raises(UnusableManifests):
        wanted_in(FolderTree(tmp_path))

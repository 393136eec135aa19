"""Layout chezmoi: source names are read as chezmoi's reference has it, and what needs chezmoi is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.deploys.dotfiles.chezmoi import FILE_PREFIXES, SourceName, file_name, folder_name
from agent.errors import InventoryError
from tests.deploys.commit import Commit
from tests.deploys.dotfiles.home import items, lay


def commit(folder: Path, *paths: str, **files: str) -> Commit:
    named = dict.fromkeys(paths, "x\n") | files
    return Commit(folder / "commit", {f"dotfiles/a/{path}": text for path, text in named.items()})


def home(folder: Path, source: Commit, **ways: Any) -> dict[str, tuple[str, int, object]]:
    return lay(folder / "home", source, {"sets": ["a"], "layout": "chezmoi", **ways})


# Names


@pytest.mark.parametrize(
    ("name", "target", "mode"),
    [
        ("foo", "foo", 0o644),
        ("dot_foo", ".foo", 0o644),
        ("private_dot_foo", ".foo", 0o600),
        ("readonly_foo", "foo", 0o444),
        ("private_readonly_foo", "foo", 0o400),
        ("executable_foo", "foo", 0o755),
        ("private_executable_dot_foo", ".foo", 0o700),
        ("private_readonly_empty_executable_dot_foo", ".foo", 0o500),
        ("executable_private_foo", "private_foo", 0o755),
        ("dot_private_foo", ".private_foo", 0o644),
        ("dot_dot_foo", ".dot_foo", 0o644),
        ("literal_dot_foo", "dot_foo", 0o644),
        ("private_literal_private_foo", "private_foo", 0o600),
        ("foo.literal", "foo", 0o644),
        ("foo.tmpl.literal", "foo.tmpl", 0o644),
        ("foo.j2.literal", "foo.j2", 0o644),
        ("Private_foo", "Private_foo", 0o644),
    ],
)
def test_a_name_says_what_the_file_is_called_and_its_mode(name: str, target: str, mode: int) -> None:
    read = file_name(name)
    assert (read.target, read.mode, read.template, read.go_template) == (target, mode, False, False)


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("create_dot_foo", "create_", ".foo"),
        ("create_private_foo", "create_", "foo"),
        ("symlink_dot_foo", "symlink_", ".foo"),
        ("symlink_private_foo", "symlink_", "private_foo"),
        ("remove_dot_foo", "remove_", ".foo"),
        ("modify_dot_foo", "modify_", ".foo"),
        ("run_once_install.sh", "run_", "once_install.sh"),
        ("private_create_foo", "", "create_foo"),
    ],
)
def test_a_name_says_what_becomes_of_the_file(name: str, kind: str, target: str) -> None:
    assert (file_name(name).type, file_name(name).target) == (kind, target)


def test_a_template_is_one_of_jinja_or_of_go() -> None:
    assert file_name("dot_foo.j2") == SourceName(".foo", template=True)
    assert file_name("dot_foo.tmpl") == SourceName(".foo", go_template=True)
    assert file_name("foo.tmpl.literal.j2") == SourceName("foo.tmpl", template=True)


PLAIN_NAMES = st.from_regex(r"\A[a-z.]{1,8}\Z").filter(lambda name: not name.endswith((".tmpl", ".j2", ".literal")))


@given(target=PLAIN_NAMES, attributes=st.sets(st.sampled_from(FILE_PREFIXES)), create=st.booleans())
def test_a_name_put_together_is_taken_apart_again(target: str, attributes: set[str], create: bool) -> None:
    prefixes = "".join(prefix for prefix in FILE_PREFIXES if prefix in attributes)
    source = f"dot_{target[1:]}" if target.startswith(".") else f"literal_{target}"
    read = file_name(f"{'create_' if create else ''}{prefixes}{source}")
    assert read == SourceName(target, "create_" if create else "", frozenset(attributes))


@given(st.text(alphabet="abcdeilnoprtuvxy_.~ ü", max_size=40))
def test_no_name_is_too_odd_to_be_read(name: str) -> None:
    assert len(file_name(name).target) <= len(name)
    assert len(folder_name(name).target) <= len(name)


# What becomes of them


def test_folders_are_private_or_left_as_they_are(tmp_path: Path) -> None:
    found = home(tmp_path, commit(tmp_path, "private_dot_config/app/private_dot_x/y", "dot_cache/.keep"))
    assert {path: f"{mode:o}" for path, (_, mode, _) in found.items()} == {
        ".cache": "755",
        ".config": "700",
        ".config/app": "755",
        ".config/app/.x": "700",
        ".config/app/.x/y": "644",
    }


def test_a_file_that_is_only_created_is_kept_as_it_is_found(tmp_path: Path) -> None:
    source = commit(tmp_path, "create_a", "create_b")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/a").write_text("mine\n")
    assert {path: content for path, (_, _, content) in home(tmp_path, source).items()} == {"a": b"mine\n", "b": b"x\n"}
    (tmp_path / "home/b").write_text("mine, too\n")
    assert home(tmp_path, source)["b"][2] == b"mine, too\n"
    assert home(tmp_path, source, policy={"b": "overwrite"})["b"][2] == b"x\n"


def test_what_is_to_be_removed_goes_and_so_does_an_empty_file_that_is_not_said_to_be(tmp_path: Path) -> None:
    source = commit(tmp_path, "remove_dot_old", empty="", empty_dot_kept="", create_new="")
    (tmp_path / "home").mkdir()
    for name in (".old", "empty", "other"):
        (tmp_path / "home" / name).write_text("old\n")
    assert sorted(home(tmp_path, source)) == [".kept", "new", "other"]


def test_nothing_is_made_for_what_is_only_removed(tmp_path: Path) -> None:
    assert home(tmp_path, commit(tmp_path, "dot_config/deep/remove_x")) == {
        ".config": ("directory", 0o755, None),
        ".config/deep": ("directory", 0o755, None),
    }


def test_gits_executable_bit_does_not_count(tmp_path: Path) -> None:
    source = commit(tmp_path)
    source.put("dotfiles/a/tool", ("executable", "x"))
    assert home(tmp_path, source)["tool"][1] == 0o644


def test_a_folder_of_chezmois_own_name_is_no_part_of_the_home(tmp_path: Path) -> None:
    paths = (".chezmoitemplates/x", ".chezmoidata.yaml", ".chezmoiversion", ".chezmoi.toml.tmpl", ".github/w.yml")
    assert list(home(tmp_path, commit(tmp_path, *paths, "dot_x"))) == [".x"]


# Ignored


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ("", {".dir/file.txt", ".dir/sub/file.txt", ".file.txt", "readme.md"}),
        (".dir", {".file.txt", "readme.md"}),
        (".dir/sub/", {".dir/file.txt", ".file.txt", "readme.md"}),
        ("*/*.txt", {".dir/sub/file.txt", ".file.txt", "readme.md"}),
        ("**/*.txt", {"readme.md"}),
        (".dir/**", {".file.txt", "readme.md"}),
        ("*.txt   # a comment\n\n# another\n", {".dir/file.txt", ".dir/sub/file.txt", "readme.md"}),
        ("*\n!readme.md\n", {"readme.md"}),
        ("{.dir,readme}*", {".file.txt"}),
        ("[^.]*", {".dir/file.txt", ".dir/sub/file.txt", ".file.txt"}),
        ("readme\\.md", {".dir/file.txt", ".dir/sub/file.txt", ".file.txt"}),
        ("readme.m\\?", {".dir/file.txt", ".dir/sub/file.txt", ".file.txt", "readme.md"}),
    ],
)
def test_patterns_of_what_is_ignored_are_over_the_home(tmp_path: Path, patterns: str, left: set[str]) -> None:
    paths = ("dot_dir/file.txt", "dot_dir/sub/file.txt", "dot_file.txt", "readme.md")
    source = commit(tmp_path, *paths, **{".chezmoiignore": patterns})
    assert {path for path, (kind, _, _) in home(tmp_path, source).items() if kind == "file"} == left


def test_an_ignore_file_in_a_folder_is_for_that_folder(tmp_path: Path) -> None:
    source = commit(tmp_path, "dot_a/x", "dot_b/x", **{"dot_a/.chezmoiignore": "x\n"})
    assert ".b/x" in home(tmp_path, source)
    assert ".a/x" not in home(tmp_path, source)


def test_no_pattern_takes_long(tmp_path: Path) -> None:
    source = commit(tmp_path, "a" * 200, "/".join("a" * 100), **{".chezmoiignore": "*a" * 100 + "b\n" + "**/a/" * 100})
    assert home(tmp_path, source)
    with pytest.raises(InventoryError, match="stands for more than 1000"):
        items(commit(tmp_path / "x", **{".chezmoiignore": "{a,b}" * 12}), {"sets": ["a"], "layout": "chezmoi"})


# UnsafePath


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("dot_gitconfig.tmpl", "is a Go template: rename it to dot_gitconfig.j2 and write it in Jinja2"),
        ("dot_config/x.tmpl", "is a Go template: rename it to dot_config/x.j2"),
        ("run_once_install.sh", "is a script: use a deploy"),
        ("dot_x/run_after_y.sh", "is a script"),
        (".chezmoiscripts/run_x.sh", "holds scripts"),
        ("modify_dot_profile", "is a script that changes a file"),
        ("encrypted_private_dot_netrc.age", "is no age file"),
        ("encrypted_private_dot_netrc.asc", "is no age file"),
        ("exact_dot_config/x", "would remove whatever else"),
        ("external_dot_vim/x", "is a folder of files that somebody else names"),
        ("readonly_dot_config/x", "its owner could not write to"),
        ("remove_dot_config/x", "would remove a folder"),
        (".chezmoiexternal.toml", "fetches from elsewhere"),
        (".chezmoiremove", "removes by pattern"),
        (".chezmoiignore.tmpl", "is a Go template: rename it to .chezmoiignore"),
        ("dot_.", "would be called '..', which is no name"),
        ("literal_..", "would be called '..', which is no name"),
        ("dot_./x", "would be called '..', which is no name"),
        ("literal_../x", "would be called '..', which is no name"),
        ("dot_", "would be called '.', which is no name"),
        ("private_", "would be called '', which is no name"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, path: str, complaint: str) -> None:
    play = {"sets": ["a"], "layout": "chezmoi"}
    with pytest.raises(InventoryError) as caught:
        items(commit(tmp_path, path, "dot_fine"), play)
    assert "dotfiles/a/" in str(caught.value)
    assert complaint in str(caught.value)
    assert "name it in `ignore` to leave it out" in str(caught.value)
    left = items(commit(tmp_path, path, "dot_fine"), play | {"ignore": [path]})
    assert [item.path for item in left] == [".fine"]


def test_all_of_them_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        items(commit(tmp_path, "a.tmpl", "b.tmpl", "run_c"), {"sets": ["a"], "layout": "chezmoi"})
    assert len(str(caught.value).splitlines()) == 3


def test_an_ignore_file_that_is_a_template_is_refused(tmp_path: Path) -> None:
    source = commit(tmp_path, **{".chezmoiignore": "{{ if true }}\nx\n{{ end }}\n"})
    with pytest.raises(InventoryError, match=r"\.chezmoiignore is a Go template"):
        items(source, {"sets": ["a"], "layout": "chezmoi"})


@pytest.mark.parametrize("folder", ["nowhere", "../b", "/etc", ""])
def test_a_root_that_is_not_there_is_refused(tmp_path: Path, folder: str) -> None:
    source = commit(tmp_path, "dot_x", **{".chezmoiroot": f"{folder}\n"})
    with pytest.raises(InventoryError, match=r"\.chezmoiroot names the folder"):
        items(source, {"sets": ["a"], "layout": "chezmoi"})


def test_a_link_in_the_source_is_refused(tmp_path: Path) -> None:
    source = commit(tmp_path)
    source.put("dotfiles/a/dot_x", ("link", "/etc/passwd"))
    with pytest.raises(InventoryError, match="is a link: chezmoi's are files named symlink_"):
        items(source, {"sets": ["a"], "layout": "chezmoi"})


def test_an_empty_target_of_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="holds no target of a link"):
        items(commit(tmp_path, symlink_x=" \n"), {"sets": ["a"], "layout": "chezmoi"})

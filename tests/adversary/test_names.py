"""Attacks by whoever can push to the config repo or speaks for the Git server, one test each: through whole cycles,
each changes nothing on the host and is reported. Eve can push; Ann (an anchor) and Bob can sign.

Here: names of branches and files, links, attributes, filters, submodules.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adversary.victim import EVIL, Victim, attacked_after_trust, motd
from tests.gitserver import Author, ConfigRepo


def tree_with(repo: ConfigRepo, *entries: tuple[str, str, str]) -> str:
    """The tree of HEAD and ``entries``, however odd."""
    listed = (line.split(maxsplit=3) for line in repo.git("ls-tree", "HEAD").splitlines())
    return repo.tree(*((mode.lstrip("0"), sha, name) for mode, _, sha, name in listed), *entries)


@pytest.mark.parametrize(
    "name", ["main;touch pwned", "$(touch pwned)", "--upload-pack=touch pwned", "main`touch pwned`", "x|touch pwned"]
)
def test_malicious_names_of_branches(host: Victim, tmp_path: Path, ann: Author, name: str) -> None:
    sha = host.repo.commit("Fine", motd("fine"), by=ann)
    (host.repo.path / ".git/packed-refs").write_text(f"{sha} refs/heads/{name}\n")
    assert host.cycle().commits.trusted == sha
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    "name",
    ["..", ".git", ".GIT", "git~1", ".git ", "\u200c.git", "a\\.git"],
)
def test_malicious_names_of_files(host: Victim, ann: Author, name: str) -> None:
    """Signed even: what cannot be a file below the export is no file."""
    repo = host.repo
    folder = repo.tree(("100644", repo.blob(b"[core]\n\tfsmonitor = touch pwned\n"), "config"))
    with attacked_after_trust(host, ("bad-objects", "unsafe-tree")):
        repo.plumb(tree_with(repo, ("40000", folder, name)), repo.head, by=ann)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "-rf\x7f", "Icon\r"])
def test_names_that_could_play_tricks_on_a_terminal(host: Victim, ann: Author, name: str) -> None:
    """The file is left out, and named in a way that plays none."""
    repo = host.repo
    sha = repo.plumb(tree_with(repo, ("100644", repo.blob(b"x"), name)), repo.head, by=ann)
    report = host.cycle()
    assert (report.problems, host.last) == ((), sha)
    assert "holds a control character" in report.commits.note
    assert report.commits.note.isprintable()
    assert sorted(path.name for path in (host.parts.paths.commits / sha).iterdir()) == ["inventories"]


@pytest.mark.parametrize("target", ["/etc/shadow", "../../etc/shadow", "a/../../x", ".."])
def test_symlinks_out_of_the_checkout(host: Victim, ann: Author, target: str) -> None:
    repo = host.repo
    sha = repo.plumb(tree_with(repo, ("120000", repo.blob(target.encode()), "link")), repo.head, by=ann)
    report = host.cycle()
    assert (report.problems, host.last) == ((), sha)
    assert report.commits.note == "without the link link, which leads out of the repository"
    assert sorted(path.name for path in (host.parts.paths.commits / sha).iterdir()) == ["inventories"]


def test_a_file_behind_a_symlink(host: Victim, ann: Author, tmp_path: Path) -> None:
    """The link and the folder of the same name, so that what lies in the folder is written through the link."""
    repo, outside = host.repo, tmp_path / "outside"
    outside.mkdir()
    link = ("120000", repo.blob(f"{outside}".encode()), "dir")
    folder = ("40000", repo.tree(("100644", repo.blob(b"evil"), "pwned")), "dir")
    with attacked_after_trust(host, ("bad-objects", "unsafe-tree")):
        repo.plumb(tree_with(repo, link, folder), repo.head, by=ann)
    assert not list(outside.iterdir())


def test_an_inventory_that_is_a_symlink(host: Victim, ann: Author) -> None:
    repo = host.repo
    with attacked_after_trust(host, ("inventory-unknown", "unsafe-tree")):
        tree = repo.tree(("120000", repo.blob(b"/etc"), "inventories"))
        repo.plumb(tree, repo.head, by=ann)


def test_filters_submodules_and_hooks_of_the_checkout(host: Victim, ann: Author, tmp_path: Path) -> None:
    """All of it signed: it is written out as what it is, and runs nothing."""
    pwned = tmp_path / "pwned"
    run = f"touch {pwned}"
    head = host.repo.commit(
        "Attributes",
        {
            ".gitattributes": "* filter=evil diff=evil merge=evil export-subst text eol=crlf\nsecret export-ignore\n",
            ".gitconfig": f'[filter "evil"]\n\tsmudge = {run}\n\tprocess = {run}\n[core]\n\tfsmonitor = {run}\n',
            ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "{run}"\n',
            "hooks/post-checkout": f"#!/bin/sh\n{run}\n",
            "secret": "kept\n",
            "subst": "$Format:%H$\n",
            **motd("fine"),
        },
        by=ann,
    )
    host.repo.git("config", "filter.evil.smudge", run)
    for name in ("pre-receive", "post-update", "reference-transaction", "post-checkout"):
        hook = host.repo.path / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{run}\n")
        hook.chmod(0o755)
    assert host.cycle().problems == ()
    export = host.parts.paths.commits / head
    assert (export / "secret").read_text() == "kept\n"
    assert (export / "subst").read_bytes() == b"$Format:%H$\n"
    assert not pwned.exists()


@pytest.mark.parametrize(
    "setting",
    ["url = --upload-pack=touch pwned", "update = !touch pwned", "path = --x"],
)
def test_hostile_gitmodules(host: Victim, ann: Author, tmp_path: Path, setting: str) -> None:
    with host.attacked("bad-objects"):
        host.repo.commit("Submodule", EVIL | {".gitmodules": f'[submodule "x"]\n\t{setting}\n'}, by=ann)
    assert not list(tmp_path.rglob("pwned"))


def test_a_submodule_is_not_fetched(host: Victim, ann: Author, tmp_path: Path) -> None:
    """Its commit stands in the tree, and where it is to be had in .gitmodules: neither is asked for."""
    repo, inner = host.repo, ConfigRepo(tmp_path / "inner")
    head = inner.commit("Inner", {"pwned": ""})
    modules = repo.blob(f'[submodule "sub"]\n\tpath = sub\n\turl = {inner.path}\n'.encode())
    tree = tree_with(repo, ("160000", head, "sub"), ("100644", modules, ".gitmodules"))
    sha = repo.plumb(tree, repo.head, by=ann)
    report = host.cycle()
    assert (report.problems, host.last) == ((), sha)
    assert report.commits.note == "without the submodule sub, which hosts do not fetch"
    assert not list(host.parts.paths.root.rglob("pwned"))

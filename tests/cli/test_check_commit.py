"""`hostwright check` in a clone: what hosts will have counts, not what lies there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agent.cli.main import run
from agent.system.process import run as run_program
from tests.gitserver import ConfigRepo

SITE = "inventories/prod/site.yaml"


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigRepo:
    """One host that gets the file ``motd`` of the repository."""
    repo = ConfigRepo(tmp_path / "work")
    site = "- hosts: all\n  deploys:\n    - files: {/etc/motd: {source: parts/motd}}\n"
    repo.commit("First", {"inventories/prod/hosts.yaml": "all: {hosts: {web1: {}}}\n", SITE: site, "parts/motd": "x\n"})
    monkeypatch.chdir(repo.path)
    return repo


def check(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code, and all that it says."""
    code = run(["check"])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_what_is_committed_is_fine_without_further_words(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(capsys) == (0, "prod: 1 host, fine\n")


def test_a_clone_that_git_cannot_read_is_named_by_its_own_path(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo.path / ".git/index").write_text("garbage")
    code, said = check(capsys)
    assert code == 4
    assert f"git cannot read {repo.path}: fatal: {repo.path}/.git/index: index file smaller than expected\n" in said
    shutil.rmtree(repo.path / ".git/objects")
    assert f"git cannot read {repo.path}: fatal: not a git repository: '{repo.path}/.git'\n" in check(capsys)[1]


def test_a_hint_is_said_and_is_no_mistake(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit("Singular", {"deploy/app.py": "x = 1\n"})
    assert check(capsys) == (
        0,
        'prod: 1 host, fine\ndeploy/: nobody reads this folder; did you mean "deploys"?\n',
    )


def test_a_source_that_is_not_added_is_refused(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.git("rm", "--quiet", "--cached", "parts/motd")
    repo.git("commit", "--quiet", "-m", "Forgotten")
    code, said = check(capsys)
    assert code == 6
    assert "parts/motd is not added to Git, so no host gets it" in said
    assert "git add parts/motd" in said


def test_a_source_that_is_ignored_is_refused_with_the_line_that_does_it(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.git("rm", "--quiet", "--cached", "parts/motd")
    (repo.path / ".gitignore").write_text("*.pyc\nparts/mo*\n")
    repo.git("add", ".gitignore")
    repo.git("commit", "--quiet", "-m", "Ignored")
    code, said = check(capsys)
    assert code == 6
    assert "parts/motd is ignored by Git (.gitignore:2), so no host gets it" in said
    assert "git add --force parts/motd, or change .gitignore:2" in said


def test_a_source_in_a_submodule_is_refused(
    repo: ConfigRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ConfigRepo(tmp_path / "other")
    other.commit("Other", {"motd": "x\n"})
    repo.git("rm", "--quiet", "-r", "parts")
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", f"{other.path}", "parts")
    repo.git("commit", "--quiet", "-m", "Submodule")
    assert (repo.path / "parts/motd").exists()
    code, said = check(capsys)
    assert code == 6
    assert "parts/motd lies in the submodule parts, which hosts do not fetch" in said
    assert "submodules, which hosts do not fetch: parts" in said


def test_a_deploy_file_that_is_not_added_is_refused(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit("Deploy", {SITE: "- hosts: all\n  deploys: [{name: x, deploy: deploys/x.py}]\n"})
    (repo.path / "deploys").mkdir()
    (repo.path / "deploys/x.py").touch()
    code, said = check(capsys)
    assert code == 6
    assert "deploys/x.py is not added to Git, so no host gets it" in said


def test_an_inventory_that_is_not_added_is_refused(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write({"inventories/new/site.yaml": "[]\n"})
    repo.git("reset", "--quiet")
    code, said = check(capsys)
    assert code == 6
    assert "inventories/new is not added to Git, so no host gets it; git add inventories/new" in said


def test_what_is_not_committed_yet_is_judged_and_said(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    (repo.path / "parts/motd").write_text("{{ nope }}\n")
    (repo.path / SITE).write_text((repo.path / SITE).read_text().replace("source", "template"))
    code, said = check(capsys)
    assert code == 6
    assert "nope" in said
    assert f"not committed yet, judged as it lies here: {SITE}, parts/motd" in said


@pytest.mark.parametrize("mark", ["assume-unchanged", "skip-worktree"])
def test_what_the_index_hides_is_not_committed_either(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], mark: str
) -> None:
    repo.git("update-index", f"--{mark}", "parts/motd")
    (repo.path / "parts/motd").write_text("other\n")
    code, said = check(capsys)
    assert code == 0
    assert "not committed yet, judged as it lies here: parts/motd" in said


def test_what_lies_beside_and_is_not_added_is_not_judged(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write({})
    (repo.path / "inventories/prod/group_vars").mkdir()
    (repo.path / "inventories/prod/group_vars/all.yaml").write_text("x: [\n")
    code, said = check(capsys)
    assert code == 0
    assert "not added to Git and not judged, no host gets it: inventories/prod/group_vars/all.yaml" in said


def test_a_link_that_leads_out_is_told_once(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    (repo.path / "parts/out").symlink_to("/etc/motd")
    (repo.path / "dotfiles/home").mkdir(parents=True)
    (repo.path / "dotfiles/home/.vimrc").symlink_to("/usr/share/vimrc")
    repo.commit("Links")
    code, said = check(capsys)
    assert code == 0
    assert said.count("leads out of the repository") == 1
    assert "parts/out" in said


def test_a_folder_without_git_is_judged_as_it_lies(
    repo: ConfigRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo.path / ".git").rename(tmp_path / "git")
    assert check(capsys) == (0, "prod: 1 host, fine\n")


def test_a_linked_worktree_is_a_clone_too(
    repo: ConfigRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.git("worktree", "add", "--quiet", f"{tmp_path}/tree")
    monkeypatch.chdir(tmp_path / "tree")
    (tmp_path / "tree/parts/motd").write_text("other\n")
    code, said = check(capsys)
    assert code == 0
    assert "not committed yet, judged as it lies here: parts/motd" in said


@pytest.mark.parametrize("name", ["core.fsmonitor", "filter.x.clean", "filter.x.process"])
def test_nothing_that_a_clone_s_configuration_names_is_started(
    repo: ConfigRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Root may look at the clone of a user."""
    repo.commit("Attributes", {".gitattributes": "* filter=x\n"})
    program, trace = tmp_path / "program", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\necho ran >> {trace}\nexec cat\n")
    program.chmod(0o755)
    repo.git("config", name, f"{program}")
    for path in repo.path.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (1, 1))  # git has to look into each again
    repo.git("config", "core.worktree", f"{tmp_path}")
    assert check(capsys) == (0, "prod: 1 host, fine\n")
    assert not trace.exists()
    repo.git("config", "--unset", "core.worktree")
    run_program(["git", "-C", f"{repo.path}", "status"], timeout_s=20)
    assert trace.exists(), "git itself would have started it"


LFS_POINTER = r"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize(
    ("filter", "made", "what"),
    [
        ("lfs", f"printf '{LFS_POINTER}'", "is a pointer of Git LFS"),
        ("crypt", r"printf 'U2FsdGVkX1+abc=\n'", "is encrypted by transcrypt"),
    ],
)
def test_a_source_whose_content_is_kept_elsewhere_is_refused_though_it_lies_there(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], filter: str, made: str, what: str
) -> None:
    (repo.path / ".gitattributes").write_text(f"parts/* filter={filter}\n")
    repo.git("config", f"filter.{filter}.clean", f"cat >/dev/null; {made}")
    (repo.path / "parts/motd").write_text("the content itself\n")
    repo.git("add", ".")
    repo.git("commit", "--quiet", "-m", "Filtered")
    code, said = check(capsys)
    assert code == 6
    assert f"parts/motd {what}" in said
    assert (repo.path / "parts/motd").read_text() == "the content itself\n"


@pytest.mark.parametrize("file", ["group_vars/all.yaml", "hosts.yaml"])
def test_a_file_of_the_inventory_whose_content_is_kept_elsewhere_is_refused(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    repo.commit("Encrypted", {f"inventories/prod/{file}": "\0GITCRYPT\0\1"})
    code, said = check(capsys)
    assert code == 6
    assert f"inventories/prod/{file}" in said
    assert "this file is encrypted by git-crypt" in said


@pytest.mark.parametrize(
    ("deploy", "file"),
    [
        ("{name: x, deploy: deploys/x.py}", "deploys/x.py"),
        ("dotfiles: {user: root, sets: [a]}", "dotfiles/a/.netrc"),
    ],
)
def test_a_file_that_a_deploy_takes_and_whose_content_is_kept_elsewhere_is_refused(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], deploy: str, file: str
) -> None:
    repo.commit("Encrypted", {SITE: f"- hosts: all\n  deploys:\n    - {deploy}\n", file: "\0GITCRYPT\0\1"})
    code, said = check(capsys)
    assert code == 6
    assert f"{file} is encrypted by git-crypt" in said


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a folder that is a link"])
def test_what_lies_where_git_has_a_hosts_file_is_named(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    hosts = repo.path / "inventories/prod/hosts.yaml"
    if what == "a folder that is a link":
        hosts.parent.rename(repo.path / "elsewhere")
        hosts.parent.symlink_to("../elsewhere")
    else:
        hosts.unlink()
        os.mkfifo(hosts) if what == "a pipe" else hosts.mkdir()
    code, said = check(capsys)
    assert (code, "inventories/prod" in said) == (6, True)

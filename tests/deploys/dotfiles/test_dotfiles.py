"""dotfiles through the real engine: what is written into a home is written as its user, and never outside of it.

The engine looks users up in the host's accounts, and a test may make none; so a deploy file hands the home of an
account that every host has, put below the temporary folder, to the same function that the built-in calls.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.deploys import tree
from agent.deploys.as_user import LocalUser, UserWorker, as_user
from agent.deploys.dotfiles.spec import DotfilesSpec
from agent.deploys.items import items_from_json
from agent.deploys.place import SYSTEM, Base, OpenPlace, Place, Work, Works
from agent.domain.desired import DesiredDeploy
from agent.domain.outcome import Status
from agent.errors import DeployError
from tests.deploys.commit import Commit, snapshot
from tests.deploys.engine import apply, plan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

UID = 65534
"""nobody's"""

DEPLOY = """
from pathlib import Path

from pyinfra import host

from agent.deploys.as_user import LocalUser
from agent.deploys import tree
from agent.deploys.correct import correct
from agent.deploys.items import items_from_json
from agent.deploys.place import Base

user = LocalUser("nobody", host.data.uid, host.data.uid, host.data.home)
root, repositories = Path(host.data.root), Path(host.data.repositories)
corrections = tree.item_corrections(items_from_json(host.data.tree), root, repositories, lambda _: Base(user))
correct(lambda: corrections, name="dotfiles", _continue_on_error=True)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    os.chown(home, UID, UID)
    return home


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    files: Mapping[str, str | tuple[str, str]] = {
        "dotfiles/common/.bashrc": "common\n",
        "dotfiles/common/.config/app/conf.j2": "name = {{ owner }}\n",
        "dotfiles/common/.ssh/config": "Host *\n",
        "dotfiles/common/.vimrc": ("link", ".config/vimrc"),
        "deploys/home.py": DEPLOY,
    }
    return Commit(tmp_path / "commit", files, owner="Ann")


def deploy(commit: Commit, home: Path, uid: int = UID, **written: Any) -> DesiredDeploy:
    spec = DotfilesSpec.model_validate({"user": "nobody", "sets": ["common"]} | written)
    concrete = spec.concrete(commit)
    data = {
        "uid": uid,
        "home": f"{home}",
        "tree": concrete.arguments["items"],
        "root": f"{commit.root}",
        "repositories": f"{commit.root.parent}/repositories",
    }
    return DesiredDeploy("home", "deploy", {}, "", concrete.resources, source="deploys/home.py", data=data)


def test_a_set_is_written_as_the_user_and_stays(tmp_path: Path, home: Path, commit: Commit) -> None:
    (home / ".bashrc").write_text("mine\n")  # root's, as a careless sudo leaves it
    wanted = deploy(commit, home, backup=True)

    run = apply(wanted, commit.root, tmp_path / "work")

    assert run.outcome.status is Status.DONE, run.results
    assert run.operations["file:~nobody/.bashrc"].startswith("write content, set owner nobody:")
    assert snapshot(home) == {
        ".bashrc": ("file", 0o644, b"common\n"),
        ".bashrc.before-hostwright": ("file", 0o644, b"mine\n"),
        ".config": ("directory", 0o755, None),
        ".config/app": ("directory", 0o755, None),
        ".config/app/conf": ("file", 0o644, b"name = Ann\n"),
        ".ssh": ("directory", 0o700, None),
        ".ssh/config": ("file", 0o600, b"Host *\n"),
        ".vimrc": ("link", 0, ".config/vimrc"),
    }
    owners = {path.lstat().st_uid for path in home.rglob("*") if not path.name.endswith(".before-hostwright")}
    assert owners == {UID}
    assert plan(wanted, commit.root, tmp_path / "work").changes == ()


def test_a_link_out_of_the_home_is_not_followed_and_the_rest_is_done(
    tmp_path: Path, home: Path, commit: Commit
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    (home / ".config").symlink_to(outside)
    os.lchown(home / ".config", UID, UID)

    run = apply(deploy(commit, home), commit.root, tmp_path / "work")

    assert run.outcome.status is Status.FAILED
    assert snapshot(outside) == {}
    assert (home / ".ssh/config").exists()
    assert run.operations["file:~nobody/.config/app/conf"] == (
        ".config on the way to .config/app is a link, and is not followed (name the real folder)"
    )


def test_links_and_their_copies_are_the_users(tmp_path: Path, home: Path, commit: Commit) -> None:
    wanted = deploy(commit, home, mode="link")
    assert apply(wanted, commit.root, tmp_path / "work").outcome.status is Status.DONE
    assert {path.lstat().st_uid for path in home.rglob("*")} == {UID}
    assert (home / ".bashrc").readlink() == Path(".local/share/hostwright/dotfiles/common/.bashrc")
    assert plan(wanted, commit.root, tmp_path / "work").changes == ()
    (home / ".bashrc").write_text("edited through the link\n")
    run = apply(wanted, commit.root, tmp_path / "work")
    key = "file:~nobody/.local/share/hostwright/dotfiles/common/.bashrc"
    assert run.operations == {key: "write content"}
    assert (home / ".bashrc").read_text() == "common\n"


def test_a_folder_in_the_home_that_is_not_the_users_is_named_with_its_owner(
    tmp_path: Path, home: Path, commit: Commit
) -> None:
    (home / ".config").mkdir(mode=0o755)  # root's, as a careless sudo leaves it
    run = apply(deploy(commit, home), commit.root, tmp_path / "work")
    assert run.outcome.status is Status.FAILED
    (failed,) = {result.error for result in run.results if result.resource == "directory:~nobody/.config/app"}
    assert failed.startswith(".config/app: Permission denied (as nobody) (.config belongs to root:root: give it to")
    assert (home / ".ssh/config").exists()


def test_a_home_that_is_somebodys_link_is_refused(tmp_path: Path, home: Path, commit: Commit) -> None:
    link = tmp_path / "link"
    link.symlink_to(home)
    os.lchown(link, UID, UID)
    prepared = plan(deploy(commit, link), commit.root, tmp_path / "work")
    assert prepared.error is not None
    assert "is a link, and is not followed" in prepared.error
    assert snapshot(home) == {}


def test_a_home_of_somebody_else_is_refused(tmp_path: Path, home: Path, commit: Commit) -> None:
    prepared = plan(deploy(commit, home, uid=12345), commit.root, tmp_path / "work")
    assert prepared.error is not None
    assert "belongs to uid 65534" in prepared.error


def test_a_home_that_is_not_there_cannot_be_planned(tmp_path: Path, commit: Commit) -> None:
    prepared = plan(deploy(commit, tmp_path / "nowhere"), commit.root, tmp_path / "work")
    assert prepared.error is not None
    assert "cannot be opened: No such file or directory" in prepared.error


def test_an_account_that_is_not_there_cannot_be_planned(tmp_path: Path, commit: Commit) -> None:
    concrete = DotfilesSpec.model_validate({"user": "no-such-user", "sets": ["common"]}).concrete(commit)
    wanted = DesiredDeploy("dotfiles", "dotfiles", concrete.arguments, "", concrete.resources)
    prepared = plan(wanted, commit.root, tmp_path / "work")
    assert prepared.error is not None
    assert "user no-such-user does not exist" in prepared.error


# Working as another user

NOBODY = LocalUser("nobody", UID, UID, "/nonexistent")


def test_work_is_done_with_the_rights_of_the_user_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    folder = os.open(tmp_path, os.O_PATH)

    def work() -> None:
        descriptor = os.open("who", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
        os.write(descriptor, f"{os.getresuid()} {os.getresgid()} {os.getgroups()}".encode())

    as_user(NOBODY, work)
    os.close(folder)
    groups = os.getgrouplist("nobody", UID)
    assert (tmp_path / "who").read_text() == f"{(UID,) * 3} {(UID,) * 3} {groups}"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o777


def test_what_the_user_may_not_do_is_said_with_the_users_name() -> None:
    with pytest.raises(DeployError, match=r"as nobody: PermissionError"):
        as_user(NOBODY, lambda: os.setuid(0))


def test_work_that_does_not_end_is_killed() -> None:
    begun = time.monotonic()
    with pytest.raises(DeployError, match=r"took longer than 0.2 s"):
        as_user(NOBODY, lambda: time.sleep(60), timeout_s=0.2)
    assert time.monotonic() - begun < 30


def test_work_that_is_killed_is_a_failure() -> None:
    with pytest.raises(DeployError, match="was killed"):
        as_user(NOBODY, lambda: os.kill(os.getpid(), 9))


def test_work_that_its_user_stops_is_killed_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(DeployError, match="was stopped"):
        as_user(NOBODY, lambda: os.kill(os.getpid(), signal.SIGSTOP), timeout_s=60)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_home_whose_child_does_not_answer_is_given_up(home: Path, number: int) -> None:
    children = os.memfd_create("children")

    def act(_: OpenPlace) -> None:
        os.write(children, b"one ")
        os.kill(os.getpid(), number)

    base = Base(LocalUser("nobody", UID, UID, f"{home}"))
    other = Work(Place(SYSTEM, f"{home}/x"), lambda at: at.path)
    with Works([*(Work(Place(base, f"{each}"), act) for each in range(5)), other], lambda _: True) as works:
        for each in range(5):
            with pytest.raises(DeployError, match="as nobody was"):
                works.do(each)
        assert works.do(5) == f"{home}/x"
    assert os.pread(children, 100, 0) == b"one "
    os.close(children)


def test_works_of_one_user_share_a_child_and_one_that_fails_keeps_no_other(tmp_path: Path) -> None:
    works = [lambda: f"{os.getpid()}", lambda: os.setuid(0)]

    def done(number: int) -> object:
        try:
            return works[number]()
        except OSError as error:
            return error

    worker = UserWorker(NOBODY, lambda numbers: [done(number) for number in numbers])
    (first,) = worker.do([0])
    failed, again = worker.do([1, 0])
    assert ("PermissionError" in f"{failed}", again == first, first == f"{os.getpid()}") == (True, True, False)
    worker.end()
    assert not Path(f"/proc/{first}").exists()


def test_a_home_is_written_by_one_child_of_its_user(
    commit: Commit, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forks, fork = [], os.fork

    def counted() -> int:
        child = fork()
        forks.append(child)
        return child

    monkeypatch.setattr(os, "fork", counted)
    spec = DotfilesSpec.model_validate({"user": "nobody", "sets": ["common"]}).concrete(commit)
    base = Base(LocalUser("nobody", UID, UID, f"{home}"))
    found = tree.item_corrections(items_from_json(spec.arguments["items"]), commit.root, commit.root, lambda _: base)
    for correction in found:
        correction.allowed = True
    for correction in found:
        correction.run()
    assert [correction.done for correction in found] == [True] * len(found)
    assert (len(found) > 3, len(forks), (home / ".bashrc").stat().st_uid) == (True, 1, UID)

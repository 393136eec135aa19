"""What is put right has the attributes that were asked for, and no others: ACLs, capabilities, labels."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from agent.deploys.place import SYSTEM
from agent.system.attributes import CAPABILITY, packed_capabilities
from tests.deploys.trees import absent, as_root, carry_out, converge, directory, edit_line, file, link, only, plan
from tests.system import acls

MAL = 65533
NET_BIND = packed_capabilities(["cap_net_bind_service"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose default ACL lets somebody read all that is made in it."""
    acls.give(tmp_path, MAL, 5, default=True)
    return tmp_path


def test_what_is_made_takes_nothing_from_its_folders_default_acl(folder: Path) -> None:
    items = [file(folder / "secret", mode=0o640), directory(folder / "made", 0o750), directory(folder / "parent")]
    converge(*items, file(folder / "parent/secret", mode=0o640))
    for name in ("secret", "made", "parent", "parent/secret"):
        assert acls.of(folder / name) == set()
    assert (folder / "secret").stat().st_mode & 0o777 == 0o640


def test_an_edit_that_makes_its_file_takes_nothing_from_its_folders_default_acl(folder: Path) -> None:
    converge(edit_line(folder / "made"))
    assert acls.of(folder / "made") == set()


def test_an_acl_that_nobody_asked_for_is_told_and_removed(tmp_path: Path) -> None:
    converge(file(tmp_path / "f", mode=0o640))
    acls.give(tmp_path / "f", MAL, 4)
    inode = (tmp_path / "f").stat().st_ino
    step = only(converge(file(tmp_path / "f", mode=0o640)))
    assert step.change.operation == f"remove ACL: u:{MAL}:r--"
    assert acls.of(tmp_path / "f") == set()
    assert (tmp_path / "f").stat().st_ino == inode


def test_acls_of_a_named_directory_are_told_and_removed(tmp_path: Path) -> None:
    converge(directory(tmp_path / "d", 0o750))
    acls.give(tmp_path / "d", MAL, 5)
    acls.give(tmp_path / "d", MAL, 4, default=True)
    step = only(converge(directory(tmp_path / "d", 0o750)))
    assert step.change.operation == f"remove ACL: u:{MAL}:r-x, remove default ACL: u:{MAL}:r--"
    assert acls.of(tmp_path / "d") == set()


def test_an_acl_goes_with_the_content_that_is_replaced_and_that_is_told(tmp_path: Path) -> None:
    converge(file(tmp_path / "f", mode=0o640))
    acls.give(tmp_path / "f", MAL, 4)
    step = only(converge(file(tmp_path / "f", "new\n", mode=0o640)))
    assert step.change.operation == f"write content, remove ACL: u:{MAL}:r--"
    assert acls.of(tmp_path / "f") == set()


@pytest.mark.parametrize("content", ["wanted\n", "new\n"])
def test_acls_stay_where_git_says_so(tmp_path: Path, content: str) -> None:
    kept = file(tmp_path / "f", mode=0o640, keep_acl=True)
    converge(kept)
    acls.give(tmp_path / "f", MAL, 4)
    before = os.getxattr(tmp_path / "f", acls.ACCESS)
    converge(replace(kept, text=content))
    assert os.getxattr(tmp_path / "f", acls.ACCESS) == before


def test_an_edit_keeps_the_acl(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\n")
    acls.give(tmp_path / "f", MAL, 4)
    before = os.getxattr(tmp_path / "f", acls.ACCESS)
    converge(edit_line(tmp_path / "f"))
    assert os.getxattr(tmp_path / "f", acls.ACCESS) == before


@as_root
def test_a_program_gets_the_capabilities_that_git_says_and_keeps_them(tmp_path: Path) -> None:
    program = file(tmp_path / "p", mode=0o755, capabilities=("cap_net_bind_service",))
    (step,) = converge(program)
    assert step.change.operation.endswith(", capabilities cap_net_bind_service")
    assert os.getxattr(tmp_path / "p", CAPABILITY) == NET_BIND
    converge(replace(program, text="new\n", owner="65534"))
    assert os.getxattr(tmp_path / "p", CAPABILITY) == NET_BIND
    os.removexattr(tmp_path / "p", CAPABILITY)
    step = only(converge(replace(program, text="new\n", owner="65534")))
    assert step.change.operation == "set capabilities cap_net_bind_service (had none)"


@as_root
@pytest.mark.parametrize(("content", "told"), [("wanted\n", ""), ("new\n", "write content, ")])
def test_capabilities_that_git_does_not_say_are_told_and_removed(tmp_path: Path, content: str, told: str) -> None:
    converge(file(tmp_path / "p", mode=0o755))
    os.setxattr(tmp_path / "p", CAPABILITY, NET_BIND)
    step = only(converge(file(tmp_path / "p", content, mode=0o755)))
    assert step.change.operation == f"{told}remove capabilities: cap_net_bind_service"
    assert CAPABILITY not in os.listxattr(tmp_path / "p")


@as_root
def test_an_edit_keeps_the_capabilities(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("a\n")
    os.setxattr(tmp_path / "p", CAPABILITY, NET_BIND)
    converge(edit_line(tmp_path / "p"))
    assert os.getxattr(tmp_path / "p", CAPABILITY) == NET_BIND


@as_root
def test_a_change_of_owner_keeps_the_capabilities(tmp_path: Path) -> None:
    """The kernel takes them away with the old owner."""
    program = file(tmp_path / "p", mode=0o755, capabilities=("cap_net_bind_service",))
    converge(program)
    converge(replace(program, owner="65534"))
    assert os.getxattr(tmp_path / "p", CAPABILITY) == NET_BIND


@pytest.mark.parametrize("item", [lambda path: file(path, "new\n"), edit_line])
def test_labels_of_a_file_outlive_its_content(tmp_path: Path, item: object) -> None:
    target = tmp_path / "f"
    target.write_text("a\n")
    os.setxattr(target, "user.note", b"kept")
    converge(item(target))  # type: ignore[operator]
    assert os.getxattr(target, "user.note") == b"kept"


# Names like those of what is being written


def stranger(folder: Path) -> Path:
    """What holds something, under a name that the agent might give."""
    name = folder / ".hostwright-0123456789abcdef"
    name.mkdir()
    (name / "x").touch()
    return name


@pytest.mark.parametrize("item", [file, lambda path: directory(path, 0o755), lambda path: link(path, "x"), edit_line])
def test_a_strangers_name_is_gone_round_and_the_culprit_told(tmp_path: Path, item: object) -> None:
    name = stranger(tmp_path)
    wanted = item(tmp_path / "f")  # type: ignore[operator]
    with SYSTEM.opened() as start:
        told = carry_out(SYSTEM, start, wanted, b"wanted\n")
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert told == f"called as if it were the agent's, and left alone: {name}, a directory of {me}"
    assert plan(wanted) == []
    assert (name / "x").exists()


def test_a_strangers_name_keeps_nothing_from_being_removed(tmp_path: Path) -> None:
    stranger(tmp_path)
    (tmp_path / "f").touch()
    converge(absent(tmp_path / "f"))

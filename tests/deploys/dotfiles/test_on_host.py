"""dotfiles on booted hosts, in the home of a real account."""

from __future__ import annotations

import pytest

from tests.deploys.on_host import Deploys
from tests.deploys.taking_back import Kinds

pytestmark = pytest.mark.booted

FILES = {
    "dotfiles/common/.bashrc": "alias ll='ls -l'\n",
    "dotfiles/common/.ssh/config": "Host *\n",
    "dotfiles/common/.config/app/größe.conf": "x = 1\n",
    "dotfiles/common/bin/hello": "#!/bin/sh\necho hello\n",
    "dotfiles/vim/dot-vimrc": "set nocompatible\n",
    "dotfiles/vim/dot-config/nvim/init.lua": "vim.opt.number = true\n",
    "dotfiles/zsh/private_dot_zshrc": "setopt autocd\n",
    "dotfiles/zsh/create_dot_zprofile": "path+=~/bin\n",
    "dotfiles/zsh/dot_config/zsh/empty_env": "",
}

COPIES = {"sets": ["common"]}
LINKS = {"sets": ["common"], "mode": "link"}
STABLE = ".local/share/hostwright/dotfiles/common"


@pytest.fixture(scope="module")
def kinds(deploys: Deploys) -> Kinds:
    return Kinds(deploys.host)


def account(deploys: Deploys, name: str) -> None:
    deploys.host.run(["useradd", "--create-home", "--shell=/bin/bash", name])
    deploys.host.run(f"rm -f /home/{name}/.??*")


def converge(deploys: Deploys, user: str, **ways: object) -> tuple[str, ...]:
    """Applies, expects all of it to end well and nothing to be left to do, and returns the changes."""
    told = deploys.apply("dotfiles", {"user": user, **ways}, files=FILES)
    assert (told.status, told.error, told.failed) == ("done", "", {})
    assert told.left == (), "the second run wants something"
    return tuple(change.replace(f"~{user}", "~") for change in told.changes)


def listed(deploys: Deploys, user: str) -> list[str]:
    """All that is in a home, with type, mode and owner."""
    command = f"cd /home/{user} && find . -mindepth 1 -printf '%P %y %m %U:%G %l\\n' | LC_ALL=C sort"
    ids = deploys.host.run(f"echo $(id -u {user}):$(id -g {user})").output.strip()
    lines = deploys.host.run(command).output.replace(ids, "own").splitlines()
    return [line.rstrip() for line in lines]


def test_a_set_is_copied_into_a_home_and_stays_so(deploys: Deploys) -> None:
    account(deploys, "ann")
    assert len(converge(deploys, "ann", **COPIES)) == 8
    assert listed(deploys, "ann") == [
        ".bashrc f 644 own",
        ".config d 755 own",
        ".config/app d 755 own",
        ".config/app/größe.conf f 644 own",
        ".ssh d 700 own",
        ".ssh/config f 600 own",
        "bin d 755 own",
        "bin/hello f 755 own",
    ]
    assert deploys.host.run(["su", "-", "ann", "-c", "bin/hello"]).output == "hello\n"
    assert converge(deploys, "ann", **COPIES) == ()


COPY_DRIFTS = (
    ("echo mine >> .bashrc", "file:~/.bashrc | write content"),
    ("rm .bashrc", "file:~/.bashrc | create file"),
    ("chmod 600 .bashrc", "file:~/.bashrc | set mode 0644"),
    ("chown root .bashrc", "file:~/.bashrc | set owner"),
    ("ln -sf /etc/passwd .bashrc", "file:~/.bashrc | put a file in place of a link"),
    ("rm .bashrc; mkdir .bashrc", "file:~/.bashrc | put a file in place of an empty directory"),
    ("chmod 755 .ssh", "directory:~/.ssh | set mode 0700"),
    ("chmod 644 .ssh/config", "file:~/.ssh/config | set mode 0600"),
    ("chmod -x bin/hello", "file:~/bin/hello | set mode 0755"),
    ("rm -r .config/app", "directory:~/.config/app | create directory"),
)

LINK_DRIFTS = (
    ("echo mine >> .bashrc", f"file:~/{STABLE}/.bashrc | write content"),
    ("rm .bashrc", "link:~/.bashrc | create link"),
    ("ln -sf /etc/passwd .bashrc", "link:~/.bashrc | point the link to"),
    ("cp --remove-destination /etc/passwd .bashrc", "link:~/.bashrc | put a link"),
    (f"rm -r {STABLE}", f"directory:~/{STABLE} | create directory"),
    (f"chmod 644 {STABLE}/.ssh/config", f"file:~/{STABLE}/.ssh/config | set mode 0600"),
)


@pytest.mark.parametrize(("user", "ways", "drifts"), [("dora", COPIES, COPY_DRIFTS), ("lena", LINKS, LINK_DRIFTS)])
def test_every_drift_is_found_and_repaired(
    deploys: Deploys, user: str, ways: dict[str, object], drifts: tuple[tuple[str, str], ...]
) -> None:
    account(deploys, user)
    converge(deploys, user, **ways)
    before = listed(deploys, user)
    for by_hand, repair in drifts:
        deploys.host.run(f"cd /home/{user} && {by_hand}")
        assert converge(deploys, user, **ways)[0].startswith(repair), by_hand
        assert listed(deploys, user) == before, by_hand


def test_layouts_are_laid_over_each_other_as_links(deploys: Deploys) -> None:
    account(deploys, "mia")
    converge(deploys, "mia", sets=["vim"], layout="stow", dot_prefix=True, mode="link")
    converge(deploys, "mia", sets=["zsh"], layout="chezmoi")
    assert [line for line in listed(deploys, "mia") if ".local" not in line.split()[0]] == [
        ".config d 755 own",
        ".config/nvim d 755 own",
        ".config/nvim/init.lua l 777 own ../../.local/share/hostwright/dotfiles/vim/dot-config/nvim/init.lua",
        ".config/zsh d 755 own",
        ".config/zsh/env f 644 own",
        ".vimrc l 777 own .local/share/hostwright/dotfiles/vim/dot-vimrc",
        ".zprofile f 644 own",
        ".zshrc f 600 own",
    ]
    deploys.host.run("echo mine >> /home/mia/.zprofile")
    assert converge(deploys, "mia", sets=["zsh"], layout="chezmoi") == ()


def test_a_full_disk_leaves_what_was_there(deploys: Deploys) -> None:
    deploys.host.run("mkdir /home/full && mount -t tmpfs -o size=64k,mode=755 tmpfs /home/full")
    deploys.host.run("useradd --no-create-home full && chown full: /home/full && echo old > /home/full/.bashrc")
    deploys.host.run("chown full: /home/full/.bashrc && (head -c 1M /dev/zero > /home/full/ballast || true)")
    told = deploys.apply("dotfiles", {"user": "full", **COPIES}, files=FILES | {"dotfiles/common/.bashrc": "x" * 9000})
    assert told.status == "failed"
    assert told.failed["file:~full/.bashrc"].startswith(".bashrc: No space left on device (as full)")
    assert deploys.host.read("/home/full/.bashrc") == "old\n"
    assert deploys.host.run("ls -A /home/full | grep hostwright- | wc -l").output == "0\n"


def test_a_file_system_that_is_read_only_is_named(deploys: Deploys) -> None:
    account(deploys, "rosa")
    deploys.host.run("mount --bind /home/rosa /home/rosa && mount -o remount,bind,ro /home/rosa")
    told = deploys.apply("dotfiles", {"user": "rosa", **COPIES}, files=FILES)
    assert told.failed["file:~rosa/.bashrc"].startswith(".bashrc: Read-only file system")


def test_where_a_link_took_the_place_of_a_file_a_file_stays_when_it_is_released(deploys: Deploys, kinds: Kinds) -> None:
    account(deploys, "ole")
    deploys.host.run("echo hers > /home/ole/.bashrc; chown ole: /home/ole/.bashrc")
    kinds.remember("link:~ole/.bashrc")
    converge(deploys, "ole", **LINKS)
    kinds.settle("link:~ole/.bashrc", f"file:~ole/{STABLE}/.bashrc")
    kinds.release("link:~ole/.bashrc")
    assert kinds.remove(f"file:~ole/{STABLE}/.bashrc") == {}
    assert ".bashrc f 644 own" in listed(deploys, "ole")
    assert deploys.host.read("/home/ole/.bashrc") == FILES["dotfiles/common/.bashrc"]
    assert kinds.restore("link:~ole/.bashrc") == ""
    assert deploys.host.read("/home/ole/.bashrc") == "hers\n"

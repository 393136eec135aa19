"""An administrator at a desk and a host that she reaches over SSH: all of it real, on one booted host."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import run
from agent.errors import SourceError
from agent.system.ssh_host import Login, logged_in
from tests.gitserver import author
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import following, wake
from tests.stories.world import World

RELAY = """
import socket, sys, threading
s = socket.create_connection(("127.0.0.1", 22))
def out():
    while d := s.recv(65536):
        sys.stdout.buffer.write(d); sys.stdout.buffer.flush()
threading.Thread(target=out, daemon=True).start()
while d := sys.stdin.buffer.read1(65536):
    s.sendall(d)
"""
"""From this machine into the network of a booted host, which nobody else reaches."""


@pytest.fixture(scope="module")
def reached(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Path]]:
    """A host with the agent and sshd, and the folder of a person who may log in as root and as ann: .ssh/config."""
    home = tmp_path_factory.mktemp("desk")
    key = author(home, "key").key
    (home / "relay.py").write_text(RELAY)
    with wake(lab, following(lab, "bookworm")) as host:
        host.run("useradd --create-home --groups sudo --shell /bin/bash ann; echo ann:secret | chpasswd")
        host.run("ssh-keygen -A; systemctl start ssh")
        for user in ("root", "ann"):
            folder = "/root/.ssh" if user == "root" else "/home/ann/.ssh"
            host.run(f"mkdir -p -m 700 {folder}")
            host.write(f"{folder}/authorized_keys", key.with_suffix(".pub").read_text(), mode=0o600)
            host.run(f"chown -R {user}: {folder}")
        (home / ".ssh").mkdir()
        (home / ".ssh/known_hosts").write_text(f"web1 {host.read('/etc/ssh/ssh_host_ed25519_key.pub')}")
        relay = f"nsenter -t {host.pid} --net {sys.executable} {home}/relay.py"
        (home / ".ssh/config").write_text(f"Host web1\n  ProxyCommand {relay}\n  IdentityFile {key}\n  User root\n")
        yield host, home


@pytest.fixture
def host(reached: tuple[Host, Path], monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("HOME", f"{reached[1]}")
    return reached[0]


@pytest.fixture
def desk(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A clone of the config repo, which this person stands in."""
    world = following(lab, "bookworm").world.copy(tmp_path / "world")
    monkeypatch.chdir(world.config.path)
    return world


def hosts_plan(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = run(["--json", "plan", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_what_lies_on_a_desk_is_planned_on_the_host_and_nothing_changes(
    host: Host, desk: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hosts_plan(capsys, "web1")[0] == 0
    before = host.run("cd /var/lib/hostwright && find . -type f ! -name '*.json' | sort | xargs sha256sum").output
    site = "- hosts: all\n  deploys:\n    - files: {/etc/motd: {content: new}, /etc/issue: {source: issue}}\n"
    (desk.config.path / "inventories/lab/site.yaml").write_text(site)
    (desk.config.path / "issue").write_text("not committed\n")
    desk.config.git("add", "issue")
    code, found = hosts_plan(capsys, "web1")
    assert code == 10
    changes = [change for deploy in found["data"]["web1"]["deploys"] for change in deploy["changes"]]
    assert [change["wanted"]["resource"] for change in changes] == ["file:/etc/issue", "file:/etc/motd"]
    assert "+not committed" in changes[0]["wanted"]["diff"]
    after = host.run("cd /var/lib/hostwright && find . -type f ! -name '*.json' | sort | xargs sha256sum").output
    assert (after, host.read("/etc/motd")) == (before, "hello from web1\n")
    assert desk.config.git("status", "--short") == "M  inventories/lab/site.yaml\nA  issue".replace("M ", " M")


def test_a_host_that_cannot_be_reached_is_told_beside_one_that_can(
    host: Host, desk: World, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    code = run(["plan", "web1:web2"])
    told = capsys.readouterr()
    assert code == 4
    assert "web1  in sync with tree" in told.out
    assert "web2  not known: web2: " in told.out


def test_a_mistake_is_told_before_any_host_is_asked(
    host: Host, desk: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (desk.config.path / "inventories/lab/site.yaml").write_text("- hosts: all\n  deploys:\n    - filez: {}\n")
    code, found = hosts_plan(capsys, "web1")
    assert (code, found["error"]["exit"]) == (6, 6)
    assert "there is no deploy" in found["error"]["message"]


def test_what_is_no_pack_is_refused_on_the_host(host: Host, desk: World) -> None:
    with logged_in(Login.parse("web1")) as there:
        for sent in (b"", b"x\n", b'{"format": 1, "tree": "%s"}\nnothing' % (b"0" * 40)):
            done = there.run(["/usr/local/bin/hostwright", "internal", "preview"], input=sent)
            assert (done.code, "cannot be used" in done.error) == (4, True), done.error


def test_sudo_with_its_password_and_without_is_the_way_to_root(host: Host) -> None:
    with logged_in(Login.parse("ann@web1"), lambda _: "secret") as there:
        assert there.run(["id", "-u"], input=b"not read").output == b"0\n"
        assert there.run(["cat"], input=b"whole").output == b"whole"
    with logged_in(Login.parse("ann@web1"), lambda _: "wrong") as there, pytest.raises(SourceError, match="password"):
        there.run(["id"])
    with logged_in(Login.parse("ann@web1")) as there, pytest.raises(SourceError, match="cannot become root"):
        there.run(["id"])
    host.write("/etc/sudoers.d/ann", "ann ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    with logged_in(Login.parse("ann@web1")) as there:
        assert there.run(["cat"], input=b"whole").output == b"whole"
    host.run("rm /etc/sudoers.d/ann")

"""An administrator at a desk and a host that she reaches over SSH: all of it real, on one booted host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import run
from agent.errors import SourceError
from agent.system.ssh_host import Login, logged_in
from tests.gitserver import author, ssh_server
from tests.lab.host import Host
from tests.lab.installed import agent
from tests.lab.lab import Lab
from tests.stories.desk import let_in
from tests.stories.following import following, wake
from tests.stories.world import HOSTS, World


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a person with a key, whose ssh_config names no host yet."""
    home = tmp_path_factory.mktemp("desk")
    author(home, "key")
    return home


@pytest.fixture(scope="module")
def reached(lab: Lab, home: Path) -> Iterator[Host]:
    """A host with the agent and sshd, which lets root and ann in."""
    with wake(lab, following(lab, "bookworm")) as host:
        host.run("useradd --create-home --groups sudo --shell /bin/bash ann; echo ann:secret | chpasswd")
        let_in(host, home, home / "key", "root", "ann")
        yield host


@pytest.fixture
def host(reached: Host, home: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("HOME", f"{home}")
    return reached


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
    assert "web2  not known: " in told.out


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


def test_a_machine_becomes_an_admitted_host_by_one_command_and_is_given_back_by_another(
    lab: Lab, desk: World, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", f"{home}")
    with ssh_server(tmp_path / "sshd") as server, lab.boot("bookworm", image=agent("bookworm"), name="db1") as machine:
        let_in(machine, home, home / "key", "root")
        machine.reach(server.port)
        with (home / ".ssh/known_hosts").open("a") as known:
            known.write(server.known_as(server.host_key))
        register = tmp_path / "register"
        register.write_text(f'#!/bin/sh\n[ "$1 $2" = "db1 write" ] && cat >> {server.authorized_keys}\n')
        register.chmod(0o755)
        options = ("--group", "all", "--commit", "--trust", "unsigned", "--remote", server.url(desk.bare))
        assert run(["enroll", "db1", "--as", "db1", *options, "--deploy-key-command", f"{register}"]) == 0
        assert machine.read("/etc/motd") == "hello from db1\n"
        assert machine.run("ls /root | grep -c enroll", check=False).output == "0\n"
        assert desk.config.git("log", "--format=%s", "-2") == "Admit db1\nAdd db1 to all"
        assert desk.config.git("show", "HEAD:inventories/lab/hosts.yaml") == HOSTS.replace(
            "    web2: {}\n", "    web2: {}\n    db1:\n"
        ).rstrip("\n")
        assert desk.config.git("status", "--short") == ""
        (told,) = (each for each in desk.status() if each["host"] == "db1")
        assert (told["verdict"], told["report"]["phase"]) == ("verified", "converged")
        assert run(["retire", "db1", "--yes", "--commit"]) == 0
        assert machine.run("test -e /var/lib/hostwright", check=False).code == 1
        assert desk.config.git("show", "HEAD:inventories/lab/hosts.yaml") == HOSTS.rstrip("\n")
        assert desk.config.git("ls-files", "inventories/lab/identities") == ""
        assert not desk.has_report("db1")


def test_a_machine_that_is_not_in_the_inventory_yet_is_not_touched(
    desk: World, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", f"{home}")
    assert run(["enroll", "nowhere", "--as", "db1", "--trust", "unsigned"]) == 2
    assert "db1 is not in inventories/lab/hosts.yaml" in capsys.readouterr().err

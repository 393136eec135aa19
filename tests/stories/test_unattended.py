"""Machines that nobody logs in to: what `enroll --user-data` prints is all that they get."""

from __future__ import annotations

import io
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from agent.cli.agent_files import write_bundle
from agent.cli.main import run
from tests.gitserver import HttpServer, author, http_server, ssh_server
from tests.lab.host import Host
from tests.lab.installed import agent, provisioned
from tests.lab.lab import Lab
from tests.stories.world import World

SEED = "/var/lib/cloud/seed/nocloud"

INSTALLER = """
mkdir /target && mount --bind / /target && mount -t proc proc /target/proc
printf '#!/bin/sh\\nexec chroot /target "$@"\\n' > /usr/local/bin/in-target
chmod 755 /usr/local/bin/in-target
"""
"""A new Debian at /target as the installer has it: no service of it runs there."""

LEFT = "ls -d /var/lib/hostwright-first-boot /etc/systemd/system/*first-boot* /.hostwright* 2>/dev/null || true"

Print = Callable[..., Path]


@pytest.fixture(scope="module", params=["bookworm", pytest.param("trixie", marks=pytest.mark.long)])
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fleet(suite: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world for machines of one suite. Its config repo holds the agent, too."""
    world = World(tmp_path_factory.mktemp(f"unattended-{suite}") / "world")
    bundle = io.BytesIO()
    write_bundle(bundle, {}, None)
    subprocess.run(["tar", "-xz", "-C", world.config.path], input=bundle.getvalue(), check=True, timeout=60)
    world.commit("Add the agent", {})
    return world


@pytest.fixture(scope="module")
def server(fleet: World) -> Iterator[HttpServer]:
    with http_server(fleet.served) as server:
        yield server


@pytest.fixture
def user_data(fleet: World, server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Print:
    """What a person in the clone prints for a machine."""
    monkeypatch.chdir(fleet.config.path)
    monkeypatch.setenv("HOME", f"{tmp_path}")

    def printed(form: str, *options: str, name: str = "web1") -> Path:
        written = tmp_path / f"{name}.{form}"
        options = options or ("--remote", server.url("config.git"))
        options += ("--trust", "unsigned", "--output", f"{written}")
        assert run(["enroll", "--user-data", form, "--as", name, *options]) == 0
        assert written.stat().st_mode & 0o777 == 0o600
        return written

    return printed


@pytest.fixture(scope="module")
def machine(lab: Lab, suite: str, server: HttpServer) -> Iterator[Host]:
    """A machine with cloud-init and no seed for it, and with checkers of formats."""
    with lab.boot(suite, image=provisioned(suite), name="machine") as machine:
        machine.reach(server.port)
        yield machine


CHECKERS = {
    "cloud-init": ("cloud-init schema --config-file", ("permissions:", "permission:")),
    "autoinstall": ("cloud-init schema --config-file", ("permissions:", "permission:")),
    "ignition": ("ignition-validate", ('"mode"', '"modes": 1, "mode": 1, "mode"')),
    "preseed": ("debconf-set-selections --checkonly", (" string ", " ")),
}


@pytest.mark.parametrize("form", CHECKERS)
def test_the_formats_own_checker_finds_nothing_wrong(machine: Host, user_data: Print, form: str) -> None:
    checker, mistake = CHECKERS[form]
    document = user_data(form).read_text()
    if form == "autoinstall":  # of it only what goes to cloud-init has a checker there
        document = f"#cloud-config\n{yaml.safe_dump(yaml.safe_load(document)['autoinstall']['user-data'])}"
    for text, fine in ((document, True), (document.replace(*mistake), False)):
        machine.write("/root/document", text, mode=0o600)
        checked = machine.run(f"{checker} /root/document", check=False)
        assert (checked.code == 0 and "warning" not in f"{checked.output}{checked.error}") == fine, checked


def is_host(machine: Host, fleet: World, name: str, document: Path) -> None:
    """The machine has become a host by itself, and nothing but the agent is left of the way there. It asks to be
    admitted, and is by the code in the ``document`` that it booted with."""
    said = machine.run("journalctl --no-pager --unit hostwright-first-boot").output
    assert machine.read("/etc/motd") == f"hello from {name}\n", said
    assert fleet.report(name)["phase"] == "converged"
    assert machine.run("systemctl is-active hostwright").output == "active\n"
    assert machine.run(LEFT).output == ""
    assert f"{name} waits to be admitted to its fleet: SHA256:" in said
    assert run(["admit", name, "--code-file", f"{document}", "--commit", "--remote", f"{fleet.bare}"]) == 0
    machine.run(["hostwright", "trigger", "--wait"])
    assert {each["host"]: each["verdict"] for each in fleet.status()}[name] == "verified"


def test_a_machine_with_cloud_init_becomes_a_host_though_nobody_logs_in(
    machine: Host, fleet: World, user_data: Print
) -> None:
    document = user_data("cloud-init")
    machine.write(f"{SEED}/user-data", document.read_text(), mode=0o600)
    machine.write(f"{SEED}/meta-data", "instance-id: one\n")
    machine.boot_again()
    is_host(machine, fleet, "web1", document)


def test_a_machine_becomes_a_host_by_the_command_that_the_debian_installer_runs_last(
    lab: Lab, suite: str, fleet: World, user_data: Print, tmp_path: Path
) -> None:
    key = author(tmp_path, "web2").key
    with ssh_server(tmp_path / "sshd") as server, lab.boot(suite, image=agent(suite), name="pc") as machine:
        server.authorized_keys.write_text(key.with_suffix(".pub").read_text())
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh/known_hosts").write_text(server.known_as(server.host_key))
        options = ("--remote", server.url(fleet.bare), "--deploy-key", f"{key}")
        document = user_data("preseed", *options, name="web2")
        machine.write("/root/preseed", document.read_text(), mode=0o600)
        machine.run("debconf-set-selections /root/preseed")
        told = machine.run("echo GET preseed/late_command | debconf-communicate d-i").output
        assert told.startswith("0 ")
        machine.run(f"{INSTALLER}sh -c {shlex.quote(told.removeprefix('0 '))}")
        machine.reach(server.port)
        machine.boot_again()
        is_host(machine, fleet, "web2", document)

from __future__ import annotations

from typing import Any

import pytest

from agent.deploys.ssh.reading import DROP_IN, FOLDER
from agent.deploys.ssh.spec import KNOWN_HOSTS
from tests.deploys.on_host import Deploys

pytestmark = pytest.mark.booted

MAIN = "/etc/ssh/sshd_config"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILxJcQw5PeuLwEp5M4ChpAh34t4Ndc2IhypPrfCR85Fh"
ADDRESS = "127.0.0.1"
SETTINGS = {"PasswordAuthentication": False, "MaxAuthTries": 3, "ListenAddress": [ADDRESS]}
WRITE, RELOAD = f"file:{DROP_IN} | write content", "reload ssh.service"


def wanted(**more: Any) -> dict[str, Any]:
    return {"settings": {**SETTINGS, **more}}


def effective(deploys: Deploys, keyword: str) -> str:
    lines = deploys.host.run("mkdir -p /run/sshd; ssh-keygen -A >/dev/null; sshd -T").output.splitlines()
    return " ".join(line.partition(" ")[2] for line in lines if line.startswith(f"{keyword} "))


@pytest.fixture(autouse=True)
def running(deploys: Deploys) -> None:
    deploys.apply("ssh", wanted())
    deploys.host.run(["systemctl", "start", "ssh"])


def test_settings_come_into_force_before_sshd_ever_ran(deploys: Deploys) -> None:
    deploys.host.run(f"systemctl stop ssh; rm -f {DROP_IN} /etc/ssh/ssh_host_*")
    assert deploys.converge("ssh", wanted()) == (f"file:{DROP_IN} | create file, mode 0644, owner root:root",)
    assert effective(deploys, "passwordauthentication") == "no"


DRIFTS = (
    (f"echo 'MaxAuthTries 9' > {DROP_IN}", f"{WRITE}, {RELOAD}"),
    (f"rm {DROP_IN}", f"file:{DROP_IN} | create file, mode 0644, owner root:root, {RELOAD}"),
    (f"chmod 666 {DROP_IN}", f"file:{DROP_IN} | set mode 0644 (was 0666), {RELOAD}"),
    (f"sleep 0.02; touch {DROP_IN}", f"file:{DROP_IN} | {RELOAD}"),
)


def test_every_drift_is_found_and_repaired(deploys: Deploys) -> None:
    deploys.converge("ssh", wanted())
    for by_hand, repair in DRIFTS:
        deploys.host.run(by_hand)
        assert deploys.converge("ssh", wanted()) == (repair,), by_hand
        assert effective(deploys, "maxauthtries") == "3", by_hand


def test_a_running_sshd_is_reloaded_once_and_not_restarted(deploys: Deploys) -> None:
    ask = ["systemctl", "show", "--value", "--property=MainPID", "ssh"]
    before = deploys.host.run(ask).output
    assert deploys.converge("ssh", wanted(MaxAuthTries=5)) == (f"{WRITE}, {RELOAD}",)
    deploys.host.run("systemctl daemon-reload")
    assert deploys.plan("ssh", wanted(MaxAuthTries=5)).changes == ()
    assert deploys.host.run(ask).output == before


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"NoSuchKeyword": True}, "Bad configuration option: NoSuchKeyword"),
        ({"PermitRootLogin": "perhaps"}, "unsupported option"),
        ({"AllowGroups": ["nobody-has-this"]}, "no such groups"),
        ({"PubkeyAuthentication": False, "KbdInteractiveAuthentication": False}, "switched off"),
    ],
)
def test_settings_that_would_lock_people_out_never_land(deploys: Deploys, settings: Any, complaint: str) -> None:
    before = deploys.host.read(DROP_IN)
    told = deploys.apply("ssh", wanted(**settings))
    assert complaint in told.failed[f"file:{DROP_IN}"]
    assert deploys.host.read(DROP_IN) == before


NOWHERE = {"ListenAddress": ["192.0.2.1"]}
"""An address of nobody's (RFC 5737): sshd -T finds no fault with it, and sshd ends."""


def state(deploys: Deploys) -> str:
    return deploys.host.run(["systemctl", "is-active", "ssh"], check=False).output.strip()


def test_settings_with_which_sshd_ends_are_taken_back_and_sshd_runs_again(deploys: Deploys) -> None:
    before = deploys.host.read(DROP_IN)
    told = deploys.apply("ssh", wanted(**NOWHERE))
    assert "192.0.2.1" in told.failed[f"file:{DROP_IN}"]
    assert "Cannot bind any address" in told.failed[f"file:{DROP_IN}"]
    assert "\n" not in told.failed[f"file:{DROP_IN}"]
    assert (deploys.host.read(DROP_IN), state(deploys)) == (before, "active")
    assert deploys.plan("ssh", wanted()).changes == ()


def test_first_settings_with_which_sshd_ends_leave_no_file(deploys: Deploys) -> None:
    others = f"{FOLDER}/50-others.conf"
    deploys.host.run(f"rm {DROP_IN}; echo 'ListenAddress {ADDRESS}' > {others}; systemctl reload ssh")
    deploys.host.run(f"systemd-run --unit=taken --socket-property=ListenStream={ADDRESS}:2277 true")
    try:
        told = deploys.apply("ssh", {"settings": {"Port": 2277}})
        assert "Address already in use" in told.failed[f"file:{DROP_IN}"]
        assert deploys.host.run(f"test -e {DROP_IN}", check=False).code != 0
        assert state(deploys) == "active"
    finally:
        deploys.host.run(f"systemctl stop taken.socket; rm {others}")


def broken(deploys: Deploys) -> None:
    """sshd failed, by settings that somebody else put in force."""
    deploys.host.run(f"sed -i 's/^ListenAddress .*/ListenAddress 192.0.2.1/' {DROP_IN}; systemctl reload ssh || true")
    deploys.host.run("for i in $(seq 600); do systemctl is-failed -q ssh && exit; sleep 0.1; done; exit 1")


def test_a_corrected_setting_starts_an_sshd_that_failed(deploys: Deploys) -> None:
    broken(deploys)
    assert deploys.converge("ssh", wanted()) == (f"{WRITE}, start ssh.service",)
    assert state(deploys) == "active"


def test_a_failed_sshd_is_started_once_its_settings_were_corrected_by_hand(deploys: Deploys) -> None:
    kept = deploys.host.read(DROP_IN)
    broken(deploys)
    deploys.host.write(DROP_IN, kept)
    assert deploys.converge("ssh", wanted()) == (f"file:{DROP_IN} | start ssh.service",)
    assert state(deploys) == "active"


def test_an_sshd_that_does_not_start_leaves_the_settings_as_they_were(deploys: Deploys) -> None:
    broken(deploys)
    before = deploys.host.read(DROP_IN)
    told = deploys.apply("ssh", wanted(**NOWHERE, MaxAuthTries=4))
    assert "Cannot bind any address" in told.failed[f"file:{DROP_IN}"]
    assert deploys.host.read(DROP_IN) == before


def test_a_fault_in_a_condition_is_found_although_it_matches_nobody_now(deploys: Deploys) -> None:
    told = deploys.apply("ssh", {**wanted(), "match": {"Usr deploy": {"MaxSessions": 1}}})
    assert f"{DROP_IN} line 6" in told.failed[f"file:{DROP_IN}"]


def test_conditions_hold_for_whom_they_name(deploys: Deploys) -> None:
    deploys.converge("ssh", {**wanted(), "match": {"User deploy": {"MaxSessions": 1}}})
    ask = "sshd -T -C user={},host=h,addr=1.2.3.4 | grep maxsessions"
    assert deploys.host.run(ask.format("deploy")).output == "maxsessions 1\n"
    assert deploys.host.run(ask.format("root")).output == "maxsessions 10\n"


@pytest.mark.parametrize("first", ["MaxAuthTries 9", "MaxAuthTries=9"])
def test_a_main_file_that_says_otherwise_first_is_named(deploys: Deploys, first: str) -> None:
    deploys.converge("ssh", wanted())
    deploys.host.run(f"cp {MAIN} /root/main; (echo '{first}'; cat /root/main) > {MAIN}")
    told = deploys.apply("ssh", wanted())
    assert f"is not in force: {MAIN}, line 1, sets maxauthtries as" in told.changes[0]
    assert f"{MAIN}, line 1" in told.failed[f"file:{DROP_IN}"]
    deploys.host.run(f"cp /root/main {MAIN}")
    assert deploys.plan("ssh", wanted()).changes == ()


def test_a_main_file_that_includes_nothing_keeps_the_file_away(deploys: Deploys) -> None:
    deploys.host.run(f"rm {DROP_IN}; sed -i.kept '/^Include/d' {MAIN}")
    assert "does not include it" in deploys.apply("ssh", wanted()).failed[f"file:{DROP_IN}"]
    assert deploys.host.run(f"test -e {DROP_IN}", check=False).code != 0
    deploys.host.run(f"mv {MAIN}.kept {MAIN}")


def test_known_hosts_are_there_for_everybody_beside_those_of_others(deploys: Deploys) -> None:
    deploys.host.write(KNOWN_HOSTS, "other.example.org ssh-rsa AAAA\n")
    hosts = {"known_hosts": {"git.example.org": [KEY]}}
    block = f"block:{KNOWN_HOSTS}#ssh | edit ssh"
    assert deploys.converge("ssh", hosts) == (block,)
    assert deploys.host.run(["ssh-keygen", "-F", "git.example.org", "-f", KNOWN_HOSTS]).output.endswith(f"{KEY}\n")
    deploys.host.run(f"sed -i '/git.example.org/d' {KNOWN_HOSTS}")
    assert deploys.converge("ssh", hosts) == (block,)
    assert deploys.host.read(KNOWN_HOSTS).startswith("other.example.org ssh-rsa AAAA\n")


def test_known_hosts_need_no_sshd_and_settings_do(deploys: Deploys) -> None:
    deploys.host.run("mv /usr/sbin/sshd /usr/sbin/sshd.away")
    try:
        deploys.converge("ssh", {"known_hosts": {"a.example.org": [KEY]}})
        (change,) = deploys.plan("ssh", wanted()).changes
        assert "there is no sshd on this host" in change
    finally:
        deploys.host.run("mv /usr/sbin/sshd.away /usr/sbin/sshd")

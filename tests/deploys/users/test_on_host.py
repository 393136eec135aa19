from __future__ import annotations

import pytest

from tests.deploys.on_host import Deploys
from tests.deploys.users.test_keys import ANN, DESK

pytestmark = pytest.mark.booted

HASH = "$6$salt$" + "x" * 86


def line(deploys: Deploys, name: str) -> list[str]:
    return deploys.host.run(["getent", "passwd", name]).output.strip().split(":")


def groups(deploys: Deploys, name: str) -> set[str]:
    return set(deploys.host.run(["id", "--groups", "--name", name]).output.split())


def modes(deploys: Deploys, *paths: str) -> list[str]:
    return deploys.host.run(["stat", "--format=%U:%G %a", *paths]).output.splitlines()


def test_a_group_and_an_account_in_it_are_made_and_stay_so(deploys: Deploys) -> None:
    wanted = {
        "ann": {"uid": 1201, "groups": ["dev"], "shell": "/bin/bash", "comment": "Ann", "keys": [ANN, DESK]},
        "groups": {"dev": {"gid": 1200}},
    }
    assert deploys.converge("users", wanted) == (
        "group:dev | create",
        "user:ann | create, authorized keys: add 2",
    )
    assert line(deploys, "ann") == ["ann", "x", "1201", "1201", "Ann", "/home/ann", "/bin/bash"]
    assert groups(deploys, "ann") == {"ann", "dev"}
    assert deploys.host.read("/home/ann/.ssh/authorized_keys") == f"{ANN}\n{DESK}\n"
    assert modes(deploys, "/home/ann/.ssh", "/home/ann/.ssh/authorized_keys") == ["ann:ann 700", "ann:ann 600"]
    assert deploys.host.run("getent shadow ann").output.split(":")[1] == "!", "nobody logs in with a password"


DRIFTS = (
    ("usermod --shell /bin/sh dora", "set shell /bin/bash"),
    ("gpasswd -d dora audio", "add to audio"),
    ("> /home/dora/.ssh/authorized_keys", "authorized keys: add 1"),
    ("rm -r /home/dora/.ssh", "authorized keys: add 1"),
    ("chmod 755 /home/dora/.ssh", "set owner and mode of authorized keys"),
    ("echo 'dora ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/hostwright-dora", "allow sudo ALL=(ALL:ALL) ALL"),
    ("chmod 644 /etc/sudoers.d/hostwright-dora", "allow sudo ALL=(ALL:ALL) ALL"),
    ("passwd -l dora", "unlock"),
    (f"echo 'dora:{HASH}y' | chpasswd -e", "set password"),
    ("userdel dora", "create, set password"),
)


def test_every_drift_is_found_and_repaired(deploys: Deploys) -> None:
    wanted = {"uid": 1301, "shell": "/bin/bash", "groups": ["audio"], "keys": [ANN], "sudo": True, "locked": False}
    spec = {"dora": {**wanted, "password_hash": HASH}}
    deploys.converge("users", spec)
    for by_hand, repair in DRIFTS:
        deploys.host.run(by_hand)
        (change,) = deploys.converge("users", spec)
        assert change.removeprefix("user:dora | ").startswith(repair), by_hand


def test_keys_and_groups_of_others_stay_unless_told_otherwise(deploys: Deploys) -> None:
    deploys.converge("users", {"eve": {"keys": [ANN], "groups": ["audio"]}})
    deploys.host.run(f"echo '{DESK}' >> /home/eve/.ssh/authorized_keys; usermod -aG video eve")
    assert deploys.plan("users", {"eve": {"keys": [ANN], "groups": ["audio"]}}).changes == ()
    alone = {"keys": [ANN], "exclusive_keys": True, "groups": ["audio"], "exclusive_groups": True}
    assert deploys.converge("users", {"eve": alone}) == ("user:eve | remove from video, authorized keys: remove 1",)


def test_an_account_moves_with_its_home_and_numbers(deploys: Deploys) -> None:
    deploys.converge("users", {"fay": {"uid": 1401, "keys": [ANN]}})
    deploys.converge("users", {"fay": {"uid": 1402, "home": "/home/faye", "keys": [ANN]}})
    assert modes(deploys, "/home/faye/.ssh/authorized_keys") == ["fay:fay 600"]


def test_a_lock_keeps_keys_out_and_is_lifted(deploys: Deploys) -> None:
    deploys.converge("users", {"gus": {"password_hash": HASH}})
    assert deploys.converge("users", {"gus": {"locked": True}}) == ("user:gus | lock",)
    assert deploys.host.run("getent shadow gus").output.split(":")[7] == "1"
    assert deploys.converge("users", {"gus": {"locked": False, "password_hash": HASH}}) == ("user:gus | unlock",)


def test_a_password_is_not_in_the_plan(deploys: Deploys) -> None:
    told = deploys.plan("users", {"hal": {"password_hash": HASH}})
    assert HASH not in f"{told}"


def test_an_account_leaves_with_its_rights_and_without_its_home(deploys: Deploys) -> None:
    deploys.converge("users", {"ida": {"sudo": True, "keys": [ANN]}, "groups": {"ida": {"gid": 1501}}})
    gone = {"ida": {"absent": True}, "groups": {"ida": {"absent": True}}}
    assert [change.split(" | ")[0] for change in deploys.converge("users", gone)] == ["user:ida", "group:ida"]
    assert deploys.host.run("getent passwd ida", check=False).code != 0
    assert deploys.host.run("test -e /etc/sudoers.d/hostwright-ida", check=False).code != 0
    assert deploys.host.read("/home/ida/.ssh/authorized_keys") == f"{ANN}\n"


def test_the_home_of_a_system_account_keeps_its_owner(deploys: Deploys) -> None:
    before = modes(deploys, "/usr/sbin")
    assert deploys.converge("users", {"daemon": {"groups": ["audio"], "shell": "/usr/sbin/nologin"}}) == (
        "user:daemon | add to audio",
    )
    assert modes(deploys, "/usr/sbin") == before == ["root:root 755"]


def test_what_must_not_be_done_is_said_while_planning(deploys: Deploys) -> None:
    assert "system account" in deploys.plan("users", {"daemon": {"absent": True}}).error


def test_a_rule_that_sudo_does_not_understand_never_lands(deploys: Deploys) -> None:
    told = deploys.apply("users", {"kim": {"sudo": "ALL=(ALL NOPASSWD ALL"}})
    assert "sudo does not understand its rule" in told.failed["user:kim"]
    assert deploys.host.run("test -e /etc/sudoers.d/hostwright-kim", check=False).code != 0


@pytest.mark.parametrize("trap", ["ln -s /root/trap .ssh", "mkdir .ssh; mkfifo .ssh/authorized_keys"])
def test_keys_follow_no_link_out_of_a_home_and_wait_for_no_fifo(deploys: Deploys, trap: str) -> None:
    deploys.converge("users", ["lee"])
    deploys.host.run(f"mkdir -p /root/trap; cd /home/lee; rm -rf .ssh; su lee -c '{trap}'")
    told = deploys.apply("users", {"lee": {"keys": [ANN]}, "mia": {}})
    assert "is left alone" in told.failed["user:lee"]
    assert told.succeeded in (("user:mia",), ()), "others are not kept waiting"
    assert deploys.host.run("ls -A /root/trap").output == ""

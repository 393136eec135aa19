from __future__ import annotations

import pytest

from tests.deploys.on_host import Deploys
from tests.deploys.users.test_keys import ANN, DESK, RESTRICTED, block

pytestmark = pytest.mark.booted

HASH = "$6$salt$" + "x" * 86


def line(deploys: Deploys, name: str) -> list[str]:
    return deploys.host.run(["getent", "passwd", name]).output.strip().split(":")


def groups(deploys: Deploys, name: str) -> set[str]:
    return set(deploys.host.run(["id", "--groups", "--name", name]).output.split())


def keys(deploys: Deploys, name: str) -> str:
    return deploys.host.read(f"/home/{name}/.ssh/authorized_keys")


def record(deploys: Deploys, name: str) -> list[str]:
    """The groups that the agent remembers to have added it to."""
    return deploys.host.run(f"cat /var/lib/hostwright/memberships/{name}", check=False).output.split()


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
    assert keys(deploys, "ann") == block(ANN, DESK)
    assert modes(deploys, "/home/ann/.ssh", "/home/ann/.ssh/authorized_keys") == ["ann:ann 700", "ann:ann 600"]
    assert deploys.host.run("getent shadow ann").output.split(":")[1] == "!", "nobody logs in with a password"


DRIFTS = (
    ("usermod --shell /bin/sh dora", "set shell /bin/bash"),
    ("gpasswd -d dora audio", "add to audio"),
    ("> /home/dora/.ssh/authorized_keys", "authorized keys: add 1"),
    ("sed -i 's/^ssh-ed25519/#&/' /home/dora/.ssh/authorized_keys", "authorized keys: add 1"),
    (f"sed -i '/BEGIN/a {DESK}' /home/dora/.ssh/authorized_keys", "authorized keys: remove 1"),
    ("sed -i /END/d /home/dora/.ssh/authorized_keys", "authorized keys: put in order"),
    ("rm -r /home/dora/.ssh", "authorized keys: add 1"),
    ("chmod 755 /home/dora/.ssh", "set owner and mode of authorized keys"),
    ("echo 'dora ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/hostwright-dora", "allow sudo ALL=(ALL:ALL) ALL"),
    ("chmod 644 /etc/sudoers.d/hostwright-dora", "allow sudo ALL=(ALL:ALL) ALL"),
    ("passwd -l dora", "unlock"),
    ("chage --expiredate 2030-01-01 dora", "set expiry 2031-12-31"),
    (f"echo 'dora:{HASH}y' | chpasswd -e", "set password"),
    ("userdel dora", "create, set password"),
)


def test_every_drift_is_found_and_repaired(deploys: Deploys) -> None:
    wanted = {"uid": 1301, "shell": "/bin/bash", "groups": ["audio"], "keys": [ANN], "sudo": True, "locked": False}
    spec = {"dora": {**wanted, "password_hash": HASH, "expires": "2031-12-31"}}
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


def test_what_leaves_git_leaves_the_host(deploys: Deploys) -> None:
    wanted = {"keys": [ANN, DESK], "groups": ["audio", "video"], "sudo": True}
    deploys.converge("users", {"nia": wanted})
    assert deploys.converge("users", {"nia": {**wanted, "keys": [DESK], "groups": ["audio"]}}) == (
        "user:nia | remove from video, authorized keys: remove 1",
    )
    assert (keys(deploys, "nia"), groups(deploys, "nia"), record(deploys, "nia")) == (
        block(DESK),
        {"nia", "audio"},
        ["audio"],
    )
    assert deploys.converge("users", {"nia": {}}) == (
        "user:nia | remove from audio, authorized keys: remove 1, take sudo away",
    )
    assert (keys(deploys, "nia"), groups(deploys, "nia"), record(deploys, "nia")) == ("", {"nia"}, [])
    assert modes(deploys, "/home/nia/.ssh/authorized_keys") == ["nia:nia 600"]
    assert deploys.host.run("test -e /etc/sudoers.d/hostwright-nia", check=False).code != 0


def test_what_a_person_gave_stays_when_git_gave_it_too(deploys: Deploys) -> None:
    deploys.host.run("useradd -m -G audio oli && install -d -o oli -g oli -m 700 /home/oli/.ssh")
    file = "/home/oli/.ssh/authorized_keys"
    deploys.host.run(f"echo '{ANN} by hand' > {file} && chown oli: {file} && chmod 600 {file}")
    wanted = {"keys": [ANN, DESK], "groups": ["audio", "video"]}
    assert deploys.converge("users", {"oli": wanted}) == ("user:oli | add to video, authorized keys: add 1",)
    assert deploys.converge("users", {"oli": {}}) == ("user:oli | remove from video, authorized keys: remove 1",)
    assert (keys(deploys, "oli"), groups(deploys, "oli")) == (f"{ANN} by hand\n", {"oli", "audio"})


def test_a_key_that_git_restricts_is_not_left_unrestricted(deploys: Deploys) -> None:
    deploys.converge("users", {"pia": {"keys": [DESK]}})
    deploys.host.run(f"sed -i '1i {ANN}' /home/pia/.ssh/authorized_keys")
    deploys.converge("users", {"pia": {"keys": [DESK, RESTRICTED]}})
    assert keys(deploys, "pia") == block(DESK, RESTRICTED)


def test_a_plan_takes_nothing_away_and_remembers_nothing(deploys: Deploys) -> None:
    deploys.converge("users", {"quin": {"keys": [ANN], "groups": ["audio"]}})
    assert deploys.plan("users", {"quin": {"groups": ["video"]}}).changes == (
        "user:quin | add to video, remove from audio, authorized keys: remove 1",
    )
    assert (keys(deploys, "quin"), groups(deploys, "quin"), record(deploys, "quin")) == (
        block(ANN),
        {"quin", "audio"},
        ["audio"],
    )


def test_without_the_record_memberships_stay(deploys: Deploys) -> None:
    deploys.converge("users", {"rob": {"groups": ["audio"]}})
    deploys.host.run("rm /var/lib/hostwright/memberships/rob")
    assert deploys.plan("users", {"rob": {}}).changes == ()


def test_sudo_goes_also_where_keys_cannot_be_written(deploys: Deploys) -> None:
    deploys.converge("users", {"sue": {"sudo": True, "keys": [ANN]}})
    deploys.host.run("cd /home/sue; mv .ssh away; ln -s away .ssh")
    assert "is left alone" in deploys.apply("users", {"sue": {"keys": [ANN]}}).failed["user:sue"]
    assert deploys.host.run("test -e /etc/sudoers.d/hostwright-sue", check=False).code != 0
    assert deploys.plan("users", {"sue": {}}).changes == (), "without keys in Git its folder is its own business"


def test_two_accounts_with_one_home_do_not_quarrel_about_its_keys(deploys: Deploys) -> None:
    deploys.converge("users", {"tess": {"keys": [ANN]}})
    deploys.host.run("useradd -M -d /home/tess tim")
    assert deploys.plan("users", {"tess": {"keys": [ANN]}, "tim": {}}).changes == ()


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
    assert deploys.host.run("ls -A /home/ida/.ssh").output.split() == ["authorized_keys.revoked"]


def test_an_account_with_a_process_loses_its_access_at_once_and_goes_later(deploys: Deploys) -> None:
    deploys.converge("users", {"jan": {"sudo": True, "keys": [ANN], "groups": ["audio"]}})
    deploys.host.run("systemd-run --quiet --unit=busy --uid=jan sleep infinity")
    gone = {"jan": {"absent": True}, "joe": {}}
    assert deploys.converge("users", gone) == (
        "user:jan | take its access away, delete, keep its home",
        "user:joe | create",
    )
    assert (groups(deploys, "jan"), record(deploys, "jan")) == ({"jan"}, [])
    assert deploys.host.run("getent shadow jan | cut -d: -f8").output == "1\n"
    assert deploys.host.run("ls -A /home/jan/.ssh; ls /etc/sudoers.d | grep jan", check=False).output.split() == [
        "authorized_keys.revoked"
    ]
    assert deploys.plan("users", gone).changes == (), "what waits for a process is no difference"
    deploys.host.run("systemctl stop busy")
    assert deploys.converge("users", gone) == ("user:jan | delete, keep its home",)


def test_who_comes_back_before_the_account_has_gone_is_let_in_again(deploys: Deploys) -> None:
    deploys.converge("users", {"kai": {"keys": [ANN], "password_hash": HASH, "expires": "2031-12-31"}})
    deploys.host.run("systemd-run --quiet --unit=busy --uid=kai sleep infinity")
    deploys.converge("users", {"kai": {"absent": True}})
    assert deploys.converge("users", {"kai": {"keys": [ANN]}}) == (
        "user:kai | let it in again, authorized keys: add 1",
    )
    assert deploys.host.run("getent shadow kai | cut -d: -f2,8").output == f"{HASH}:22644\n"
    deploys.host.run("systemctl stop busy")


def test_the_number_of_a_kept_home_is_given_to_nobody_else(deploys: Deploys) -> None:
    deploys.converge("users", ["lou"])
    deploys.converge("users", {"lou": {"absent": True}})
    deploys.converge("users", {"max": {}, "ned": {}, "groups": {"crew": {}}})
    assert line(deploys, "max")[2] != line(deploys, "ned")[2]
    assert deploys.host.run("find /home/lou -user max -o -user ned -o -group crew").output == ""
    deploys.converge("users", ["lou"])
    (mode,) = modes(deploys, "/home/lou")
    assert mode.startswith("lou:lou "), "who comes back has the old number"


def test_a_home_that_is_somebody_elses_is_told(deploys: Deploys) -> None:
    deploys.converge("users", {"ola": {"uid": 1601}})
    deploys.converge("users", {"ola": {"absent": True}})
    told = deploys.apply("users", {"pat": {"uid": 1601}, "ola": {"uid": 1602}})
    assert "uid 1601 owns /home/ola, which somebody left behind" in told.failed["user:pat"]
    assert "its home /home/ola belongs to uid 1601, which nobody has, and not to uid 1602" in told.failed["user:ola"]
    deploys.host.run("useradd --uid 1602 --no-create-home ola")
    assert "belongs to uid 1601" in deploys.apply("users", ["ola"]).failed["user:ola"]


def test_what_cannot_be_done_for_one_keeps_nothing_from_the_others(deploys: Deploys) -> None:
    deploys.converge("users", {"rita": {"keys": [ANN]}, "groups": {"held": {"gid": 1700}}})
    deploys.host.run("mv /etc/sudoers.d /etc/sudoers.away")
    wanted = {
        "rita": {"keys": [DESK], "shell": "/bin/none"},
        "sam": {"sudo": True, "keys": [ANN]},
        "groups": {"late": {"gid": 1700}},
    }
    told = deploys.apply("users", wanted)
    deploys.host.run("mv /etc/sudoers.away /etc/sudoers.d")
    assert (keys(deploys, "rita"), keys(deploys, "sam")) == (block(DESK), block(ANN))
    assert {key: error.partition(" (")[0] for key, error in told.failed.items()} == {
        "user:rita": "rita: there is no shell /bin/none on this host",
        "user:sam": "sam: sudo is not on this host",
        "group:late": "gid 1700, wanted for the group late, belongs to held",
    }


def test_the_home_of_a_system_account_keeps_its_owner(deploys: Deploys) -> None:
    before = modes(deploys, "/usr/sbin")
    assert deploys.converge("users", {"daemon": {"groups": ["audio"], "shell": "/usr/sbin/nologin"}}) == (
        "user:daemon | add to audio",
    )
    assert modes(deploys, "/usr/sbin") == before == ["root:root 755"]


def test_what_must_not_be_done_is_said_while_planning(deploys: Deploys) -> None:
    (change,) = deploys.plan("users", {"daemon": {"absent": True}}).changes
    assert "system account" in change


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


def test_an_immutable_file_is_named_with_the_way_out(deploys: Deploys) -> None:
    deploys.converge("users", {"ida": {"sudo": True}})
    changes = {
        "/etc/passwd": ({"sudo": True, "comment": "Ida"}, "usermod: cannot open /etc/passwd: "),
        "/etc/sudoers.d/hostwright-ida": ({}, ""),
    }
    for path, (wanted, program) in changes.items():
        deploys.host.run(["chattr", "+i", path])
        told = deploys.apply("users", {"ida": wanted})
        deploys.host.run(["chattr", "-i", path])
        assert told.failed == {"user:ida": f"{program}{path} is immutable; `chattr -i {path}`"}


@pytest.mark.parametrize("closed", ["0100 .ssh", "0000 .ssh", "0500 .ssh", "0000 .ssh/authorized_keys"])
def test_a_key_that_left_git_goes_also_where_its_owner_closed_the_folder(deploys: Deploys, closed: str) -> None:
    deploys.apply("users", {"gil": {"keys": [ANN]}})
    deploys.host.run(f"cd /home/gil && chmod {closed}")
    deploys.converge("users", {"gil": {"keys": [DESK]}})
    assert keys(deploys, "gil") == block(DESK)
    assert modes(deploys, "/home/gil/.ssh", "/home/gil/.ssh/authorized_keys") == ["gil:gil 700", "gil:gil 600"]

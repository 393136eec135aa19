from __future__ import annotations

import re

import pytest

from tests.deploys.on_host import Deploys
from tests.deploys.taking_back import Kinds

pytestmark = pytest.mark.booted

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJQ5wwxnBMTjOoL6HH2zFbGzbiE1Ekz3Tn5BAGmIVWtq ann@lab"


@pytest.fixture(scope="module")
def kinds(deploys: Deploys) -> Kinds:
    return Kinds(deploys.host)


def rights(deploys: Deploys, name: str) -> list[str]:
    """Its groups, and its keys; the name of its drop-in, where it may use sudo."""
    script = f"id -nG {name}; cat /home/{name}/.ssh/authorized_keys; echo; ls /etc/sudoers.d | grep hostwright-{name}"
    groups, *rest = deploys.host.run(script, check=False).output.splitlines()
    return [groups, *[line for line in rest if line], *[""] * (not any(rest))]


def account(deploys: Deploys, name: str) -> str:
    """All that passwd, shadow and group say of it."""
    script = f"getent passwd {name}; getent shadow {name} | cut -d: -f1,2,8; id -nG {name}"
    return deploys.host.run(script, check=False).output


def test_an_account_goes_with_its_keys_and_its_home_stays(deploys: Deploys, kinds: Kinds) -> None:
    deploys.converge("users", {"ann": {"keys": [KEY], "sudo": True, "groups": ["crew"]}, "groups": {"crew": {}}})
    kinds.settle("user:ann", "group:crew")
    assert kinds.changed("user:ann") == ""
    assert kinds.remove("user:ann") == {}
    assert kinds.remove("group:crew") == {}
    assert (kinds.look("user:ann"), kinds.look("group:crew")) == (None, None)
    assert deploys.host.run("ls /etc/sudoers.d; grep -c ann /etc/subuid", check=False).output.split() == ["README", "0"]
    assert deploys.host.run("ls -A /home/ann/.ssh").output == "authorized_keys.revoked\n"


def test_whoever_leaves_keeps_no_key_by_what_lies_in_their_home(deploys: Deploys, kinds: Kinds) -> None:
    deploys.converge("users", {"ada": {"keys": [KEY]}})
    kinds.settle("user:ada")
    spoilt = "cd /home/ada/.ssh && mkdir -p authorized_keys.revoked/mine && cp authorized_keys authorized_keys2"
    deploys.host.run(["su", "ada", "-c", f"{spoilt} && chmod 500 ."])
    assert kinds.remove("user:ada") == {}
    left = deploys.host.run("ls -A /home/ada/.ssh").output.split()
    assert [name.partition("-")[0] for name in left] == ["authorized_keys.revoked"] * 2 + ["authorized_keys2.revoked"]


def test_the_number_of_an_account_without_a_home_is_given_to_nobody_else(deploys: Deploys, kinds: Kinds) -> None:
    deploys.converge("users", {"feed": {"system": True}})
    deploys.host.run("install -o feed -d /var/lib/feed")
    kinds.settle("user:feed")
    assert kinds.remove("user:feed") == {}
    deploys.converge("users", {"mail2": {"system": True}, "web2": {"system": True}})
    owner = "find /var/lib/feed -maxdepth 0 -printf '%u'"
    assert deploys.host.run(owner).output.isdecimal()
    deploys.converge("users", {"feed": {"system": True}})
    assert deploys.host.run(owner).output == "feed", "who comes back has the old number"


def test_what_is_gone_already_is_no_reason_to_complain(kinds: Kinds) -> None:
    assert kinds.remove("user:nobody-ever", "user:nobody-else") == {}
    assert kinds.remove("group:nobody-ever") == {}


def test_an_account_with_another_uid_is_somebody_elses_now(deploys: Deploys, kinds: Kinds) -> None:
    deploys.converge("users", ["bea"])
    kinds.settle("user:bea")
    deploys.host.run("usermod --shell /bin/sh --groups games bea")
    assert kinds.changed("user:bea") == ""
    deploys.host.run("usermod --uid 4242 bea")
    assert "its uid is 4242" in kinds.changed("user:bea")


def test_an_account_that_runs_something_loses_all_rights_at_once_and_goes_later(deploys: Deploys, kinds: Kinds) -> None:
    deploys.converge("users", {"cleo": {"keys": [KEY], "sudo": True, "groups": ["audio"]}})
    deploys.host.run("systemd-run --quiet --unit=busy --uid=cleo sleep infinity")
    reasons = kinds.remove("user:cleo")
    assert re.fullmatch(r"it is locked, and waits for its process \d+ \(sleep\)", reasons["user:cleo"])
    assert rights(deploys, "cleo") == ["cleo", ""]
    assert deploys.host.run("getent shadow cleo | cut -d: -f8").output == "1\n"
    deploys.host.run("systemctl stop busy")
    assert kinds.remove("user:cleo") == {}


def test_the_superuser_stays(kinds: Kinds) -> None:
    assert kinds.remove("user:root") == {"user:root": "it is the superuser's"}
    assert "primary group of root" in kinds.remove("group:root")["group:root"]


def test_a_group_that_is_somebodys_primary_one_stays(deploys: Deploys, kinds: Kinds) -> None:
    deploys.converge("users", {"dora": {"group": "staff2"}, "groups": {"staff2": {}}})
    assert kinds.remove("group:staff2") == {"group:staff2": "it is the primary group of dora"}


def test_an_account_is_given_back_as_it_was(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.run("useradd -m -s /bin/sh -c Before -G games emil && echo 'emil:old' | chpasswd")
    before = account(deploys, "emil")
    kinds.remember("user:emil")
    wanted = {"shell": "/bin/bash", "comment": "After", "groups": ["audio"], "keys": [KEY], "sudo": True}
    hashed = deploys.host.run("openssl passwd -6 new").output.strip()
    deploys.converge("users", {"emil": {**wanted, "password_hash": hashed, "exclusive_groups": True}})
    kinds.settle("user:emil")
    assert account(deploys, "emil") != before
    assert kinds.restore("user:emil") == ""
    assert account(deploys, "emil") == before
    assert deploys.host.run("ls -A /home/emil | grep ssh; ls /etc/sudoers.d", check=False).output == "README\n"


def test_what_somebody_gave_an_account_meanwhile_stays(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.run("useradd -m -s /bin/sh fay")
    kinds.remember("user:fay")
    deploys.converge("users", {"fay": {"groups": ["audio"], "shell": "/bin/bash"}})
    kinds.settle("user:fay")
    deploys.host.run("gpasswd -a fay games && echo fay:mine | chpasswd")
    password = deploys.host.run("getent shadow fay").output
    assert kinds.restore("user:fay") == ""
    assert deploys.host.run("id -nG fay").output.split() == ["fay", "games"]
    assert deploys.host.run("getent shadow fay").output == password


def test_an_account_that_is_released_loses_what_the_agent_gave_it_and_nothing_else(
    deploys: Deploys, kinds: Kinds
) -> None:
    deploys.host.run("useradd -m -s /bin/sh -G games lea; install -d -o lea -g lea -m 700 /home/lea/.ssh")
    deploys.host.run("cd /home/lea/.ssh; echo '# mine' > authorized_keys; chown lea: authorized_keys")
    kinds.remember("user:lea")
    deploys.converge("users", {"lea": {"keys": [KEY], "sudo": True, "groups": ["audio"], "shell": "/bin/bash"}})
    kinds.settle("user:lea")
    kinds.release("user:lea")
    assert rights(deploys, "lea") == ["lea games", "# mine"]
    assert "/bin/bash\n" in account(deploys, "lea"), "it stays as it is"
    kinds.release("user:lea")
    assert kinds.restore("user:lea") == ""
    assert "/bin/sh\n" in account(deploys, "lea")


def take_the_place_of_keys(deploys: Deploys, kinds: Kinds, name: str) -> None:
    """Make an account with a key of its own, of which Git then wants another one alone."""
    ssh = f"/home/{name}/.ssh"
    deploys.host.run(f"useradd -m {name}; install -d -o {name} -g {name} -m 700 {ssh}")
    deploys.host.run(f"cd {ssh}; echo 'restrict {KEY}' > authorized_keys; chown {name}: authorized_keys")
    kinds.remember(f"user:{name}")
    deploys.converge("users", {name: {"keys": [KEY], "exclusive_keys": True}})
    kinds.settle(f"user:{name}")


def test_keys_that_exclusive_keys_took_the_place_of_are_given_back_after_a_release(
    deploys: Deploys, kinds: Kinds
) -> None:
    take_the_place_of_keys(deploys, kinds, "eli")
    kinds.release("user:eli")
    assert deploys.host.read("/home/eli/.ssh/authorized_keys") == "", "nobody comes in by what Git wanted"
    assert kinds.restore("user:eli") == ""
    assert deploys.host.read("/home/eli/.ssh/authorized_keys") == f"restrict {KEY}\n"


def test_keys_are_given_back_where_an_earlier_version_noted_all_lines_that_it_left(
    deploys: Deploys, kinds: Kinds
) -> None:
    take_the_place_of_keys(deploys, kinds, "ivo")
    whole = deploys.host.run("sha256sum < /home/ivo/.ssh/authorized_keys").output.split()[0]
    kinds._left["user:ivo"]["state"]["keys"] = whole
    assert kinds.restore("user:ivo") == ""
    assert deploys.host.read("/home/ivo/.ssh/authorized_keys") == f"restrict {KEY}\n"


def test_where_the_agent_made_the_file_of_keys_it_goes_also_after_a_release(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.run("useradd -m max")
    kinds.remember("user:max")
    deploys.converge("users", {"max": {"keys": [KEY]}})
    kinds.settle("user:max")
    kinds.release("user:max")
    assert kinds.restore("user:max") == ""
    assert deploys.host.run("ls -A /home/max | grep ssh", check=False).output == ""


def test_keys_are_given_back_word_for_word(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.run("useradd -m gus && install -d -o gus -g gus -m 0750 /home/gus/.ssh")
    deploys.host.run("echo '# mine' > /home/gus/.ssh/authorized_keys; chown gus: /home/gus/.ssh/authorized_keys")
    states = "stat -c '%a %U %n' /home/gus/.ssh /home/gus/.ssh/*; cat /home/gus/.ssh/authorized_keys"
    before = deploys.host.run(states).output
    kinds.remember("user:gus")
    deploys.converge("users", {"gus": {"keys": [KEY], "exclusive_keys": True}})
    kinds.settle("user:gus")
    assert kinds.restore("user:gus") == ""
    assert deploys.host.run(states).output == before


def test_keys_beside_the_block_are_given_back_with_what_git_took_the_place_of(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.run("useradd -m jon && install -d -o jon -g jon -m 700 /home/jon/.ssh")
    file = "/home/jon/.ssh/authorized_keys"
    deploys.host.run(f"echo '# mine\n{KEY}' > {file}; chown jon: {file}; chmod 600 {file}")
    kinds.remember("user:jon")
    deploys.converge("users", {"jon": {"keys": [f"restrict {KEY}"], "groups": ["audio"]}})
    kinds.settle("user:jon")
    assert kinds.restore("user:jon") == ""
    assert deploys.host.read(file) == f"# mine\n{KEY}\n"
    assert deploys.host.run("id -nG jon; ls /var/lib/hostwright/memberships/jon", check=False).output == "jon\n"


def test_an_account_that_goes_leaves_no_memory_of_its_groups(deploys: Deploys, kinds: Kinds) -> None:
    deploys.converge("users", {"kay": {"groups": ["audio"]}})
    kinds.settle("user:kay")
    assert kinds.remove("user:kay") == {}
    assert deploys.host.run("test -e /var/lib/hostwright/memberships/kay", check=False).code != 0


def test_of_keys_that_somebody_changed_since_only_the_agents_go_and_that_is_said(
    deploys: Deploys, kinds: Kinds
) -> None:
    deploys.host.run("useradd -m -s /bin/sh hal")
    kinds.remember("user:hal")
    deploys.converge("users", {"hal": {"keys": [KEY], "shell": "/bin/bash"}})
    kinds.settle("user:hal")
    deploys.host.run("echo '# mine' >> /home/hal/.ssh/authorized_keys")
    assert "changed since" in kinds.restore("user:hal")
    assert deploys.host.read("/home/hal/.ssh/authorized_keys") == "# mine\n"
    assert "/bin/sh\n" in account(deploys, "hal"), "the rest is given back"


def test_an_account_that_was_deleted_comes_back_with_its_numbers(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.run("useradd -m -u 3003 -s /bin/sh -G games ida && echo 'ida:old' | chpasswd")
    before = account(deploys, "ida")
    kinds.remember("user:ida")
    deploys.converge("users", {"ida": {"absent": True}})
    kinds.settle("user:ida")
    assert kinds.restore("user:ida") == ""
    assert account(deploys, "ida") == before


def test_a_group_comes_back_with_its_number_and_members(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.run("groupadd -g 3100 old && gpasswd -a games old")
    kinds.remember("group:old")
    deploys.converge("users", {"groups": {"old": {"absent": True}}})
    kinds.settle("group:old")
    assert kinds.restore("group:old") == ""
    assert deploys.host.run("getent group old").output == "old:x:3100:games\n"

"""Secrets on one booted host: it asks to be admitted, is admitted, has a secret by every way there is, and changes its
keys. The canary is looked for in every place where it could have been left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agent.cli.main import run
from agent.domain.one_time_code import OneTimeCode
from agent.system import age, process
from tests.gitserver import Author, author, http_server
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.secrets.answering import answering
from tests.stories.canary import CANARY, CODE, CODED, CRASH, IN_CLEAR, LAB, PATTERN, SECOND, SITE, files, hashed, others
from tests.stories.following import Followed, at_rest, following
from tests.stories.world import World, apply

TOKEN_FILE = "/etc/hostwright/credentials/vault-token"
LEDGER = "/var/lib/hostwright/ledger/entries.sqlite"
ACCOUNTS = {"/etc/shadow", "/etc/shadow-", LEDGER}
"""Of a password hash."""
KEPT = """
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1])
for key, content in ledger.execute("select * from entry union all select * from image"):
    if sys.argv[2].encode() in content:
        print(key.decode())
"""
"""Prints what of the ledger holds a pattern."""

MEANT = {f"/srv/{name}" for name in ("site", "template", "line", "block", "code", "sops", "vault")}
MEANT |= {"/root/.canary", TOKEN_FILE, *ACCOUNTS}
"""Where the secrets are to be."""

ASKED = (
    "plan --json",
    "plan -v --diff",
    "drift --json",
    "events -n 50 --json",
    "events -n 50",
    "status --json --all",
    "status",
    "ledger --json",
    "trust --json",
    "doctor --json",
    "check --json",
    "check --sarif",
    "identity --json",
)
"""Commands on the host, whose output is looked at."""

OBJECTS = "git -C {} cat-file --batch-all-objects --batch --buffer"
"""Git keeps its objects compressed: ``grep`` finds nothing in them."""


@pytest.fixture(scope="module")
def begun(lab: Lab) -> Followed:
    return following(lab, "bookworm")


@pytest.fixture(scope="module")
def ann(tmp_path_factory: pytest.TempPathFactory) -> Author:
    return author(tmp_path_factory.mktemp("ann"), "ann")


@pytest.fixture(scope="module")
def world(begun: Followed, ann: Author, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = begun.world.copy(tmp_path_factory.mktemp("world") / "world")
    world.commit("Name Ann", {f"{LAB}/admins": f"{ann.public} ann\n"})
    return world


@pytest.fixture(scope="module")
def host(lab: Lab, begun: Followed, world: World) -> Iterator[Host]:
    with http_server(world.served) as server, at_rest(lab, begun, server) as host:
        yield host


@pytest.fixture(autouse=True)
def desk(world: World, ann: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann stands in the clone."""
    monkeypatch.chdir(world.config.path)
    monkeypatch.setenv("HOME", f"{ann.key.parent}")


def identity(host: Host) -> tuple[str, str]:
    """The two lines of the host's identity, and its recipient."""
    lines = host.run(["hostwright", "identity"]).output.splitlines()[:2]
    return "\n".join(lines), lines[1]


def private_keys(host: Host) -> tuple[str, str]:
    """A line of each of the host's private keys."""
    signs = host.read("/var/lib/hostwright/identity/ssh_ed25519").splitlines()[2]
    return signs, host.read("/var/lib/hostwright/identity/age_x25519").strip()


KEYS = {"/var/lib/hostwright/identity/ssh_ed25519", "/var/lib/hostwright/identity/age_x25519"}


def holding(host: Host, *patterns: str) -> set[str]:
    """Every file of the host that holds one of ``patterns``, /proc, /sys and /dev aside: state, events, ledger, spool,
    requests, logs, cores, and all others."""
    host.write("/root/patterns", "\n".join(patterns))
    skip = "--exclude-dir=proc --exclude-dir=sys --exclude-dir=dev"
    found = host.run(f"grep -rlaFf /root/patterns {skip} / 2>/dev/null || true").output
    return set(found.splitlines()) - {"/root/patterns"}


def said(world: World, host: Host, commands: Sequence[str] = ASKED) -> dict[str, str]:
    """What the host and its remote have to tell, by the place where a person finds it."""
    found = {f"hostwright {asked}": host.run(["hostwright", *asked.split()], check=False) for asked in commands}
    found["journalctl"] = host.run("journalctl --no-pager -a -o json")
    repositories = host.run("dirname /var/lib/hostwright/*.git/HEAD").output.split()
    found |= {f"the objects of {path}": host.run(OBJECTS.format(path)) for path in repositories}
    pushed = process.run(OBJECTS.format(world.bare).split(), timeout_s=60)
    told = {place: f"{done.output}{done.error}" for place, done in found.items()}
    told["the remote: reports, requests, signatures, page"] = pushed.output.decode(errors="replace")
    assert {place for place, words in told.items() if not words} == set()
    return told


def readings(world: World) -> list[tuple[str, str]]:
    """Kind and reason of each hold that web1 reports."""
    return sorted((hold["kind"], hold["reason"]) for hold in world.report("web1")["holds"])


def set_secret(world: World, folder: Path, value: str) -> None:
    (folder / "value").write_text(value)
    assert run(["secret", "set", "all/canary", "--file", f"{folder / 'value'}"]) == 0
    world.commit("Set a secret", {})


def admit(world: World, ann: Author, *proof: str) -> None:
    told = ("--commit", "--remote", f"{world.bare}", "--identity", f"{ann.key}")
    assert run(["admit", "web1", *proof, *told]) == 0


def test_a_host_that_is_not_admitted_applies_what_needs_no_secret_and_the_rest_once_it_is(
    world: World, host: Host, ann: Author, tmp_path: Path
) -> None:
    code = OneTimeCode.new().text
    host.write("/var/lib/hostwright/code", code, mode=0o600)
    world.config.write(files(age.recipient_of(age.generate()), CANARY))
    set_secret(world, tmp_path, CANARY)
    done = apply(host)
    assert host.read("/srv/open") == "no secret\n"
    assert host.run("ls /srv/site /srv/template /srv/code /srv/behind", check=False).output == "", done.error
    first, second, third = (reason for kind, reason in readings(world) if kind == "not-admitted")
    assert first.startswith("behind: needs closed, which waits")
    assert second.startswith("closed, dotfiles, code: this host is not admitted")
    assert third.startswith("users: user:ann: this host is not admitted")
    assert host.run("getent shadow ann | cut -d: -f2").output == "!\n"
    plan = host.run(["hostwright", "plan"], check=False).output
    assert "? closed: waits for a secret, held" in plan
    assert "held: this host is not admitted" in plan

    private = private_keys(host)
    assert holding(host, code, *private) == KEYS | {"/var/lib/hostwright/code"}
    told = said(world, host, ("identity --json", "status --json --all"))
    assert [place for place, words in told.items() if any(each in words for each in (code, *private))] == []

    admit(world, ann, "--code", code)
    apply(host)
    assert host.read("/srv/site") == f"{CANARY}\n"
    assert host.read("/srv/behind") == "behind\n"
    assert holding(host, code) == set()


def test_a_secret_is_where_it_is_meant_to_be_and_nowhere_else(world: World, host: Host, tmp_path: Path) -> None:
    """The places: ``MEANT``, every other file (``holding``), argument lists and environments while cycles run, what
    ``said`` names, the input of policies, and the core of a deploy that crashes."""
    lines, recipient = identity(host)
    watch = "while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; done 2>/dev/null | grep -aFf /root/patterns"
    host.write("/root/patterns", f"{PATTERN}\n{CODED}\n")
    host.write("/root/watch", f"{watch} > /root/seen\n")
    host.run(["systemd-run", "--quiet", "--unit=watch", "sh", "/root/watch"])
    host.write(TOKEN_FILE, f"{PATTERN}-token\n", mode=0o600)
    answers: dict[str, tuple[int, Any]] = {}
    with answering(answers, []) as address:
        host.reach(urlsplit(address).port or 0)

        def tell(value: str, word: str) -> str:
            """Commit these values and give them to the provider, too; return what the cycle says."""
            answers["/v1/kv/data/web"] = (200, {"data": {"data": {"password": f"{PATTERN}-{word}"}, "metadata": {}}})
            more = others(tmp_path, recipient, address, word)
            world.commit("A value", {f"{LAB}/identities/web1.pub": lines, **files(recipient, value), **more})
            done = apply(host)
            assert done.code in (0, 7), done.error  # 7: of the broken deploy
            return done.output + done.error

        cycles = tell(CANARY, "first") + tell(SECOND, "second")
        host.run("systemctl stop watch.service")
        assert host.read("/srv/site") == f"{SECOND}\n"
        assert host.read("/srv/template").startswith(f"a={SECOND}\n")
        assert host.read("/srv/line") == f"a={SECOND}\n"
        assert host.read("/srv/block").splitlines()[1:-1] == [f"a={SECOND}"]
        assert (host.read("/srv/code"), host.read("/root/.canary")) == (SECOND, SECOND)
        assert host.run("getent shadow ann | cut -d: -f2").output == f"{hashed(SECOND)}\n"
        assert host.run(["stat", "-c", "%U %a", LEDGER]).output == "root 600\n"
        assert host.run(["python3", "-c", KEPT, LEDGER, PATTERN]).output.split() == ["user:ann"]
        assert host.read("/srv/sops") == f"{PATTERN}-second\n{PATTERN}-second\n"
        assert host.read("/srv/vault") == f"{PATTERN}-second\n"
        assert "a rule was asked" in cycles
        assert "the canary sang" not in cycles, "the input of the policies"
        assert host.read("/root/seen") == "", "an argument list or an environment"

        told = {"apply": cycles, **said(world, host)}
        assert [place for place, words in told.items() if IN_CLEAR.search(words)] == []
        assert "[secret]" in f"{world.report('web1')}", "the error of the broken deploy is told, without the value"
        assert holding(host, PATTERN, CODED) == MEANT

        host.write("/srv/site", "by hand\n")
        answers["/v1/kv/data/web"] = (403, {"errors": [f"{PATTERN}-token may not read {PATTERN}-second"]})
        planned = host.run(["hostwright", "plan", "--diff"], check=False).output
        assert "does not allow this host to read it" in planned
        assert "by hand" not in planned
        world.commit("Crash", {"deploys/canary.py": CRASH})
        crashed = host.run("ulimit -c unlimited; hostwright apply", check=False)
        assert "the engine was killed by SIGABRT" in crashed.error
        assert host.read("/srv/site") == f"{SECOND}\n"
        worse = {"plan": planned, "apply": f"{crashed}", "report": f"{world.report('web1')}"}
        assert [place for place, words in worse.items() if IN_CLEAR.search(words)] == []
        assert holding(host, PATTERN, CODED) == MEANT, "a core"


def test_new_keys_of_a_host_count_once_they_are_admitted(world: World, host: Host, ann: Author, tmp_path: Path) -> None:
    before = identity(host)[0]
    host.run(["hostwright", "identity", "rotate"])
    assert identity(host)[0] == before
    admit(world, ann)  # no proof but the word of the admitted key
    world.site(SITE, **{"deploys/canary.py": CODE})
    set_secret(world, tmp_path, f"{CANARY}-for the new key")
    apply(host)
    assert identity(host)[0] != before
    assert f"{identity(host)[0]}\n" == (world.config.path / LAB / "identities/web1.pub").read_text()
    assert host.read("/srv/site") == f"{CANARY}-for the new key\n"
    assert {each["host"]: each["verdict"] for each in world.status()}["web1"] == "verified"
    assert host.run("ls /var/lib/hostwright/identity.next /var/lib/hostwright/request.json", check=False).output == ""

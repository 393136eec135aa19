"""The canary: a secret by every way into a host, and every place where it could have been left."""

from __future__ import annotations

import base64
import json
from typing import Any

from agent.system import age
from tests.lab.host import Host
from tests.stories.world import World, apply

CANARY = "canary-4f1d9c-'of\"web1"
SECOND = "canary-4f1d9c-second"
PATTERN = "canary-4f1d9c"

LAB = "inventories/lab"
SITE = """
- hosts: all
  deploys:
    - name: open
      deploy: files
      with: {/srv/open: {content: "no secret\\n"}}
    - name: closed
      deploy: files
      with:
        /srv/site: {content: "{{ secret('all/canary') }}\\n", mode: "0600"}
        /srv/template: {template: canary.j2, mode: "0640"}
    - name: behind
      deploy: files
      needs: [closed]
      with: {/srv/behind: {content: "behind\\n"}}
    - dotfiles: {user: root, sets: [canary]}
    - users: {ann: {password_hash: "{{ secret('all/hash') }}"}}
    - name: code
      deploy: deploys/canary.py
      with: {canary: "{{ secret('all/canary') }}"}
    - name: broken
      deploy: deploys/broken.py
      mode: observe
      with: {canary: "{{ secret('all/canary') }}"}
"""
CODE = """
from io import StringIO
from pyinfra import host
from pyinfra.operations import files, server

files.put(name="Put " + host.data.canary, src=StringIO(host.data.canary), dest="/srv/code", mode="600")
server.shell(name="Say it", commands=["cat /srv/code; cat /srv/code >&2"])
"""
BROKEN = "from pyinfra import host\nraise RuntimeError('with ' + host.data.canary)\n"

LEDGER = "/var/lib/hostwright/ledger/entries.sqlite"
MEANT = {"/srv/site", "/srv/template", "/srv/code", "/root/.canary", "/etc/shadow", "/etc/shadow-", LEDGER}
"""Where the secret is to be; of the ledger, the hash that /etc/shadow has."""

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
    "identity --json",
)
"""Commands, whose output is looked at; ``journalctl`` is another."""


def files(host: Host, recipient: str, value: str) -> dict[str, str | bytes | None]:
    return {
        f"{LAB}/site.yaml": SITE,
        f"{LAB}/secrets/all/canary.age": age.encrypt(f"{value}\n".encode(), [recipient]),
        f"{LAB}/secrets/all/hash.age": age.encrypt(hashed(value).encode(), [recipient]),
        "dotfiles/canary/.canary.age": age.encrypt(value.encode(), [recipient]),
        "canary.j2": "a={{ secret('all/canary') }}\nb={{ secret('all/canary') | b64encode }}\n",
        "deploys/canary.py": CODE,
        "deploys/broken.py": BROKEN,
    }


def hashed(value: str) -> str:
    """A password hash of each ``value`` in which the pattern is found."""
    return f"$6${PATTERN}${base64.b64encode(value.encode()).decode()}"


def identity(host: Host) -> tuple[str, str]:
    """The two lines of the host's identity, and its recipient."""
    lines = host.run(["hostwright", "identity"]).output.splitlines()[:2]
    return "\n".join(lines), lines[1]


def holding(host: Host) -> set[str]:
    """Every file of the host that holds a form of the secret, /proc, /sys and /dev aside."""
    skip = "--exclude-dir=proc --exclude-dir=sys --exclude-dir=dev"
    found = host.run(f"grep -rlaFf /root/patterns {skip} / 2>/dev/null || true").output
    return set(found.splitlines()) - {"/root/patterns"}


def test_a_secret_is_where_it_is_meant_to_be_and_nowhere_else(world: World, host: Host) -> None:
    lines, recipient = identity(host)
    coded = base64.b64encode(CANARY.encode()).decode()
    host.write("/root/patterns", f"{PATTERN}\n{coded}\n")
    watch = "while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; done 2>/dev/null | grep -aFf /root/patterns"
    host.write("/root/watch", f"{watch} > /root/seen\n")
    host.run(["systemd-run", "--quiet", "--unit=watch", "sh", "/root/watch"])
    world.commit("Secrets", {f"{LAB}/identities/web1.pub": lines, **files(host, recipient, CANARY)})
    first = apply(host)
    world.commit("Another value", files(host, recipient, SECOND))
    second = apply(host)
    host.run("systemctl stop watch.service")
    assert {first.code, second.code} <= {0, 7}, first.error  # 7: of the broken deploy
    assert host.read("/srv/site") == f"{SECOND}\n"
    assert host.read("/srv/template").startswith(f"a={SECOND}\n")
    assert (host.read("/srv/code"), host.read("/root/.canary")) == (SECOND, SECOND)
    assert host.run("getent shadow ann | cut -d: -f2").output == f"{hashed(SECOND)}\n"
    assert holding(host) == MEANT
    assert host.run(["stat", "-c", "%U %a", LEDGER]).output == "root 600\n"
    assert host.read("/root/seen") == "", "an argument list or an environment"
    said: dict[str, Any] = {"apply": (first.output, first.error, second.output, second.error)}
    said |= {asked: host.run(["hostwright", *asked.split()], check=False) for asked in ASKED}
    said["journal"] = host.run("journalctl --no-pager -a -o json").output
    said["report"] = (json.dumps(world.report("web1")), world.page())
    assert [where for where, words in said.items() if PATTERN in f"{words!r}"] == []
    assert "[secret]" in f"{said['report']}", "the error of the broken deploy is told, without the value"
    host.write("/srv/site", "by hand\n")
    assert "by hand" not in host.run(["hostwright", "plan", "--diff"], check=False).output
    apply(host)
    assert host.read("/srv/site") == f"{SECOND}\n"
    assert holding(host) == MEANT


def test_a_host_that_is_not_admitted_applies_what_needs_no_secret(world: World, host: Host) -> None:
    world.commit("Secrets", files(host, age.recipient_of(age.generate()), CANARY))
    done = apply(host)
    assert host.read("/srv/open") == "no secret\n"
    assert host.run("ls /srv/site /srv/template /srv/code /srv/behind", check=False).output == "", done.error
    report = world.report("web1")
    first, second = sorted(hold["reason"] for hold in report["holds"] if hold["kind"] == "not-admitted")
    assert first.startswith("behind: needs closed, which waits")
    assert second.startswith("closed, dotfiles, users, code: this host is not admitted")
    plan = host.run(["hostwright", "plan"], check=False).output
    assert "? closed: waits for a secret, held" in plan
    assert "held: this host is not admitted" in plan
    lines, recipient = identity(host)
    world.commit("Admit it", {f"{LAB}/identities/web1.pub": lines, **files(host, recipient, CANARY)})
    apply(host)
    assert host.read("/srv/site") == f"{CANARY}\n"
    assert host.read("/srv/behind") == "behind\n"

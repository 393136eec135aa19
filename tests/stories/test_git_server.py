"""The recipes of docs/git-server.md on real servers: what the page shows is done in its order, and prints that."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.domain.request import request_path
from agent.domain.status import PAGE, report_path, signature_path
from tests.lab.host import Host
from tests.lab.images import derived
from tests.lab.installed import agent
from tests.lab.lab import Lab
from tests.stories.world import World
from tests.stories.world import follow as follow_world
from tests.test_docs import DOCS, blocks

TOLD = DOCS / "git-server.md"

GITOLITE = "apt-get -q update\napt-get -q install --yes --no-install-recommends gitolite3\napt-get clean\n"

MACHINE = """set -eu
echo '127.0.0.1 git.example.org web1' >> /etc/hosts
systemctl start ssh
sed 's/^/git.example.org,web1 /' /etc/ssh/ssh_host_ed25519_key.pub > /etc/ssh/ssh_known_hosts
adduser --quiet --disabled-password --gecos '' ann
su - ann -c "mkdir -m 700 .ssh && ssh-keygen -q -t ed25519 -N '' -C ann -f .ssh/id_ed25519 \
&& git config --global user.name ann && git config --global user.email ann@example.org"
mv /root/config /home/ann/ops
chown -R ann: /home/ann/ops
cp /home/ann/.ssh/id_ed25519.pub /root/ann.pub
mkdir -p -m 700 /etc/hostwright /root/.ssh
cp /root/ann.pub /root/.ssh/authorized_keys
ssh-keygen -q -t ed25519 -N '' -C web1-deploy_key -f /etc/hostwright/deploy_key
cp /etc/hostwright/deploy_key.pub /home/ann/web1.pub
printf 'IdentityFile /etc/hostwright/deploy_key\\nBatchMode yes\\nLogLevel ERROR\\n' > /root/.ssh/config
git config --global user.name web1
git config --global user.email web1@example.org
git config --global safe.directory '*'
git clone -q /home/ann/ops /root/ops
git -C /root/ops commit -q --allow-empty -m 'Nobody merged this'
"""
"""One machine is the Git server, the desk and the host, each with an account of its own."""

STEP = re.compile(r"^(server#|desk\$|web1#) (.*)\n((?:(?!server#|desk\$|web1#).*\n)*)", re.MULTILINE)

COMMIT = """set -eu
rm -rf /root/status; git init -q -b status /root/status; cd /root/status
for file in "$@"; do mkdir -p "$(dirname "$file")"; echo x > "$file"; git add . ; git commit -q -m "$file"; done
"""


@dataclass(frozen=True)
class Server:
    """A server that was set up as a section of the page says."""

    machine: Host
    url: str
    withdraw: str

    def push(self, what: str, *files: str) -> str:
        """Push a new history in which each commit brings a file, by the host's key; what the server refuses it with."""
        self.machine.run(["sh", "-c", COMMIT, "sh", *files])
        return self.again(what)

    def forget(self) -> None:
        """Have the person take the branch status away."""
        say(self.machine, "desk$", f"git -C ops push -q {self.url} :status")

    def again(self, what: str) -> str:
        done = self.machine.run(f"git -C /root/status push -q {self.url} {what}", check=False)
        return done.error if done.code else ""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config repo that the person has on her desk."""
    return World(tmp_path_factory.mktemp("git-server") / "world").config.path


@pytest.fixture(scope="module")
def plain(lab: Lab, config: Path) -> Iterator[Server]:
    with lab.boot("bookworm", image=agent("bookworm"), name="web1") as machine:
        prepare(machine, config)
        follow(machine, "Plain ssh")
        withdraw = "ssh git@git.example.org key-of-host web1 none"
        yield Server(machine, "ssh://git@git.example.org/srv/git/ops.git", withdraw)


@pytest.fixture(scope="module")
def gitolite(lab: Lab, config: Path) -> Iterator[Server]:
    image = derived("bookworm-gitolite", agent("bookworm"), GITOLITE)
    with lab.boot("bookworm", image=image, name="web1") as machine:
        prepare(machine, config)
        follow(machine, "Plain ssh")  # the hook is the same
        follow(machine, "gitolite")
        yield Server(machine, "gitolite3@git.example.org:ops", "gitolite-key web1 none")


@pytest.fixture(params=["plain", pytest.param("gitolite", marks=pytest.mark.long)])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def prepare(machine: Host, config: Path) -> None:
    machine.push(config, "/root/config")
    machine.run(MACHINE)


def follow(machine: Host, heading: str) -> None:
    """Write the files and do the commands of a section, in its order; each has to print what is shown."""
    told = TOLD.read_text()
    begin = told.index(f"\n## {heading}\n")
    first, last = told.count("\n", 0, begin), told.count("\n", 0, told.index("\n## ", begin + 1))
    ann = machine.read("/root/ann.pub")[:70]
    for block in blocks(TOLD):
        if not first < block.line <= last:
            continue
        if "file=" in block.info:
            path = str(Path("/home/ann/gitolite-admin", block.info.split("file=")[1]))
            machine.write(path, block.text, mode=0o755 if block.info.startswith("sh") else 0o644)
        for who, typed, printed in STEP.findall(block.text) if block.info == "console" else []:
            assert say(machine, who, typed) == printed.replace("ssh-ed25519 AAAA… ann", ann), typed


def say(machine: Host, who: str, typed: str) -> str:
    command = f"exec 2>&1; {typed}"
    argv = ["su", "-", "ann", "-c", command] if who == "desk$" else ["sh", "-c", f"cd /root; {command}"]
    return machine.run(argv, check=False, input=b"").output


def test_the_agent_reads_reports_asks_to_be_admitted_and_leaves(server: Server) -> None:
    machine = server.machine
    machine.run("cp -a /etc/hostwright /root/keys; cp /etc/ssh/ssh_known_hosts /etc/hostwright/known_hosts")
    server.forget()
    written = f"git ls-remote {server.url} refs/heads/status >/dev/null; rm -rf /root/seen; "
    written += f"git clone -q -b status {server.url} /root/seen; git -C /root/seen ls-files"
    try:
        assert follow_world(machine, server.url).code == 0
        assert machine.read("/etc/motd") == "hello from web1\n"
        own = {PAGE, report_path("web1"), signature_path("web1"), request_path("web1"), f"{request_path('web1')}.sig"}
        assert set(machine.run(written).output.splitlines()) == own
    finally:
        machine.run("hostwright uninstall --yes; mkdir -p -m 700 /etc/hostwright; cp -a /root/keys/. /etc/hostwright")
    assert set(machine.run(written).output.splitlines()) == {PAGE}


def test_a_host_pushes_to_the_branch_status_its_own_files_and_nothing_else(server: Server) -> None:
    server.forget()
    own = [
        report_path("web1"),
        signature_path("web1"),
        PAGE,
        request_path("web1"),
        request_path("web1", "ssh-ed25519 A"),
        f"{request_path('web1', 'ssh-ed25519 A')}.sig",
    ]
    assert "hosts/" in server.push("status", report_path("web1"), report_path("web2"))
    assert "hosts/" in server.push("status", f"{report_path('web1')}/more")
    assert "refs/heads/other" in server.push("status:other", *own)
    assert "refs/tags/v1" in server.push("status:refs/tags/v1", *own)
    assert server.push("status", *own) == ""
    assert "status" in server.push("+status", own[0]), "a history of its own in the place of that one"
    assert "status" in server.again(":status")


def test_what_a_host_takes_back_in_the_next_commit_counts_too(server: Server) -> None:
    other = report_path("web2")
    server.machine.run(["sh", "-c", COMMIT, "sh"])
    server.machine.run(
        f"cd /root/status; git fetch -q {server.url} status && git reset -q --hard FETCH_HEAD; "
        f"mkdir -p $(dirname {other}); echo x > {other}; git add .; git commit -qm 1; "
        f"git rm -q {other}; git commit -qm 2; git commit -q --allow-empty -m 3"
    )
    assert other in server.again("status")


def test_another_key_of_a_host_takes_the_place_of_the_first_and_a_withdrawn_one_is_refused(plain: Server) -> None:
    listed = f"git ls-remote {plain.url} >/dev/null 2>&1; echo $?"
    plain.machine.run("cp /etc/hostwright/deploy_key /root/old && chmod 600 /root/old")
    follow(plain.machine, "Withdraw and renew a key")
    assert say(plain.machine, "web1#", listed) == "0\n"
    assert say(plain.machine, "web1#", f"export GIT_SSH_COMMAND='ssh -F none -i /root/old'; {listed}") == "128\n"
    assert say(plain.machine, "desk$", plain.withdraw) == ""
    assert say(plain.machine, "web1#", listed) == "128\n"
    assert say(plain.machine, "desk$", "ssh git@git.example.org wc -l < /dev/null") == "0\n", "the person's key stays"


@pytest.mark.long
def test_a_host_whose_key_gitolite_forgot_is_refused(gitolite: Server) -> None:
    assert "undeclared group" in say(gitolite.machine, "desk$", gitolite.withdraw)
    assert (
        say(gitolite.machine, "desk$", "git -C gitolite-admin status --short; cat gitolite-admin/conf/hosts.conf") == ""
    )
    assert "denied" in say(gitolite.machine, "web1#", f"git ls-remote {gitolite.url}")


@pytest.mark.parametrize("name", ["-x", "web1 read", 'a"', "../x", "", "a\nb"])
@pytest.mark.parametrize("script", ["key-of-host", "gitolite-key"])
def test_what_is_no_name_of_a_host_gets_no_key(tmp_path: Path, script: str, name: str) -> None:
    done = run(tmp_path, script, name, "read")
    assert (done.returncode, "no name of a host" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("access", "asked", "done"),
    [
        ("read", "git-upload-pack '/srv/git/ops.git'", True),
        ("read", "git-receive-pack '/srv/git/ops.git'", False),
        ("read", "git-upload-pack '/srv/git/reports.git'", False),
        ("write", "git-upload-pack '/srv/git/reports.git'", True),
        ("write", "git-receive-pack '/srv/git/reports.git'", True),
        ("write", "git-receive-pack '/srv/git/ops.git'", False),
        ("write", "git-upload-pack '/srv/git/ops.git'", False),
        ("write", "git-receive-pack '/srv/git/reports.git'; id", False),
        ("write", "git-receive-pack '/srv/git/*.git'", False),
    ],
)
def test_with_a_repository_of_reports_each_key_is_for_its_own(
    tmp_path: Path, access: str, asked: str, done: bool
) -> None:
    shell = tmp_path / "git-shell"
    shell.write_text('#!/bin/sh\nprintf "%s\\n" "$HOST_OF_KEY" "$@"\n')
    shell.chmod(0o755)
    two = ("reports=/srv/git/ops.git", "reports=/srv/git/reports.git")
    ran = run(tmp_path, "git-for-host", "web1", access, change=two, SSH_ORIGINAL_COMMAND=asked)
    assert ran.stdout == (f"web1\n-c\n{asked}\n" if done else "")
    assert (ran.returncode == 0) is done


@pytest.mark.parametrize("access", ["read", "write"])
def test_a_forge_is_sent_the_key_as_its_interface_takes_it(tmp_path: Path, access: str) -> None:
    curl = tmp_path / "curl"
    curl.write_text(f'#!/bin/sh\ncat > {tmp_path}/sent; printf "%s\\n" "$@" > {tmp_path}/argv; printf 201\n')
    curl.chmod(0o755)
    assert run(tmp_path, "forge-key", "web1", access).returncode == 0
    sent = {"title": f"web1 {access}", "key": "ssh-ed25519 AAAA", "read_only": access == "read"}
    assert json.loads((tmp_path / "sent").read_text()) == sent
    assert (tmp_path / "argv").read_text().splitlines()[-1].endswith("/keys")


def run(
    folder: Path, script: str, *arguments: str, change: tuple[str, str] = ("", ""), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script of the page, with ``folder`` as home and first on the PATH, and a public key as its input.
    ``change``: what the person writes in it, and instead of what."""
    (text,) = (block.text for block in blocks(TOLD) if block.info == f"sh file=/usr/local/bin/{script}")
    return subprocess.run(
        ["sh", "-c", text.replace(*change) if change[0] else text, script, *arguments],
        input="ssh-ed25519 AAAA web1\n",
        env={"PATH": f"{folder}:{os.environ['PATH']}", "HOME": f"{folder}", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

"""docs/tutorial.md, typed word for word on real machines: it holds what was printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gitserver import author, ssh_server
from tests.lab.host import Host
from tests.lab.installed import agent
from tests.lab.lab import Lab
from tests.stories.desk import let_in

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
HOSTS = ("web1", "web2")
SSHD_PORT = 2200
"""Of the hosts. Port 22 there leads to the Git server, whose address in the page has no port."""

MINUTE_LATER = ("hostwright plan servers", "hostwright status")
"""Before these the hosts have had the time to fetch what was pushed."""

COMMANDS_FOR_ONE = 10
COMMAND_TIMEOUT_S = 120

SERVE = """\
#!/bin/sh
cd {folder}
case $SSH_ORIGINAL_COMMAND in
add-key*) echo "command=\\"sh {folder}/serve\\" $(cat)" >> {keys} ;;
*) exec git-shell -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""
"""An account with repositories, which also takes keys."""

GIT = """\
[user]
	name = Ann
	email = ann@example.org
	signingKey = {home}/.ssh/id_ed25519.pub
[gpg]
	format = ssh
[commit]
	gpgSign = true
[init]
	defaultBranch = main
"""

BLOCK = re.compile(r"^```(console|yaml file=(\S+))\n(.*?)^```$", re.MULTILINE | re.DOTALL)

VARYING = (
    (re.compile(r"\bSHA256:[A-Za-z0-9+/]{43}"), "<fingerprint>"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "<sha>"),
    (re.compile(r"\b\d+\.\d s\b"), "<seconds>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?Z?"), "<time>"),
    (re.compile(r"\b\d+ (s|min) ago\b"), "<ago>"),
    (re.compile(r"\b\d+ min\b"), "<span>"),
    (re.compile(r"(?<=\S) +"), " "),
    (re.compile(r" +\n"), "\n"),
)
"""What is not printed the same twice."""


def fixed(text: str) -> str:
    for varying, word in VARYING:
        text = varying.sub(word, text)
    return text


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """Home of a person with Hostwright, whose Git signs."""
    home = tmp_path / "ann"
    author(home / ".ssh", "id_ed25519")
    (home / ".gitconfig").write_text(GIT.format(home=home))
    (home / "bin").mkdir()
    # ssh looks for its files by the account, not by HOME
    programs = {
        "hostwright": f"{shlex.quote(sys.executable)} -u -m agent",
        "ssh": f"/usr/bin/ssh -F {home}/.ssh/config",
    }
    for name, command in programs.items():
        (home / "bin" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (home / "bin" / name).chmod(0o755)
    return home


@pytest.fixture
def machines(lab: Lab, laptop: Path, tmp_path: Path) -> Iterator[list[Host]]:
    """Bare machines that let the person in, and a Git server with an empty repository that all of them reach."""
    key, account = laptop / ".ssh/id_ed25519", tmp_path / "account"
    with ExitStack() as stack:
        server = stack.enter_context(ssh_server(tmp_path / "sshd"))
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", f"{account / 'ops.git'}"], check=True)
        (account / "serve").write_text(SERVE.format(folder=account, keys=server.authorized_keys))
        with server.authorized_keys.open("a") as keys:
            keys.write(f'command="sh {account}/serve" {key.with_suffix(".pub").read_text()}')
        known = f"git.example.org {server.host_key.with_suffix('.pub').read_text()}"
        (laptop / ".ssh/known_hosts").write_text(known)
        (laptop / ".ssh/config").write_text(
            f"Host git.example.org\n  HostName 127.0.0.1\n  Port {server.port}\n  HostKeyAlias git.example.org\n"
            f"Host *\n  UserKnownHostsFile {laptop}/.ssh/known_hosts\n  IdentityFile {key}\n"
        )
        booted = [stack.enter_context(lab.boot("bookworm", image=agent("bookworm"), name=name)) for name in HOSTS]
        for machine in booted:
            machine.run("echo 127.0.0.1 git.example.org >> /etc/hosts")
            let_in(machine, laptop, key, "root", port=SSHD_PORT)
            machine.reach(server.port, at=22)
        yield booted


class Shell:
    """The terminal that all commands of the page are typed in."""

    def __init__(self, home: Path) -> None:
        self.home = self.place = home

    def type(self, command: str) -> str:
        """What the command prints."""
        asked = command.replace("git@git.example.org", "root@git.example.org")
        script = f"exec 2>&1\n{asked}\npwd > {self.home}/place"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.place,
            env={"HOME": f"{self.home}", "PATH": f"{self.home}/bin:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        self.place = Path((self.home / "place").read_text().strip())
        return done.stdout.replace("root@git.example.org", "git@git.example.org")


def test_the_tutorial_shows_what_is_typed_and_printed(machines: list[Host], laptop: Path, tmp_path: Path) -> None:
    shell, page = Shell(laptop), PAGE.read_text()

    def played(block: re.Match[str]) -> str:
        kind, file, text = block.groups()
        if file:
            (shell.place / file).write_text(text)
            return block[0]
        printed = ""
        for command in re.findall(r"^\$ (.+)$", text, re.MULTILINE):
            for machine in machines if command in MINUTE_LATER else ():
                machine.run(["hostwright", "trigger", "--wait"], check=False)
            printed += f"$ {command}\n{shell.type(command)}"
        return f"```{kind}\n{printed}```"

    now = BLOCK.sub(played, page)
    new = tmp_path / "tutorial.md"
    new.write_text(now)
    for machine in machines:
        assert machine.read("/etc/app/app.conf") == "password=correct horse battery\n"
        assert "the room next door" in machine.read("/etc/motd")
    assert fixed(now) == fixed(page), f"if that is right: cp {new} {PAGE}"


def test_the_tutorial_takes_few_commands() -> None:
    commands = re.findall(r"^\$ (.+)$", PAGE.read_text(), re.MULTILINE)
    first = next(number for number, command in enumerate(commands, 1) if " --as web1 " in command)
    second = next(number for number, command in enumerate(commands, 1) if " --as web2 " in command)
    assert not [command for command in commands if "&&" in command or ";" in command]
    assert first <= COMMANDS_FOR_ONE
    assert second == first + 1

"""The enrolment of one host over SSH: the agent's files and bootstrap.sh go there, the host's public keys come back."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.cli.agent_files import write_bundle
from agent.domain import codec
from agent.domain.text import printable
from agent.errors import Exit, HostwrightError, SettingsError, SourceError
from agent.host.identity import PublicIdentity
from agent.problems import ProblemKind
from agent.system.remote import Remote, Transport, without_password
from agent.system.ssh_host import Ask, Login, Ran, SshHost, logged_in

BOOTSTRAP_TIMEOUT_S = 3600.0
SHORT_TIMEOUT_S = 120.0
COMMAND_TIMEOUT_S = 120
INSTALLED = (Exit.FINE, Exit.DEPLOY, Exit.UNHEALTHY, Exit.REPORT)
"""Exit codes of bootstrap.sh after which the agent is installed and goes on by itself."""

_UNPACK = 'umask 077; d=$(mktemp -d /root/hostwright-enroll.XXXXXX); cd "$d"; tar -xzf -; printf %s "$d"'
_KEYS = """
command -v ssh-keygen >/dev/null || { echo 'ssh-keygen is missing: install the OpenSSH client' >&2; exit 3; }
umask 077; name=$1; shift; mkdir -p /etc/hostwright
for key in "$@"; do
    file=/etc/hostwright/$key
    [ -e "$file" ] || { ssh-keygen -q -t ed25519 -N '' -C "$name-$key" -f "$file"; echo new; }
    cat "$file.pub"
done
"""


@dataclass(frozen=True, slots=True)
class Following:
    """The settings of all hosts that are enrolled together. ``access``: ``read`` or ``write``, by the name of each key
    that a host makes. ``signers``: the content of trusted_signers; None: commits need no signature."""

    remote: str
    branch: str
    inventory: str
    min_commit: str | None
    signers: bytes | None
    known_hosts: bytes
    access: Mapping[str, str]
    key_command: str | None = None
    wheelhouse: Path | None = None

    def options(self, folder: str, host: str, **more: str | None) -> bytes:
        """The content of the file ``--options`` of bootstrap.sh, with ``more`` options. ``folder``: the folder on the
        host in which ``files`` lie."""
        told = {
            "repo": self.remote,
            "branch": self.branch,
            "inventory": self.inventory,
            "host": host,
            "min-commit": self.min_commit,
            "trust": None if self.signers else "unsigned",
            "trusted-signers": f"{folder}/trusted_signers" if self.signers else None,
            "known-hosts": f"{folder}/known_hosts" if self.known_hosts else None,
            "wheelhouse": f"{folder}/wheels" if self.wheelhouse is not None else None,
            **more,
        }
        lines = [f"--{name}={value}\n" for name, value in told.items() if value is not None]
        return "".join([*lines, "--end\n"]).encode()

    @property
    def files(self) -> dict[str, bytes]:
        signers = {"trusted_signers": self.signers} if self.signers else {}
        return signers | ({"known_hosts": self.known_hosts} if self.known_hosts else {})


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The result for one host. ``identity``: the lines of its ``.pub`` file. ``error``: the reason why it was not
    enrolled."""

    host: str
    identity: str = ""
    exit: Exit = Exit.FINE
    error: HostwrightError | None = None


def enroll_host(
    host: str, login: Login, ask: Ask | None, following: Following, tell: Callable[[str], None]
) -> Enrolled:
    """Enroll the machine behind ``login`` as ``host``. ``tell`` gets each line of progress. Raises HostwrightError."""
    with logged_in(login, ask) as there:
        _make_keys(there, host, following, tell)
        tell("copying the agent")
        code = _bootstrap(there, host, following, tell)
        return Enrolled(host, _identity(there, host), code)


def _make_keys(there: SshHost, host: str, following: Following, tell: Callable[[str], None]) -> None:
    """Have the host make its ssh keys for the remotes, and register them at the forge by the person's command. Raises
    SettingsError, also if there is no command and the keys are new."""
    if not following.access:
        return
    argv = ["sh", "-euc", _KEYS, "sh", host, *following.access]
    lines = _fine(there.run(argv, timeout_s=SHORT_TIMEOUT_S), "it cannot make its keys").output.decode().splitlines()
    made = "new" in lines
    keys = dict(zip(following.access, (line for line in lines if line != "new"), strict=False))
    for name, key in keys.items():
        access = following.access[name]
        if following.key_command is not None:
            _register(following.key_command, host, access, key)
            tell(f"registered its {name} ({access})")
        elif made:
            tell(f"{name}, needs {access} access to {without_password(following.remote)}: {printable(key, 1000)}")
    if made and following.key_command is None:
        raise SettingsError(
            f"{host} has new keys that the Git server does not know yet",
            hint="register them as shown, then run this again; --deploy-key-command does it",
        )


def _register(command: str, host: str, access: str, key: str) -> None:
    """Run the person's command with two more arguments, the host's name and ``read`` or ``write``, and the public key
    on stdin. Raises SettingsError."""
    argv = [*shlex.split(command), host, access]
    try:
        done = subprocess.run(
            argv, input=f"{key}\n", capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingsError(f"--deploy-key-command: {error}", hint="try it by hand") from error
    if done.returncode:
        said = printable(done.stderr.strip().rpartition("\n")[2], 300) or f"exit code {done.returncode}"
        raise SettingsError(f"--deploy-key-command for {host}: {said}", hint="try it by hand")


def _bootstrap(there: SshHost, host: str, following: Following, tell: Callable[[str], None]) -> Exit:
    with tempfile.TemporaryFile() as bundle:
        write_bundle(bundle, following.files, following.wheelhouse)
        bundle.seek(0)
        done = there.run(["sh", "-euc", _UNPACK], input=bundle, timeout_s=BOOTSTRAP_TIMEOUT_S)
    folder = _fine(done, "the agent cannot be copied").output.decode()
    try:
        argv = ["sh", f"{folder}/bootstrap.sh", "--options", "-"]
        options = following.options(folder, host)
        done = there.run(argv, input=options, on_line=tell, timeout_s=BOOTSTRAP_TIMEOUT_S)
    finally:
        there.run(["rm", "-rf", "--", folder], timeout_s=SHORT_TIMEOUT_S)
    known: Sequence[int] = [code.value for code in Exit]
    code = Exit(done.code) if done.code in known else Exit.BUG
    if code not in INSTALLED:
        error = SourceError(f"{host}: {done.complaint}", kind=ProblemKind.BAD_ANSWER)
        error.exit = code
        raise error
    return code


def _identity(there: SshHost, host: str) -> str:
    """The lines that admit the host, asked of its agent. Raises SettingsError, SourceError."""
    argv = ["/usr/local/bin/hostwright", "--json", "identity"]
    done = _fine(there.run(argv, timeout_s=SHORT_TIMEOUT_S), "it does not tell its identity")
    try:
        data = codec.from_plain(codec.plain_json(done.output), dict[str, Any])["data"]
        lines = "".join(f"{data[name]}\n" for name in ("ssh", "age") if data.get(name))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{host} does not tell its identity: {error}", kind=ProblemKind.BAD_ANSWER) from error
    PublicIdentity.parse(lines.encode(), f"the identity of {host}")
    return lines


def _fine(done: Ran, what: str) -> Ran:
    if done.code:
        raise SettingsError(f"{what}: {done.complaint}", hint="try it by hand there, as root")
    return done


def access_wanted(remotes: Mapping[str, str]) -> dict[str, str]:
    """The access that each key of a host needs, ``read`` or ``write``, by the key's name; none for a remote that is not
    reached by ssh. ``remotes``: the URLs of ``config`` and ``status``."""
    config, status = Remote.parse(remotes["config"]), Remote.parse(remotes["status"])
    if config.url == status.url:
        return {"deploy_key": "write"} if config.transport is Transport.SSH else {}
    named = {"deploy_key": (config, "read"), "status_key": (status, "write")}
    return {name: access for name, (remote, access) in named.items() if remote.transport is Transport.SSH}

"""The lines of known_hosts files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT") for a server, as ssh-keygen finds them."""

from __future__ import annotations

from pathlib import Path

from agent.errors import SourceError
from agent.problems import ProblemKind
from agent.system.process import run
from agent.system.remote import SSH_PORT, Remote

KEYGEN_TIMEOUT_S = 20.0


def server_name(remote: Remote) -> str:
    """The name of the server of an ssh remote in known_hosts."""
    host = remote.host.lower()
    return host if remote.port in (None, SSH_PORT) else f"[{host}]:{remote.port}"


def lines_about(remote: Remote, known_hosts: Path) -> tuple[str, ...]:
    """The lines for the server of an ssh remote, also under hashed names and patterns; none if there is no file. Raises
    SourceError if ssh-keygen is missing."""
    asked = ["ssh-keygen", "-F", server_name(remote), "-f", f"{known_hosts}"]
    try:
        done = run(asked, timeout_s=KEYGEN_TIMEOUT_S)
    except FileNotFoundError as error:
        raise SourceError(
            f"{remote}: there is no ssh-keygen to look into {known_hosts}",
            kind=ProblemKind.SSH_KEYGEN_MISSING,
            hint="install the OpenSSH client (`openssh-client`, `openssh-clients`)",
        ) from error
    return tuple(line for line in done.output.decode(errors="replace").splitlines() if line and line[0] != "#")

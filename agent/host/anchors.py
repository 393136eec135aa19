"""What a host is given before it has seen any commit: host keys of its ssh remotes, signers, certificates, a code.

All of it is given by the person who installs the host. Nothing is asked of the network: a key that a server offers
about itself proves nothing.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.domain.one_time_code import OneTimeCode
from agent.errors import Exit, SettingsError
from agent.problems import ProblemKind
from agent.system.files import read_bounded
from agent.system.known_hosts import lines_about, server_name
from agent.system.misplaced import require_private
from agent.system.remote import Remote, Transport

SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of one file that is taken over; a bundle with all authorities of the world has 220 KB."""

CODE_FILE_LIMIT = 64 * 1024
"""Bytes of the file that holds a one-time code."""


def read_given(path: Path, marker: bytes, what: str) -> bytes:
    """The content of a file that was named on the command line. Raises SettingsError when it is not ``what``, which
    is told by ``marker`` standing somewhere in it."""
    try:
        content = read_bounded(path.resolve(), SIZE_LIMIT)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror or error}", hint=f"name a file of {what}"
        ) from error
    if marker not in content:
        raise SettingsError(f"{path} does not hold {what}", hint=f"name a file of {what}")
    return content


def read_code(path: Path) -> OneTimeCode:
    """The one-time code in a file of root's that nobody else can read. Raises SettingsError."""
    require_private(path)
    try:
        return OneTimeCode.read(read_bounded(path, CODE_FILE_LIMIT).decode(errors="replace"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}", hint="write the code alone into it, as it was made") from error


def host_keys(remotes: Iterable[Remote], sources: Sequence[Path]) -> bytes:
    """The lines that name the servers of the ssh remotes among ``remotes``, each from the first of ``sources`` that
    has some; empty without such a remote.

    Raises SettingsError (exit code 5) naming a server of which none of the files holds a key.
    """
    lines: dict[str, None] = {}
    for remote in remotes:
        if remote.transport is not Transport.SSH:
            continue
        candidates = (lines_about(remote, source) for source in sources)
        found = next((lines for lines in candidates if lines), ())
        if not found:
            error = SettingsError(
                f"no host key of {server_name(remote)} is known here",
                kind=ProblemKind.HOST_KEY_UNKNOWN,
                hint="give --known-hosts FILE with its line, from a machine that knows it: "
                f"ssh-keygen -F '{server_name(remote)}' > FILE",
            )
            error.exit = Exit.TRUST
            raise error
        lines |= dict.fromkeys(found)
    return "".join(f"{line}\n" for line in lines).encode()


def known_to_the_person() -> tuple[Path, ...]:
    """The known_hosts files of the person who installs this host, of root and of the machine."""
    homes = [Path("/root")]
    person = os.environ.get("SUDO_USER", "root")
    if person != "root":
        try:
            homes.insert(0, Path(pwd.getpwnam(person).pw_dir))
        except KeyError:
            homes = homes[-1:]
    return (*(home / ".ssh/known_hosts" for home in homes), Path("/etc/ssh/ssh_known_hosts"))

"""The anchors: host keys of ssh remotes, signers, certificates and a one-time code, known before the first commit.

The person who installs the host gives all of them. The network is not asked: a key that a server shows for itself
proves nothing.
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
from agent.system.misplaced import require_private
from agent.system.openssh import lines_about, server_name
from agent.system.remote import Remote, Transport

SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of one given file; a bundle with all authorities of the world has 220 KB."""

CODE_FILE_LIMIT = 64 * 1024
"""Bytes of the file that holds a one-time code."""


def read_given(path: Path, marker: bytes, what: str) -> bytes:
    """The content of a file named on the command line. ``what``: the content that it should have, in words. ``marker``:
    bytes that such content always has. Raises SettingsError for a file without them, or that cannot be read."""
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
    """The one-time code in a file. Raises SettingsError, also for a file that others can read."""
    require_private(path)
    try:
        return OneTimeCode.read(read_bounded(path, CODE_FILE_LIMIT).decode(errors="replace"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}", hint="write the code alone into it, as it was made") from error


def host_keys(remotes: Iterable[Remote], sources: Sequence[Path]) -> bytes:
    """The known_hosts lines of the servers of all ssh remotes among ``remotes``. The lines of each server are those of
    the first of ``sources`` that has any. Empty without an ssh remote.

    Raises SettingsError (exit code 5) with the name of a server whose key is in none of the files.
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

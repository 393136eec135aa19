"""The run of git, with limits and an environment of its own. (``git_objects`` reads objects by GitPython.)

Each run is a process group of its own with limits for its time, memory, output and files. GitPython's own time limit
finds git's children with pgrep or ps, which a bare host does not have, and waits for ever for an ssh that survives git
and keeps its pipe open.

Git reads settings from many places and starts programs for many reasons. Here every place is empty and every
reason is off: no system or user configuration, no hooks, no file system monitor, no credential helpers, no prompts,
no filters, no replaced objects, no transport but file, ssh and http. Settings are passed as environment variables
(``GIT_CONFIG_COUNT``), which only root can read, and not as arguments, which all users can read.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import Consequence, SettingsError, SourceError
from agent.problems import ProblemKind
from agent.system.misplaced import require_private
from agent.system.process import OUTPUT_LIMIT, Completed, run
from agent.system.remote import Remote, Transport

LOCAL_TIMEOUT_S: Final = 120.0
"""The time limit for a repository on the disk; on a busy disk a walk through a long history may take seconds."""
MEMORY_MOST: Final = 512 * 1024 * 1024
"""Bytes of memory that a program of a conversation may hold. A server that listed branches without end had git take
1.8 GB in 8 seconds. A repository with half a million branches, or with files of 100 MB, needs less than this limit."""
_LEFTOVERS: Final = ("pack/tmp_*", "pack/.tmp-*", "[0-9a-f][0-9a-f]/tmp_obj_*", "tmp_obj_*")
"""The temporary packs and objects of a fetch, below ``objects``."""
CONNECT_TIMEOUT_S: Final = 20
"""Seconds to connect to a server: time for a dropped packet to be sent again four times."""
STALLED_S: Final = 30
"""A transfer slower than STALLED_BYTES_PER_S for so long is given up."""
STALLED_BYTES_PER_S: Final = 512

_CHEAP_EXCHANGES: Final = "ecdh-sha2-nistp256,curve25519-sha256,curve25519-sha256@libssh.org"
"""The key exchanges to be tried first. Since 9.0 OpenSSH itself tries sntrup761 first, which guards against quantum
computers and takes most of the CPU time of a question (docs/performance.md). OpenSSL computes nistp256 faster than
OpenSSH computes curve25519."""


@dataclass(frozen=True, slots=True)
class Access:
    """The way to a remote.

    ``known_hosts``: the only file in which host keys are looked up; None: ssh's own files. ``deploy_key``: the only key
    that is offered, and no ssh configuration is read; None: the configuration and ssh agent of the person who runs
    this. ``ca``: a PEM file, ``proxy``: a URL, both for http. ``timeout_s``: seconds for a whole conversation, so that
    one that trickles ends too.
    """

    known_hosts: Path | None
    deploy_key: Path | None
    ca: Path | None = None
    proxy: str | None = None
    timeout_s: int = 120


_CONFIG: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.commitGraph": "false",  # git does not check the graph against the commits
    "core.fsync": "all",
    "safe.bareRepository": "explicit",  # a folder that looks like a repository counts as one only if it is named
    "credential.helper": "",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "transfer.fsckObjects": "true",
    "transfer.bundleURI": "false",
    "fetch.unpackLimit": "1",  # one pack for each fetch, however small; the mirror repacks them in its own time
    "pack.threads": "1",  # each holds memory of its own
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.followRedirects": "false",  # git would send the password along, to any server
    "http.lowSpeedLimit": str(STALLED_BYTES_PER_S),
    "http.lowSpeedTime": str(STALLED_S),
}


def git(
    *arguments: str,
    repository: Path | None = None,
    variables: Mapping[str, str] | None = None,
    timeout_s: float = LOCAL_TIMEOUT_S,
    input: bytes | None = None,
    cwd: Path = Path("/"),
    output_limit: int = OUTPUT_LIMIT,
    memory_limit: int | None = None,
    file_limit: int | None = None,
) -> Completed:
    """One run of git, in the environment of ``local_environment`` and ``variables``. ``repository`` is a bare one, or
    the ``.git`` of a clone. The limits are those of ``process.run``. Raises SourceError, kind ``git-missing``."""
    named = [f"--git-dir={repository}"] if repository is not None else []
    try:
        return run(
            ["git", *named, *arguments],
            timeout_s=timeout_s,
            input=input,
            env={**local_environment(), **(variables or {})},
            cwd=cwd,
            output_limit=output_limit,
            memory_limit=memory_limit,
            file_limit=file_limit,
        )
    except FileNotFoundError as error:
        raise git_missing() from error


def converse(
    remote: Remote,
    access: Access,
    *arguments: str,
    repository: Path | None = None,
    timeout_s: float | None = None,
    output_limit: int = OUTPUT_LIMIT,
    file_limit: int | None = None,
    often: bool = False,
) -> Completed:
    """One run of git that talks to ``remote``. ``timeout_s``: None takes that of ``access``. ``often``: as for
    ``network_environment``. Raises like ``git``, and SettingsError for a key that others may have seen."""
    return git(
        *arguments,
        repository=repository,
        variables=network_environment(access, remote, often=often),
        timeout_s=access.timeout_s if timeout_s is None else timeout_s,
        output_limit=output_limit,
        memory_limit=min(MEMORY_MOST, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2),
        file_limit=file_limit,
    )


def bounded_fetch(
    repository: Path, remote: Remote, access: Access, *arguments: str, most: int, timeout_s: float | None = None
) -> Completed:
    """One ``git fetch`` with these arguments into the bare ``repository``. Raises SourceError, kind ``too-large`` for
    more than ``most`` bytes, kind ``disk-full`` for more than half of the free bytes of the disk; then nothing of the
    fetch stays."""
    limit = min(most, room(repository))
    done = converse(remote, access, *arguments, repository=repository, timeout_s=timeout_s, file_limit=limit)
    if not done.ok and drop_leftovers(repository) >= limit:
        raise too_large(remote, most) if limit == most else _no_room(remote, limit)
    return done


def too_large(remote: Remote, limit: int) -> SourceError:
    return SourceError(
        f"{remote} sends more than {limit // 1024**2} MiB at once, which this host does not take",
        kind=ProblemKind.TOO_LARGE,
        hint="who pushed that? take it off the branch; large files do not belong into a config repo",
        consequence=Consequence.STALL,
    )


def _no_room(remote: Remote, limit: int) -> SourceError:
    return SourceError(
        f"{remote} sends more than {limit // 1024} KiB at once, and a fetch takes half of what is free here at most",
        kind=ProblemKind.DISK_FULL,
        hint="make room below /var/lib/hostwright",
    )


def drop_leftovers(repository: Path) -> int:
    """Remove the temporary files that a fetch left when it was cut off. Return the bytes of the largest one. The caller
    must be the only one who writes there."""
    largest = 0
    for pattern in _LEFTOVERS:
        for left in (repository / "objects").glob(pattern):
            largest = max(largest, left.lstat().st_size)
            left.unlink(missing_ok=True)
    return largest


def room(folder: Path) -> int:
    """The bytes that a fetch may write below ``folder``: half of the free ones."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize // 2


def git_missing() -> SourceError:
    return SourceError("git cannot be started", kind=ProblemKind.GIT_MISSING, hint="install the package `git`")


def local_environment() -> dict[str, str]:
    """The environment of git in a repository on the disk."""
    return _base() | _as_variables(_CONFIG)


def network_environment(access: Access, remote: Remote, *, often: bool = False) -> dict[str, str]:
    """The environment of git that talks to ``remote``. ``often``: True for the question of each minute, which tells
    only the commits of branches: they need not stay secret for decades, so cheaper key exchanges are tried first.
    Raises SettingsError for a key that others may have seen."""
    if remote.transport is Transport.SSH and access.deploy_key is not None:
        _require_key(access.deploy_key)
    config = dict(_CONFIG)
    if access.ca is not None:
        config["http.sslCAInfo"] = f"{access.ca}"
    if access.proxy is not None:
        config["http.proxy"] = access.proxy
    if remote.authorization is not None:
        config["http.extraHeader"] = f"Authorization: {remote.authorization}"
    ssh = {"GIT_SSH_COMMAND": shlex.join(_ssh_command(access, often=often)), "GIT_SSH_VARIANT": "ssh"}
    if access.deploy_key is None and (agent := os.environ.get("SSH_AUTH_SOCK")):
        ssh["SSH_AUTH_SOCK"] = agent  # an administrator at a desk has keys there
    return _base() | ssh | _as_variables(config)


def _base() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",  # git_failure reads the error messages
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TEMPLATE_DIR": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": "file:ssh:http:https",  # no configuration can widen it
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
    }


def _as_variables(config: Mapping[str, str]) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _ssh_command(access: Access, *, often: bool) -> list[str]:
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "VerifyHostKeyDNS": "no",
        "CheckHostIP": "no",
        "ControlMaster": "no",
        "ControlPath": "none",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "ClearAllForwardings": "yes",
        "PermitLocalCommand": "no",
        "ConnectTimeout": str(min(access.timeout_s, CONNECT_TIMEOUT_S)),
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "2",
    }
    if access.known_hosts is not None:
        options |= {"UserKnownHostsFile": _file(access.known_hosts), "GlobalKnownHostsFile": "none"}
        options |= {"IgnoreUnknown": "KnownHostsCommand", "KnownHostsCommand": "none"}  # there since OpenSSH 8.5
    if access.deploy_key is None:
        return ["ssh", *_options(options)]
    options |= {"IdentityFile": _file(access.deploy_key), "IdentitiesOnly": "yes", "IdentityAgent": "none"}
    if often:
        options["KexAlgorithms"] = f"^{_CHEAP_EXCHANGES}"
    return ["ssh", "-F", "none", *_options(options)]


def _options(options: Mapping[str, str]) -> list[str]:
    return [f"-o{name}={value}" for name, value in options.items()]


def _require_key(path: Path) -> None:
    try:
        require_private(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be used: {error.strerror}", hint="put the ssh key there again") from error


def _file(path: Path) -> str:
    """A path as ssh_config(5) wants it: quoted against blanks, ``%`` doubled."""
    return '"' + f"{path}".replace("%", "%%") + '"'

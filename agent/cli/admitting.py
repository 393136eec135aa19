"""The admission of hosts at a desk: their identities are written, and the secrets that they may read are re-keyed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.cli.commands.secret import own_keys
from agent.cli.desk import Desk, commit_or_tell
from agent.cli.output import Output
from agent.domain.text import some
from agent.errors import HostwrightError
from agent.inventory.lock import LOCK_FILE
from agent.inventory.secrets import SECRETS, SUFFIX
from agent.secrets.store import SecretStore
from agent.system.files import write_atomic
from agent.system.folder import FolderTree


@dataclass(frozen=True, slots=True)
class Admitted:
    """The result of an admission. ``changed``: the paths that a commit has to name. ``rekeyed``: the secrets that the
    hosts can read from now on. ``failures``: the reasons why they cannot read others yet."""

    changed: tuple[str, ...]
    rekeyed: tuple[str, ...]
    failures: tuple[HostwrightError, ...]


def admit_hosts(
    output: Output, desk: Desk, identities: Mapping[str, bytes], *, commit: bool, keys: tuple[Path, ...] = ()
) -> Admitted:
    """Write ``identities``, the content of ``<host>.pub`` by host, and re-key the secrets that these hosts may read;
    with ``commit`` commit and push all that. ``keys``: files with private keys of the person; empty: the usual
    files."""
    changed = [path for host, content in identities.items() if (path := _write(output, desk, host, content))]
    rekeyed, failures = _rekey(output, desk, tuple(identities), keys)
    if rekeyed:
        changed += [*(f"{desk.folder}/{SECRETS}/{name}{SUFFIX}" for name in rekeyed), f"{desk.folder}/{LOCK_FILE}"]
    commit_or_tell(output, desk, f"Admit {some([*identities])}", changed, commit=commit)
    for error in failures:
        output.problem(error)
    if failures:
        output.say("somebody who can read these runs `hostwright secret rekey` in the config repo, and commits that")
    return Admitted((*changed,), (*rekeyed,), (*failures,))


def _write(output: Output, desk: Desk, host: str, content: bytes) -> str | None:
    """Write one identity. Return its path, None if that is committed already with this content."""
    path = f"{desk.folder}/identities/{host}.pub"
    file = desk.root / path
    before = file.read_bytes() if file.is_file() else b""
    if before and before != content:
        output.say(f"{host} had another key before; {path} has the new one")
    if before != content:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, content, mode=0o644)
    output.show(path)
    return path if before != content or path not in desk.copy.tracked or path in desk.copy.uncommitted else None


def _rekey(
    output: Output, desk: Desk, hosts: tuple[str, ...], keys: tuple[Path, ...]
) -> tuple[list[str], list[HostwrightError]]:
    store = SecretStore(desk.root, FolderTree(desk.root), desk.inventory)
    names = store.read_by(hosts)
    if not names:
        return [], []
    told, failures = store.rekey(names, own_keys(keys))
    for name, line in told.items():
        output.show(f"{name}: {line}")
    return [name for name in told if name in store.files.names], [*failures.values()]

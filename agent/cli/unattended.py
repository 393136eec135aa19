"""The enrolment of a host that nobody logs in to: its user-data, checked before it is made, and shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.cli.desk import Desk
from agent.cli.enrolment import Following
from agent.cli.invocation import Reply
from agent.cli.output import Output
from agent.cli.user_data import FORMATS, FirstBoot, first_boot
from agent.domain.layout import INVENTORIES
from agent.domain.text import printable
from agent.errors import SettingsError, UsageError
from agent.inventory.ansible.inventory import read_host_names
from agent.inventory.source import open_source
from agent.system.files import write_atomic
from agent.system.openssh import public_half, unusable
from agent.system.remote import Remote, Transport, concealed, without_password
from agent.system.revisions import Revisions

_INDEX: Final = re.compile(r"(https|file)://[!-?A-~]+")
"""The URL of a package index: without a user, and not by plain http, because root runs the packages."""
_PEOPLE: Final = ("/admins", "/trusted_signers", ".pub")


def boot_of(
    host: str,
    following: Following,
    given: Mapping[str, Path | None],
    desk: Desk,
    *,
    index: str | None,
    embedded: bool,
) -> FirstBoot:
    """The first boot of ``host``. ``given``: the files of private keys by name. Raises UsageError, SettingsError."""
    _require_reachable(host, following, desk)
    keys = _read_keys(following.access, given)
    _require_own(keys, given, desk)
    if index is not None and not _INDEX.fullmatch(index):
        raise UsageError(
            f"--index {printable(concealed(index))} is no URL of https, or names a user",
            hint="write it like https://host/simple: root runs what comes from there, and many read the document",
        )
    if following.access and not following.known_hosts:
        raise SettingsError(
            "the Git server's host key is not in your known_hosts",
            hint="log in to it once and compare the key that ssh shows with what its administrator says",
        )
    return first_boot(host, following, keys, embedded=embedded, index=index)


def _require_reachable(host: str, following: Following, desk: Desk) -> None:
    """Raise UsageError unless another machine can reach the remote, and the remote has ``host`` in its inventory."""
    if Remote.parse(following.remote).transport is Transport.FILE:
        raise UsageError(
            f"the remote {printable(following.remote)} is a path of this computer",
            hint="say how the machine reaches the config repo: --remote URL",
        )
    if without_password(following.remote) != following.remote:
        raise UsageError(
            "the remote's URL names who logs in to it: everybody who reads the document could do so",
            hint="say --remote ssh://git@host/path.git and --deploy-key FILE, or the URL without a user",
        )
    branch = following.branch
    if following.min_commit is None:
        raise UsageError(
            f"origin is not known to have a branch {branch}", hint=f"git push -u origin {branch}, or say --branch"
        )
    pushed = Revisions(desk.copy.checkout.git).tree(following.min_commit)
    if host not in (read_host_names(open_source(pushed, desk.inventory)) or ()):
        raise UsageError(
            f"{host} is not in the hosts file of origin/{branch}", hint="commit and push it, then run this again"
        )


def _require_own(keys: Mapping[str, bytes], given: Mapping[str, Path | None], desk: Desk) -> None:
    """Raise SettingsError for a key that belongs to a person or a host already: whoever reads the document could act as
    them."""
    for name in keys:
        public = public_half(given[name] or Path())
        for path in desk.tree.paths(INVENTORIES):
            if path.endswith(_PEOPLE) and public in desk.tree.read(path):
                raise SettingsError(
                    f"{printable(f'{given[name]}')} is the private half of a key in {path}",
                    hint="make one for this machine alone: ssh-keygen -t ed25519 -N '' -f FILE",
                )


def show_document(output: Output, boot: FirstBoot, form: str, file: Path | None) -> Reply:
    """Print the document in the format ``form``, or write it to ``file``, and tell what its readers can do with it.
    Raises UsageError."""
    document = FORMATS[form](boot)
    if file is not None:
        try:
            write_atomic(file, document.encode(), mode=0o600)
        except OSError as error:
            raise UsageError(f"--output {file}: {error.strerror}", hint="name a file that you can write") from error
        output.show(f"{file}")
    else:
        output.show_bytes(document.encode())
    output.say(f"{len(document) / 1024:.0f} KiB{', the agent included: --index URL leaves it out' * boot.embedded}")
    if not boot.signed:
        output.say(f"--trust unsigned: whoever can push to the repository is root on {boot.host}")
    if boot.access:
        output.say(f"whoever reads it has {boot.host}'s access to the repository: give it to {boot.host} alone")
    output.say(f"whoever reads it can be admitted as {boot.host}, until {boot.host} is")
    told = {"host": boot.host, "format": form, "code": boot.code.text, "document": None if file else document}
    return Reply(told)


def _read_keys(access: Mapping[str, str], given: Mapping[str, Path | None]) -> dict[str, bytes]:
    """The contents of the private keys that a host needs for its ``access``, from the files ``given`` by their names.
    Raises UsageError unless exactly those are given, SettingsError for a key that ssh cannot use."""
    keys = dict[str, bytes]()
    for name, file in given.items():
        option = f"--{name.replace('_', '-')}"
        if file is None:
            if name in access:
                raise UsageError(
                    f"it needs a key with {access[name]} access to the repository: nobody is there to register its own",
                    hint=f"make one, register it at the Git server, and say {option} FILE; or say --remote https://…",
                )
            continue
        if name not in access:
            raise UsageError(f"{option} is not used", hint="no remote that takes such a key is reached by ssh")
        if bad := unusable(file):
            raise SettingsError(f"{printable(f'{file}')} {bad.why}", hint=bad.remedy)
        keys[name] = file.read_bytes()
    return keys

"""init: a config repo to begin with, copied from the files in ``agent/cli/starter``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

import click

from agent.cli.config_repo import ConfigRepo
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.domain.layout import HOST_NAME
from agent.domain.text import some
from agent.errors import SettingsError, UsageError
from agent.inventory.hosts_file import key_of
from agent.system import own_git
from agent.system.working_copy import Checkout

STARTER = Path(__file__).parents[1] / "starter"
CI = tuple(sorted(folder.name for folder in (STARTER / "ci").iterdir() if folder.is_dir()))
INVENTORY = "main"

_PUBLIC_KEY = re.compile(r"(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/=]+")
_OPENS_SECRETS = ("ssh-ed25519 ", "ssh-rsa ")
"""The types of keys to which age can encrypt."""


@click.command(cls=CliCommand)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--ci", multiple=True, type=click.Choice(CI), help="Add a pipeline that checks each merge request.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A host to begin with; may be given again.")
def init(output: Output, repo: ConfigRepo, folder: Path, ci: Sequence[str], hosts: Sequence[str]) -> Reply:
    """Make a config repo in a new or empty folder."""
    inventory = repo.inventory or INVENTORY
    for name in (inventory, *hosts):
        if not HOST_NAME.fullmatch(name):
            raise UsageError(f'"{name}" cannot be a name', hint="letters, digits, dots, - and _, the first no sign")
    checkout = Checkout.around(folder)
    _require_empty(folder, checkout)
    values = {
        "@TITLE@": folder.resolve().name,
        "@INVENTORY@": inventory,
        "@HOSTS@": "".join(f"\n    {key_of(name)}:" for name in dict.fromkeys(hosts)) or " {}",
    }
    mail, key = _signer()
    signer = f'{mail} namespaces="git" {key}' if key else ""
    files = {path: _filled(source.read_text(), values) for path, source in _sources(inventory, ci)}
    if signer:
        files[f"inventories/{inventory}/trusted_signers"] = f"{signer}\n"
    if key.startswith(_OPENS_SECRETS):
        files[f"inventories/{inventory}/admins"] = f"{key} {mail}\n"
    try:
        for path, text in files.items():
            _write(folder / path, text)
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}", hint="can you write there?") from error
    if checkout is None:
        own_git.begin(folder)
    own_git.stage(folder, *files)
    for path in files:
        output.show(f"{folder / path}")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {quote(f'{folder}')} && "
    output.say(f"next: {enter}hostwright check && git commit -m Begin")
    if not signer:
        output.say(
            f"nobody can sign yet: inventories/{inventory}/trusted_signers takes a line `you@example.org"
            ' namespaces="git" ssh-ed25519 …` for each person'
        )
    return Reply({"folder": f"{folder}", "files": list(files), "signer": signer or None})


def _require_empty(folder: Path, checkout: Checkout | None) -> None:
    """Raise UsageError unless ``folder`` is new, or holds nothing but the ``.git`` of a clone without a commit."""
    try:
        there = sorted(entry.name for entry in folder.iterdir() if entry.name != ".git")
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}", hint="name a new folder") from error
    if there:
        raise UsageError(f"{folder} is not empty: {some(there)}", hint="nothing was written; name a new folder")
    if checkout is not None and checkout.top == folder.resolve() and checkout.commit("HEAD") is not None:
        raise UsageError(
            f"{folder} is a clone with commits, of which nothing is checked out",
            hint=f"git -C {quote(f'{folder}')} checkout HEAD -- . brings their files; or name a new folder",
        )


def _sources(inventory: str, ci: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """The files of the starter: for each its path in the new folder, and the path of its source."""
    for top in (STARTER / "base", *(STARTER / "ci" / name for name in dict.fromkeys(ci))):
        for source in sorted(path for path in top.rglob("*") if path.is_file()):
            yield f"{source.relative_to(top)}".replace("INVENTORY", inventory), source


def _filled(text: str, values: dict[str, str]) -> str:
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o777 if text.startswith("#!") else 0o666  # less the umask
    # "x": a file that somebody else has put there meanwhile is not overwritten.
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)


def _signer() -> tuple[str, str]:
    """The mail address and the public key with which this person's Git signs; both empty unless it signs by ssh."""
    if own_git.setting("gpg.format") != "ssh":
        return "", ""
    key, mail = own_git.setting("user.signingKey").removeprefix("key::"), own_git.setting("user.email")
    if not _PUBLIC_KEY.match(key):
        path = Path(key).expanduser()
        try:
            key = path.with_name(f"{path.name.removesuffix('.pub')}.pub").read_text() if key else ""
        except OSError:
            return "", ""
    found = _PUBLIC_KEY.match(key)
    return (mail, found[0]) if found and re.fullmatch(r"[^\s,\"*?!]+@[^\s,\"*?!]+", mail) else ("", "")

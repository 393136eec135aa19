"""secret: the values that only some hosts and people can read, written and read by administrators."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

import click

from agent.cli.config_repo import ConfigRepo
from agent.cli.interrupts import interruptible
from agent.cli.invocation import FILE, CliGroup, Reply
from agent.cli.output import Output
from agent.domain.text import some
from agent.errors import HostwrightError, UsageError, together
from agent.inventory.secrets import NAME, SUFFIX
from agent.secrets.ansible_vault import VaultError, decrypt, inline_values, is_vault
from agent.secrets.editing import edited, place_in_memory
from agent.secrets.store import VALUE_LIMIT, OwnKeys, SecretStore
from agent.system.document import plain
from agent.system.folder import FolderTree
from agent.system.mask import SHORT, SHORTEST
from agent.system.yaml import YamlError, load

_READ_WITH = "An age identity or a private SSH key to read with [the usual files]."
identity_option = click.option("--identity", "identities", multiple=True, type=FILE, help=_READ_WITH)


@click.group(cls=CliGroup)
def secret() -> None:
    """Write and read the values that only some hosts and people can read."""


@secret.command("set")
@click.argument("name")
@click.option("--file", type=FILE, help="Take the value from this file.")
def set_value(output: Output, repo: ConfigRepo, name: str, file: Path | None) -> Reply:
    """Set a value: from --file, stdin, or asked for without echo. NAME is <group or host>/<name>."""
    store = _store(repo)
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a secret", hint="write <group or host>/<name>, such as web/admin")
    if name.endswith(SUFFIX):
        raise UsageError(f"{name} would lie in {name}{SUFFIX}", hint=f"leave {SUFFIX} out: {name.removesuffix(SUFFIX)}")
    value = _value(name, file)
    if not value.strip():
        raise UsageError("the value is empty", hint="nothing was written")
    if len(value.strip()) < SHORTEST:
        raise UsageError("one character is no secret: hosts cannot mask it", hint="nothing was written")
    readers = _written(output, store, name, value)
    if len(value.strip()) < SHORT:
        output.say(f"shorter than {SHORT} characters: hosts mask it only where it is a word of its own")
    return Reply({"name": name, "readers": readers})


@secret.command("get")
@click.argument("name")
@identity_option
def get_value(output: Output, repo: ConfigRepo, name: str, identities: tuple[Path, ...]) -> Reply:
    """Print a value, byte for byte."""
    value = _store(repo).read(name, own_keys(identities))
    output.show_bytes(value)
    try:
        told: dict[str, Any] = {"value": value.decode()}
    except UnicodeDecodeError:
        told = {"base64": base64.b64encode(value).decode()}
    return Reply({"name": name, **told})


@secret.command("edit")
@click.argument("name")
@identity_option
def edit_value(output: Output, repo: ConfigRepo, name: str, identities: tuple[Path, ...]) -> Reply:
    """Change a value in $EDITOR, in a private file that is wiped."""
    store = _store(repo)
    before = store.read(name, own_keys(identities))
    place = place_in_memory(os.environ)
    if place is None:
        output.say("no folder in memory is there to write in: the value is in a file on a disk while you edit it")
    with interruptible("nothing was changed"):
        after = edited(before, name, os.environ, place)
    if after == before:
        output.show(f"{name}: nothing has changed")
        return Reply({"name": name, "changed": False})
    if not after.strip():
        raise UsageError("the value is empty now", hint="nothing was written")
    return Reply({"name": name, "changed": True, "readers": _written(output, store, name, after)})


@secret.command("rekey")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Also files whose readers are the same.")
@identity_option
def rekey(
    output: Output, repo: ConfigRepo, names: tuple[str, ...], everything: bool, identities: tuple[Path, ...]
) -> Reply:
    """Make files anew for whom they are to be for now: new hosts and people can read them, those who left cannot."""
    keys, told = own_keys(identities), dict[str, dict[str, str]]()
    failures: list[HostwrightError] = []
    chosen = [repo.one_inventory()] if names else repo.inventories()
    for inventory in chosen:
        store = SecretStore(repo.root, FolderTree(repo.root), inventory)
        told[inventory], failed = store.rekey(names, keys, everything=everything)
        failures += failed.values()
        for name, line in told[inventory].items():
            output.show(f"{name}: {line}")
        if not told[inventory] and not failed:
            output.show(f"{inventory}: nothing has changed")
        for each in store.listed():
            for line in each.wrong if each.name not in failed else ():
                output.say(f"{each.name}: {line}")
    if failures:
        raise together(failures)
    return Reply(told)


@secret.command("import")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--into", required=True, metavar="FOLDER", help="The group or host whose folder gets the values.")
@click.option("--password-file", type=FILE, help="The vault's password [it is asked for].")
@click.option("--overwrite", is_flag=True, help="Also write over secrets that are there.")
def import_values(
    output: Output, repo: ConfigRepo, files: tuple[Path, ...], into: str, *, password_file: Path | None, overwrite: bool
) -> Reply:
    """Make secrets of Ansible Vault: of a whole file one by its name, of inline !vault values one by each key."""
    found: dict[str, bytes] = {}
    for file in files:
        for key, vault in _vaults(file).items():
            name = f"{into}/{key}"
            if name in found or not NAME.fullmatch(name):
                raise UsageError(f"{file}: {name} is there twice, or no name of a secret", hint="import it by itself")
            found[name] = vault
    store = _store(repo)
    if there := sorted(found.keys() & set(store.files.names)) if not overwrite else []:
        raise UsageError(f"already there: {some(there)}", hint="nothing was written; --overwrite writes over them")
    password = _password(password_file)
    try:
        values = {name: decrypt(vault, password) for name, vault in found.items()}
    except VaultError as error:
        raise UsageError(f"{error}", hint="is it the right password? nothing was written") from None
    for name, value in values.items():
        _written(output, store, name, value)
        for line in _uses(name, value):
            output.say(line)
    return Reply(sorted(values))


@secret.command("list")
def list_values(output: Output, repo: ConfigRepo) -> Reply:
    """Show all files of secrets, who reads each, and what is wrong with that."""
    found = _store(repo).listed()
    output.show_table(
        ("secret", "readers", "wrong"),
        [(each.name, some(each.readers) or "nobody", "; ".join(each.wrong)) for each in found],
    )
    document = [{"name": each.name, "readers": list(each.readers), "wrong": list(each.wrong)} for each in found]
    return Reply(document)


def _store(repo: ConfigRepo) -> SecretStore:
    return SecretStore(repo.root, FolderTree(repo.root), repo.one_inventory())


def _written(output: Output, store: SecretStore, name: str, value: bytes) -> list[str]:
    """Write the secret, show its readers, and return them."""
    readers = [*store.write(name, value)]
    output.show(f"{name}: made for {', '.join(readers)}")
    return readers


def _value(name: str, file: Path | None) -> bytes:
    """The value that a person gives: the content of ``file``, what is typed, without a newline, or stdin. At most
    VALUE_LIMIT + 1 bytes of a file or stdin. Raises UsageError."""
    if file is not None:
        try:
            with file.open("rb") as opened:
                return opened.read(VALUE_LIMIT + 1)
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}", hint="name a file that you can read") from None
    if sys.stdin.isatty():
        typed: str = click.prompt(f"value of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return typed.encode()
    return sys.stdin.buffer.read(VALUE_LIMIT + 1)


def _vaults(file: Path) -> dict[str, bytes]:
    """The vaults in ``file``, by the names that their secrets get. Raises UsageError if it holds none, or one that
    cannot become a secret."""
    content = _value("", file)
    if len(content) > VALUE_LIMIT:
        raise UsageError(f"{file} is larger than {VALUE_LIMIT} bytes", hint="nothing was written; divide it")
    if is_vault(content):
        return {file.stem: content}
    vaults, left = inline_values(content.decode(errors="replace"))
    if left:
        lines = some([f"{number}" for number in left])
        remedy = "nothing was written; write each as `key: !vault |`, its key of letters, digits, dots, _ and -"
        raise UsageError(f"{file}: no secret can be made of the vault in line {lines}", hint=remedy)
    if not vaults:
        raise UsageError(f"{file} holds nothing of Ansible Vault", hint="name files that do")
    return vaults


def _uses(name: str, value: bytes) -> list[str]:
    """Lines that tell what to write in the place of the vault: for a whole file of variables a line for each."""
    try:
        node = load(value, name, last_wins=True)
    except YamlError:
        node = None
    document = plain(node) if node is not None else None
    keys = [key for key in document if f"{key}".isidentifier()] if isinstance(document, dict) else []
    if not keys:
        return [f"write {{{{ secret('{name}') }}}} where it was"]
    return ["write where it was:", *(f"{key}: \"{{{{ (secret('{name}') | from_yaml)['{key}'] }}}}\"" for key in keys)]


def _password(file: Path | None) -> bytes:
    """The password of a vault: the content of ``file`` without its newline, else what is typed. Raises UsageError."""
    if file is not None:
        return _value("", file).strip()
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked for the vault's password", hint="give --password-file FILE")
    typed: str = click.prompt("vault password", hide_input=True, err=True)
    return typed.encode()


def own_keys(identities: tuple[Path, ...]) -> OwnKeys:
    """The private keys of this person, who is asked for passphrases if there is a terminal."""

    def ask(question: str) -> str:
        answer: str = click.prompt(question, hide_input=True, err=True, prompt_suffix="")
        return answer

    return OwnKeys(identities, ask if sys.stdin.isatty() else None)

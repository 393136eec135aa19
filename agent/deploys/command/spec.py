"""command: programs that are run, where no other deploy can say what they are to bring about.

- command:
    migrate: {run: [/srv/app/bin/migrate, --all], unless: [/srv/app/bin/migrate, --check], user: app, cwd: /srv/app}
    key: {run: [openssl, genrsa, -out, /etc/app/key, "4096"], creates: /etc/app/key}
    reindex: {shell: "reindex --all | logger -t reindex", timeout: 1h}      # once, and again when this changes

They run in this order; one that fails keeps those after it from being run.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from agent.deploys.spec import ByName, Concrete, NamedEntry, Sources, each_by_name
from agent.deploys.written import AbsolutePath, Duration, UserName, Variable, Word, checked
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.duration import seconds
from agent.domain.fault import Mistake

DEFAULT_TIMEOUT = "10m"

EntryName = Annotated[
    str,
    checked(
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}").fullmatch,
        "a name for a command",
        "write letters, digits, -, _ and dots",
    ),
]
SomeTime = Annotated[Duration, checked(seconds, "a time to run in", f"write one such as {DEFAULT_TIMEOUT}")]
PlainPath = Annotated[AbsolutePath, AfterValidator(posixpath.normpath)]


def _argv(argv: tuple[Word, ...]) -> tuple[Word, ...]:
    if not argv or argv[0] == "":
        raise Mistake("there is no program", "write it and its arguments as a list: [systemctl, reload, nginx]")
    return argv


def _shell_text(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise Mistake("there is nothing for the shell", "write what it is to run")
    return text


Argv = Annotated[tuple[Word, ...], AfterValidator(_argv)]


class CommandEntry(NamedEntry):
    """One command."""

    whole: ClassVar[tuple[str, ...]] = ("run", "unless")
    alternatives: ClassVar[tuple[str, ...]] = ("run", "shell")

    run: Argv | None = None
    """The program and its arguments, as a list. No shell reads them."""
    shell: Annotated[str, AfterValidator(_shell_text)] | None = None
    """Instead of `run`, text for `/bin/sh -eu`; it should hold no values from elsewhere."""
    unless: Argv | None = None
    """A program with its arguments; it ends with 0 if there is nothing to do. It is run at every look at the host, as
    the same user: it must be quick and change nothing."""
    creates: PlainPath | None = None
    """A path; if it exists, there is nothing to do."""
    user: UserName = "root"
    """The user who runs it."""
    cwd: PlainPath = "/"
    """The folder in which it runs."""
    env: Mapping[Variable, Word] = Field(default_factory=dict)
    """Variables, beside PATH, HOME, USER, LOGNAME and a UTF-8 locale."""
    timeout: SomeTime = DEFAULT_TIMEOUT
    """The time that it may take (`30s`, `10m`, `1h`). After that it is killed with all that it started.
    `deploy_timeout` of fleet.yaml holds for the whole deploy."""

    def concrete(self, name: str) -> dict[str, JSON]:
        """The arguments that the operations take. Raises InventoryError if the entry has both or neither of ``run`` and
        ``shell``."""
        if (self.run is None) is (self.shell is None):
            raise Mistake("it is not said what runs, or twice", "give either `run` or `shell`", ("commands", name))
        return {
            "argv": _words(self.run) or ["/bin/sh", "-euc", self.shell],
            "unless": _words(self.unless),
            "creates": self.creates,
            "user": self.user,
            "cwd": self.cwd,
            "env": {variable: f"{value}" for variable, value in self.env.items()},
            "timeout_s": seconds(self.timeout),
        }


class CommandSpec(ByName):
    kind: ClassVar[str] = "command"
    owned: ClassVar[Mapping[str, str]] = {"command": "commands"}
    if_sealed: ClassVar[str] = (
        "every user sees arguments in the process list: write the secret with `files` to a file of mode "
        '"0600", and let the program read that'
    )
    level: ClassVar[str] = "commands"

    commands: dict[EntryName, CommandEntry] = Field(default_factory=dict)
    """By name. In the short form this level is left out."""

    def concrete(self, sources: Sources) -> Concrete:  # noqa: ARG002 - nothing of the commit is needed
        said = each_by_name(self.commands, lambda name, command: command.concrete(name))
        entries = {name: {**entry, "digest": digest_of(entry)} for name, entry in said.items()}
        resources = tuple(Resource(f"command:{name}", f"{entry['digest']}") for name, entry in entries.items())
        # A list, because the order counts: the order of a mapping's keys is in no digest.
        commands: list[JSON] = [{"name": name, **entry} for name, entry in entries.items()]
        # `unless` is somebody's program, asked as the command's user: as anyone else it might answer otherwise.
        asks = any(entry["unless"] is not None for entry in entries.values())
        return Concrete({"commands": commands}, resources, needs_more_to_look=asks)


def _words(argv: tuple[Word, ...] | None) -> list[JSON] | None:
    return None if argv is None else [f"{word}" for word in argv]

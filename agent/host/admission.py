"""The host's part in its admission: it asks for its keys to be admitted, and takes them up once they are.

A host whose keys are not those in ``identities/<host>.pub`` asks by a request on the status branch. After ``identity
rotate`` it has two pairs of keys: the admitted ones, and those in ``identity.next`` that it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agent import __version__
from agent.domain import codec
from agent.domain.one_time_code import OneTimeCode
from agent.domain.request import REQUEST_LIMIT, REQUEST_NAMESPACE, Request, SignedRequest, admitting_anew, encode
from agent.domain.tree import Tree
from agent.errors import Consequence, ReportError, SettingsError
from agent.host.identity import (
    AGE_NAME,
    PRIVATE_NAME,
    Identity,
    PublicIdentity,
    admitted_as,
    decryption_key,
    public_lines,
)
from agent.host.paths import Paths
from agent.problems import ProblemKind
from agent.system.files import discard, fsync_folder, read_bounded, write_atomic

FORMER_AGE_NAME = "age_x25519.former"
"""The file with the age key from before the last rotation. Secrets in older commits, which the host may go back to, are
encrypted to it."""
CODE_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class AdmissionState:
    """The host's side of its admission, for its reports.

    ``ssh``: the public key that it has or asks for. ``request``: the request to send; None if its keys are admitted.
    ``asked``: the requests that it sent, or was about to send, the last one first. ``displaced``: True if the fleet
    admits another key by this host's name. Nobody would believe its reports then, and they would replace those of the
    other machine.
    """

    ssh: str
    request: SignedRequest | None
    asked: tuple[bytes, ...]
    displaced: bool


@dataclass(frozen=True, slots=True)
class Admission:
    """The admission of one host. ``tree`` returns the files of the newest trusted commit; None if there is none yet."""

    paths: Paths
    inventory: str
    host: str
    tree: Callable[[], Tree | None]
    clock: Callable[[], int]

    def take_up(self) -> bool:
        """Take up the keys that this host asked for, if they are admitted by now. Return True from then on until
        ``keep`` is told that the request is gone. Raises OSError, SettingsError, and what reading the commit raises."""
        new, own = self.paths.next_identity, self.paths.identity
        wanted = self._wanted()
        if wanted is None or not _is(self._admitted(), wanted):
            self._notice(wanted.fingerprint if wanted is not None and not new.exists() else "")
            return False
        self._notice("")
        if (new / PRIVATE_NAME).exists() and Identity.load(new, self.host).public.key != wanted.key:
            return True
        if (new / AGE_NAME).exists():
            write_atomic(own / FORMER_AGE_NAME, f"{decryption_key(own)}\n".encode())
            (new / AGE_NAME).rename(own / AGE_NAME)
            fsync_folder(own)
        if (new / PRIVATE_NAME).exists():
            (new / PRIVATE_NAME).rename(own / PRIVATE_NAME)
            fsync_folder(own)
        discard(new)
        Identity.ensure(own, self.host)
        return True

    def rotate(self) -> tuple[str, bool]:
        """Make new keys to ask for, unless some wait to be admitted already: an administrator may have admitted these
        meanwhile. Return their fingerprint, and True if they were made now. Raises OSError, SettingsError, and what
        reading the commit raises."""
        self.take_up()
        made = not (self.paths.next_identity / PRIVATE_NAME).exists()
        return Identity.ensure(self.paths.next_identity, self.host).public.fingerprint, made

    def state(self) -> AdmissionState:
        """The present state of the admission, with the signed request where one is needed. Raises SettingsError if the
        keys cannot be used, and what reading the commit raises."""
        known, own = self._admitted(), Identity.load(self.paths.identity, self.host)
        folder = wanted_keys(self.paths)
        line, age = public_lines(folder, self.host)
        keys, request = PublicIdentity(line, age), None
        if not _is(known, keys):
            document = encode(self._request(keys, age, own))
            signature = Identity.load(folder, self.host).sign(document, REQUEST_NAMESPACE)
            request = SignedRequest(document, signature)
        displaced = known is not None and known.key != own.public.key
        waits = request is not None and (displaced or known is None)
        self._notice(keys.fingerprint if waits else "")
        return AdmissionState(keys.key, request, self._documents(), displaced)

    def name_taken(self) -> ReportError | None:
        """The error for a host by whose name the fleet admits another key; None for any other. Raises as ``state``."""
        known, own = self._admitted(), Identity.load(self.paths.identity, self.host)
        if known is None or known.key == own.public.key:
            return None
        keys = PublicIdentity(*public_lines(wanted_keys(self.paths), self.host))
        return ReportError(
            f"the config repo admits another key as {self.host}, so this host reports nothing; it asked to be admitted",
            hint="if this machine was installed anew, in the config repo: "
            f"{admitting_anew(self.host, keys.fingerprint)}; "
            "else give it a name of its own with bootstrap.sh --host NAME",
            kind=ProblemKind.NAME_TAKEN,
            consequence=Consequence.STALL,
        )

    def prepare(self, state: AdmissionState) -> None:
        """Write the request of ``state`` down before it is pushed, so that the host still knows it for its own if it is
        killed right after the push. Raises OSError."""
        if state.request is not None and state.asked[:1] != (state.request.document,):
            if state.asked and not self.paths.former_request.exists():
                write_atomic(self.paths.former_request, state.asked[0])
            write_atomic(self.paths.request, state.request.document)

    def keep(self, state: AdmissionState) -> None:
        """Remember that the status branch now has what ``state`` says: its request, or none."""
        discard(self.paths.former_request)
        if state.request is None and (state.asked or self.paths.code.exists()):
            discard(self.paths.code)
            discard(self.paths.request)

    def _request(self, keys: PublicIdentity, age: str, own: Identity) -> Request:
        """The request for ``keys``; the one sent before, if it says the same. ``own``: the key that signs now."""
        request = Request(
            host=self.host,
            inventory=self.inventory,
            agent_version=__version__,
            at=self.clock(),
            ssh=keys.key,
            age=age,
            fingerprint=keys.fingerprint,
        )
        if (code := self._code()) is not None:
            request = replace(request, seal=code.seal(request.claim))
        if keys.key != own.public.key:
            request = replace(request, voucher=own.sign(request.claim, REQUEST_NAMESPACE).decode())
        before = self._asked()
        same = before is not None and replace(request, at=before.at, agent_version=before.agent_version) == before
        return before if before is not None and same else request

    def _admitted(self) -> PublicIdentity | None:
        tree = self.tree()
        return admitted_as(tree, self.inventory, self.host) if tree is not None else None

    def _wanted(self) -> PublicIdentity | None:
        """The public keys that this host asked for. Without a request on the disk: those in ``identity.next``, if both
        are there; else None."""
        if (asked := self._asked()) is not None:
            return PublicIdentity(asked.ssh, asked.age)
        new = self.paths.next_identity
        both = (new / PRIVATE_NAME).exists() and (new / AGE_NAME).exists()
        return PublicIdentity(*public_lines(new, self.host)) if both else None

    def _documents(self) -> tuple[bytes, ...]:
        found = []
        for path in (self.paths.request, self.paths.former_request):
            with suppress(OSError):
                found.append(read_bounded(path, REQUEST_LIMIT))
        return (*found,)

    def _asked(self) -> Request | None:
        with suppress(OSError, ValueError):
            return codec.decode(read_bounded(self.paths.request, REQUEST_LIMIT), Request)
        return None

    def _code(self) -> OneTimeCode | None:
        with suppress(OSError, ValueError):
            return OneTimeCode.read(read_bounded(self.paths.code, CODE_LIMIT).decode(errors="replace"))
        return None

    def _notice(self, fingerprint: str) -> None:
        """Show the fingerprint to people who log in; show nothing if it is empty. A failure is ignored."""
        path, text = self.paths.motd, f"{self.host} waits to be admitted to its fleet: {fingerprint}\n"
        with suppress(OSError):
            if not fingerprint:
                path.unlink(missing_ok=True)
            elif not path.is_file() or path.read_text() != text:
                path.parent.mkdir(mode=0o755, exist_ok=True)
                write_atomic(path, text.encode(), mode=0o644)


def wanted_keys(paths: Paths) -> Path:
    """The folder of the keys that this host asks for; of those that it has, if it asks for no others."""
    new = paths.next_identity
    return new if (new / PRIVATE_NAME).exists() else paths.identity


def further_keys(paths: Paths) -> Sequence[str]:
    """The age identities that this host had before the last rotation, and those that it asks for."""
    found = []
    for folder, name in ((paths.identity, FORMER_AGE_NAME), (paths.next_identity, AGE_NAME)):
        if (folder / name).exists():
            with suppress(SettingsError):
                found.append(decryption_key(folder, name))
    return found


def _is(known: PublicIdentity | None, keys: PublicIdentity) -> bool:
    return known is not None and (known.key, known.age) == (keys.key, keys.age)

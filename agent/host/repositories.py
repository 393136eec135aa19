"""Other repositories at their pins: each is fetched once, and kept in a folder named by the digest of all its files.

Before it is used, the folder is compared with the digest, if anything in it was touched (``host.believed``). If it
differs, it is removed and fetched anew. Fetched files are compared with the pin before they are written, so that no
other commit and no other files can come into the folder. On a host the store is root's; on an administrator's machine
it is a cache.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from agent.domain.address import Address
from agent.domain.pins import RepositoryPin
from agent.domain.tree import Tree, tree_digest
from agent.errors import HostwrightError, InventoryError, TrustError
from agent.host.believed import SEEN, is_intact
from agent.problems import ProblemKind
from agent.system import git_remote
from agent.system.files import discard, make_private_folder
from agent.system.folder import FolderTree
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from agent.system.misplaced import misplaced_folder
from agent.system.remote import Remote, Transport

LEFT_OUT_MOST = 20
"""The most names in ``RepositoryPin.left_out``."""
_BRANCHES = "refs/heads/*"
_FETCH = ".fetch-"
_FETCH_S = 3600
"""The longest fetch, in seconds. A younger folder of a fetch may still be in use, such as by `hostwright plan`."""


class Repositories:
    """The store of other repositories in ``folder``. ``access``: for fetching them; None if nothing may be fetched.
    ``known``: the URL of a remote whose user and password are also used for other repositories on the same server."""

    def __init__(self, folder: Path, access: Access | None, known: str | None = None) -> None:
        self._folder = folder
        self._access = access
        self._known = known
        self._checked: dict[str, FolderTree] = {}

    def tree(self, pin: RepositoryPin) -> Tree:
        """The files of a pin, fetched if they are not here. Raises InventoryError (kind ``not-fetched``) if nothing may
        be fetched, SourceError if fetching fails, TrustError (kind ``pin-mismatch``) if other files came."""
        if pin.tree not in self._checked:
            folder = self._folder / pin.tree
            if not is_intact(folder, partial(_matches, folder, pin.tree)):
                self._fetch(pin, folder)
            self._checked[pin.tree] = FolderTree(folder)
        return self._checked[pin.tree]

    def pin(self, address: Address) -> RepositoryPin:
        """Fetch the files at ``address`` as they are now, and return the pin of them. Raises SourceError,
        SettingsError, and InventoryError (kind ``not-fetched``) if nothing may be fetched."""
        access, remote = self._reached(address)
        if address.exact:
            name, commit = _BRANCHES, address.ref
        else:
            name, commit = git_remote.look_up(remote, address.ref, access)
        with self._fetched(access, remote, commit, name) as mirror:
            tree = mirror.tree(commit)
            left_out = tree.left_out(outward=True)[:LEFT_OUT_MOST]
            pin = RepositoryPin(address.url, address.ref, commit, tree_digest(tree), left_out)
            folder = self._folder / pin.tree
            if not _matches(folder, pin.tree):
                _discard(folder)
                mirror.export(commit, folder, outward=True)
        return pin

    @property
    def any(self) -> bool:
        """True if any repository is kept."""
        return self._folder.is_dir() and next(self._folder.iterdir(), None) is not None

    def collect(self, needed: frozenset[str]) -> None:
        """Remove the files of all pins but those ``needed``, by tree digest, and what an interrupted fetch left."""
        for entry in self._folder.iterdir() if self._folder.is_dir() else ():
            if entry.name.removesuffix(SEEN) not in needed and not _is_being_fetched(entry):
                _discard(entry)

    def _fetch(self, pin: RepositoryPin, folder: Path) -> None:
        access, remote = self._reached(pin.address)
        name = _BRANCHES if pin.address.exact else pin.ref or "HEAD"
        with self._fetched(access, remote, pin.commit, name) as mirror:
            found = tree_digest(mirror.tree(pin.commit))
            if found != pin.tree:
                raise TrustError(
                    f"{pin.address}: the files of commit {pin.commit[:12]} have the digest {found},"
                    f" lock.yaml pins {pin.tree}",
                    kind=ProblemKind.PIN_MISMATCH,
                    hint="find out who changed lock.yaml; `hostwright lock` in the config repo writes what it holds",
                )
            _discard(folder)
            mirror.export(pin.commit, folder, outward=True)

    @contextmanager
    def _fetched(self, access: Access, remote: Remote, commit: str, ref: str) -> Iterator[Mirror]:
        """A context with a mirror that holds the commit. The mirror is removed when the context ends."""
        make_private_folder(self._folder)
        with (
            tempfile.TemporaryDirectory(prefix=_FETCH, dir=self._folder) as work,
            closing(Mirror(Path(work) / "repo.git", access)) as mirror,
        ):
            mirror.fetch_commit(remote, commit, ref)
            yield mirror

    def _reached(self, address: Address) -> tuple[Access, Remote]:
        if self._access is None:
            raise InventoryError(
                f"{address.pinned} is not fetched here",
                kind=ProblemKind.NOT_FETCHED,
                hint="`hostwright lock` in the config repo fetches it",
            )
        remote = Remote.parse(address.remote)
        if self._known is not None and remote.transport is Transport.HTTP:
            known = Remote.parse(self._known)
            if _server(known) == _server(remote):
                remote = replace(remote, authorization=known.authorization)
        return self._access, remote


def _matches(folder: Path, digest: str) -> bool:
    """True if the files below ``folder`` have this digest; False also if one cannot be read."""
    try:
        return not misplaced_folder(folder) and folder.is_dir() and tree_digest(FolderTree(folder)) == digest
    except (HostwrightError, KeyError):
        return False


def _is_being_fetched(entry: Path) -> bool:
    try:
        return entry.name.startswith(_FETCH) and entry.lstat().st_mtime > time.time() - _FETCH_S
    except FileNotFoundError:
        return False


def _server(remote: Remote) -> str:
    """The scheme, host and port of a remote."""
    return remote.url.partition("://")[0] + remote.url.partition("://")[2].partition("/")[0]


def _discard(path: Path) -> None:
    """Remove ``path``, also if its folders are read-only and this process is not root's."""
    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            os.chmod(folder, 0o700)  # noqa: PTH101  # os.walk gives text
    discard(path)

"""Unsealing: values of secrets put in place of their tokens, on the host, in memory, on the way to the engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.domain.provider import ProviderKind
from agent.domain.sealed import Expression, opened
from agent.domain.tree import blob_id
from agent.engine.secrecy import Lacking
from agent.errors import InventoryError, SettingsError
from agent.inventory.secrets import plain_yaml, sops_value
from agent.inventory.template.sealed import FilterRefusal, call_filter
from agent.system import age, mask, sops
from agent.system.files import read_bounded

if TYPE_CHECKING:
    from agent.secrets.provided import Providers

SECRET_LIMIT = 4 * 1024 * 1024
"""Bytes of a file of secrets."""

NOT_ADMITTED = (
    "this host is not admitted, so it reads no secret: it has asked for it, and `hostwright admit` in the config repo"
    " grants that"
)

_WORD = r"(?:[A-Za-z]*|(?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20})[0-9]{1,4}[a-z]{0,2}|[0-9]{1,3})"
_NAME = re.compile(rf"(?=[A-Za-z_.-]){_WORD}(?:[_.-]{_WORD})*|[0-9]{{1,5}}|(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}")
"""A key of a mapping that is a name, not a secret: an identifier, the name or IPv4 address of a host, a port. In a name
the digits of a word stand together behind its letters; in random text they seldom do."""

REKEY = "run `hostwright secret rekey` in the config repo"
UPDATE_KEYS = "add the host's line age1… to .sops.yaml and run `sops updatekeys` on the file"


class Unsealer:
    """A function that puts the values of secrets in place of their tokens.

    ``key`` returns the host's age identity. ``admitted`` returns True for a recipient that the newest trusted commit
    admits. ``repositories``: the folder of other repositories' files. ``credentials``: the folder of this host's
    credentials for providers. ``more`` returns the age identities that the host had before, or is to have: the secrets
    of a commit may be encrypted for these.
    """

    def __init__(
        self,
        key: Callable[[], str],
        admitted: Callable[[str], bool],
        repositories: Path,
        credentials: Path,
        more: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._key = key
        self._credentials = credentials
        self._more = more
        self._admitted = admitted
        self._repositories = repositories
        self._files: dict[str, bytes] = {}
        self._documents: dict[str, object] = {}
        self._providers: Providers | None = None

    def __call__(self, value: Any, root: Path) -> Any:
        """Return ``value`` with its secrets put in. ``root``: the folder of the commit's files. Raises Lacking."""
        found = opened(value, lambda expression: self._evaluate(expression, root))
        if isinstance(value, Mapping):
            _remember(value, found)
        return found

    def _evaluate(self, expression: Expression, root: Path) -> object:
        match expression:
            case {"is": "file", "path": str(path), "blob": str(blob), "binary": bool(binary)}:
                return self._file(path, blob, self._folder(expression, root), binary=binary)
            case {"is": "sops", "path": str(path), "blob": str(blob), "key": list(key)}:
                return self._sops(path, blob, [f"{part}" for part in key], root)
            case {
                "is": "provider",
                "name": str(name),
                "place": str(place),
                "key": str(key),
                "settings": dict(settings),
            }:
                return self._provided(name, place, key, settings)
            case {"is": "filter", "name": str(name), "arguments": list(arguments), "named": dict(named)}:
                given = opened(arguments, lambda inner: self._evaluate(inner, root))
                more = opened(named, lambda inner: self._evaluate(inner, root))
                return _filtered(name, given, more)
            case {"is": "item", "of": str(of), "key": str() | int() as key}:
                whole = opened(of, lambda inner: self._evaluate(inner, root))
                try:
                    part: object = whole[key]
                except (LookupError, TypeError):
                    raise Lacking(f"there is no {key!r} in the value of a secret") from None
                _remember_all(part)
                return part
            case {"is": "tuple", "of": list(of)}:
                return tuple(opened(of, lambda inner: self._evaluate(inner, root)))
        raise Lacking("a secret of a form that this version of the agent does not know")

    def _folder(self, expression: Expression, root: Path) -> Path:
        repository = expression.get("repository")
        return self._repositories / repository if isinstance(repository, str) else root

    def _file(self, path: str, blob: str, root: Path, *, binary: bool) -> str:
        plain = self._decrypted(path, blob, root)
        if binary:
            return plain.decode(errors="surrogateescape")
        try:
            return plain.decode().removesuffix("\n")
        except UnicodeDecodeError:
            raise Lacking(f"{path} is no text; call it with binary=true") from None

    def _sops(self, path: str, blob: str, key: list[str], root: Path) -> object:
        if blob not in self._documents:
            content = self.content(path, blob, root)
            try:
                file = sops.read(content, path, lambda content: plain_yaml(content, path))
                data_key = file.data_key(lambda wrapped: self._opened(wrapped, path, UPDATE_KEYS))
                self._documents[blob] = file.opened(data_key)
            except (sops.SopsError, InventoryError) as error:
                raise Lacking(f"{path}: {error}") from None
        try:
            found = sops_value(self._documents[blob], key)
        except LookupError:
            raise Lacking(f"{path} has no {'.'.join(key)}") from None
        if not key and isinstance(found, dict) and set(found) == {"data"}:
            found = found["data"]  # SOPS keeps the content of a binary file there
        found = found.decode(errors="surrogateescape") if isinstance(found, bytes) else found
        _remember_all(found, keys=False)  # SOPS leaves keys in clear
        return found

    def _provided(self, name: str, place: str, key: str, settings: Mapping[str, Any]) -> str:
        from agent.secrets.provided import Providers  # imported late: most hosts ask no provider
        from agent.secrets.providers.api import ProviderError

        if self._providers is None:
            self._providers = Providers(self._credentials)
        try:
            return self._providers.value(ProviderKind(name), place, key, settings)
        except (ProviderError, ValueError) as error:
            raise Lacking(f"{name}({place!r}): {error}") from None

    def _decrypted(self, path: str, blob: str, root: Path) -> bytes:
        if blob not in self._files:
            plain = self._opened(self.content(path, blob, root), path)
            mask.remember(plain.decode(errors="surrogateescape"))
            self._files[blob] = plain
        return self._files[blob]

    def _opened(self, content: bytes, path: str, remedy: str = REKEY) -> bytes:
        """The decrypted content of an age file, by this host's keys. ``path`` and ``remedy`` are for the error. Raises
        Lacking."""
        mask.forbid_core_dumps()
        try:
            secret = self._key()
        except SettingsError as error:
            raise Lacking(error.message) from None
        try:
            keys = [secret, *self._more()]
            return age.decrypt(content, age.x25519(keys))
        except age.NotForUs:
            if not any(self._admitted(age.recipient_of(key)) for key in keys):
                raise Lacking(NOT_ADMITTED, admitted=False) from None
            raise Lacking(f"{path} was not made for this host: {remedy}") from None
        except age.AgeError as error:
            raise Lacking(f"{path}: {error}") from None

    @staticmethod
    def content(path: str, blob: str, root: Path) -> bytes:
        """The content of the commit's file at ``path``. Raises Lacking where it cannot be read, or is not the blob that
        the digest was made of."""
        try:
            content = read_bounded(root / path, SECRET_LIMIT)
        except (OSError, ValueError) as error:
            raise Lacking(f"{path} of the commit cannot be read: {error}") from None
        if blob_id(content) != blob:
            raise Lacking(f"{path} is not what the commit holds; the next cycle exports it anew")
        return content


def _filtered(name: str, arguments: list[Any], named: Mapping[str, Any]) -> object:
    try:
        found = call_filter(name, arguments, named)
    except FilterRefusal as error:
        raise Lacking(f"the filter {name} does not take the value of a secret: {mask.masked(f'{error}')}") from None
    _remember_all(found)
    return found


def _remember_all(value: object, *, keys: bool = True) -> None:
    """Mask each text, number and bytes in ``value`` from now on; with ``keys`` also the keys of mappings, except those
    that are names: else every report would have masks in place of `web1` and `password`."""
    if isinstance(value, (str, float)) or (isinstance(value, int) and not isinstance(value, bool)):
        mask.remember(f"{value}")
    elif isinstance(value, bytes):
        mask.remember(value.decode(errors="surrogateescape"))
    elif isinstance(value, dict):
        for key, item in value.items():
            if keys and not _NAME.fullmatch(f"{key}"):
                mask.remember(f"{key}")
            _remember_all(item, keys=keys)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _remember_all(item, keys=keys)


def _remember(sealed: Any, found: Any) -> None:
    """Mask each text in ``found`` as a whole from now on, if a secret was put into it. ``sealed``: the value before."""
    if isinstance(sealed, str):
        if found != sealed:
            mask.remember(f"{found}", lines=False)
    elif isinstance(sealed, Mapping):
        for key, value in sealed.items():
            _remember(value, found[key])
    elif isinstance(sealed, (list, tuple)):
        for before, after in zip(sealed, found, strict=True):
            _remember(before, after)

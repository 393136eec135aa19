"""SOPS files: documents with keys in clear and encrypted values, read with a data key that age decrypts.

Format: https://getsops.io/docs/ and the tree of github.com/getsops/sops. Each value is ``ENC[AES256_GCM,…]``, bound to
its path; a MAC over all values, in the order of the document, is bound to the time of the last change.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.domain.codec import plain_json

METADATA = "sops"
_VALUE = re.compile(r"ENC\[AES256_GCM,data:([^,]*),iv:([^,]+),tag:([^,]+),type:([a-z0-9]+)\]")
_ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()
"""The first bytes of the MAC's input if ``mac_only_encrypted`` is set."""

_NAME = re.compile(r".+\.sops(\.(ya?ml|json|env|dotenv|ini|bin|binary|txt))?", re.IGNORECASE)
_KEY = re.compile(rb"(?m)^[\"']?sops[\"']?:|\"sops\"\s*:|^sops_\w+=|^\[sops\]")
"""The beginning of the metadata in YAML, JSON, .env and INI."""

_RULES = ("unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex")
"""The rules that say, by their keys, which values are encrypted. A later rule overrides an earlier one."""

_KeyPath = tuple[str, ...]


class SopsError(Exception):
    """The file is no SOPS file, or cannot be read."""


@dataclass(frozen=True, slots=True)
class SopsFile:
    """A SOPS file. ``root``: the document without its metadata, the values still encrypted."""

    root: Mapping[str, Any]
    metadata: Mapping[str, Any]

    def data_key(self, decrypt: Callable[[bytes], bytes]) -> bytes:
        """The key of all values. ``decrypt``: decrypts an age file. Raises the last error of ``decrypt`` if it can
        decrypt none of the entries, SopsError if there is none."""
        last: Exception = SopsError("its data key has no age recipient")
        for entry in self.metadata["age"]:
            try:
                return decrypt(entry["enc"].encode())
            except Exception as error:
                last = error
        raise last

    def opened(self, key: bytes) -> Any:
        """The document with its values decrypted. Raises SopsError if a value was changed, moved or removed."""
        if len(key) != 32:
            raise SopsError("its data key is damaged")
        begins = f"{self.metadata.get('mac_only_encrypted', False)}".lower() == "true"
        digest = hashlib.sha512(_ONLY_ENCRYPTED if begins else b"")
        found = _walk(self.root, (), key, digest.update, only=begins)
        mac, changed = self.metadata.get("mac"), f"{self.metadata.get('lastmodified', '')}"
        said = _decrypted(f"{mac}", key, changed, what="its MAC")
        if not hmac.compare_digest(f"{said}", digest.hexdigest().upper()):
            raise SopsError("its MAC does not fit: values were changed by something else than SOPS")
        return found


def read(content: bytes, name: str, load_yaml: Callable[[bytes], Any]) -> SopsFile:
    """The SOPS file ``content``: .env by the end of ``name``, JSON by a leading ``{``, else YAML. ``load_yaml``:
    returns plain data. Raises SopsError."""
    if name.endswith((".env", ".dotenv")):
        root: Any = _from_env(content)
    else:
        root = _from_json(content) if content.lstrip().startswith(b"{") else load_yaml(content)
    metadata = root.get(METADATA) if isinstance(root, dict) else None
    if not isinstance(metadata, dict):
        raise SopsError("it holds no metadata of SOPS")
    require_usable(metadata)
    return SopsFile({key: _without_comments(value) for key, value in root.items() if key != METADATA}, metadata)


def is_called_sops(path: str) -> bool:
    """True if a file of this name is encrypted by SOPS. ``.sops.yaml`` is none: it holds the rules of SOPS."""
    return _NAME.fullmatch(path.rpartition("/")[2]) is not None


def lies_in_clear(content: bytes) -> bool:
    """True if ``content`` is not blank, and lacks the metadata or the encrypted values of SOPS."""
    return bool(content.strip()) and not (_KEY.search(content) and b"ENC[AES256_GCM," in content)


def require_usable(metadata: Mapping[str, Any]) -> None:
    """Raise SopsError unless ``metadata`` has a MAC, a data key for age, and rules that can be followed."""
    if not is_encrypted(metadata.get("mac")):
        raise SopsError("it has no MAC")
    if metadata.get("key_groups"):
        raise SopsError("its key is split among groups, which is not read here")
    entries = metadata.get("age")
    if not isinstance(entries, list) or not entries:
        raise SopsError("its data key has no age recipient")
    if not all(isinstance(each, dict) and isinstance(each.get("enc"), str) for each in entries):
        raise SopsError("the age recipients of its data key are damaged")
    for rule in _RULES:
        said = metadata.get(rule) or ""
        try:
            re.compile(re.escape(said) if rule.endswith("suffix") else said)
        except (TypeError, re.error) as error:
            raise SopsError(f"its {rule} cannot be followed: {error}") from None


def stays_clear(metadata: Mapping[str, Any], names: _KeyPath) -> bool:
    """True if SOPS leaves the value below the keys ``names`` in clear. Rules about comments do not count."""
    encrypted = True
    for rule in _RULES:
        if said := metadata.get(rule):
            fits = any(name.endswith(said) if rule.endswith("suffix") else re.search(said, name) for name in names)
            encrypted = fits if rule.startswith("encrypted") else encrypted and not fits
    return not encrypted


def _without_comments(value: Any) -> Any:
    """``value`` without the comments that SOPS writes as items of lists."""
    if isinstance(value, dict):
        return {key: _without_comments(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    return [_without_comments(item) for item in value if not is_comment(item)]


def is_encrypted(value: object) -> bool:
    return isinstance(value, str) and _VALUE.fullmatch(value) is not None


def is_comment(value: object) -> bool:
    """True if ``value``, an item of a list, is an encrypted comment."""
    return is_encrypted(value) and f"{value}".endswith(",type:comment]")


def _walk(value: Any, path: _KeyPath, key: bytes, update: Callable[[bytes], None], *, only: bool) -> Any:
    if isinstance(value, Mapping):
        return {name: _walk(item, (*path, f"{name}"), key, update, only=only) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_walk(item, path, key, update, only=only) for item in value]
    if is_encrypted(value):
        value = _decrypted(value, key, "".join(f"{part}:" for part in path))
    elif only or value is None:
        return value
    update(value if isinstance(value, bytes) else _text(value).encode(errors="surrogateescape"))
    return value


def _text(value: Any) -> str:
    """A value as SOPS writes it into the MAC's input."""
    if isinstance(value, bool):
        return "True" if value else "False"
    return format(Decimal(repr(value)), "f").removesuffix(".0") if isinstance(value, float) else f"{value}"


def _decrypted(text: str, key: bytes, bound_to: str, *, what: str = "") -> Any:
    found = _VALUE.fullmatch(text)
    assert found is not None
    try:
        data, iv, tag = (base64.b64decode(part, validate=True) for part in found.groups()[:3])
        plain = AESGCM(key).decrypt(iv, data + tag, bound_to.encode())
        return _TYPES[found[4]](plain)
    except (InvalidTag, ValueError, binascii.Error, KeyError):
        what = what or f"the value of {bound_to.rstrip(':')}"
        raise SopsError(f"{what} is damaged, or was moved") from None


_WHOLE = re.compile(rb"-?[0-9]{1,15}")
"""A number that is the same as a float and as an integer."""

_TYPES: Mapping[str, Callable[[bytes], Any]] = {
    "str": lambda plain: plain.decode(errors="surrogateescape"),
    "int": int,
    "int64": int,
    "float": lambda plain: int(plain) if _WHOLE.fullmatch(plain) else float(plain),  # SOPS calls all of JSON's floats
    "bool": lambda plain: plain.lower() in (b"true", b"1", b"t"),
    "bytes": lambda plain: plain,
    "time": bytes.decode,
    "comment": bytes.decode,
}


def _from_json(content: bytes) -> Any:
    try:
        return plain_json(content)
    except ValueError as error:
        raise SopsError(f"{error}") from None


def _from_env(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for name, value in _env_lines(content):
        if name.startswith(f"{METADATA}_"):
            metadata[name.removeprefix(f"{METADATA}_")] = value
        else:
            found[name] = value
    return {**found, METADATA: _unflattened(metadata)}


def _env_lines(content: bytes) -> Iterator[tuple[str, str]]:
    for line in content.decode(errors="replace").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            yield name, value.replace("\\n", "\n")


def _unflattened(flat: Mapping[str, str]) -> dict[str, Any]:
    """The metadata of a .env file, nested as in JSON: ``age__list_0__map_enc`` is ``age[0].enc``. Its only lists are of
    mappings."""
    found: dict[str, Any] = {}
    lists: dict[str, dict[int, dict[str, str]]] = {}
    for name, value in flat.items():
        entry = re.fullmatch(r"(\w+?)__list_(\d{1,3})__map_(\w+)", name)
        if entry:
            lists.setdefault(entry[1], {}).setdefault(int(entry[2]), {})[entry[3]] = value
        else:
            found[name] = value
    return found | {name: [entries[number] for number in sorted(entries)] for name, entries in lists.items()}

"""Values turned into digests: sha256 over canonical JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

_TYPE_ERROR = "a digest is taken over null, booleans, whole numbers, strings, lists and maps with string keys only"

JSON = None | bool | int | str | Sequence["JSON"] | Mapping[str, "JSON"]
"""The values that a desired state is made of. Floats are none of them: their text form differs between programs."""

FORMAT = 1
"""Version of the values that digests are taken over. Raising it makes every resource look new once."""


def canonical(value: JSON) -> bytes:
    """``value`` as JSON with sorted keys, no spaces, UTF-8. Raises TypeError for floats and other types."""
    _reject_inexact(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def digest_of(value: JSON) -> str:
    """The digest of ``value``: 64 hex digits."""
    return digest_of_canonical(canonical(value))


def digest_of_canonical(document: bytes) -> str:
    """The digest of a value of which ``document`` is the canonical form."""
    return hashlib.sha256(document).hexdigest()


def _reject_inexact(value: object) -> None:
    if value is None or isinstance(value, (bool, int, str)):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{_TYPE_ERROR}, not a key of type {type(key).__name__}")
            _reject_inexact(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _reject_inexact(item)
    else:
        raise TypeError(f"{_TYPE_ERROR}, not {type(value).__name__}")

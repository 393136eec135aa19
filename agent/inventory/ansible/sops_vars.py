"""A SOPS file of variables: a token in place of each encrypted value, all others as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.domain.sealed import SOPS, token
from agent.inventory.complaint import Complaints
from agent.system.document import List, Map, Node, Scalar, Unsafe, key_text, plain
from agent.system.sops import METADATA, SopsError, is_comment, is_encrypted, require_usable, stays_clear

_MARKS = {"mac", "lastmodified"}
"""Keys by which a variable called ``sops`` is the metadata of SOPS; one of them is enough."""


IN_CLEAR = ("not encrypted", "encrypt it with `sops encrypt -i`, and change the value if it was pushed")
"""Problem and remedy of a file that is named like one of SOPS and is not encrypted."""


def is_sops(node: Node) -> bool:
    """True if ``node`` is the document of a SOPS file."""
    metadata = node.values.get(METADATA) if isinstance(node, Map) else None
    return isinstance(metadata, Map) and bool(_MARKS & metadata.values.keys())


def sealed(node: Map, path: str, blob: str, complaints: Complaints) -> Map:
    """The variables of the SOPS file at ``path`` of the repository, with tokens in place of encrypted values. Values in
    clear that SOPS would have encrypted are complaints: nobody checks the MAC of a value that needs no key."""
    metadata = plain(node.values[METADATA])
    assert isinstance(metadata, dict)
    rules = {key_text(key): value for key, value in metadata.items()}
    values = {key: value for key, value in node.values.items() if key != METADATA}
    try:
        require_usable(rules)
    except SopsError as error:
        complaints.add(node.keys[METADATA], (), f"no file of SOPS: {error}", "make it with `sops encrypt`")
        return Map(MappingProxyType({}), {}, node.position)
    found = _Sealing(path, blob, rules, complaints).of(Map(MappingProxyType(values), node.keys, node.position), (), ())
    assert isinstance(found, Map)
    return found


@dataclass(frozen=True, slots=True)
class _Sealing:
    path: str
    blob: str
    metadata: Mapping[str, object]
    complaints: Complaints

    def of(self, node: Node, key: tuple[str, ...], names: tuple[str, ...]) -> Node:
        """``node`` with tokens in place of its secrets. ``key`` leads to it; ``names`` is ``key`` without indices."""
        if isinstance(node, Map):
            inside = {
                name: self.of(part, (*key, key_text(name)), (*names, key_text(name)))
                for name, part in node.values.items()
            }
            return Map(MappingProxyType(inside), node.keys, node.position)
        if isinstance(node, List):
            items = [item for item in node.items if not (isinstance(item, Scalar) and is_comment(item.value))]
            parts = (self.of(item, (*key, f"{index}"), names) for index, item in enumerate(items))
            return List(tuple(parts), node.position)
        if not is_encrypted(node.value):
            if stays_clear(self.metadata, names):
                return node
            if node.value not in ("", None):  # which SOPS never encrypts
                remedy = "encrypt it with `sops edit`, and change it if it was secret"
                self.complaints.add(node.position, key, "a value in clear, which SOPS would have encrypted", remedy)
        said = {"path": self.path, "blob": self.blob, "key": list(key)}
        call = f"sops({self.path!r}, {'.'.join(key)!r})"
        return Scalar(Unsafe(token({"is": SOPS, **said, "call": call})), node.position)

"""A SOPS file of variables: its encrypted values as what stands for secrets, all others as they are."""

from __future__ import annotations

from types import MappingProxyType

from agent.domain.sealed import SOPS, token
from agent.system.document import List, Map, Node, Scalar, Unsafe, key_text
from agent.system.sops import METADATA, is_comment, is_encrypted


def is_sops(node: Node) -> bool:
    """Whether ``node`` is the document of a SOPS file."""
    metadata = node.values.get(METADATA) if isinstance(node, Map) else None
    return isinstance(metadata, Map) and "mac" in metadata.values


def sealed(node: Map, path: str, blob: str) -> Map:
    """The variables of a SOPS file, which lies at ``path`` of the repository."""
    values = {key: value for key, value in node.values.items() if key != METADATA}
    found = _sealed(Map(MappingProxyType(values), node.keys, node.position), path, blob, ())
    assert isinstance(found, Map)
    return found


def _sealed(node: Node, path: str, blob: str, key: tuple[str, ...]) -> Node:
    if isinstance(node, Map):
        inside = {name: _sealed(part, path, blob, (*key, key_text(name))) for name, part in node.values.items()}
        return Map(MappingProxyType(inside), node.keys, node.position)
    if isinstance(node, List):
        items = [item for item in node.items if not (isinstance(item, Scalar) and is_comment(item.value))]
        parts = (_sealed(item, path, blob, (*key, f"{index}")) for index, item in enumerate(items))
        return List(tuple(parts), node.position)
    if not is_encrypted(node.value):
        return node
    call = f"sops({path!r}, {'.'.join(key)!r})"
    return Scalar(
        Unsafe(token({"is": SOPS, "path": path, "blob": blob, "key": list(key), "call": call})), node.position
    )

"""site.yaml: its plays and their mentions of deploys, in order, each with its place in the file.

Nothing is rendered or merged here; ``merge_plays`` does that for a host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.deploys.spec import Spec, kinds
from agent.domain.address import SCHEME, Address
from agent.domain.check import Check
from agent.domain.desired import DEPLOY_KIND, Looking, Mode
from agent.domain.fault import KeyPath, Mistake
from agent.domain.text import some
from agent.inventory.ansible.inventory import Inventory
from agent.inventory.ansible.patterns import split
from agent.inventory.complaint import Complaints, nearest, unknown_key
from agent.inventory.playbook_keys import OF_PLAYBOOKS
from agent.inventory.source import Source
from agent.system.document import Key, List, Map, Node, Position, Scalar

SITE_FILE = "site.yaml"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_PLAY_KEYS = ("hosts", "deploys")
_LONG_KEYS = ("name", "deploy", "with", "needs", "mode", "plan", "merge", "health", "on_remove")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Mention:
    """One deploy as one play describes it. ``kind``: a built-in, or ``deploy`` with ``source``, a path in the config
    repo or in ``repository``. ``arguments``: the value behind the kind or under ``with``; ``path`` leads to it.
    ``mode`` and ``looking`` are None where the play sets none. ``on_remove``: a deploy file of the config repo to run
    when the deploy has left Git."""

    name: str
    kind: str
    arguments: Node
    position: Position
    path: KeyPath
    place: tuple[Position, KeyPath]
    """The position and key path of its kind or deploy file."""
    health: Node
    """A list of checks, not rendered yet."""
    source: str | None = None
    repository: Address | None = None
    needs: tuple[str, ...] = ()
    needs_at: Position | None = None
    mode: Mode | None = None
    looking: Looking | None = None
    replaces: bool = False
    on_remove: str | None = None
    spec: Spec | None = None
    """``arguments`` of a built-in, read; None where they hold a template."""
    checks: tuple[Check, ...] | None = None
    """``health``, read; None where it holds a template, or is not read yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Play:
    """One play. ``hosts`` is a valid host pattern."""

    hosts: str
    mentions: tuple[Mention, ...]
    position: Position
    broken: frozenset[str] = frozenset()
    """Names of deploys in it that have complaints."""


_DEPLOY = "begin each deploy with a dash and its kind: `- packages: [git]`"


def _unknown_beside(key: Key) -> tuple[str, str]:
    if key == "when":
        return "a deploy has no condition", "name the hosts in the pattern of a play, or use {% if %} in a template"
    return f'"{key}" is neither a deploy nor a key of one', nearest(str(key), kinds(), otherwise=_DEPLOY)


def read_site(source: Source, inventory: Inventory, complaints: Complaints) -> tuple[Play, ...]:
    """The plays of an inventory. Mistakes go to ``complaints``."""
    if not source.has(SITE_FILE):
        complaints.add(
            source.position(SITE_FILE),
            (),
            *source.missing(SITE_FILE, "site file", "write plays into it, or []"),
        )
        return ()
    root = source.read(SITE_FILE, complaints)
    if root is None or (isinstance(root, Scalar) and root.value is None):
        return ()
    if not isinstance(root, List):
        complaints.add(root.position, (), "a list of plays is expected", "begin each with `- hosts: …`")
        return ()
    reader = _Reader(source, inventory, complaints)
    plays = (reader.play(node, (index,)) for index, node in enumerate(root.items))
    return tuple(play for play in plays if play is not None)


@dataclass(slots=True)
class _Reader:
    source: Source
    inventory: Inventory
    complaints: Complaints

    def play(self, node: Node, path: KeyPath) -> Play | None:
        if not isinstance(node, Map):
            self._add(node.position, path, "a play has hosts and deploys", "begin it with `- hosts: …`")
            return None
        self._require_known(node, _PLAY_KEYS, path)
        hosts = self._hosts(node, path)
        mentions: list[Mention] = []
        broken: set[str] = set()
        deploys = node.values.get("deploys")
        if deploys is None and any(key not in _PLAY_KEYS for key in node.values):
            pass  # an unknown key is meant for it, and has its complaint
        elif not isinstance(deploys, List):
            position = node.keys.get("deploys", node.position)
            self._add(position, (*path, "deploys"), "a list of deploys is expected", _DEPLOY)
        else:
            for index, entry in enumerate(deploys.items):
                mention = self._mention(entry, (*path, "deploys", index))
                if mention is not None:
                    mentions.append(mention)
                else:
                    broken |= _names(entry)
        return Play(hosts, tuple(mentions), node.position, frozenset(broken)) if hosts else None

    def _hosts(self, node: Map, path: KeyPath) -> str:
        path = (*path, "hosts")
        value = node.values.get("hosts")
        if value is None:
            self._add(node.position, path, "the play names no hosts", "write a host pattern, or all")
            return ""
        parts = list(self._strings(value, path))
        found = ""
        with self.complaints.of(value.position, path):
            pattern = ",".join(part for text in parts for part in split(text))
            self.inventory.match(pattern)
            found = pattern
        for fault in self.inventory.unknown_names(found) if found else ():
            self._add(value.position, path, fault.problem, fault.remedy)
        return found

    def _mention(self, node: Node, path: KeyPath) -> Mention | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return self._short(node.value, None, node.position, path)
        if not isinstance(node, Map) or not node.values:
            self._add(node.position, path, "a deploy is expected", _DEPLOY)
            return None
        if "deploy" in node.values:
            return self._long(node, path)
        keys = [key for key in node.values if key not in _LONG_KEYS]
        if len(keys) == 1 and len(node.values) > 1:
            beside = [str(key) for key in node.values if key in _LONG_KEYS]
            problem = f'{some(beside)} cannot stand beside the short form of "{keys[0]}"'
            kept = [key for key in beside if key != "with"]
            also = f", and beside them {some(kept)}" if kept else ""
            self._add(node.position, path, problem, f"write deploy: {keys[0]}, what it says under with{also}")
            return None
        if len(keys) != 1:
            self._not_one(node, keys, path)
            return None
        return self._short(keys[0], node.values[keys[0]], node.keys[keys[0]], path)

    def _not_one(self, node: Map, keys: list[Key], path: KeyPath) -> None:
        if len(keys) > 1 and keys[0] in kinds() and _is_null(node.values[keys[0]]):
            remedy = f"indent what belongs to {keys[0]} further than {keys[0]} itself"
            self._add(node.keys[keys[1]], (*path, str(keys[1])), f'"{keys[1]}" stands beside "{keys[0]}"', remedy)
        else:
            second = next((key for key in keys[1:] if key in kinds()), keys[1] if keys[1:] else None)
            if second in kinds():
                problem = f'"{second}" stands in the same item as "{keys[0]}"'
                self._add(node.keys[second], path, problem, "begin each deploy with a dash of its own")
            elif second is not None:
                self._add(node.keys[second], path, *_unknown_beside(second))
            else:
                self._add(node.position, path, "no deploy is named here", _DEPLOY)

    def _short(self, kind: Key, arguments: Node | None, position: Position, path: KeyPath) -> Mention | None:
        name = ""
        with self.complaints.of(position, path):
            name = _built_in(kind)
        if not name:
            return None
        nothing, path = Scalar(None, position), (*path, name)
        return Mention(
            name=name,
            kind=name,
            arguments=nothing if arguments is None or _is_null(arguments) else arguments,
            position=position,
            path=path,
            place=(position, path),
            health=nothing,
        )

    def _long(self, node: Map, path: KeyPath) -> Mention | None:
        self._require_known(node, _LONG_KEYS, path)
        deploy = self._string(node, "deploy", path)
        name = self._string(node, "name", path) if "name" in node.values else None
        if deploy is None:
            return None
        where = node.values["deploy"].position
        kind, source, repository = "", None, None
        with self.complaints.of(where, (*path, "deploy")):
            kind, source, repository = self._meant(deploy)
        if not kind:
            return None
        if name is None and source is not None:
            self._add(node.position, path, "a deploy of the config repo needs a name", "write `name: …`")
            return None
        name = name or deploy
        if not NAME.fullmatch(name):
            remedy = "letters, digits, dots, _ and -, 64 at most, a letter or digit first"
            self._add(node.keys["name"], (*path, "name"), f'"{name}" is not a name for a deploy', remedy)
        nothing = Scalar(None, node.position)
        arguments = node.values.get("with", nothing)
        if source is not None and not isinstance(arguments, (Map, Scalar)):
            self._add(arguments.position, (*path, "with"), "a mapping is expected here", "write `name: value` lines")
        mode = self._choice(node, "mode", tuple(Mode), path)
        looking = self._choice(node, "plan", tuple(Looking), path)
        return Mention(
            name=name,
            kind=kind,
            arguments=arguments,
            position=node.position,
            path=(*path, "with"),
            place=(where, (*path, "deploy")),
            health=node.values.get("health", nothing),
            source=source,
            repository=repository,
            needs=tuple(self._strings(node.values["needs"], (*path, "needs"))) if "needs" in node.values else (),
            needs_at=node.keys.get("needs"),
            mode=Mode(mode) if mode else None,
            looking=Looking(looking) if looking else None,
            replaces=self._choice(node, "merge", ("replace",), path) == "replace",
            on_remove=self._on_remove(node, path),
        )

    def _on_remove(self, node: Map, path: KeyPath) -> str | None:
        source = self._string(node, "on_remove", path) if "on_remove" in node.values else None
        if source:
            with self.complaints.of(node.values["on_remove"].position, (*path, "on_remove")):
                return self._own_file(source)
        return None

    def _meant(self, deploy: str) -> tuple[str, str | None, Address | None]:
        """The kind that ``deploy:`` names; for a deploy file also its path and, where it is not in the config repo, its
        repository. Raises Mistake."""
        if deploy.startswith(SCHEME):
            address = _address(deploy)
            return DEPLOY_KIND, address.path, Address(address.url, address.ref)
        if deploy.endswith(".py") or "/" in deploy or ":" in deploy:
            return DEPLOY_KIND, self._own_file(deploy), None
        return _built_in(deploy), None, None

    def _own_file(self, source: str) -> str:
        """``source``, a file of this config repo that may be run. Raises Mistake."""
        if ":" in source:
            remedy = "write deploys/<file>.py, or git+ssh://<host>/<repository>.git//<file>.py"
            raise Mistake(f'"{source}" is not a deploy file', remedy)
        parts = source.split("/")
        if parts[0] != "deploys" or len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
            raise Mistake(f'"{source}" is not a deploy file', "write deploys/<file>.py")
        entry = self.source.tree.entry(source)
        if entry is None and (absence := self.source.tree.absence(source)):
            raise Mistake(f"{source} {absence.why}", absence.remedy)
        if entry is None:
            known = [name for name in self.source.tree.paths("deploys") if name.endswith(".py")]
            raise Mistake(f"there is no file {source}", nearest(source, known, otherwise="add it"))
        if entry.link:
            raise Mistake(f"{source} is a symbolic link, which is not followed", "put the file there")
        if not source.endswith(".py"):
            raise Mistake(f"{source} is not Python", "a deploy file ends in .py")
        return source

    def _require_known(self, node: Map, known: tuple[str, ...], path: KeyPath) -> None:
        for key in node.values:
            if key not in known:
                said = OF_PLAYBOOKS.get(str(key)) if known is _PLAY_KEYS else None
                self._add(node.keys[key], path, *(said or unknown_key(key, known)))

    def _string(self, node: Map, key: str, path: KeyPath) -> str | None:
        value = node.values[key]
        if isinstance(value, Scalar) and isinstance(value.value, str):
            return value.value
        self._add(node.keys[key], (*path, key), "a string is expected here", "put it in quotes")
        return None

    def _strings(self, node: Node, path: KeyPath) -> Iterator[str]:
        """A string, or the strings of a list."""
        for item in node.items if isinstance(node, List) else (node,):
            if isinstance(item, Scalar) and isinstance(item.value, str):
                yield item.value
            else:
                self._add(item.position, path, "a string or a list of strings is expected here", "put it in quotes")

    def _choice(self, node: Map, key: str, choices: tuple[str, ...], path: KeyPath) -> str | None:
        value = self._string(node, key, path) if key in node.values else None
        if value is not None and value not in choices:
            self._add(node.keys[key], (*path, key), f'"{value}" is not known here', f"write {' or '.join(choices)}")
            return None
        return value

    def _add(self, position: Position, path: KeyPath, problem: str, remedy: str) -> None:
        self.complaints.add(position, path, problem, remedy)


def _built_in(kind: Key) -> str:
    """``kind`` if there is such a deploy. Raises Mistake."""
    known = kinds()
    if kind not in known:
        remedy = nearest(str(kind), known, otherwise=f"there are {', '.join(known)} and files under deploys/")
        raise Mistake(f'there is no deploy "{kind}"', OF_PLAYBOOKS.get(str(kind), ("", remedy))[1])
    return str(kind)


def _address(text: str) -> Address:
    """``text`` as the address of a deploy file in another repository. Raises Mistake."""
    try:
        address = Address.parse(text)
    except Mistake as mistake:
        raise Mistake(f'"{text}" is no deploy of another repository: {mistake}', mistake.hint) from None
    if not address.path.endswith(".py"):
        raise Mistake(f"{text} names no deploy file", "end it with //<path in that repository>.py")
    return address


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _names(node: Node) -> set[str]:
    """The names that a deploy with mistakes may have."""
    if not isinstance(node, Map):
        return {str(node.value)} if isinstance(node, Scalar) else set()
    said = (node.values[key] for key in ("name", "deploy") if key in node.values)
    return {str(key) for key in node.values} | {str(value.value) for value in said if isinstance(value, Scalar)}

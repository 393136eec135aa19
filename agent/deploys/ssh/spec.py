"""ssh: what an inventory may ask for of sshd, and of the servers' keys that this host knows.

    - ssh:
        settings: {PasswordAuthentication: no, MaxAuthTries: 3, AllowGroups: [ssh, admin]}
        match: {"User deploy": {AllowTcpForwarding: no, ForceCommand: /usr/local/bin/deploy}}
        known_hosts: {git.example.org: ["ssh-ed25519 AAAA…"]}

Settings become a drop-in of sshd_config that sshd reads before all others: of most settings the first one counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator

from agent.deploys.items import FILE_MODE, Item, concrete_items
from agent.deploys.spec import Concrete, Sources, Spec
from agent.deploys.ssh.reading import DROP_IN, FOLDER, UNITS
from agent.deploys.written import checked
from agent.domain.fault import Mistake
from agent.system.public_keys import KEY, complaint

KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"
BLOCK = "ssh"

_KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9]{1,63}")
_SECTIONS = {"match": "write it below `match`", "include": "name the settings themselves"}
_HOST = r"!?(\[[A-Za-z0-9.:*?_-]+\]:[0-9]{1,5}|[A-Za-z0-9.:*?_-]+)"
_HOSTS = re.compile(rf"{_HOST}(,{_HOST})*")
_MARKER = re.compile(r"(@cert-authority|@revoked)\s+")
"""sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"."""

_JOINED_BY_COMMA = frozenset(
    {"ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms", "casignaturealgorithms"}
    | {"hostbasedacceptedalgorithms"}
)
_ONE_LINE_EACH = frozenset({"port", "listenaddress", "hostkey", "hostcertificate", "subsystem"})


def _words(value: object) -> object:
    """The words of sshd_config(5) for a value of YAML. Raises Mistake where it is no value of a setting."""
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    if isinstance(value, int):
        return (str(value),)
    if isinstance(value, str):
        return (_checked(value),)
    if isinstance(value, (list, tuple)) and value and all(type(word) in (int, str) for word in value):
        return tuple(_quoted(_checked(word)) if isinstance(word, str) else str(word) for word in value)
    raise Mistake(
        "this is no value of a setting", "write true, false, a number, a text, or a list of these that is not empty"
    )


def _checked(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise Mistake(f"{text!r} is not a value", "write one line of text")
    return text.strip()


def _quoted(word: str) -> str:
    return f'"{word}"' if any(character.isspace() for character in word) and not word.startswith('"') else word


_VALUE = {"type": ["boolean", "integer", "string"]}
SshdValue = Annotated[
    tuple[str, ...],
    BeforeValidator(_words),
    WithJsonSchema({"anyOf": [_VALUE, {"type": "array", "items": _VALUE, "minItems": 1}]}),
]


def _once(settings: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    seen: dict[str, str] = {}
    for keyword in settings:
        if not _KEYWORD.fullmatch(keyword):
            raise Mistake(
                f"{keyword!r} is not a keyword of sshd_config(5)", "write one, such as PasswordAuthentication"
            )
        if keyword.lower() in _SECTIONS:
            raise Mistake(f"{keyword} is not a setting", _SECTIONS[keyword.lower()])
        if keyword.lower() in seen:
            raise Mistake(f"{keyword} is there twice, also as {seen[keyword.lower()]}", "keep one of the two")
        seen[keyword.lower()] = keyword
    return settings


SshdSettings = Annotated[Mapping[str, SshdValue], AfterValidator(_once)]
ServerName = Annotated[str, checked(_HOSTS.fullmatch, "a server", "write its name, a pattern, or `[name]:port`")]


class SshSpec(Spec):
    kind: ClassVar[str] = "ssh"

    settings: SshdSettings = Field(
        default_factory=dict,
        description="Settings of sshd by keyword, see sshd_config(5): true and false are yes and no, lists are written"
        f" as the keyword wants them. They go to {DROP_IN}, and only once sshd itself finds no fault with the whole.",
    )
    match: Mapping[str, SshdSettings] = Field(default_factory=dict)
    """Settings for some connections only, by what stands behind `Match`: `User deploy`, `Address 10.0.0.0/8`."""
    known_hosts: Mapping[ServerName, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Public keys of servers by name, for every user of the host. A name may be a pattern, or"
        f" `[name]:port`; a key may begin with `@cert-authority` or `@revoked`. A block in {KNOWN_HOSTS}.",
    )

    @field_validator("match")
    @classmethod
    def _criteria(cls, match: Mapping[str, SshdSettings]) -> Mapping[str, SshdSettings]:
        for criteria in match:
            if len(_checked(criteria).split()) < 2 and criteria.strip().lower() != "all":
                raise Mistake(f"{criteria!r} is no condition", "write one like `User deploy`, see sshd_config(5)")
        return match

    @field_validator("known_hosts")
    @classmethod
    def _hosts(cls, hosts: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for name, keys in hosts.items():
            for key in keys:
                bare = _MARKER.sub("", key.strip(), count=1)
                why = complaint(bare) or ("" if KEY.match(bare) else "something stands before its type")
                if why:
                    raise Mistake(
                        f"{name}: {key[:60]!r} is not a public key: {why}",
                        "put there what `ssh-keyscan` prints behind the name",
                    )
        return hosts

    def merged(self, later: Self) -> Self:
        settings = _laid_over(self.settings, later.settings)
        match = {name: _laid_over(self.match.get(name, {}), said) for name, said in later.match.items()}
        hosts = {
            name: dict.fromkeys((*self.known_hosts.get(name, ()), *keys)) for name, keys in later.known_hosts.items()
        }
        known_hosts = {**self.known_hosts, **{name: tuple(keys) for name, keys in hosts.items()}}
        return self.model_copy(
            update={"settings": settings, "match": {**self.match, **match}, "known_hosts": known_hosts}
        )

    def concrete(self, sources: Sources) -> Concrete:  # noqa: ARG002 - nothing to look up
        items = [Item(path="/etc/ssh", kind="directory")]
        if self.settings or self.match:
            text = _rendered(self.settings, self.match)
            items.append(Item(path=FOLDER, kind="directory"))
            items.append(Item(path=DROP_IN, kind="file", text=text, mode=FILE_MODE))
        if self.known_hosts:
            items.append(_known_hosts(self.known_hosts))
        written, owned = concrete_items(items)
        resources = [replace(each, reloads=UNITS) if each.key == f"file:{DROP_IN}" else each for each in owned]
        keywords = sorted(keyword.lower() for keyword in self.settings)
        relies_on = {"package:openssh-server": "sshd is to have settings"} if self.settings else {}
        return Concrete({"items": written, "keywords": keywords}, tuple(resources), relies_on=relies_on)


def _laid_over(earlier: SshdSettings, later: SshdSettings) -> SshdSettings:
    """``earlier`` with the settings of ``later`` in place of its own. The case of keywords does not matter. A list is
    replaced as a whole: its order counts (ciphers)."""
    said = {keyword.lower() for keyword in later}
    return {**{keyword: value for keyword, value in earlier.items() if keyword.lower() not in said}, **later}


def _rendered(settings: SshdSettings, match: Mapping[str, SshdSettings]) -> str:
    lines = [
        "# Written by hostwright, from the inventory: what is changed here by hand does not last.",
        *_lines(settings),
    ]
    for criteria, conditional in match.items():
        lines += ["", f"Match {criteria.strip()}", *(f"    {line}" for line in _lines(conditional))]
    return "".join(f"{line}\n" for line in lines)


def _lines(settings: SshdSettings) -> list[str]:
    lines = []
    for keyword, words in sorted(settings.items(), key=lambda setting: setting[0].lower()):
        if keyword.lower() in _ONE_LINE_EACH:
            lines += [f"{keyword} {word}" for word in words]
        else:
            lines.append(f"{keyword} {(',' if keyword.lower() in _JOINED_BY_COMMA else ' ').join(words)}")
    return lines


def _known_hosts(hosts: Mapping[str, tuple[str, ...]]) -> Item:
    lines = []
    for name, keys in sorted(hosts.items()):
        for key in keys:
            marker = _MARKER.match(key.strip())
            bare = _MARKER.sub("", key.strip(), count=1)
            lines.append(f"{marker[0] if marker else ''}{name} {bare}")
    return Item(path=KNOWN_HOSTS, kind="block", part=BLOCK, text="".join(f"{line}\n" for line in lines))

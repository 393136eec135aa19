"""One package repository as an inventory writes it, turned into files for apt: a deb822 sources file, and a keyring
that apt trusts for this repository alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from agent.deploys.items import FILE_MODE, Item
from agent.deploys.packages import openpgp
from agent.deploys.packages.lists import SOURCES, keyring_of
from agent.deploys.spec import content_of
from agent.deploys.written import Written
from agent.domain.fault import Mistake
from agent.domain.tree import Tree

_URL = re.compile(r"(https?|mirror\+https?|file):/[^\s\\\[\]]+")
_CREDENTIALS = re.compile(r"//[^/]*@")

RepositoryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Suite = Annotated[str, Field(pattern=r"^([A-Za-z0-9.][A-Za-z0-9._~+-]*(/[A-Za-z0-9._~+-]+)*/?|/)$")]
Component = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*$")]
Architecture = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Repository(Written):
    url: str | None = None
    """Where it is: `https`, `http`, `mirror+https` or `file`, without a password."""
    suites: tuple[Suite, ...] = ()
    """Suites, such as `trixie`; one that ends with `/` is a folder without components."""
    components: tuple[Component, ...] = ()
    """Components. Default: `main`."""
    architectures: tuple[Architecture, ...] = ()
    """Only these architectures, such as `amd64`. Default: all that the host has."""
    types: tuple[Literal["deb", "deb-src"], ...] = ("deb",)
    """`deb`, `deb-src` or both."""
    key: str | None = None
    """The OpenPGP public key that signs it: a file of the config repo (armoured or binary), or the armoured text
    itself. It gets a keyring of its own and is trusted for nothing else. A path that begins with `/` names a keyring
    that is on the host. Not set: the distribution's own keys."""
    absent: bool = False
    """No such repository: its files are removed."""

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str | None) -> str | None:
        if url is not None and not _URL.fullmatch(url):
            raise Mistake(f"{url!r} is not the address of a repository", "write https://…, http://… or file:/…")
        if url is not None and _CREDENTIALS.search(url):
            raise Mistake(
                "every user of the host may read the password in this address", "put it into /etc/apt/auth.conf.d"
            )
        return url

    @field_validator("key")
    @classmethod
    def _path(cls, key: str | None) -> str | None:
        if key is not None and not openpgp.armoured(key) and re.search(r"\s", key):
            raise Mistake(
                "neither the path of a file nor an armoured key", "write the path of the key, or the key itself"
            )
        return key

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.absent:
            if self.model_fields_set - {"absent"}:
                raise Mistake("`absent: true` stands alone", "leave the rest out")
            return self
        if self.url is None or not self.suites:
            raise Mistake("a repository has an address and suites", "give `url` and `suites`, or `absent: true`")
        flat = {suite.endswith("/") for suite in self.suites}
        if flat == {True, False} or (flat == {True} and self.components):
            raise Mistake("a suite that ends with / has no components", "give it a repository of its own")
        return self

    def items(self, name: str, tree: Tree) -> list[Item]:
        """The files that apt reads for it, as items: absent ones where the repository is to be absent. Raises Mistake
        where the key is not in ``tree`` or is no public key."""
        sources = f"{SOURCES}/hostwright-{name}.sources"
        keyring = keyring_of(sources)
        if self.absent:
            return [Item(path=path, kind="file", absent=True) for path in (sources, keyring)]
        own = self.key is not None and not self.key.startswith("/")
        files = {sources: self._text(keyring if own else self.key)}
        if own:
            files[keyring] = _key(name, self.key or "", tree)
        return [Item(path=path, kind="file", text=text, mode=FILE_MODE) for path, text in files.items()]

    def _text(self, keyring: str | None) -> str:
        flat = self.suites[0].endswith("/")
        fields: Mapping[str, tuple[str, ...]] = {
            "Types": self.types,
            "URIs": (self.url or "",),
            "Suites": self.suites,
            "Components": () if flat else self.components or ("main",),
            "Architectures": self.architectures,
            "Signed-By": (keyring,) if keyring else (),
        }
        return "".join(f"{field}: {' '.join(values)}\n" for field, values in fields.items() if values)


def _key(name: str, key: str, tree: Tree) -> str:
    where, path = f"the key of repository {name}", ("repositories", name, "key")
    if openpgp.armoured(key):
        data = key.encode()
    else:
        where, data = f"{where}, {key},", content_of(tree, key, path)
    try:
        return openpgp.public_keys(data)
    except ValueError as error:
        raise Mistake(f"{where} {error}", "put its public key there: `gpg --armor --export`", path) from None

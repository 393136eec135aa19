"""packages: what an inventory may ask for of the distribution's packages.

- packages: [git, curl]                                   # short for present
- packages: {present: [git, "nginx=1.22.1-9", "libc6:i386"], absent: [nano], update: 1d}
- packages: {held: [linux-image-amd64], upgrades: security}
- packages:
    present: [vendor-tool]
    repositories:
      vendor: {url: "https://apt.example.org/debian", suites: [trixie], key: keys/vendor.asc}
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from agent.deploys.items import FILE_MODE, Item, concrete_items, parents
from agent.deploys.packages import openpgp
from agent.deploys.packages.lists import SOURCES, keyring_of
from agent.deploys.spec import NAMES, Concrete, Sources, Spec, content_of, overlaid
from agent.deploys.written import Duration, Written, checked
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.duration import seconds
from agent.domain.fault import Fault, Mistake
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
        """The files that apt reads for it, as items: a deb822 sources file, and a keyring that apt trusts for this
        repository alone. They are absent ones where the repository is to be absent. Raises Mistake where the key is not
        in ``tree`` or is no public key."""
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


# Names and architectures as in Debian policy 5.6.1 and 5.6.8, wide enough for RPM, apk and pacman.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?")
_PACKAGE = re.compile(_NAME.pattern + r"(=[A-Za-z0-9][A-Za-z0-9.+:~^_-]*)?")

PackageName = Annotated[str, checked(_NAME.fullmatch, "the name of a package", "write name or name:arch")]
PackageAtVersion = Annotated[str, checked(_PACKAGE.fullmatch, "a package", "write name, name=version or name:arch")]

_PERIODIC = Item(
    path="/etc/apt/apt.conf.d/60hostwright",
    kind="file",
    text='APT::Periodic::Update-Package-Lists "always";\n',
    mode=FILE_MODE,
)
"""The setting that makes apt's own timer fetch package lists, twice a day: upgrades are found in new lists only. Where
that timer does not run, the deploy fetches them."""


class PackagesSpec(Spec):
    kind: ClassVar[str] = "packages"
    short = NAMES

    present: tuple[PackageAtVersion, ...] = ()
    """Packages that must be installed: `name`, `name=version` to pin one, `name:arch` for another architecture. Without
    a version any installed version will do."""
    absent: tuple[PackageName, ...] = ()
    """Packages that must not be installed. Their configuration files stay. What depends on one of them must be listed
    too: nothing is removed that is not named."""
    held: tuple[PackageName, ...] = ()
    """Packages that must be installed and held (`apt-mark hold`): nobody upgrades them but Git, by a pin (apt only)."""
    apt_repositories: Mapping[RepositoryName, Repository] = Field(alias="repositories", default_factory=dict)
    """Further repositories by name, with their keys (apt only)."""
    upgrades: Literal["security", "all"] | None = None
    """Packages that are upgraded whenever there is something newer: those with `security` updates of the distribution,
    or `all`; held and pinned ones stay (apt only). Not set: none."""
    update: Duration = "1d"
    """Package lists older than this are fetched anew before something is installed (`12h`, `1d`), and, with `upgrades`,
    in any case. What is unknown or pinned to a version not in the lists fetches them, too."""
    recommends: bool | None = None
    """Whether recommended packages come along (apt only). Not set: as the host's apt is configured, which for Debian
    means yes."""

    @classmethod
    def from_short(cls, value: Any) -> Any:
        return {"present": value} if isinstance(value, (list, tuple)) else value

    @field_validator("present", "absent", "held")
    @classmethod
    def _once(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        names = [name_of(package) for package in packages]
        if twice := [name for name, times in Counter(names).items() if times > 1]:
            raise Mistake(f"{twice[0]} is listed twice", "keep one of the two")
        return packages

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        for word, names in (("present", map(name_of, self.present)), ("held", self.held)):
            if both := [name for name in names if name in self.absent]:
                raise Mistake(f"{both[0]} is both {word} and absent", "keep one of the two")
        return self

    def merged(self, later: Self) -> Self:
        present = {name_of(package): package for package in self.present if name_of(package) not in later.absent}
        present |= {name_of(package): package for package in later.present}
        both = overlaid(self, later)
        held = tuple(name for name in both.held if name not in later.absent)
        absent = tuple(name for name in both.absent if name not in present and name not in held)
        return both.model_copy(update={"present": tuple(present.values()), "held": held, "absent": absent})

    def concrete(self, sources: Sources) -> Concrete:
        present = {name_of(package): version_of(package) for package in self.present}
        present |= {name: present.get(name) for name in self.held}
        items, files = concrete_items(self._items(sources))
        arguments: dict[str, JSON] = {
            "present": present,
            "held": list(self.held),
            "absent": list(self.absent),
            "repositories": list(self.apt_repositories),
            "items": items,
            "upgrades": self.upgrades,
            "update_s": seconds(self.update),
            "recommends": self.recommends,
        }
        resources = [*files]
        resources += [Resource(f"package:{name}", self._digest(name, version)) for name, version in present.items()]
        resources += [Resource(f"package:{name}", digest_of({"present": False}), absent=True) for name in self.absent]
        return Concrete(arguments, tuple(resources))

    @classmethod
    def properties(cls, arguments: Mapping[str, JSON]) -> dict[str, Mapping[str, JSON]]:
        told: Any = arguments
        found = super().properties(arguments)
        for name, version in told["present"].items():
            held = {"held": True} if name in told["held"] else {}
            found[f"package:{name}"] = {"version": version or "any", **held}
        return found | {f"package:{name}": {"absent": True} for name in told["absent"]}

    def _digest(self, name: str, version: str | None) -> str:
        wanted: dict[str, JSON] = {"present": version or True}
        return digest_of(wanted | {"held": True} if name in self.held else wanted)

    def _items(self, sources: Sources) -> list[Item]:
        """The files that apt is to read, and their folders. Raises Mistake with the faults of all repositories."""
        items: list[Item] = [_PERIODIC] if self.upgrades else []
        faults: list[Fault] = []
        for name, repository in self.apt_repositories.items():
            try:
                items += repository.items(name, sources.tree)
            except Mistake as mistake:
                faults += mistake.faults
        if faults:
            raise Mistake.of(faults)
        folders = {parents(item.path)[0]: None for item in items if not item.absent}
        items += [Item(path=path, kind="directory") for path in folders]
        return items


def name_of(package: str) -> str:
    return package.partition("=")[0]


def version_of(package: str) -> str | None:
    return package.partition("=")[2] or None

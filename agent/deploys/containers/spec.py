"""containers: what an inventory may ask for of podman, which systemd runs as units made from quadlets.

    - containers:
        web:
          image: docker.io/library/nginx@sha256:…
          ports: ["8080:80"]
          volumes: ["/srv/www:/usr/share/nginx/html:ro", "cache.volume:/var/cache/nginx"]
          env: {TZ: UTC}
        cache.volume: {content: "[Volume]\\n"}
        app: {quadlet: containers/app.container.j2}

A name without a type is a container. Settings for which there is no field here are written as the text of a quadlet
(podman-systemd.unit(5)).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from agent.deploys.containers.quadlet_text import FOLDER, escaped, file_name, quoted, service_of
from agent.deploys.items import Item, concrete_items, parents
from agent.deploys.spec import (
    ByName,
    Concrete,
    NamedEntry,
    Sources,
    by_full_name,
    each_by_name,
    same_resources,
    text_of,
)
from agent.deploys.written import NO_NUL, Variable, checked
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.fault import Fault, Mistake

_OURS = ("image", "command", "ports", "volumes", "env", "env_files", "networks", "user", "pull", "restart", "enabled")
"""Fields that become a quadlet's text."""


OneWord = Annotated[
    str,
    checked(
        lambda word: word and word.isprintable() and not any(map(str.isspace, word)),
        "one word",
        "leave out blanks and control characters",
    ),
]
PrintablePath = Annotated[
    str, checked(lambda path: path.startswith("/") and path.isprintable(), "an absolute path", "begin it with /")
]


class QuadletEntry(NamedEntry):
    """One container, or another thing that podman looks after."""

    whole: ClassVar[tuple[str, ...]] = ("command",)
    alternatives: ClassVar[tuple[str, ...]] = ("quadlet", "content")

    image: OneWord | None = None
    """The image, with its registry; pinned by `@sha256:…` it is the same tomorrow. Pulled before the container is
    started or restarted, if it is not there."""
    command: tuple[Annotated[str, NO_NUL], ...] = ()
    """The program that runs in it and its arguments, word by word; not set: those of the image."""
    ports: tuple[OneWord, ...] = ()
    """`8080:80`, `127.0.0.1:8080:80/tcp`."""
    volumes: tuple[OneWord, ...] = ()
    """`/path:/path/inside:ro`, or `name.volume:/path/inside` for one of this deploy's."""
    env: Mapping[Variable, Annotated[str | int | bool, NO_NUL]] = Field(default_factory=dict)
    """Variables. Everybody on the host can read them; for secrets use `env_files`."""
    env_files: tuple[PrintablePath, ...] = ()
    """Files of the host with more variables. The container is restarted when one changes."""
    networks: tuple[OneWord, ...] = ()
    """`host`, `none`, or `name.network` for one of this deploy's."""
    user: OneWord | None = None
    """The user inside, by name or number."""
    pull: Literal["missing", "always", "never", "newer"] = "missing"
    """When podman asks the registry for the image as the container starts."""
    restart: Literal["always", "on-failure", "no"] = "always"
    """What systemd does when it has ended."""
    enabled: bool | None = None
    """`true`: it starts at boot. Not set: it does, unless `running` is false. A quadlet's own text says it in
    [Install]."""
    running: bool | None = None
    """`true`: it runs now; `false`: it is stopped. Not set: containers, pods and kubes run; volumes, networks and
    images are made when a container needs them."""
    restart_on: tuple[PrintablePath, ...] = ()
    """Absolute paths of files or folders. The unit is restarted if one of them, or anything below, changed after it was
    started."""
    quadlet: str | None = None
    """A file of the config repo that is the quadlet; `*.j2` is rendered."""
    content: str | None = None
    """The quadlet's text, instead of `quadlet`."""

    def complaint(self, kind: str) -> Fault | None:
        """The fault of the entry as a whole; None where it has none."""
        given = [name for name in ("image", "quadlet", "content") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            return Fault(f"exactly one of image, quadlet and content is needed, {found} is there", "give one of them")
        if given == ["image"] and kind != "container":
            remedy = f"give its text with quadlet or content, such as [{kind.capitalize()}]"
            return Fault("this is no container, so it has no image", remedy, ("image",))
        ours = [name for name in _OURS if name in self.model_fields_set and name != "image"]
        if given != ["image"] and ours:
            return Fault(
                f"it has a text of its own, beside {', '.join(ours)}", "write these into that text", (ours[0],)
            )
        return None


class ContainersSpec(ByName):
    kind: ClassVar[str] = "containers"
    owned: ClassVar[Mapping[str, str]] = {"quadlet": "quadlets"}
    if_sealed: ClassVar[str] = (
        'systemctl shows it to every user: write it as NAME=value with `files` to a file of mode "0600", and name that '
        "file in `env_files`, in a quadlet by `EnvironmentFile=`"
    )
    level: ClassVar[str] = "quadlets"

    quadlets: dict[str, QuadletEntry] = Field(default_factory=dict)
    """By name. This level can be left out."""

    @field_validator("quadlets")
    @classmethod
    def _named(cls, quadlets: dict[str, QuadletEntry]) -> dict[str, QuadletEntry]:
        return by_full_name(quadlets, file_name)

    def concrete(self, sources: Sources) -> Concrete:
        wanted = each_by_name(self.quadlets, lambda name, quadlet: _concrete(name, quadlet, sources))
        services: dict[str, str] = {}
        for name, entry in wanted.items():
            service = service_of(name, f"{entry['text']}")
            if (other := services.setdefault(service, name)) != name:
                raise Mistake(
                    f"{other} and {name} would both be {service}", "give one another name", ("quadlets", name)
                )
        above = [path for path in (FOLDER, *parents(FOLDER)) if path != "/etc"] if wanted else []
        items, folders = concrete_items([Item(path=path, kind="directory") for path in above])
        quadlets = [
            Resource(f"quadlet:{name}", digest_of(entry), reads=_reads(quadlet), restart_on=_restarts_on(quadlet))
            for name, entry in wanted.items()
            for quadlet in (self.quadlets[name],)
        ]
        arguments: dict[str, JSON] = {"quadlets": wanted, "items": items}
        relies_on = {"package:podman": f"{next(iter(wanted))} is to run"} if wanted else {}
        return Concrete(arguments, (*folders, *quadlets), same_resources(quadlets), relies_on)


def _reads(quadlet: QuadletEntry) -> tuple[str, ...]:
    """The paths of the host that are mounted in it, or for which it is restarted."""
    volumes = (volume.partition(":")[0] for volume in quadlet.volumes)
    return (*_restarts_on(quadlet), *(path for path in volumes if path.startswith("/")))


def _restarts_on(quadlet: QuadletEntry) -> tuple[str, ...]:
    return (*quadlet.restart_on, *quadlet.env_files)


def _concrete(name: str, quadlet: QuadletEntry, sources: Sources) -> Mapping[str, JSON]:
    kind = name.rpartition(".")[2]
    if why := quadlet.complaint(kind):
        raise Mistake.of([replace(why, path=("quadlets", name, *why.path))])
    if quadlet.quadlet is not None:
        text = text_of(quadlet.quadlet, ("quadlets", name, "quadlet"), sources)
    else:
        text = quadlet.content if quadlet.content is not None else _rendered(name, quadlet)
    runs = kind in ("container", "pod", "kube") if quadlet.running is None else quadlet.running
    return {
        "text": text,
        "running": runs if runs or quadlet.running is not None else None,
        "restart_on": sorted({*_restarts_on(quadlet)}),
    }


def _rendered(name: str, entry: QuadletEntry) -> str:
    stem = name.removesuffix(".container")
    settings = [
        ("ContainerName", stem),
        ("Image", entry.image),
        ("Exec", " ".join(map(quoted, entry.command))),
        *(("PublishPort", port) for port in entry.ports),
        *(("Volume", escaped(volume)) for volume in entry.volumes),
        *(("Environment", quoted(f"{variable}={_plain(value)}")) for variable, value in sorted(entry.env.items())),
        *(("EnvironmentFile", escaped(path)) for path in entry.env_files),
        *(("Network", network) for network in entry.networks),
        ("User", entry.user),
        ("Pull", "" if entry.pull == "missing" else entry.pull),
    ]
    enabled = entry.running is not False if entry.enabled is None else entry.enabled
    lines = [
        "# Written by hostwright, from the inventory: what is changed here by hand does not last.",
        "[Unit]",
        f"Description=Container {stem}",
        "",
        "[Container]",
        *(f"{key}={value}" for key, value in settings if value),
        "",
        "[Service]",
        f"Restart={entry.restart}",
        *(["", "[Install]", "WantedBy=multi-user.target"] if enabled else []),
    ]
    return "".join(f"{line}\n" for line in lines)


def _plain(value: str | int | bool) -> str:
    return f"{value}".lower() if isinstance(value, bool) else f"{value}"

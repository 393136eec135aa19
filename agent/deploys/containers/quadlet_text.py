"""The names and texts of quadlets, and what can be read from one (podman-systemd.unit(5)). Pure."""

from __future__ import annotations

import re

from agent.domain.fault import Mistake

FOLDER = "/etc/containers/systemd"

KINDS = ("container", "volume", "network", "pod", "kube", "image", "build")

_SUFFIX = {"volume": "-volume", "network": "-network", "pod": "-pod", "image": "-image", "build": "-build"}
"""Suffixes that the generator puts behind the name of the unit; containers and kubes have none."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")
"""podman's own grammar of names; no template and no path."""
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")
_SERVICE_NAME = re.compile(r"^\s*ServiceName\s*=\s*([A-Za-z0-9:_.\\-]+)\s*$", re.MULTILINE)
_IMAGE = re.compile(r"^\s*Image\s*=\s*(\S+)\s*$", re.MULTILINE)
_PULL = re.compile(r"^\s*Pull\s*=\s*(\S+)\s*$", re.MULTILINE)


def file_name(name: str) -> str:
    """``web`` as ``web.container``. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise Mistake(f"{name!r} cannot be a name", "letters, digits, _ . and -")
    return name if name.rpartition(".")[2] in KINDS and "." in name else f"{name}.container"


def service_of(name: str, text: str = "") -> str:
    """The unit that the generator makes of the quadlet ``name``: ``data.volume`` is ``data-volume.service``."""
    stem, _, kind = name.rpartition(".")
    chosen = _SERVICE_NAME.findall(text)
    return f"{chosen[-1] if chosen else stem + _SUFFIX.get(kind, '')}.service"


def image_of(name: str, text: str) -> str:
    """The image that a container needs before it can start, where its registry may be asked for it; else empty.

    Not of images that another quadlet brings, and those that ``Pull`` keeps from being asked for.
    """
    images, pulls = _IMAGE.findall(text), _PULL.findall(text)
    if not name.endswith(".container") or not images or pulls[-1:] == ["never"]:
        return ""
    image: str = images[-1]
    local = image.endswith((".image", ".build")) or "%" in image or image.startswith("/")
    return "" if local else image


def quoted(word: str) -> str:
    """A word of systemd's grammar (systemd.syntax(7)) that stands for exactly this text, whatever it holds: neither a
    specifier nor a variable of the unit is expanded in it."""
    if _PLAIN.fullmatch(word):
        return word
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f'"{escaped(text).replace("$", "$$")}"'


def escaped(text: str) -> str:
    """``text`` without specifiers."""
    return text.replace("%", "%%")

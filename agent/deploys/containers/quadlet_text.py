"""The names and texts of quadlets, and facts that stand in a text (podman-systemd.unit(5)). Pure."""

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
    """The file name of the quadlet ``name``: ``web.container`` for ``web``. Raises ValueError for a name that podman
    does not take."""
    if not _NAME.fullmatch(name):
        raise Mistake(f"{name!r} cannot be a name", "letters, digits, _ . and -")
    return name if name.rpartition(".")[2] in KINDS and "." in name else f"{name}.container"


def service_of(name: str, text: str = "") -> str:
    """The unit that the generator makes of the quadlet ``name``: ``data.volume`` is ``data-volume.service``."""
    stem, _, kind = name.rpartition(".")
    chosen = _SERVICE_NAME.findall(text)
    return f"{chosen[-1] if chosen else stem + _SUFFIX.get(kind, '')}.service"


def image_of(name: str, text: str) -> str:
    """The image that the container ``name`` needs before it can start; empty if there is none to ask a registry for.

    That is so for other quadlets than containers, with ``Pull=never``, and for an image that another quadlet brings,
    that has a specifier or that is a path.
    """
    images, pulls = _IMAGE.findall(text), _PULL.findall(text)
    if not name.endswith(".container") or not images or pulls[-1:] == ["never"]:
        return ""
    image: str = images[-1]
    local = image.endswith((".image", ".build")) or "%" in image or image.startswith("/")
    return "" if local else image


def quoted(word: str) -> str:
    """A word of systemd's grammar (systemd.syntax(7)) that stands for exactly this text, whatever it holds: systemd
    expands neither specifiers nor variables of the unit in it."""
    if _PLAIN.fullmatch(word):
        return word
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f'"{escaped(text).replace("$", "$$")}"'


def escaped(text: str) -> str:
    """``text`` with each % doubled, so that systemd sees no specifiers in it."""
    return text.replace("%", "%%")

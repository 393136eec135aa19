"""``lookup()`` and ``query()`` of templates: texts of files of the config repo, as Ansible's lookup ``file``."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from jinja2 import TemplateError

from agent.deploys.spec import plain_text_of
from agent.domain.tree import Tree
from agent.inventory.template.not_here import refuse_lookup

LIMIT: Final = 1024 * 1024
"""The most bytes of a file, and the most characters that one call gives."""


def lookups(tree: Tree) -> dict[str, Callable[..., Any]]:
    """The functions by their names, over the files of ``tree``. They raise TemplateError and Mistake."""

    @cache
    def text_of(path: str, lstrip: bool, rstrip: bool) -> str:
        # Cached after stripping, so that many calls for one file share one text.
        text = _text(tree, path)
        text = text.lstrip() if lstrip else text
        return text.rstrip() if rstrip else text

    def query(name: object = "", *paths: object, rstrip: object = True, lstrip: object = False, **named: object) -> Any:
        if f"{name}".removeprefix("ansible.builtin.") != "file":
            refuse_lookup(name)
        if named:
            raise TemplateError(f"lookup('file') has no {next(iter(named))} here; leave it out")
        found: list[str] = []
        length = 0
        for path in map(_inside, paths):
            found.append(text_of(path, bool(lstrip), bool(rstrip)))
            length += len(found[-1]) + 1
            if length - 1 > LIMIT:
                raise TemplateError(f"lookup('file') gives more than {LIMIT} characters at once; name fewer files")
        return found

    def lookup(name: object = "", *paths: object, wantlist: object = False, **named: object) -> Any:
        found = query(name, *paths, **named)
        return found if wantlist else ",".join(found)

    return {"lookup": lookup, "query": query, "q": query}


def _inside(path: object) -> str:
    """``path``, normalised; it begins at the top of the repository. Raises TemplateError if it leads out of it."""
    if not isinstance(path, str) or path.startswith(("/", "~")) or ".." in path.split("/"):
        raise TemplateError("lookup('file') takes paths inside the repository; write them from its top, without ..")
    return posixpath.normpath(path)


def _text(tree: Tree, path: str) -> str:
    """The text of the file at ``path``. Links are not followed. Raises Mistake and TemplateError."""
    text = plain_text_of(tree, path)
    if len(text.encode()) > LIMIT:
        raise TemplateError(f"{path} has more than {LIMIT} bytes; give it as `source` of `files`")
    return text

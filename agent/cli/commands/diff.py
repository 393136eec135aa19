"""diff: the differences between what two commits want of each host, found without asking any host."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from agent.cli.config_repo import ELSEWHERE, ConfigRepo
from agent.cli.desk import tree_of, unlike_the_commit
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.contrast import HOST, Action, Comparison, Contrast, InventoryAt, Property, compare
from agent.domain import codec
from agent.domain.layout import INVENTORIES
from agent.domain.text import counted, plural, printable, some
from agent.domain.tree import Tree
from agent.errors import Exit, UsageError
from agent.inventory.ansible.groups import ALL
from agent.inventory.ansible.inventory import Inventory, require_names
from agent.inventory.ansible.patterns import EXAMPLE
from agent.inventory.complaint import Complaints
from agent.remotes import repositories_of_administrator
from agent.system.revisions import Revisions
from agent.system.working_copy import working_copy

HOSTS_NAMED = 6
"""Hosts that are named one by one if no group has just these."""
RESOURCES_NAMED = 12
"""Added or removed resources of a deploy that are named one by one; more are only counted."""
DIFF_LINES = 40
"""Lines of the diff of one text."""
VALUE_LIMIT = 120
"""Characters of one value."""
COMMENT_LIMIT = 60_000
"""Characters of Markdown: GitHub takes 65,536 in a comment."""

_SIGNS = {Action.ADDED: "+", Action.CHANGED: "~", Action.REMOVED: "-"}
_WORKING_COPY = "working copy"


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two sets of files that are compared, with its name for people. ``sha``: None for the working copy."""

    name: str
    tree: Tree
    sha: str | None


@click.command(cls=CliCommand)
@click.argument("commits", default="HEAD", metavar="[A..B]")
@click.argument("pattern", default=ALL)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a comment for a merge request.")
@click.option("--fetch", is_flag=True, help="Fetch pinned repositories that are not here; else nothing is fetched.")
def diff(output: Output, repo: ConfigRepo, commits: str, pattern: str, *, as_markdown: bool, fetch: bool) -> Reply:
    """Show what two commits want differently of each host; exit 10 when something differs, or may.

    `A..B` compares two commits, `A...B` what B changed since it left A, `A` alone (default: HEAD) the files as they
    lie here. PATTERN says which hosts.
    """
    if as_markdown and output.as_json:
        raise UsageError("--markdown and --json are forms of the same", hint="leave one of them out")
    root = repo.root
    revisions = Revisions.around(root)
    if revisions is None:
        raise UsageError(f"{root} is no Git repository", hint=ELSEWHERE)
    repositories = repositories_of_administrator(fetch=fetch).tree
    complaints, found, known = Complaints(), list[Comparison](), list[Inventory]()
    with ExitStack() as open_repositories:
        open_repositories.enter_context(closing(revisions))
        before, after = _sides(output, root, revisions, commits)
        names = {*before.tree.names(INVENTORIES), *after.tree.names(INVENTORIES)}
        for name in [repo.inventory] if repo.inventory else sorted(names):
            old, new = (InventoryAt(side.tree, name, repositories) for side in (before, after))
            if old.environment is None and new.environment is None:
                continue
            known += [each.environment.inventory for each in (new, old) if each.environment is not None]
            complaints.include(new.complaints)
            found.append(compare(name, old, new, pattern))
            complaints.include(new.of_hosts)
    if not found:
        raise UsageError(f"neither has inventories/{repo.inventory or ''}", hint="hosts read them at the top")
    if pattern != ALL:
        require_names(pattern, known)
        found = [each for each in found if each.hosts]
        if not found and not complaints:
            raise UsageError(f'no host matches "{printable(pattern)}"', hint=EXAMPLE)
    title = f"{before.name}..{after.name}"
    if as_markdown:
        output.show(*markdown(f"Hostwright: what {title} changes", found).rstrip("\n").split("\n"))
    else:
        for comparison in found:
            output.show(*comparison_lines(comparison, whole=output.verbose))
    complaints.raise_if_any()
    code = Exit.CHANGES if any(each.contrasts or each.untold for each in found) else Exit.FINE
    told = {"from": before.sha, "to": after.sha, "inventories": {each.inventory: document(each) for each in found}}
    return Reply(told, code)


def _sides(output: Output, root: Path, revisions: Revisions, commits: str) -> tuple[_Side, _Side]:
    """The two sides of ``A``, ``A..B`` or ``A...B``. Raises UsageError."""
    first, dots, second = commits.partition("...") if "..." in commits else commits.partition("..")
    if first in ("", "HEAD") and revisions.find("HEAD") is None:
        raise UsageError("there is no commit yet to compare with", hint="git commit; `hostwright check` needs none")
    before = revisions.commit(first or "HEAD")
    if dots:
        sha = revisions.commit(second or "HEAD")
        before = revisions.fork(before, sha) if dots == "..." else before
        return _side(revisions, before), _side(revisions, sha)
    copy = working_copy(root)
    if copy is None:
        raise UsageError(f"{root} is a bare repository, with no files to compare", hint=f"say {commits}..BRANCH")
    for line in unlike_the_commit(replace(copy, uncommitted=())):
        output.say(line)
    return _side(revisions, before), _Side(_WORKING_COPY, tree_of(root, copy), None)


def _side(revisions: Revisions, sha: str) -> _Side:
    return _Side(sha[:12], revisions.tree(sha), sha)


def comparison_lines(found: Comparison, *, whole: bool = False) -> Iterator[str]:
    """The lines for one inventory: a sum, then each set of hosts with its changes. ``whole``: shorten nothing."""
    yield _sum(found)
    for hosts, shared in _by_hosts(found):
        yield f"{_called(hosts, found)}:"
        for line in _lines(shared, whole=whole):
            yield f"  {line}"
    yield from _untold_lines(found)


def markdown(title: str, comparisons: Sequence[Comparison]) -> str:
    """Comparisons as a comment on a merge request, cut before COMMENT_LIMIT."""
    parts = [f"### {_inline(title)}\n"]
    for found in comparisons:
        parts.append(f"\n{_inline(_sum(found))}\n")
        for hosts, shared in _by_hosts(found):
            parts.append(_folded(_called(hosts, found), list(_lines(shared, whole=False))))
        if found.untold:
            parts.append(_folded(f"not known for {_hosts(len(found.untold))}", list(_untold_lines(found))))
    text = ""
    for part in parts:
        if len(text) + len(part) > COMMENT_LIMIT:
            return f"{text}\nThere is more than fits here: `hostwright diff` shows it.\n"
        text += part
    return text


def document(found: Comparison) -> dict[str, Any]:
    """A comparison for programs."""
    return {
        "hosts": found.hosts,
        "changed": sorted(found.changed),
        "changes": [
            codec.to_plain(each) | {"deploy": each.deploy or None, "resource": each.resource or None}
            for each in found.contrasts
        ],
        "untold": found.untold,
    }


def _sum(found: Comparison) -> str:
    hosts = _hosts(found.hosts)
    if not found.contrasts and not found.untold:
        return f"{found.inventory}: nothing changes for {hosts}"
    unknown = f", not known for {len(found.untold)}" if found.untold else ""
    return f"{found.inventory}: {len(found.changed)} of {hosts} {'changes' if found.hosts == 1 else 'change'}{unknown}"


def _hosts(number: int) -> str:
    return f"{number} {plural('host', number)}"


def _by_hosts(found: Comparison) -> Iterator[tuple[tuple[str, ...], Sequence[Contrast]]]:
    sets: dict[tuple[str, ...], list[Contrast]] = {}
    for each in found.contrasts:
        sets.setdefault(tuple(each.hosts), []).append(each)
    yield from sorted(sets.items(), key=lambda item: -len(item[0]))


def _untold_lines(found: Comparison) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for host, why in found.untold.items():
        reasons.setdefault(why, []).append(host)
    for why, hosts in reasons.items():
        yield f"? {_called(hosts, found)}: {printable(why)}"


def _called(hosts: Sequence[str], found: Comparison) -> str:
    """The group that has just these hosts, as in ``webservers (4 hosts)``, else their names."""
    these = frozenset(hosts)
    named = (name for name, members in found.groups.items() if members == these)
    group = min(named, key=lambda name: (name != ALL, len(name), name), default=None)
    if group is not None and len(hosts) > 1:
        return f"{group} ({_hosts(len(hosts))})"
    return some(hosts, HOSTS_NAMED) + (f" ({_hosts(len(hosts))})" if len(hosts) > HOSTS_NAMED else "")


def _lines(contrasts: Sequence[Contrast], *, whole: bool) -> Iterator[str]:
    alike: dict[tuple[str, Action], list[Contrast]] = {}
    for each in contrasts:
        if each.resource and each.deploy and each.action is not Action.CHANGED:
            alike.setdefault((each.deploy, each.action), []).append(each)
    many = {key: found for key, found in alike.items() if len(found) > RESOURCES_NAMED and not whole}
    for each in contrasts:
        key = (each.deploy, each.action)
        if each.resource and key in many:
            if each is many[key][0]:
                kinds = counted(one.resource.partition(":")[0] for one in many[key])
                yield f"{_SIGNS[each.action]} {kinds}  [{each.deploy}]"
        else:
            yield from _contrast_lines(each, whole=whole)


def _contrast_lines(contrast: Contrast, *, whole: bool) -> Iterator[str]:
    yield f"{_SIGNS[contrast.action]} {_what(contrast)}"
    if contrast.action is not Action.CHANGED and contrast.resource:
        return
    if contrast.unlike:
        others = f"{contrast.unlike} of {len(contrast.hosts)} hosts"
        yield f"    {others} have other values; these are of {contrast.hosts[0]}"
    for one in contrast.properties:
        yield from (f"    {line}" for line in _property_lines(one, whole=whole))


def _what(contrast: Contrast) -> str:
    if contrast.resource == HOST and not contrast.deploy:
        return "joins the inventory" if contrast.action is Action.ADDED else "leaves the inventory"
    if not contrast.deploy:
        return contrast.resource
    return f"{printable(contrast.resource)}  [{contrast.deploy}]" if contrast.resource else f"deploy {contrast.deploy}"


def _property_lines(one: Property, *, whole: bool) -> Iterator[str]:
    before, after, name = one.before, one.after, printable(one.name)
    if isinstance(before, str) and isinstance(after, str) and "\n" in f"{before}{after}":
        yield f"{name}:"
        diff = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
        lines = [line for line in diff if not line.startswith(("---", "+++"))]
        shown = lines if whole else lines[:DIFF_LINES]
        yield from (f"  {line}" for line in shown)
        if len(lines) > len(shown):
            yield f"  … {len(lines) - len(shown)} more lines; -v shows them"
    elif isinstance(before, list) and isinstance(after, list):
        gone = [f"-{_value(value)}" for value in before if value not in after]
        new = [f"+{_value(value)}" for value in after if value not in before]
        yield f"{name}: {', '.join((*gone, *new)) or 'another order'}"
    elif before is None:
        yield f"{name}: {_value(after)}"
    else:
        yield f"{name}: {_value(before)} → {_value(after)}"


def _value(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40}", value):
        return value[:12]
    text = value if isinstance(value, str) else "not set" if value is None else json.dumps(value, ensure_ascii=False)
    return printable(text, VALUE_LIMIT) if text else '""'


def _folded(summary: str, lines: Sequence[str]) -> str:
    """A part of a comment that opens with a click. Markdown and HTML in its texts have no effect."""
    text = "\n".join(lines)
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall("`+", text)), 3)
    return f"\n<details><summary>{_html(summary)}</summary>\n\n{fence}diff\n{text}\n{fence}\n\n</details>\n"


def _html(text: str) -> str:
    escapes: Mapping[str, str] = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
    return "".join(escapes.get(character, character) for character in text)


def _inline(text: str) -> str:
    """``text`` escaped for a place outside of code: its HTML and Markdown have no effect."""
    return re.sub(r"([\\`*_\[\]#|~!])", r"\\\1", _html(text))

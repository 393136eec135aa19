"""diff: the differences between what two commits want of each host, found without asking any host."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import click

from agent.cli.commands.check import tree_of, unlike_the_commit
from agent.cli.config_repo import ELSEWHERE, ConfigRepo
from agent.cli.contrasts import comparison_lines, document, markdown
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.contrast import Comparison, InventoryAt, compare
from agent.domain.layout import INVENTORIES
from agent.domain.text import printable
from agent.domain.tree import Tree
from agent.errors import Exit, UsageError
from agent.inventory.ansible.groups import ALL
from agent.inventory.ansible.inventory import Inventory, require_names
from agent.inventory.ansible.patterns import EXAMPLE
from agent.inventory.complaint import Complaints
from agent.remotes import repositories_of_administrator
from agent.system.revisions import Revisions
from agent.system.working_copy import working_copy

WORKING_COPY = "working copy"


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
    if revisions.find("HEAD") is None and first in ("", "HEAD"):
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
    return _side(revisions, before), _Side(WORKING_COPY, tree_of(root, copy), None)


def _side(revisions: Revisions, sha: str) -> _Side:
    return _Side(sha[:12], revisions.tree(sha), sha)

"""The retirement of a host, at a desk: its report and requests go from the status branch, its files from the clone."""

from __future__ import annotations

import time

from agent.cli.desk import Desk, Draft, commit_or_tell
from agent.cli.output import Output
from agent.domain.status import report_path
from agent.errors import ReportError, UsageError
from agent.fleet.requests import judge_request
from agent.fleet_view import view_of_repo

BRANCH_DEADLINE_S = 120.0


def take_out(
    output: Output, draft: Draft, host: str, subject: str, *, commit: bool, key: str | None = None
) -> dict[str, object]:
    """Withdraw the report and requests of ``host`` from the status branch, write ``draft``, in which it is missing, and
    commit that or tell what to commit. Return what was done, for programs. ``key``: as for ``_withdraw``."""
    _withdraw(output, draft.desk, host, key)
    changed = draft.write()
    commit_or_tell(output, draft.desk, subject, changed, commit=commit)
    return {"host": host, "changed": changed, "secrets": _tell_secrets(output, draft.desk, host)}


def _withdraw(output: Output, desk: Desk, host: str, key: str | None) -> None:
    """Take the report of ``host`` off the status branch, and its requests: those of the public key ``key``, or if that
    is None all. If the branch cannot be reached, the person is told so."""
    try:
        branch = view_of_repo(desk.root, desk.inventory).branch
        reports = branch.read(BRANCH_DEADLINE_S)
        left = [each.document for each in reports if each.path == report_path(host) and each.document]
        for each in branch.requests(BRANCH_DEADLINE_S, host).found:
            asked = judge_request(each, {})
            by = asked.request.ssh if asked.request is not None else ""
            left += [each.document] if each.document and asked.host == host and key in (None, by) else []
        if left:
            now = int(time.time())
            branch.withdraw(host, at=now, render=None, expected=left, deadline_s=BRANCH_DEADLINE_S)
            output.say(f"took what {host} has on the status branch off it")
    except (ReportError, UsageError) as error:
        output.say(f"its report may still be on the status branch: {error.message}")


def _tell_secrets(output: Output, desk: Desk, host: str) -> list[str]:
    """Show the secrets whose values the host knows by lock.yaml, and return their names."""
    pins = desk.lock.secrets.items()
    known = sorted(name for name, pin in pins if host in (*pin.recipients.values(), *pin.left.values()))
    for name in known:
        output.show(f"change the secret: {name}")
    if known:
        output.say(f"{host} knows them; after the commit, `hostwright secret set NAME` in the config repo for each")
    return known

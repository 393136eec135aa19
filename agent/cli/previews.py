"""`hostwright plan HOST…`: the question at a desk, what its config repo as it is now would change on hosts, and the
answer on each host.

desk ─packed files→ ssh ─→ `hostwright internal preview` ─envelope→ desk
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agent.cli.config_repo import ConfigRepo
from agent.cli.desk import desk_of, unlike_the_commit
from agent.cli.invocation import Reply
from agent.cli.output import Output, bug
from agent.domain.layout import INVENTORIES
from agent.domain.text import printable, some
from agent.errors import Exit, HostwrightError, SourceError, UsageError, first_exit
from agent.host.paths import Paths
from agent.inventory.ansible.inventory import Inventory, require_names
from agent.inventory.ansible.patterns import EXAMPLE
from agent.problems import ProblemKind
from agent.system.packed_tree import packed
from agent.system.ssh_host import Ask, Login, logged_in, person_at_terminal

AT_ONCE = 16
"""Hosts that are asked at once. The sshd of a jump host takes ten logins at once, and a little later the others."""
TIMEOUT_S = 600.0
PREVIEW = ("/usr/local/bin/hostwright", "internal", "preview")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Preview:
    """The answer of one host, or the error in its place."""

    host: str
    document: Mapping[str, Any]
    exit: Exit
    error: HostwrightError | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        told = self.document.get("lines")
        return tuple(f"{line}" for line in told) if isinstance(told, list) else ()


def show_previews(output: Output, repo: ConfigRepo, patterns: Sequence[str], *, diff: bool) -> Reply:
    """Ask all hosts that match ``patterns``, show their plans, equal ones once, and then a line for each host. Raises
    UsageError, InventoryError, SourceError."""
    desk = desk_of(repo)
    for line in unlike_the_commit(desk.copy):
        output.say(line)
    who, name = desk.who, desk.inventory
    pattern = ":".join(patterns)
    hosts = who.match(pattern)
    require_names(pattern, [who])
    if not hosts:
        raise UsageError(f'no host of {INVENTORIES}/{name} matches "{printable(pattern)}"', hint=EXAMPLE)
    pack, ask = packed(desk.copy.checkout), asked_once(person_at_terminal())
    logins = {host: login_of(who, host) for host in hosts}

    def asked(host: str) -> Preview:
        return _asked(host, logins[host], ask, pack)

    found = in_parallel(output, sorted(hosts), asked, lambda host, error: Preview(host, {}, error.exit, error))
    for same, lines in _alike(found):
        if len(found) > 1:
            output.show(f"{some(same)}:")
        for line in lines if diff else (line for line in lines if not line.startswith(" ")):
            output.show(line if len(found) == 1 else f"  {line}")
    if len(found) > 1:
        output.show_table(("host", "plan"), ((each.host, _sum(each)) for each in found))
    errors = [each.error for each in found if each.error is not None]
    for error in errors:
        output.problem(error)
    data = {each.host: each.document or None for each in found}
    return Reply(data, first_exit([each.exit for each in found]), errors)


def answer(paths: Paths) -> int:
    """Plan the files that come on stdin, on the host itself, and print the envelope. Return the exit code."""
    from agent.cli.host_plan import document, errors_of, exit_of, warnings_of
    from agent.cli.show import plan_lines
    from agent.planning import plan_sent

    output = Output(as_json=True)
    with tempfile.TemporaryDirectory(prefix="hostwright-plan-") as work:
        told = plan_sent(paths, Path(work), sys.stdin.buffer)
    lines = [*plan_lines(told.plan, told.leaving, told.holds, diff=True, calm="in sync with tree"), *warnings_of(told)]
    errors = errors_of(told)
    output.envelope("plan", exit_of(told), {**document(told), "lines": lines}, errors[0] if errors else None)
    return exit_of(told)


def login_of(who: Inventory, host: str, fingerprint: str | None = None) -> Login:
    """The login for a host of the inventory: by Ansible's variables, else by the host's name."""
    said = who.vars(host)
    address, user, port = (said.get(f"ansible_{name}") for name in ("host", "user", "port"))
    return Login(
        address if isinstance(address, str) and "{{" not in address else host,
        user if isinstance(user, str) and "{{" not in user else None,
        int(port) if isinstance(port, (int, str)) and f"{port}".isdigit() else None,
        fingerprint,
    )


def asked_once(ask: Ask | None) -> Ask | None:
    """``ask`` for use by several threads: one question at a time, and one answer for questions that differ only behind
    " on ", as in ``[sudo] password of ann on web1``."""
    lock, known = threading.Lock(), dict[str, str]()

    def once(question: str) -> str:
        assert ask is not None
        with lock:
            about = question.partition(" on ")[0]
            if about not in known:
                known[about] = ask(question)
            return known[about]

    return once if ask is not None else None


def in_parallel(
    output: Output, hosts: Sequence[str], do: Callable[[str], T], failed: Callable[[str, HostwrightError], T]
) -> list[T]:
    """The results of ``do`` for each host, in order, or those of ``failed`` for the error that it raised. A terminal
    shows the hosts that are left."""
    spinner, done = output.spinner(), dict[str, T]()
    with ThreadPoolExecutor(min(len(hosts), AT_ONCE)) as pool:
        running = {pool.submit(do, host): host for host in hosts}
        for each in as_completed(running):
            host = running[each]
            try:
                done[host] = each.result()
            except HostwrightError as error:
                done[host] = failed(host, error)
            except Exception as error:
                done[host] = failed(host, bug(error, traceback.format_exc()))
            left = [host for host in hosts if host not in done]
            spinner.show(f"{len(done)} of {len(hosts)}; waiting for {some(left)}")
    spinner.stop()
    return [done[host] for host in hosts]


def _asked(host: str, login: Login, ask: Ask | None, pack: bytes) -> Preview:
    with logged_in(login, ask) as there:
        done = there.run(PREVIEW, input=pack, timeout_s=TIMEOUT_S)
    try:
        envelope = json.loads(done.output or b"{}")
        code, document, error = Exit(done.code), envelope.get("data"), envelope.get("error")
    except (ValueError, AttributeError, RecursionError):
        code, document, error = Exit.SOURCE, None, None
    planned = isinstance(document, dict) and code in (Exit.FINE, Exit.CHANGES, Exit.DEPLOY, Exit.INVENTORY)
    if not planned and not isinstance(error, dict):
        error = {"message": done.complaint}
    problem = _problem(host, error, code) if isinstance(error, dict) else None
    return Preview(host, document if planned else {}, code, problem)


def _problem(host: str, error: Mapping[str, Any], code: Exit) -> HostwrightError:
    """The error that a host answered, as one of this command."""
    message, hint = (printable(f"{error.get(name) or ''}", 2000) for name in ("message", "hint"))
    if "No such command" in message or "internal" in message:
        hint = "the agent there is older than this command: upgrade it"
    problem = SourceError(f"{host}: {message}", kind=ProblemKind.BAD_ANSWER, hint=hint)
    problem.exit = code
    return problem


def _alike(found: Sequence[Preview]) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    same: dict[tuple[str, ...], list[str]] = {}
    for each in found:
        if each.lines:
            same.setdefault(each.lines, []).append(each.host)
    yield from ((hosts, lines) for lines, hosts in same.items())


def _sum(preview: Preview) -> str:
    why = f": {preview.error.message.removeprefix(f'{preview.host}: ')}" if preview.error is not None else ""
    return next(iter(preview.lines), f"not known{why}")

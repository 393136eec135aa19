"""Plans and cycles as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from agent.cli.output import Output
from agent.domain.account import Account
from agent.domain.host_phase import host_phase
from agent.domain.outcome import OperationResult
from agent.domain.plan import Cause, Change, DeployPlan, Hold, PermittedPlan, Plan
from agent.domain.removal import Fate, Leaving, Pruned, Removal
from agent.domain.text import counted, plural
from agent.errors import Exit
from agent.steps.apply import Progress
from agent.steps.permit import NOT_IDEMPOTENT

_FATES = {
    Fate.REMOVE: "remove, left Git",
    Fate.ORPHAN: "leave as orphaned, left Git",
    Fate.RELEASE: "release, left Git and was there before",
    Fate.FORGET: "gone",
}

DIFF_HEAD = 3
"""Lines of a diff before the first line of the file: two names, and the line where it begins."""
NEW_LINES = 5
"""Lines that are shown of a new file: enough to recognise it."""

_SIGNS = {Cause.INTENDED: "+", Cause.DRIFT: "~", Cause.NOT_IDEMPOTENT: "=", Cause.INTERRUPTED: "!"}


def plan_lines(
    plan: Plan,
    leaving: Leaving,
    holds: Mapping[str, Hold] = MappingProxyType({}),
    *,
    diff: bool,
    calm: str,
    whole: bool = False,
) -> Iterator[str]:
    """The lines of a plan: a sum, or ``calm`` if nothing is to be done; each change with its cause, and with ``diff``
    the diff below it; the ``holds``, which are given by deploy; the removals. Of a new file only the beginning is
    shown, unless ``whole``."""
    waiting = {name: hold for name, hold in holds.items() if hold != NOT_IDEMPOTENT}  # its sign says that
    yield _sum_of_plan(plan, leaving, calm)
    for deploy in plan.deploys:
        yield from _deploy_lines(deploy, waiting.get(deploy.deploy), diff=diff, whole=whole)
    yield from (f"held: {hold.full_text}" for hold in dict.fromkeys(waiting.values()))
    yield from leaving_lines(leaving)


def _sum_of_plan(plan: Plan, leaving: Leaving, calm: str) -> str:
    """The sum of a plan, as in ``3 intended, 1 drift (commit 81f2340dd94a): 2 packages, 2 files``."""
    if plan.in_sync and not leaving.due:
        return f"{calm} {plan.commit[:12]}"
    counts = {cause.value: sum(1 for change in plan.changes if change.cause is cause) for cause in Cause}
    removals = sum(1 for removal in leaving.removals if removal.fate is not Fate.FORGET)
    counts["left Git"] = removals + len(leaving.departures)
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing can be told"
    gone = [removal.entry.key for removal in leaving.removals if removal.fate is not Fate.FORGET]
    what = counted(key.partition(":")[0] for key in (*(change.resource for change in plan.changes), *gone))
    return f"{told} (commit {plan.commit[:12]}){': ' if what else ''}{what}"


def _deploy_lines(deploy: DeployPlan, hold: Hold | None, *, diff: bool, whole: bool) -> Iterator[str]:
    if deploy.error is not None:
        yield f"x {deploy.deploy}: cannot be planned: {deploy.error}"
    if deploy.unknown is not None:
        why = "unknown until applied" if deploy.waits is None else "waits for a secret"
        known = hold is not None and hold == deploy.waits  # its reason is shown below, once for all deploys
        yield _held(f"? {deploy.deploy}: {why}{'' if known else f': {deploy.unknown}'}", hold)
    for change in deploy.changes:
        yield _held(change_line(change), hold or change.waits)
        if diff and change.wanted.diff:
            lines = change.wanted.diff.rstrip("\n").splitlines()
            yield from (f"    {line}" for line in (lines if whole else _shortened(lines)))


def _shortened(lines: Sequence[str]) -> Sequence[str]:
    """The first lines of the diff of a new file; any other diff as it is."""
    if len(lines) <= DIFF_HEAD + NEW_LINES + 1 or not lines[DIFF_HEAD - 1].startswith("@@ -0,0 "):
        return lines
    return [*lines[: DIFF_HEAD + NEW_LINES], f"… {len(lines) - DIFF_HEAD - NEW_LINES} more lines; -v shows them"]


def leaving_lines(leaving: Leaving) -> Iterator[str]:
    """The lines for removals, such as ``- file:/etc/motd: remove, left Git  [files]``, and for the scripts of deploys
    that have left Git."""
    for departure in leaving.departures:
        what = f"{departure.deploy}: run {departure.on_remove.source}, left Git"
        yield _held(f"- {what}  [{departure.deploy}]", departure.hold)
    for removal in leaving.removals:
        if removal.fate is not Fate.FORGET:
            yield _held(removal_line(removal), removal.hold)
    for hold in leaving.holds:
        yield f"held: {hold.full_text}"


def removal_line(removal: Removal) -> str:
    what = _FATES[removal.fate] + (f": {removal.reason}" if removal.reason else "")
    return f"- {removal.entry.key}: {what}  [{removal.entry.deploy}]"


def _held(line: str, hold: Hold | None) -> str:
    return line if hold is None else f"{line}, held"


def change_line(change: Change) -> str:
    """The line for a change, such as ``~ file:/etc/motd: write content  [drift, files]``: the resource, the operation,
    the cause and the deploy."""
    what = f"{change.resource}: {change.wanted.operation}"
    why = f"{change.cause.value}, {change.set_off}" if change.set_off else change.cause.value
    return f"{_SIGNS[change.cause]} {what}  [{why}, {change.deploy}]"


def newest_line(sha: str, why: str) -> str:
    """The reason why the newest commit is not aimed at, with the commit named once."""
    commit = f"commit {sha[:12]}"
    return f"not aimed at: {why if why.startswith(f'{commit} ') else f'{commit}: {why}'}"


class AccountView:
    """The view of a cycle for people: its progress, with a spinner on a terminal, and its sum at the end."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._spinner = output.spinner()
        self.progress = Progress(started=self._started, operated=self._operated, settling=self._settling)

    def conclude(self, account: Account) -> None:
        """Show what the cycle did, a line for each thing, with the problems last."""
        self._spinner.stop()
        say = self._output.say
        if account.trusted is not None:
            signed = f", signed by {account.trusted.signer.principal}" if account.trusted.signer else ""
            say(f"commit {account.trusted.sha[:12]}{signed}: {account.trusted.subject}")
        for name in account.left_out:
            say(f"without {name}")
        if account.hold is not None:
            say(f"not applied: {account.hold.full_text}")
        held = _held_lines(account.permitted) if account.permitted is not None else ()
        for line in (*held, *(f"warning: {message}" for message in account.warned)):
            say(line)
        pruned = account.pruned or Pruned()
        for removal in pruned.done:
            say(removal_line(removal))
        for hold in pruned.leaving.holds:
            say(f"not removed: {hold.reason}")
        for line in _ending_lines(account):
            say(line)
        if account.after is not None:
            say(f"{_sum(account)}; {host_phase(account).value}")
        for complaint in account.health.complaints if account.health is not None else ():
            say(f"unhealthy: {complaint}")
        for failure in account.failures:
            self._output.problem(failure, hint=self._output.verbose or failure.exit is not Exit.BUG)

    def _started(self, deploy: str, resource: str, operation: str) -> None:
        self._spinner.show(f"{deploy}: {resource}: {operation}")

    def _operated(self, result: OperationResult) -> None:
        if not result.changed and result.succeeded:
            return
        signs = ("✓", "✗") if self._output.symbols else ("ok", "failed")
        sign = signs[0] if result.succeeded else signs[1]
        self._output.say(f"{sign} {result.resource}: {result.operation}  [{result.deploy}, {result.seconds:.1f} s]")

    def _settling(self, seconds: float) -> None:
        self._spinner.stop()
        self._output.say(f"watching for {seconds:.0f} s whether the host is well with it")


def _held_lines(permitted: PermittedPlan) -> Iterator[str]:
    """The lines for held changes with their reasons, and for held deploys without known changes, such as ``app, motd
    wait: the reason``."""
    for held in permitted.held:
        yield f"{change_line(held.change)}, held: {held.hold.full_text}"
    waiting: dict[Hold, list[str]] = {}
    for deploy in permitted.plan.deploys:
        hold = permitted.deploy_holds.get(deploy.deploy)
        if deploy.unknown is not None and hold is not None:
            waiting.setdefault(hold, []).append(deploy.deploy)
    for hold, names in waiting.items():
        yield f"{', '.join(names)} wait{'s' if len(names) == 1 else ''}: {hold.full_text}"


def _ending_lines(account: Account) -> Iterator[str]:
    if account.reboot is not None:
        yield f"not rebooted: {account.reboot.hold.full_text}" if account.reboot.hold else "the host is rebooted now"
    if account.update is not None:
        yield f"not updated: {account.update.full_text}"
    if account.switched and account.agent is not None:
        yield f"the agent becomes version {account.agent.version}, on trial"


def _sum(account: Account) -> str:
    """The sum of what a cycle did, such as ``3 changes, 1 removed``."""
    done = len(account.outcome.changed)
    pruned = account.pruned or Pruned()
    removed = sum(1 for removal in pruned.done if removal.fate is Fate.REMOVE)
    told = [f"{done or 'no'} {plural('change', done)}"]
    told += [f"{removed} removed"] if removed else []
    told += [f"on_remove of {name} run" for name in pruned.departed]
    return ", ".join(told)

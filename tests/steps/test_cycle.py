"""The whole cycle with a real repository and real memory; only pyinfra and the status branch are played."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agent.cycle import run
from agent.domain.account import Account, Trigger
from agent.domain.address import Address
from agent.domain.commit import TrustedCommit, TrustMode
from agent.domain.desired import DesiredState
from agent.domain.host_phase import HostPhase, host_phase
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import DeployOutcome, OperationResult, Status
from agent.domain.pins import RepositoryPin
from agent.domain.plan import WantedChange
from agent.domain.resolution import Resolution
from agent.domain.trial import Trial
from agent.engine.client import Decision, Execute, FoundDeploy
from agent.errors import Consequence, DeployError, host_io_error
from agent.host.events import Events
from agent.host.exports import Exports
from agent.host.healing import heal
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.resolved import ResolvedFor, ResolvedStates
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.host.versions import Versions
from agent.inventory.lock import Lock, lock_text
from agent.parts import Parts
from agent.problems import ProblemKind
from agent.select_target import resolved
from agent.steps.apply import Progress
from agent.steps.verify import recall
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests.gitserver import ConfigRepo
from tests.reporter import PlayedReporter

INVENTORY = "inventories/prod"
HOSTS = {f"{INVENTORY}/hosts.yaml": "all: {hosts: {web1: {}}}\n"}


def site(text: str) -> dict[str, str]:
    """A site with one deploy, ``files``, of one file with this content."""
    return {
        f"{INVENTORY}/site.yaml": f"- hosts: all\n  deploys:\n    - files: {{/srv/motd: {{content: {text}}}}}\n",
    }


@dataclass
class PlayedEngine:
    """Finds what it is told to find, and calls everything done."""

    wanted: bool = True
    stopped: bool = False
    breaks_after_apply: bool = False
    applied: list[str] = field(default_factory=list)

    def plan(self, state: DesiredState, *_: object) -> tuple[FoundDeploy, ...]:
        if self.applied and self.breaks_after_apply:
            raise DeployError("planning was stopped", kind=ProblemKind.STOPPED)
        return tuple(self._found(deploy.name) for deploy in state.deploys)

    def apply(
        self,
        state: DesiredState,
        _root: Path,
        _interrupted: frozenset[str],
        *,
        decide: Callable[[FoundDeploy], Decision],
        on_operated: Callable[[OperationResult], None],
        on_done: Callable[[DeployOutcome], None],
        **_: object,
    ) -> tuple[DeployOutcome, ...]:
        ended = []
        for deploy in state.deploys:
            run = isinstance(decide(self._found(deploy.name)), Execute)
            result = OperationResult(deploy.name, "file:/srv/motd", "write", succeeded=True, changed=True, seconds=0.1)
            if run:
                on_operated(result)
            ended.append(DeployOutcome(deploy.name, Status.DONE if run else Status.HELD, (result,) if run else ()))
            on_done(ended[-1])
            self.applied.append(state.commit)
        self.wanted = False
        return tuple(ended)

    def _found(self, deploy: str) -> FoundDeploy:
        return FoundDeploy(deploy, (WantedChange("file:/srv/motd", "write /srv/motd"),) if self.wanted else ())


@dataclass
class Host:
    repo: ConfigRepo
    parts: Parts
    engine: PlayedEngine
    reporter: PlayedReporter

    def cycle(self, *, wanted: bool = False) -> Account:
        self.engine.wanted = wanted
        self.engine.applied.clear()
        return run(self.parts, Trigger.CLOCK)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    repo = ConfigRepo(tmp_path / "work")
    paths = Paths(tmp_path / "host")
    paths.var.mkdir(parents=True)
    mirror = Mirror(paths.mirror, Access(None, None))
    engine, reporter = PlayedEngine(), PlayedReporter()
    parts = Parts(
        paths=paths,
        settings=Settings(remote=f"{repo.path}", inventory="prod", host="web1", trust=TrustMode.UNSIGNED),
        memory=Memory(paths),
        mirror=mirror,
        exports=Exports(paths.commits, mirror),
        repositories=Repositories(paths.repositories, Access(None, None)),
        resolved=ResolvedStates(paths.resolved, ResolvedFor("a" * 64, "prod", "web1")),
        engine=engine,  # type: ignore[arg-type]
        journal=Journal(paths.journal),
        ledger=Ledger(paths.ledger),
        events=Events(paths.events),
        reporter=reporter,
        progress=Progress(started=lambda *_: None, operated=lambda _: None),
        clock=lambda: 1_790_000_000,
        remote_answers=lambda: True,
        versions=Versions(paths),
    )
    return Host(repo, parts, engine, reporter)


def test_a_cycle_that_ends_before_it_confirmed_forgets_nothing_of_what_was_applied(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    before = host.parts.memory.applied()
    assert isinstance(before.deploys["files"], AppliedDeploy)
    host.engine.breaks_after_apply = True
    account = host.cycle(wanted=True)
    assert (int(account.exit), host_phase(account)) == (7, HostPhase.FAILED)
    assert host.parts.memory.applied().deploys == before.deploys


def test_a_commit_that_cannot_be_read_does_not_take_the_host_back_behind_one_it_had_begun(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    second = host.repo.commit("Second", site("two"))
    host.engine.breaks_after_apply = True
    host.cycle(wanted=True)
    host.engine.breaks_after_apply = False
    host.repo.commit("Third", {f"{INVENTORY}/site.yaml": "- hosts: ["})
    account = host.cycle()
    assert int(account.exit) == 6
    assert account.state is not None
    assert account.state.commit == second


def test_a_typo_in_a_play_for_others_keeps_the_host_on_what_it_had(host: Host) -> None:
    hosts = {f"{INVENTORY}/hosts.yaml": "all: {hosts: {web1: {}, web2: {}}}\n"}
    first = host.repo.commit("First", hosts | site("one"))
    host.cycle(wanted=True)
    (path, text), *_ = site("two").items()
    host.repo.commit("Second", {path: f"{text}- hosts: web2\n  deploys: [{{packages: {{presnt: [nginx]}}}}]\n"})
    account = host.cycle()
    assert (int(account.exit), [failure.kind for failure in account.failures]) == (6, ["inventory"])
    assert 'unknown key "presnt"; did you mean "present"?' in account.failures[0].message
    assert account.state is not None
    assert account.state.commit == first


def test_a_host_that_fleet_yaml_suspends_is_not_repaired_on_the_older_commit_either(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    host.repo.commit("Second", site("two") | {f"{INVENTORY}/fleet.yaml": "suspend: [{hosts: web1, reason: disk}]\n"})
    account = host.cycle(wanted=True)
    assert host.engine.applied == []
    assert account.hold is not None
    assert account.hold.kind == "suspended"


def test_a_suspended_host_says_so_also_when_nothing_is_wanted(host: Host) -> None:
    host.repo.commit(
        "First", HOSTS | site("one") | {f"{INVENTORY}/fleet.yaml": "suspend: [{hosts: web1, reason: disk}]\n"}
    )
    account = host.cycle()
    assert account.hold is not None
    assert host_phase(account) is HostPhase.WAITING


def test_only_what_git_newly_wants_is_announced(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    assert host.reporter.attempts == 1
    host.cycle(wanted=True)
    assert (host.engine.applied != [], host.reporter.attempts) == (True, 1)


@pytest.mark.parametrize("name", ["trust", "suspended"])
def test_a_memory_that_must_not_be_lost_stalls_the_host_and_is_reported_once(host: Host, name: str) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    host.parts.paths.document(name).write_text("{")
    account = host.cycle(wanted=True)
    assert [(failure.kind, int(failure.exit)) for failure in account.failures] == [("state-corrupt", 3)]
    assert (host.engine.applied, host.reporter.reported) == ([], [account])


SHUT = "windows: [{hosts: all, from: '20:00', for: 4h}]\n"
"""The host's clock says 14:13."""


def test_outside_its_window_a_host_stays_on_what_it_had_and_says_until_when(host: Host) -> None:
    first = host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    host.repo.commit("Second", site("two") | {f"{INVENTORY}/fleet.yaml": SHUT})
    account = host.cycle()
    assert account.state is not None
    assert (account.state.commit, host_phase(account)) == (first, HostPhase.WAITING)
    assert account.hold is not None
    assert (account.hold.kind, account.hold.until) == ("window", 1_790_020_800)
    assert host.cycle(wanted=True).permitted.allowed, "drift is repaired all the same"  # type: ignore[union-attr]


def test_windows_outlive_a_commit_that_nobody_can_read(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("one") | {f"{INVENTORY}/fleet.yaml": SHUT})
    host.cycle(wanted=True)
    host.repo.commit("Broken", {f"{INVENTORY}/fleet.yaml": "windows: [", f"{INVENTORY}/site.yaml": "- hosts: ["})
    account = host.cycle()
    assert account.shut is not None
    assert account.shut.until == 1_790_020_800


def test_a_bare_host_waits_for_no_window(host: Host) -> None:
    first = host.repo.commit("First", HOSTS | site("one") | {f"{INVENTORY}/fleet.yaml": SHUT})
    host.cycle(wanted=True)
    assert host.parts.memory.applied().commit == first


def test_what_was_cut_off_half_way_is_ended_and_not_undone_when_a_newer_commit_waits(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    second = host.repo.commit("Second", site("two"))
    host.parts.mirror.fetch(host.parts.settings.remote, "main")
    digest = resolved(host.parts, recall(second, mirror=host.parts.mirror, last=second)).state.digest
    host.parts.memory.keep_trial(Trial(digest, second, 1_789_999_000))
    host.repo.commit("Third", site("three") | {f"{INVENTORY}/fleet.yaml": SHUT})
    account = host.cycle(wanted=True)
    assert set(host.engine.applied) == {second}
    assert account.hold is not None
    assert account.hold.kind == "window"
    assert host.parts.memory.trial() is None


def test_what_was_cut_off_half_way_is_ended_outside_a_window_when_it_is_the_newest(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    second = host.repo.commit("Second", site("two") | {f"{INVENTORY}/fleet.yaml": SHUT})
    host.parts.mirror.fetch(host.parts.settings.remote, "main")
    digest = resolved(host.parts, recall(second, mirror=host.parts.mirror, last=second)).state.digest
    host.parts.memory.keep_trial(Trial(digest, second, 1_789_999_000))
    host.cycle(wanted=True)
    assert set(host.engine.applied) == {second}


def test_a_host_that_has_lost_its_memory_waits_for_its_window_all_the_same(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("one") | {f"{INVENTORY}/fleet.yaml": SHUT})
    host.cycle(wanted=True)
    for name in ("applied", "state"):
        host.parts.paths.document(name).write_text("{")
    heal(host.parts.paths, memory=host.parts.memory, journal=host.parts.journal, ledger=host.parts.ledger)
    host.repo.commit("Second", site("two"))
    for _ in range(2):
        assert host.cycle(wanted=True).shut is not None
        assert host.engine.applied == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, "disk-full"), (errno.EDQUOT, "disk-full"), (errno.EROFS, "disk-read-only"), (errno.EIO, "host-io")],
)
def test_where_nothing_can_be_remembered_nothing_is_done_and_that_is_reported(host: Host, code: int, kind: str) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    host.parts = replace(host.parts, unusable=host_io_error(OSError(code, "refused", "/var/lib/hostwright")))
    account = host.cycle(wanted=True)
    assert [(failure.kind, failure.consequence) for failure in account.failures] == [(kind, Consequence.RETRY)]
    assert (int(account.exit), host_phase(account), account.failures[0].hint != "") == (3, HostPhase.FAILED, True)
    assert (host.engine.applied, host.reporter.reported) == ([], [account])
    assert list(host.parts.paths.var.iterdir()) == []
    host.parts = replace(host.parts, unusable=None)
    assert (int(host.cycle(wanted=True).exit), host.engine.applied != []) == (0, True)


def test_an_event_bears_the_time_at_which_its_operation_ended(host: Host) -> None:
    begun = now = host.parts.clock()

    def a_minute_passes(_: object) -> None:
        nonlocal now
        now += 60

    progress = Progress(started=lambda *_: None, operated=a_minute_passes)
    host.parts = replace(host.parts, clock=lambda: now, progress=progress)
    host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    told = {event.kind: event.at - begun for event in host.parts.events.last(9)}
    assert told == {"applied": 0, "adopted": 60}


def test_a_cycle_that_fails_writes_down_what_its_exit_code_stands_for(host: Host) -> None:
    host.repo.commit("First", HOSTS | {f"{INVENTORY}/site.yaml": "- hosts: ["})
    host.cycle()
    state = host.parts.memory.state()
    assert (state.exit, state.cause[0]) == (6, "inventory")
    host.repo.commit("Second", site("one"))
    host.cycle(wanted=True)
    assert host.parts.memory.state().cause == ("", "", "")


def test_what_is_left_out_of_a_pinned_repository_is_named_where_it_is_used(host: Host, tmp_path: Path) -> None:
    other = ConfigRepo(tmp_path / "other")
    other.commit("First")
    other.plumb(other.tree(("100644", other.blob(b"x = 1\n"), "motd.py"), ("160000", other.head, "vendor")))
    url = f"git+file://{other.path}@main"
    pin = host.parts.repositories.pin(Address.parse(url))
    used = site("one") | {f"{INVENTORY}/lock.yaml": lock_text(Lock(repositories={url: pin}))}
    host.repo.commit("Unused", HOSTS | used)
    assert host.cycle().left_out == ()
    host.repo.write({f"{INVENTORY}/site.yaml": f"- {{hosts: all, deploys: [{{name: m, deploy: '{url}//motd.py'}}]}}\n"})
    host.repo.commit("Used")
    assert host.cycle().left_out == (f"{url}: the submodule vendor, which hosts do not fetch",)


def test_a_commit_is_read_once_and_remembered_until_nobody_needs_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    again = replace(
        host.parts, resolved=ResolvedStates(host.parts.paths.resolved, ResolvedFor("a" * 64, "prod", "web1"))
    )
    with monkeypatch.context() as patched:
        patched.setattr("agent.steps.resolve.resolve", lambda *_, **__: pytest.fail("it is read again"))
        patched.setattr("agent.inventory.fleet.read_fleet", lambda *_: pytest.fail("fleet.yaml is read again"))
        account = run(again, Trigger.CLOCK)
    assert account.whole
    second = host.repo.commit("Second", site("two"))
    host.cycle(wanted=True)
    host.cycle()
    assert [path.stem for path in host.parts.paths.resolved.iterdir()] == [second] != [first]


def test_files_of_another_repository_are_looked_at_in_each_cycle(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    host.cycle(wanted=True)
    known = host.parts.resolved.find(host.repo.head)
    assert known is not None
    pin = RepositoryPin("ssh://git.example/r", "", "1" * 40, "2" * 64)
    commit = TrustedCommit(host.repo.head, "First", None)
    host.parts.resolved.keep(Resolution(commit, known.state, replace(known.terms, repositories=(pin,))))
    asked: list[RepositoryPin] = []
    monkeypatch.setattr(Repositories, "tree", lambda _, pin: asked.append(pin))
    host.cycle()
    assert pin in asked


def test_a_cycle_without_news_starts_one_git_and_writes_only_that_it_was(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.repo.commit("First", HOSTS | site("one"))
    for _ in range(3):
        host.cycle()
    started: list[list[str]] = []
    start = subprocess.Popen.__init__

    def note(self: object, argv: list[str], *arguments: object, **options: object) -> None:
        started.append([*argv])
        start(self, argv, *arguments, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(subprocess.Popen, "__init__", note)
    host.parts.mirror.close()
    mirror = Mirror(host.parts.paths.mirror, Access(None, None))
    before = {path: path.stat().st_mtime_ns for path in host.parts.paths.var.iterdir() if path.is_file()}
    run(replace(host.parts, mirror=mirror, exports=Exports(host.parts.paths.commits, mirror)), Trigger.CLOCK)
    assert [argv[1] for argv in started if argv[0] == "git"] == ["ls-remote"]
    written = [path.name for path, at in before.items() if path.stat().st_mtime_ns != at]
    assert written == ["state.json"]

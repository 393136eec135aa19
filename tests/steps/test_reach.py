"""How far a change of Git reaches, and whose doing what follows from it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from agent.domain.check import Check, CheckResult
from agent.domain.desired import DesiredDeploy, Resource
from agent.domain.memory import AppliedDeploy, Attempt
from agent.domain.outcome import DeployOutcome, OperationResult, Outcome, Status
from agent.domain.plan import Cause, WantedChange
from agent.domain.trial import Trial
from agent.engine.client import FoundDeploy
from agent.steps.plan import make_plan
from agent.steps.reach import MadeChanges, reach
from agent.steps.trial import broken, evaluate_trial
from tests.steps.build import change, deploy, health, planned, result, state

FILE, UNIT = "file:/etc/nginx/site.conf", "unit:nginx.service"
CONFIG = deploy("config", resources=(FILE,))
UNITS = replace(
    deploy("units", resources=()),
    resources=(Resource(UNIT, "u" * 64, reads=("/etc/nginx", "/etc/systemd/system/nginx.service")),),
)
PAGES = deploy("pages", resources=("file:/srv/www/index.html",), needs=("units",))
LONELY = deploy("lonely", resources=("file:/etc/motd",))
HOST = state(CONFIG, UNITS, PAGES, LONELY)


def asking(name: str, kind: str, about: str) -> DesiredDeploy:
    return replace(deploy(name, resources=()), health=(Check(name, kind, "it", {kind: about}),))


@pytest.mark.parametrize("changed", [("config", FILE), ("units", UNIT)])
def test_a_change_reaches_who_reads_it_who_is_read_and_who_needs_them(changed: tuple[str, str]) -> None:
    assert reach(HOST, [change(*changed)]) == ("config", "units", "pages")


def test_a_change_that_nobody_reads_reaches_its_own_deploy() -> None:
    assert reach(HOST, [change("lonely", "file:/etc/motd")]) == ("lonely",)


def test_a_folder_that_two_deploys_have_files_in_does_not_tie_them() -> None:
    one, two = (deploy(name, resources=("directory:/srv", f"file:/srv/{name}")) for name in ("one", "two"))
    assert reach(state(one, two), [change("one", "directory:/srv")]) == ("one",)


def test_a_name_that_begins_alike_lies_in_no_folder() -> None:
    other = deploy("other", resources=("file:/etc/nginx-old/x",))
    assert reach(state(other, UNITS), [change("other", "file:/etc/nginx-old/x")]) == ("other",)


@pytest.mark.parametrize(
    "key", [FILE, "link:/etc/nginx/site.conf", "block:/etc/nginx/nginx.conf#lab", "line:/etc/nginx/nginx.conf#user x"]
)
def test_links_lines_and_blocks_are_read_as_files_are(key: str) -> None:
    assert "units" in reach(state(deploy("config", resources=(key,)), UNITS), [change("config", key)])


def test_the_file_of_a_unit_that_another_deploy_writes_reaches_the_unit() -> None:
    key = "file:/etc/systemd/system/nginx.service"
    assert "units" in reach(state(deploy("config", resources=(key,)), UNITS), [change("config", key)])


def test_a_time_zone_reaches_who_reads_its_link_and_its_file() -> None:
    for path in ("/etc/localtime", "/etc/timezone"):
        reads = replace(deploy("cron", resources=()), resources=(Resource("unit:cron.service", "u", reads=(path,)),))
        zone = deploy("timezone", resources=("timezone:host",))
        assert "cron" in reach(state(zone, reads), [change("timezone", "timezone:host")])


def test_a_unit_that_is_to_be_told_is_reached() -> None:
    telling = replace(deploy("ssh"), resources=(Resource("file:/x", "x", reloads=("nginx.service",)),))
    assert "units" in reach(state(telling, UNITS), [change("ssh", "file:/x")])


@pytest.mark.parametrize(
    ("kind", "about"), [("unit", "nginx"), ("unit", "nginx.service"), ("file", FILE[5:]), ("certificate", FILE[5:])]
)
def test_a_check_that_asks_for_what_changes_is_reached(kind: str, about: str) -> None:
    asks = asking("watch", kind, about)
    assert "watch" in reach(state(CONFIG, UNITS, asks), [change("config", FILE)])


def test_what_a_deploy_file_owns_reaches_who_reads_it() -> None:
    own = change("config", "op:put#1", owns=(FILE,))
    assert "units" in reach(state(deploy("config", resources=()), UNITS), [own])


# --- the five ways in which the configuration of a web server goes wrong, told by a check of any of three deploys

WAYS: Mapping[str, tuple[Outcome, tuple[str, ...], bool]] = {
    "syntax": (Outcome((DeployOutcome("units", Status.FAILED, error="unit:nginx.service: reload"),)), (), True),
    "missing include": (Outcome((DeployOutcome("units", Status.FAILED, error="open() failed"),)), (), True),
    "wrong docroot": (Outcome(), (), False),
    "port taken": (Outcome(), ("nginx.service",), False),
    "crash later": (Outcome(), ("nginx.service",), False),
}
"""By way: how the apply ended, which units failed, and whether the server goes on with what it had."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("asked", ["config", "units", "pages"])
def test_each_way_to_break_a_web_server_counts_wherever_its_check_stands(asked: str, way: str) -> None:
    outcome, failed_units, answers = WAYS[way]
    check = CheckResult(asked, "http", passed=answers, output="404, wanted 200")
    trial = Trial("d" * 64, "c" * 40, 1, touched=reach(HOST, [change("config", FILE)]), passed=(f"{asked}: http",))
    seen = replace(health(failed=failed_units), checks=(check,))
    failed, doubtful = broken(trial, outcome, {})
    signs = evaluate_trial(trial, seen, remote=True)
    assert ((*failed, *signs) != (), doubtful) == (True, False)
    if not answers:
        assert f"{asked}: http: 404, wanted 200" in signs


# --- which failures are the change's own


def failing(deploy: str, resource: str, error: str) -> Outcome:
    failed = OperationResult(deploy, resource, "do", succeeded=False, changed=False, seconds=0.1, error=error)
    return Outcome((DeployOutcome(deploy, Status.FAILED, (failed,), f"{resource}: {error}"),))


TRIAL = Trial("d" * 64, "c" * 40, 1, touched=("web", "apt"))


@pytest.mark.parametrize(
    ("resource", "error", "counts"),
    [
        ("unit:web.service", "reload: Job failed", True),
        ("unit:web.service", "start: connect() failed: Connection refused", True),
        ("file:/etc/x", "the program validate names refuses it", True),
        ("op:shell#1", "exit code 1", True),
        ("package:nginx", "E: Failed to fetch http://deb/x  Temporary failure resolving 'deb'", False),
        ("package:nginx", "E: Could not get lock /var/lib/dpkg/lock-frontend", False),
        ("package:nginx", "E: Failed to fetch http://deb/x  503  Service Unavailable", False),
        ("tool:rg", "https://example.org/rg cannot be reached: [Errno 113] No route to host", False),
        ("command:get", "curl: (6) Could not resolve host: example.org", False),
        ("file:/etc/x", "No space left on device", False),
        ("package:nginx", "nginx has no version 9", True),
    ],
)
def test_what_passes_by_itself_does_not_count_and_all_else_does(resource: str, error: str, counts: bool) -> None:
    assert (broken(TRIAL, failing("web", resource, error), {})[0] != ()) is counts


@pytest.mark.parametrize(("before", "counts"), [("op:a#1: exit 3 after 17 ms", False), ("op:a#1: another", True)])
def test_what_fails_as_it_did_before_does_not_count(before: str, counts: bool) -> None:
    outcome = failing("web", "op:a#1", "exit 3 after 21 ms")
    assert (broken(TRIAL, outcome, {"web": Attempt("d", 1, 0, before)})[0] != ()) is counts


@pytest.mark.parametrize(("refused", "counts"), [(("op:a#1",), False), (("op:b#1",), True)])
def test_what_is_refused_before_it_begins_does_no_harm(refused: tuple[str, ...], counts: bool) -> None:
    outcome = failing("web", "op:a#1", "no such shell")
    wanted = planned(*(change("web", key, refused=True) for key in refused), deploy="web")
    assert (broken(TRIAL, replace(outcome, found=(wanted,)), {})[0] != ()) is counts


def test_a_deploy_that_the_change_does_not_reach_may_fail() -> None:
    assert broken(TRIAL, failing("other", "op:a#1", "exit 3"), {}) == ((), False)


def test_what_fails_beside_a_failure_that_passes_is_in_doubt() -> None:
    away = failing("apt", "package:nginx", "Could not resolve host").deploys
    failed, doubtful = broken(TRIAL, Outcome((*away, *failing("web", "unit:web.service", "reload").deploys)), {})
    assert (len(failed), doubtful) == (1, True)


def test_a_deploy_that_was_cut_off_is_in_doubt() -> None:
    over = Outcome((DeployOutcome("web", Status.FAILED, error="did not end within 60 s", cut_off=True),))
    assert broken(TRIAL, over, {})[1]


# --- whose doing a change is


class Found:
    """Stands for an engine that has already looked."""

    def __init__(self, **changes: tuple[str, ...]) -> None:
        self._changes = changes

    def plan(self, desired: object, *_: object) -> tuple[FoundDeploy, ...]:
        del desired
        return tuple(
            FoundDeploy(name, tuple(WantedChange(key, "reload") for key in keys))
            for name, keys in self._changes.items()
        )


def applied(*deploys: DesiredDeploy) -> dict[str, AppliedDeploy]:
    return {
        each.name: AppliedDeploy(each.digest, {item.key: item.digest for item in each.resources}) for each in deploys
    }


def causes(
    found: Found, before: dict[str, AppliedDeploy], made: MadeChanges | None = None
) -> dict[str, tuple[Cause, str]]:
    wanted = make_plan(HOST, engine=found, root=None, applied=before, interrupted=frozenset(), made=made)  # type: ignore[arg-type]
    return {each.resource: (each.cause, each.set_off) for each in wanted.changes}


OLD = deploy("config", resources=(FILE,), version="0")


def test_a_reload_is_git_s_doing_when_git_changed_the_file() -> None:
    told = causes(Found(config=(), units=(UNIT,)), applied(OLD, UNITS))
    assert told[UNIT] == (Cause.INTENDED, f"set off by {FILE} of deploy config")


def test_so_it_is_where_the_deploy_of_the_unit_comes_first() -> None:
    assert causes(Found(units=(UNIT,), config=()), applied(OLD, UNITS))[UNIT][0] is Cause.INTENDED


def test_a_reload_is_drift_when_git_changed_nothing_or_something_else() -> None:
    for before in (
        applied(CONFIG, UNITS),
        applied(CONFIG, UNITS, deploy("lonely", resources=("file:/etc/motd",), version="0")),
    ):
        assert causes(Found(config=(), units=(UNIT,), lonely=()), before)[UNIT][0] is Cause.DRIFT


def test_a_reload_is_drift_while_the_file_that_git_changed_is_not_written() -> None:
    assert causes(Found(config=(FILE,), units=(UNIT,)), applied(OLD, UNITS))[UNIT][0] is Cause.DRIFT


def test_what_came_about_behind_a_change_of_git_is_its_doing() -> None:
    made = MadeChanges()
    made.foresee(make_plan(HOST, engine=Found(pages=()), root=None, applied={}, interrupted=frozenset()))  # type: ignore[arg-type]
    made.add_applied(LONELY, ["file:/etc/motd"])
    told = causes(Found(pages=("op:rebuild#1",)), applied(PAGES), made)
    assert told["op:rebuild#1"] == (Cause.INTENDED, "set off by what changed in lonely")


def test_what_was_wanted_before_is_still_drift() -> None:
    made, found = MadeChanges(), Found(pages=("op:rebuild#1",))
    made.foresee(make_plan(HOST, engine=found, root=None, applied=applied(PAGES), interrupted=frozenset()))  # type: ignore[arg-type]
    made.add_applied(LONELY, ["file:/etc/motd"])
    assert causes(found, applied(PAGES), made)["op:rebuild#1"][0] is Cause.DRIFT


def test_results_of_two_rounds_are_one_outcome() -> None:
    first = Outcome((DeployOutcome("units", Status.DONE, (result("units", "unit:a"),), times=(1,)),))
    second = Outcome((DeployOutcome("units", Status.FAILED, (result("units", "unit:b"),), "why", times=(2,)),))
    both = first.then(second)
    assert (both.status("units"), both.deploys[0].times) == (Status.FAILED, (1, 2))
    assert [each.resource for each in both.deploys[0].results] == ["unit:a", "unit:b"]

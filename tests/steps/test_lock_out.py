"""choose, kept out: whom a commit locks out on purpose stays out when the commit is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.deploys.users.spec import UsersSpec
from agent.domain.desired import DesiredDeploy, DesiredState
from agent.domain.plan import Hold, HoldKind
from agent.steps.choose import choose, kept_out
from tests.steps.build import deploy, state


@dataclass(frozen=True)
class Resolved:
    state: DesiredState


def users(accounts: dict[str, Any], name: str = "users") -> DesiredDeploy:
    concrete = UsersSpec.model_validate(UsersSpec.from_short(accounts)).concrete(None)  # type: ignore[arg-type]
    return DesiredDeploy(name, "users", concrete.arguments, name, concrete.resources)


def absent(of: DesiredState) -> set[str]:
    found: Any = [each.arguments["accounts"] for each in of.deploys if each.kind == "users"]
    told = {name for accounts in found for name, entry in accounts.items() if entry["absent"]}
    assert told == {r.key.removeprefix("user:") for each in of.deploys for r in each.resources if r.absent}
    return told


def test_whom_the_newest_commit_wants_absent_is_absent_in_the_older_one() -> None:
    older = state(deploy(), users({"ann": {"sudo": True}, "bob": {}}))
    newest = state(deploy(version="2"), users({"ann": {"absent": True}, "bob": {}}))
    kept = kept_out(older, newest)
    assert absent(kept) == {"ann"}
    assert (kept.digest, kept.deploys[0]) == (older.digest, older.deploys[0]), "all else is as it was"


def test_who_is_merely_missing_may_be_so_by_mistake() -> None:
    older = state(users({"ann": {}, "bob": {}}))
    assert kept_out(older, state(users({"bob": {}}))) == older
    assert kept_out(older, state(deploy())) == older


def test_a_host_that_stays_on_an_older_commit_because_the_newest_did_harm_keeps_them_out() -> None:
    current, candidate = Resolved(state(users({"ann": {}}))), Resolved(state(users({"ann": {"absent": True}})))
    bad = Hold(HoldKind.BAD, "nginx does not answer")
    aim = choose(current, candidate, suspension=None, bad=bad)  # type: ignore[arg-type]
    assert aim is not None
    assert absent(aim.resolution.state) == {"ann"}

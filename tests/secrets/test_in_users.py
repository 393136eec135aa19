"""A secret as ``users.<name>.password_hash``: what hosts do with it, and what is said of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.commands.diff import comparison_lines, document
from agent.contrast import InventoryAt, compare
from agent.deploys.correction import Correction
from agent.deploys.users import accounts, records, sudoers
from agent.deploys.users.host import corrections
from agent.domain import codec, sealed
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import DeployOutcome, Outcome, Status
from agent.domain.plan import Cause, Plan
from agent.inventory.other_repositories import not_fetched
from agent.steps.confirm import confirm
from agent.steps.deny import policy_input
from agent.steps.permit import PermitRules, permit
from agent.steps.plan import make_plan
from agent.system import mask
from agent.system.folder import FolderTree
from tests import children
from tests.deploys.users.host_files import GROUP, PASSWD, SHADOW
from tests.secrets.conftest import Desk

HASH = "$6$salt$of.the.secret"
ASKED = "{{ secret('web/ann') }}"


@pytest.fixture(autouse=True)
def secrets(desk: Desk) -> None:
    desk.store.write("web/ann", f"{HASH}\n".encode())


def wanted(desk: Desk, people: Mapping[str, object], *more: object) -> None:
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"users": people}, *more]}]))


@pytest.fixture
def at_host(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's files are those of ``host_files``; the agent did nothing there before."""
    monkeypatch.setattr(accounts, "read", lambda: accounts.parsed(PASSWD, GROUP, SHADOW))
    for module, folder in ((records, "DEPARTED"), (records, "MEMBERSHIPS"), (sudoers, "FOLDER")):
        monkeypatch.setattr(module, folder, tmp_path / "nothing")


def due(desk: Desk) -> Sequence[Correction]:
    """What web1 is about to do about its users."""
    return corrections(desk.values()["users"], desk.repo)


@pytest.mark.usefixtures("at_host")
@pytest.mark.parametrize("asked", [ASKED, "{{ secret('web/ann') | password_hash('sha512', 'saltsalt') }}"])
def test_a_password_that_differs_is_changed_and_neither_value_is_told(desk: Desk, asked: str) -> None:
    wanted(desk, {"ann": {"password_hash": asked}})
    (correction,) = due(desk)
    assert (correction.change.operation, correction.change.diff, correction.change.private) == (
        "set password",
        None,
        True,
    )
    assert HASH not in repr(correction)
    assert mask.masked(f"chpasswd: {HASH}") == "chpasswd: [secret]"


@pytest.mark.usefixtures("at_host")
@pytest.mark.parametrize("template", [ASKED, "{{ secret('web/ann') | trim }}", "$6$salt${{ secret('web/ann') }}"])
def test_a_password_that_is_as_the_secret_says_needs_nothing(desk: Desk, template: str) -> None:
    desk.store.write("web/ann", b"hash" if template.startswith("$") else b"$6$salt$hash")
    wanted(desk, {"ann": {"password_hash": template}})
    assert not due(desk)


@pytest.mark.usefixtures("at_host")
@pytest.mark.parametrize("value", ["hunter2-hunter2", f"{HASH}\nroot:{HASH}", f"{HASH}:0"])
def test_a_value_that_is_no_hash_is_refused_for_its_account_alone_and_not_told(desk: Desk, value: str) -> None:
    desk.store.write("web/ann", value.encode())
    wanted(desk, {"ann": {"password_hash": ASKED, "shell": "/bin/sh"}, "eve": {"shell": "/bin/bash"}})
    told = [(each.change.resource, each.change.operation, each.change.refused) for each in due(desk)]
    why = "ann: the secret in password_hash is not a hash as crypt(5) writes it ($y$…, $6$…)"
    assert told == [
        ("user:eve", "set shell /bin/bash", False),
        ("user:ann", f"set shell /bin/sh, cannot be done: {why}", True),
    ]


def test_no_value_is_in_the_state_and_its_digest_is_that_of_the_ciphertext(desk: Desk) -> None:
    wanted(desk, {"ann": {"password_hash": ASKED}})
    first = desk.state()
    assert HASH not in repr(first)
    assert [deploy.secrets for deploy in first.deploys] == [("secret('web/ann')",)]
    desk.store.rekey((), desk.own_keys(), everything=True)
    assert desk.state().deploys[0].resources != first.deploys[0].resources


def test_a_diff_and_the_rules_show_how_it_is_asked_for(desk: Desk, tmp_path: Path) -> None:
    def at(asked: str) -> InventoryAt:
        wanted(desk, {"ann": {"password_hash": asked}})
        return InventoryAt(FolderTree(shutil.copytree(desk.repo, tmp_path / f"{len(asked)}")), "lab", not_fetched)

    found = compare("lab", at("$6$salt$public"), at(ASKED), "all")
    said = "\n".join((*comparison_lines(found), json.dumps(document(found))))
    assert ASKED in said
    assert "uf8d0" not in ascii(said)
    (deploy,) = policy_input(desk.state(), inventory="lab", groups=()).deploys
    assert [each.wanted["password_hash"] for each in deploy.resources] == [ASKED]


@pytest.mark.parametrize(
    "people",
    [
        {"ann": {"comment": ASKED}},
        {"ann": {"home": f"/home/{ASKED}"}},
        {"password_hash": {"comment": ASKED}},
    ],
)
def test_elsewhere_in_users_a_secret_is_complained_of(desk: Desk, people: Mapping[str, Mapping[str, str]]) -> None:
    wanted(desk, people)
    told = desk.complaint()
    ((name, entry),) = people.items()
    assert f"users.{name}.{next(iter(entry))}: a secret cannot stand in users here" in told


def test_a_host_that_cannot_read_it_still_locks_the_person_out(desk: Desk) -> None:
    wanted(desk, {"ann": {"password_hash": ASKED, "absent": True}})
    (deploy,) = desk.state().deploys
    assert not deploy.secrets
    assert "uf8d0" not in ascii(deploy.arguments)


def test_an_account_whose_hash_cannot_be_read_waits_for_it_alone(desk: Desk, tmp_path: Path) -> None:
    wanted(desk, {"ann": {"password_hash": ASKED}, "eve": {"shell": "/bin/sh"}})
    state = desk.state()
    engine = desk.engine(tmp_path / "work", "db1")
    plan = make_plan(state, engine=engine, root=desk.repo, applied={}, interrupted=frozenset())
    told = [(each.resource, each.wanted.operation, each.waits is not None) for each in plan.changes]
    assert told == [
        ("user:ann", "set password", True),
        ("user:ann", "create", False),
        ("user:eve", "create", False),
    ]
    permitted = permit(plan, PermitRules())
    assert permitted.allowed == {"users": frozenset({"user:ann", "user:eve"})}
    (held,) = permitted.held
    assert "user:ann: inventories/lab/secrets/web/ann.age was not made for this host" in held.hold.reason

    (planned,) = plan.deploys
    after = replace(plan, deploys=(replace(planned, changes=planned.changes[:1]),))
    done = Outcome((DeployOutcome("users", Status.DONE),), (planned,))
    remembered = confirm(state, after, done, {})["users"]
    assert (set(remembered.resources), remembered.not_idempotent) == ({"user:eve"}, ())
    still = permit(after, PermitRules())
    assert (still.allowed, still.deploy_holds["users"], still.intends) == ({}, held.hold, False)
    assert confirm(state, after, Outcome(), {})["users"].resources == remembered.resources

    applied = codec.decode(codec.encode(remembered), AppliedDeploy)
    drifted = make_plan(state, engine=engine, root=desk.repo, applied={"users": applied}, interrupted=frozenset())
    assert [each.cause for each in drifted.deploys[0].possible] == [Cause.DRIFT, Cause.DRIFT]
    assert not drifted.deploys[0].intends
    read = desk.engine(tmp_path / "work")
    later = make_plan(state, engine=read, root=desk.repo, applied={"users": applied}, interrupted=frozenset())
    assert {each.resource: each.cause for each in later.changes} == {
        "user:ann": Cause.INTENDED,
        "user:eve": Cause.DRIFT,
    }


def test_a_password_that_came_after_its_deploys_turn_is_still_to_be_applied(desk: Desk, tmp_path: Path) -> None:
    wanted(desk, {"ann": {"password_hash": ASKED}})
    state = desk.state()

    def plan(host: str, applied: Mapping[str, AppliedDeploy]) -> Plan:
        engine = desk.engine(tmp_path / "work", host)
        return make_plan(state, engine=engine, root=desk.repo, applied=applied, interrupted=frozenset())

    turn, after = plan("db1", {}), plan("web1", {})
    remembered = confirm(state, after, Outcome((DeployOutcome("users", Status.DONE),), turn.deploys), {})
    assert [each.cause for each in plan("web1", remembered).changes] == [Cause.INTENDED]


def test_a_value_is_put_in_once_even_where_it_reads_like_a_request_for_another(desk: Desk, tmp_path: Path) -> None:
    wanted(desk, {"ann": {"password_hash": ASKED}})
    (deploy,) = desk.state().deploys
    asked = deploy.arguments["accounts"]["ann"]["password_hash"]  # type: ignore[index,call-overload]
    opened: list[object] = []

    def unseal(value: object, root: Path) -> object:
        return sealed.opened(value, lambda expression: opened.append(expression) or asked)

    engine = children.engine(work=tmp_path / "work", timeout_s=60, unseal=unseal)
    engine.plan(desk.state(), desk.repo, frozenset())
    assert len(opened) == 1

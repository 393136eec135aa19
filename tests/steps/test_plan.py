from agent.domain.memory import AppliedDeploy
from agent.domain.plan import Cause, WantedChange
from agent.engine.client import FoundDeploy
from agent.steps.plan import classify, make_plan
from agent.steps.reach import MadeChanges
from tests.steps.build import deploy, state

NOBODY = frozenset()


def causes(desired, before, *, resources=("file:/etc/motd",), interrupted=NOBODY):
    found = FoundDeploy(desired.name, tuple(WantedChange(key, "write") for key in resources), (), None)
    applied = {} if before is None else {desired.name: before}
    return [change.cause for change in classify(desired, found, applied, interrupted, MadeChanges()).changes]


def remembered(desired, *, not_idempotent=()):
    return AppliedDeploy(desired.digest, {item.key: item.digest for item in desired.resources}, not_idempotent)


def test_a_change_of_a_deploy_never_applied_is_intended():
    assert causes(deploy(), None) == [Cause.INTENDED]


def test_a_change_of_a_resource_whose_digest_moved_is_intended():
    assert causes(deploy(version="2"), remembered(deploy(version="1"))) == [Cause.INTENDED]


def test_a_change_of_a_resource_that_is_as_last_applied_is_drift():
    assert causes(deploy(), remembered(deploy())) == [Cause.DRIFT]


def test_a_neighbour_that_moved_in_git_does_not_make_drift_look_intended():
    before = remembered(deploy(resources=("file:/a", "file:/b")))
    after = deploy(resources=("file:/a", "file:/b"), version="1")
    after = type(after)(
        name=after.name,
        kind=after.kind,
        arguments={},
        digest="f" * 64,
        resources=(after.resources[0], type(after.resources[1])("file:/b", "e" * 64)),
    )
    assert causes(after, before, resources=("file:/a", "file:/b")) == [Cause.DRIFT, Cause.INTENDED]


def test_an_operation_of_a_deploy_file_goes_by_its_deploy_s_digest():
    first, second = deploy(resources=()), deploy(resources=(), version="2")
    assert causes(first, remembered(first), resources=("op:restart#1",)) == [Cause.DRIFT]
    assert causes(second, remembered(first), resources=("op:restart#1",)) == [Cause.INTENDED]


def test_what_was_still_wanted_after_it_was_applied_is_not_idempotent():
    before = remembered(deploy(), not_idempotent=("file:/etc/motd",))
    assert causes(deploy(), before) == [Cause.NOT_IDEMPOTENT]


def test_it_is_intended_again_when_its_deploy_moves():
    before = remembered(deploy(), not_idempotent=("file:/etc/motd",))
    assert causes(deploy(version="2"), before) == [Cause.INTENDED]


def test_a_change_of_an_interrupted_deploy_is_told_apart_from_drift():
    assert causes(deploy(), remembered(deploy()), interrupted=frozenset({"motd"})) == [Cause.INTERRUPTED]


class Found:
    """Stands for an engine that has already looked."""

    def __init__(self, *found):
        self._found = found

    def plan(self, *_):
        return self._found


def planned_errors(*found):
    desired = state(deploy("first"), deploy("second"))
    made = make_plan(desired, engine=Found(*found), root=None, applied={}, interrupted=NOBODY)
    return [(each.unknown, each.error) for each in made.deploys]


def test_what_cannot_be_planned_behind_a_pending_deploy_is_unknown_until_applied():
    pending = FoundDeploy("first", (WantedChange("file:/a", "write"),), (), None)
    assert planned_errors(pending, FoundDeploy("second", (), (), "no such user")) == [
        (None, None),
        ("no such user", None),
    ]


def test_what_cannot_be_planned_with_nothing_pending_is_an_error():
    assert planned_errors(FoundDeploy("first", (), (), None), FoundDeploy("second", (), (), "boom")) == [
        (None, None),
        (None, "boom"),
    ]

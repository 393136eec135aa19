import json

import pytest

from agent.domain.memory import (
    AdoptedCommit,
    Applied,
    AppliedDeploy,
    Attempt,
    FleetSettings,
    State,
    Suspension,
    TrustRecord,
)
from agent.errors import Consequence, SettingsError
from agent.host.paths import Paths
from agent.host.state import ADOPTED_KEPT, Memory


@pytest.fixture
def paths(tmp_path):
    paths = Paths(tmp_path)
    paths.var.mkdir(parents=True)
    return paths


def test_each_document_comes_back_as_it_was_written(paths):
    memory = Memory(paths)
    trust = TrustRecord("a" * 40, "ann@example.org", 5)
    applied = Applied(
        "a" * 40,
        "d" * 64,
        None,
        {"web": AppliedDeploy("e" * 64, {"file:/x": "1"}, ("op:y#1",))},
        (AdoptedCommit("a" * 40, 5, 6),),
    )
    state = State(
        attempts={"web": Attempt("e" * 64, 2, 99)}, failed_at_first=("x.service",), fleet=FleetSettings(hosts=12)
    )
    memory.keep_trust(trust)
    memory.keep_applied(applied)
    memory.keep_state(state)
    assert (memory.trust(), memory.applied(), memory.state()) == (trust, applied, state)


def test_a_bare_host_remembers_nothing(paths):
    memory = Memory(paths)
    assert (memory.trust(), memory.applied(), memory.state(), memory.suspension(0)) == (
        TrustRecord(),
        Applied(),
        State(),
        None,
    )


def test_what_a_newer_agent_wrote_can_be_read(paths):
    paths.document("state").write_text(json.dumps({"phase": "converged", "invented_later": [1]}))
    assert Memory(paths).state().phase == "converged"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '"text"', '{"attempts": {"web": {"digest": "x", "failures": 1e999, "not_before": 1}}}']
)
def test_a_corrupt_document_is_an_error_that_says_what_to_do(paths, content):
    paths.document("state").write_text(content)
    with pytest.raises(SettingsError, match=r"state\.json cannot be read") as caught:
        Memory(paths).state()
    assert (caught.value.kind, "mv " in caught.value.hint) == ("state-corrupt", True)


def test_a_suspension_ends_by_itself_at_its_time(paths):
    memory = Memory(paths)
    memory.keep_suspension(Suspension("disk", 10, until=20))
    assert memory.suspension(19) is not None
    assert memory.suspension(20) is None


def test_only_the_newest_adopted_commits_are_kept(paths):
    memory = Memory(paths)
    memory.keep_applied(Applied(adopted=tuple(AdoptedCommit(f"{n:040x}", n) for n in range(ADOPTED_KEPT + 5))))
    assert [each.at for each in memory.applied().adopted] == list(range(5, ADOPTED_KEPT + 5))


def test_documents_are_for_root_alone(paths):
    Memory(paths).keep_state(State())
    assert paths.document("state").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", '{"deploys": []}', '{"deploys": {"web": {}}}'])
def test_memory_of_the_past_that_cannot_be_read_is_put_aside_and_begun_afresh(paths, content):
    paths.document("applied").write_text(content)
    memory = Memory(paths)
    (healed,) = memory.heal()
    assert (healed.kind, healed.consequence, memory.applied()) == ("state-corrupt", Consequence.RETRY, Applied())
    assert paths.document("applied").with_name("applied.json.corrupt").read_text() == content
    assert memory.heal() == ()


@pytest.mark.parametrize("name", ["trust", "suspended"])
def test_what_was_trusted_and_what_a_person_said_is_never_put_aside(paths, name):
    paths.document(name).write_text("{")
    memory = Memory(paths)
    assert memory.heal() == ()
    with pytest.raises(SettingsError, match=rf"{name}\.json cannot be read"):
        memory.trust() if name == "trust" else memory.suspension(0)

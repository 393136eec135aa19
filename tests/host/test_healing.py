"""What lies in the place of what a host remembers is set aside, whatever it is, and the host goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.domain.event import Event
from agent.domain.memory import Applied, AppliedDeploy, FleetSettings, State, Suspension, TrustRecord
from agent.domain.ownership import BOOTSTRAP, Seen
from agent.errors import Consequence, SettingsError
from agent.host.events import Events
from agent.host.healing import heal
from agent.host.identity import Identity
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.outbox import Spool
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.system.files import discard
from agent.system.misplaced import aside_of
from tests.fleet import samples
from tests.host.misplacing import DAMAGED, MISPLACED, misplace

KEY = "file:/etc/motd"
ENFORCED = frozenset({"web", "motd"})


def healed(paths: Paths) -> list[SettingsError]:
    return list(
        heal(paths, memory=Memory(paths), journal=Journal(paths.journal), ledger=Ledger(paths.ledger)),
    )


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A host in service: everything is there, and nothing of it is wrong."""
    paths = Paths(tmp_path)
    paths.var.mkdir(parents=True)
    memory = Memory(paths)
    memory.keep_applied(Applied("a" * 40, "d" * 64, deploys={"web": AppliedDeploy("e" * 64)}))
    memory.keep_state(State(fleet=FleetSettings(hosts=12)))
    memory.keep_trust(TrustRecord("a" * 40, "ann@example.org", 5))
    Journal(paths.journal).compact(frozenset())
    Ledger(paths.ledger).record(KEY, "web", 5, None)
    Spool(paths.spool).next_sequence(5)
    Events(paths.events).add([Event(5, "applied", "x")])
    assert healed(paths) == []
    return paths


@pytest.mark.parametrize("what", [*MISPLACED, *DAMAGED])
@pytest.mark.parametrize("name", ["state", "applied", "bad", "attempt"])
def test_whatever_is_in_the_place_of_a_document_is_set_aside_and_named_once(paths: Paths, name: str, what: str) -> None:
    misplace(paths.document(name), what)
    (error,) = healed(paths)
    assert (error.kind, error.consequence) == ("state-corrupt", Consequence.RETRY)
    assert os.path.lexists(aside_of(paths.document(name)))
    memory = Memory(paths)
    assert (memory.state().cycles, memory.applied().good, memory.trial(), memory.bad()) == (0, None, None, {})
    assert healed(paths) == []


FILES = ("events.jsonl", "rescued", "sent.json", "seen.json", "commands/once", "ledger/packages-before")
FOLDERS = ("ledger", "spool", "commands", "commits", "repositories", "status.git")


@pytest.mark.parametrize(
    ("part", "what"),
    [
        *((part, what) for part in FILES for what in MISPLACED),
        *((part, what) for part in FOLDERS for what in (*MISPLACED, "text") if what != "folder"),
    ],
)
def test_the_same_of_everything_else_that_is_remembered(paths: Paths, part: str, what: str) -> None:
    misplace(paths.var / part, what)
    (error,) = healed(paths)
    assert (error.kind, error.consequence) == ("state-corrupt", Consequence.RETRY)
    assert os.path.lexists(aside_of(paths.var / part))
    Events(paths.events).add([Event(6, "applied", "again")])
    Ledger(paths.ledger).record(KEY, "web", 6, None)
    assert Spool(paths.spool).next_sequence(7) >= 7
    assert healed(paths) == []


def test_only_what_was_set_aside_last_is_kept(paths: Paths) -> None:
    for content in ("first", "second"):
        paths.document("state").write_text(content)
        healed(paths)
    assert aside_of(paths.document("state")).read_text() == "second"
    assert len(list(paths.var.glob("state*"))) == 1


def test_nothing_is_followed(paths: Paths, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.json").write_text("{}")
    for _ in range(2):
        for part in ("spool", "ledger", "commits"):
            discard(paths.var / part)
            (paths.var / part).symlink_to(outside)
        assert len(healed(paths)) == 3
    assert [entry.name for entry in outside.iterdir()] == ["x.json"]


@pytest.mark.parametrize("what", [*MISPLACED, *DAMAGED])
@pytest.mark.parametrize("name", ["trust", "suspended"])
def test_what_was_trusted_and_what_a_person_said_stops_and_says_what_to_do(paths: Paths, name: str, what: str) -> None:
    misplace(paths.document(name), what)
    assert healed(paths) == []
    memory = Memory(paths)
    with pytest.raises(SettingsError, match="cannot be read") as stopped:
        memory.trust() if name == "trust" else memory.suspension(0)
    assert (stopped.value.consequence, "mv " in stopped.value.hint) == (Consequence.STALL, True)


@pytest.mark.parametrize("what", [*MISPLACED, "binary"])
def test_the_host_s_own_key_is_never_set_aside(paths: Paths, what: str) -> None:
    Identity.ensure(paths.identity, "web1")
    misplace(paths.identity / "ssh_ed25519", what)
    assert healed(paths) == []
    with pytest.raises(SettingsError, match="key cannot be used"):
        Identity.ensure(paths.identity, "web1")


@pytest.mark.parametrize("what", [*MISPLACED, "binary", "text", "number", "list", "deep", "huge"])
def test_without_its_journal_every_deploy_counts_as_cut_short_until_it_has_ended_well(paths: Paths, what: str) -> None:
    misplace(paths.journal, what)
    (error,) = healed(paths)
    assert error.kind == "state-corrupt"
    journal = Journal(paths.journal)
    assert journal.interrupted(ENFORCED) == ENFORCED
    journal.begin("web", "1")
    journal.end("web")
    assert journal.interrupted(ENFORCED) == {"motd"}
    journal.compact(frozenset({"motd"}), ENFORCED)
    assert journal.interrupted(ENFORCED) == {"motd"}
    assert healed(paths) == []


def test_a_journal_that_is_gone_is_missed(paths: Paths) -> None:
    paths.journal.unlink()
    assert [error.kind for error in healed(paths)] == ["state-corrupt"]
    assert Journal(paths.journal).interrupted(ENFORCED) == ENFORCED


@pytest.mark.parametrize("torn", [b'{"begin": "mo', b'{"e', bytes(64)])
def test_a_line_torn_by_a_power_loss_is_no_damage(paths: Paths, torn: bytes) -> None:
    with paths.journal.open("ab") as file:
        file.write(torn)
    assert healed(paths) == []
    assert Journal(paths.journal).interrupted(ENFORCED) == frozenset()


@pytest.mark.parametrize("what", [*MISPLACED, *DAMAGED])
def test_what_an_unreadable_ledger_was_about_is_never_taken_for_created(paths: Paths, what: str) -> None:
    Memory(paths).keep_applied(Applied("a" * 40, deploys={"web": AppliedDeploy("e" * 64, {KEY: "f" * 64})}))
    misplace(paths.ledger / "entries.sqlite", what)
    (error,) = healed(paths)
    assert error.kind == "state-corrupt"
    ledger = Ledger(paths.ledger)
    assert (ledger.entries(), len(ledger.damaged())) == ((), 1)
    ledger.record(KEY, "web", 9, None)
    entry = ledger.entry(KEY)
    assert entry is not None
    assert entry.origin.value == "adopted"
    assert healed(paths) == []


@pytest.mark.parametrize("lost", ["entries.sqlite", ""])
def test_a_ledger_that_is_gone_is_missed_and_what_was_applied_never_taken_for_created(paths: Paths, lost: str) -> None:
    Memory(paths).keep_applied(Applied("a" * 40, deploys={"web": AppliedDeploy("e" * 64, {KEY: "f" * 64})}))
    discard(paths.ledger / lost)
    (error,) = healed(paths)
    assert (error.kind, "is gone; it is begun afresh" in error.message) == ("state-corrupt", True)
    ledger = Ledger(paths.ledger)
    assert (ledger.entries(), ledger.damaged()) == ((), (KEY,))
    ledger.record(KEY, "web", 9, None)
    entry = ledger.entry(KEY)
    assert entry is not None
    assert entry.origin.value == "adopted"
    assert healed(paths) == []


def test_a_ledger_that_is_gone_is_missed_also_before_anything_was_applied(paths: Paths) -> None:
    (paths.ledger / "entries.sqlite").unlink()
    assert [error.kind for error in healed(paths)] == ["state-corrupt"]
    assert healed(paths) == []


def test_a_host_that_changed_nothing_yet_has_lost_nothing(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.var.mkdir(parents=True)
    assert healed(paths) == []
    Memory(paths).keep_trust(TrustRecord("a" * 40, "ann@example.org", 5))
    Memory(paths).keep_applied(Applied("a" * 40, deploys={"web": AppliedDeploy("e" * 64, {KEY: "f" * 64})}))
    assert healed(paths) == []


@pytest.mark.parametrize("what", MISPLACED)
def test_what_is_no_report_in_the_spool_goes_and_keeps_no_other_from_being_sent(paths: Paths, what: str) -> None:
    spool = Spool(paths.spool)
    spool.add(samples.signed(paths.root, "web1", 9))
    misplace(paths.spool / "8.json", what)
    misplace(paths.spool / "stray", what)
    assert [signed.report.sequence for signed in spool.pending()] == [9]
    assert sorted(file.name for file in paths.spool.iterdir()) == ["9.json", "9.json.sig", "last-sequence"]


@pytest.mark.parametrize(
    "content",
    [
        '{"phase": 7}',
        '{"ended_at": "now"}',
        '{"fleet": {"fetch_s": "soon"}}',
        '{"fleet": {"windows": [{"days": [1], "from_minute": "x", "for_s": 3600}]}}',
        '{"told": [1]}',
        '{"cycles": true}',
    ],
)
def test_a_value_of_another_type_than_was_written_is_damage_too(paths: Paths, content: str) -> None:
    paths.document("state").write_text(content)
    (error,) = healed(paths)
    assert "cannot be read: " in error.message
    assert "was expected, not" in error.message
    assert Memory(paths).state() == State()


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_host_that_lost_its_memory_is_still_in_service(paths: Paths, how: str) -> None:
    for name in ("applied", "state"):
        paths.document(name).unlink() if how == "gone" else paths.document(name).write_bytes(b"\0")
    assert {error.kind for error in healed(paths)} == {"state-corrupt"}
    assert Memory(paths).applied() == Applied(served=True)
    assert healed(paths) == []


def test_a_host_that_only_bootstrap_has_touched_is_bare(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.var.mkdir(parents=True)
    Ledger(paths.ledger).record("package:git", BOOTSTRAP, 5, Seen({}))
    assert healed(paths) == []
    assert Memory(paths).applied() == Applied()
    Ledger(paths.ledger).record(KEY, "web", 6, None)  # it is killed in its first cycle
    assert healed(paths) == []
    assert Memory(paths).applied() == Applied()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_what_belongs_to_somebody_else_is_not_believed(paths: Paths) -> None:
    os.chown(paths.document("state"), 4711, 4711)
    (error,) = healed(paths)
    assert "of the user 4711" in error.message


def test_a_suspension_that_can_be_read_is_left_alone(paths: Paths) -> None:
    Memory(paths).keep_suspension(Suspension("disk", 1))
    assert healed(paths) == []
    assert Memory(paths).suspension(2) == Suspension("disk", 1)


def test_a_trust_mark_that_is_gone_is_made_up_for_by_what_was_applied(paths: Paths) -> None:
    paths.document("trust").unlink()
    assert [error.kind for error in healed(paths)] == ["state-corrupt"]
    assert Memory(paths).trust().last == "a" * 40
    assert healed(paths) == []


def test_a_trust_that_a_person_has_reset_stays_so(paths: Paths) -> None:
    Memory(paths).keep_trust(TrustRecord())
    assert healed(paths) == []
    assert Memory(paths).trust() == TrustRecord()


def test_what_a_killed_writer_left_half_written_is_swept_away(paths: Paths) -> None:
    for folder in (paths.var, paths.ledger, paths.spool):
        (folder / ".state.json.640.new").write_text('{"ph')
    (paths.var / ".suspended.json.641.new").write_text("of one that may be at it")
    assert healed(paths) == []
    assert {path.name for path in paths.var.rglob(".*.new")} == {".suspended.json.641.new"}

"""Unsent reports: kept until they are sent, in order, within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.domain.host_phase import HostPhase
from agent.domain.status import Signed
from agent.errors import ReportError
from agent.host.outbox import Spool
from tests.fleet import samples
from tests.fleet.samples import NOW, bare, branch


def spool_of(folder: Path, **bounds: int) -> Spool:
    return Spool(folder / "spool", **bounds)


def sign(folder: Path, sequence: int, **changed: object) -> Signed:
    return samples.signed(folder, "web1", sequence, **changed)


def sequences(spool: Spool) -> list[int]:
    return [signed.report.sequence for signed in spool.pending()]


def test_reports_wait_in_the_order_of_their_sequence(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    for sequence in (9, 100, 10):
        spool.add(sign(tmp_path, sequence))
    assert sequences(spool) == [9, 10, 100]


def test_a_report_comes_back_byte_for_byte(tmp_path: Path) -> None:
    spool, signed = spool_of(tmp_path), sign(tmp_path, 1)
    spool.add(signed)
    assert spool.pending() == (signed,)


def test_only_what_was_sent_is_forgotten(tmp_path: Path) -> None:
    spool, first, second = spool_of(tmp_path), sign(tmp_path, 1), sign(tmp_path, 2)
    spool.add(first)
    spool.add(second)
    spool.sent([first])
    assert spool.pending() == (second,)


def test_an_empty_spool_needs_no_folder(tmp_path: Path) -> None:
    assert spool_of(tmp_path).pending() == ()
    assert not (tmp_path / "spool").exists()


def test_a_sequence_is_the_time_and_always_rises(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    assert spool.next_sequence(NOW) == NOW
    assert spool.next_sequence(NOW) == NOW + 1
    assert spool.next_sequence(NOW - 86_400_000) == NOW + 2
    assert spool.next_sequence(NOW + 1000) == NOW + 1000


def test_a_sequence_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    spool_of(tmp_path).next_sequence(NOW)
    assert spool_of(tmp_path).next_sequence(0) == NOW + 1


def test_a_sequence_that_was_lost_rises_above_the_reports_that_wait(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.add(sign(tmp_path, NOW))
    (tmp_path / "spool/last-sequence").write_bytes(b"\0\0\0")
    assert spool.next_sequence(0) == NOW + 1


def test_over_the_bound_the_oldest_all_is_well_reports_go_first_and_are_named(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, max_reports=3)
    spool.add(sign(tmp_path, 1, phase=HostPhase.FAILED))
    spool.add(sign(tmp_path, 2))
    spool.add(sign(tmp_path, 3))
    given_up = spool.add(sign(tmp_path, 4, phase=HostPhase.FAILED))
    assert [report.sequence for report in given_up] == [2]
    assert sequences(spool) == [1, 3, 4]


def test_where_nothing_was_well_the_oldest_go(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, max_reports=2)
    for sequence in (1, 2, 3):
        spool.add(sign(tmp_path, sequence, phase=HostPhase.FAILED))
    assert sequences(spool) == [2, 3]


def test_the_newest_report_is_never_given_up(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, max_bytes=1)
    spool.add(sign(tmp_path, 1, phase=HostPhase.FAILED))
    spool.add(sign(tmp_path, 2))
    assert sequences(spool) == [2]


def test_bytes_are_bounded_too(tmp_path: Path) -> None:
    size = len(sign(tmp_path, 1).document)
    spool = spool_of(tmp_path, max_bytes=3 * size)
    for sequence in range(1, 6):
        spool.add(sign(tmp_path, sequence))
    assert sequences(spool) == [3, 4, 5]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff" * 100])
def test_a_report_that_the_disk_damaged_does_not_hold_up_the_others(tmp_path: Path, damage: bytes) -> None:
    spool = spool_of(tmp_path)
    spool.add(sign(tmp_path, 1))
    spool.add(sign(tmp_path, 2))
    (tmp_path / "spool/1.json").write_bytes(damage)
    assert sequences(spool) == [2]
    assert sequences(spool) == [2]


def test_a_report_whose_signature_was_not_written_does_not_count(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.add(sign(tmp_path, 1))
    (tmp_path / "spool/1.json").unlink()
    assert spool.pending() == ()


def test_a_kill_while_adding_leaves_nothing_behind_for_good(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.add(sign(tmp_path, 1))
    (tmp_path / "spool/2.json.sig").write_bytes(b"signature without a report")
    (tmp_path / "spool/.3.json.4711.new").write_bytes(b"half")
    spool.pending()
    assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == ["1.json", "1.json.sig"]


def test_a_disk_that_takes_nothing_is_a_report_error(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"a file in the folder's place")
    with pytest.raises(ReportError) as caught:
        spool_of(tmp_path).add(sign(tmp_path, 1))
    assert caught.value.hint


def test_a_refused_push_keeps_the_report_and_the_next_push_brings_all_in_order(tmp_path: Path) -> None:
    remote, spool = bare(tmp_path / "r.git"), spool_of(tmp_path)
    hook = remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    status = branch(tmp_path, remote)
    spool.add(sign(tmp_path, 1, phase=HostPhase.FAILED))
    with pytest.raises(ReportError):
        status.publish(spool.pending(), render=None, deadline_s=30)
    assert sequences(spool) == [1]
    hook.unlink()
    spool.add(sign(tmp_path, 2))
    waiting = spool.pending()
    status.publish(waiting, render=None, deadline_s=30)
    spool.sent(waiting)
    assert samples.history(remote) == ["web1: failed", "web1: converged"]
    assert spool.pending() == ()

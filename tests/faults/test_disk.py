"""A disk that is full, read-only or in a mess, under a booted host: nothing is done half, it is said, and it heals."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.faults.patient import Patient

VAR = "/var/lib/hostwright"

SMALL = f"""
mkdir /run/small && mount -t tmpfs -o size=32M,nr_inodes=4k,mode=0700 small /run/small
cp -a {VAR}/. /run/small && mount --bind /run/small {VAR}
"""

FAULTS = {
    "full": (f"head -c 1G /dev/zero > {VAR}/fill", f"rm {VAR}/fill", "disk-full"),
    "no inodes": (
        f"mkdir {VAR}/many; cd {VAR}/many; seq 5000 | xargs touch",
        f"rm -r {VAR}/many",
        "disk-full",
    ),
    "read-only": (f"mount -o remount,ro,bind {VAR}", f"mount -o remount,rw,bind {VAR}", "disk-read-only"),
}


@pytest.fixture(scope="module")
def on_a_small_disk(sick: Patient) -> Iterator[Patient]:
    """Its state folder is a file system of its own."""
    sick.host.run(SMALL)
    yield sick
    sick.host.run(f"umount {VAR} && cp -a /run/small/. {VAR} && umount /run/small")


@pytest.mark.parametrize("fault", FAULTS)
def test_where_nothing_can_be_remembered_nothing_is_touched_and_it_heals(on_a_small_disk: Patient, fault: str) -> None:
    patient = on_a_small_disk
    breaks, mends, kind = FAULTS[fault]
    before = patient.says
    remembered = patient.host.run(f"cat {VAR}/*.json {VAR}/journal | sha256sum").output
    patient.want(fault)
    patient.host.run(breaks, check=False)
    assert patient.cycle() == 3
    assert (patient.says, patient.problems()) == (before, [kind])
    assert patient.host.run(f"cat {VAR}/*.json {VAR}/journal | sha256sum").output == remembered
    patient.host.run(mends)
    assert patient.is_well(fault)


def test_a_disk_that_fills_up_in_the_middle_of_a_cycle_leaves_nothing_half(on_a_small_disk: Patient) -> None:
    """There is room for what is remembered, and none for what comes from the Git server."""
    patient = on_a_small_disk
    before = patient.says
    patient.world.commit("Be big", {"deploys/big": os.urandom(4 << 20)})
    patient.want("big")
    patient.host.run(f"head -c 1G /dev/zero > {VAR}/fill; truncate -s -1500K {VAR}/fill", check=False)
    assert patient.cycle() in (3, 4)
    assert (patient.says, set(patient.problems())) == (before, {"disk-full"})
    for document in patient.host.run(f"ls {VAR}/*.json").output.split():
        json.loads(patient.host.read(document))
    patient.host.run("hostwright ledger")
    patient.host.run(f"rm {VAR}/fill")
    assert patient.is_well("big")


def test_a_read_only_disk_is_told_to_a_person_in_one_line(on_a_small_disk: Patient) -> None:
    patient = on_a_small_disk
    breaks, mends, _ = FAULTS["read-only"]
    patient.host.run(breaks)
    done = patient.host.run("hostwright apply", check=False)
    patient.host.run(mends)
    assert done.code == 3
    assert f"hostwright: {VAR}: Read-only file system" in done.error
    assert "Traceback" not in done.error


EACH = "for name in state.json applied.json bad.json attempt.json sent.json events.jsonl journal; do rm -rf $name;"
MESSES = {
    "folders": f"{EACH} mkdir $name; touch $name/x; done; rm -rf commands; touch commands",
    "links": f"{EACH} ln -s /nowhere $name; done; "
    "for name in ledger spool commits; do rm -rf $name; ln -s /etc $name; done; "
    "rm -rf repo.git; ln -s /nowhere repo.git",
    "pipes": f"{EACH} mkfifo $name; done; rm -rf status.git; mkdir status.git; touch status.git/x",
    "bytes": f"{EACH} head -c 3000 /dev/urandom > $name; done; truncate -s 100 repo.git/objects/pack/*.pack; "
    "for file in commits/*/inventories/lab/site.yaml; do echo evil >> $file; done",
}


@pytest.mark.parametrize("mess", MESSES)
def test_a_mess_where_its_memory_was_heals_by_itself_and_nothing_is_followed(sick: Patient, mess: str) -> None:
    sick.want(mess)
    sick.host.run(f"touch /root/then; cd {VAR}; {MESSES[mess]}")
    assert sick.cycle() in (0, 3)
    assert sick.is_well(mess)
    assert sick.host.run("find /etc -newer /root/then -type f").output.split() == ["/etc/motd"]
    assert sick.host.run(f"find {VAR} -type l ! -name '*.corrupt' ! -name '*.damaged'").output == ""

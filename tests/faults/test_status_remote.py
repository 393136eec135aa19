"""Where reports go is ill: nothing else suffers, and each report gets there in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.patient import Patient

SERVER = Path(__file__).with_name("hostile.py")
PYTHON = "/opt/hostwright/current/bin/python"
STATUS = "/srv/status.git"


def reports_at(patient: Patient, repo: str) -> int:
    return int(patient.host.run(f"git --git-dir={repo} rev-list --count status").output)


@pytest.fixture
def reporting_elsewhere(sick: Patient) -> Iterator[Patient]:
    with sick.set_to("status_remote", STATUS):
        yield sick


def test_a_status_remote_that_loses_its_history_gets_the_next_report_all_the_same(
    reporting_elsewhere: Patient,
) -> None:
    patient = reporting_elsewhere
    patient.host.run(f"rm -rf {STATUS}; git init -q --bare {STATUS}")
    patient.want("first")
    assert patient.cycle() == 0
    patient.host.run(f"rm -rf {STATUS}; git init -q --bare {STATUS}")
    patient.want("second")
    assert (patient.cycle(), patient.says) == (0, "second")
    assert reports_at(patient, STATUS) >= 1


REFUSES = f"printf '#!/bin/sh\\nexit 1\\n' > {STATUS}/hooks/update; chmod +x {STATUS}/hooks/update"


@pytest.mark.parametrize(
    ("breaks", "said"),
    [(f"mv {STATUS} {STATUS}.away", "check the address"), (REFUSES, "does not take reports")],
    ids=["gone", "refuses"],
)
def test_reports_that_a_status_remote_does_not_take_wait_and_nothing_else_suffers(
    reporting_elsewhere: Patient, breaks: str, said: str
) -> None:
    patient = reporting_elsewhere
    patient.host.run(f"rm -rf {STATUS}*; git init -q --bare {STATUS}; {breaks}")
    patient.want(said)
    assert (patient.cycle(), patient.says) == (9, said)
    assert said in patient.host.run("journalctl -u hostwright-cycle -n 3 -o cat").output
    waiting = int(patient.host.run("ls /var/lib/hostwright/spool/*.json | wc -l").output)
    patient.host.run(f"rm -rf {STATUS}*; git init -q --bare {STATUS}")
    patient.want("again")
    assert (patient.cycle(), patient.says) == (0, "again")
    assert reports_at(patient, STATUS) > waiting >= 1
    assert patient.host.run("ls /var/lib/hostwright/spool | grep json", check=False).output == ""


@pytest.mark.long
def test_a_status_remote_that_hangs_costs_its_time_and_nothing_else(sick: Patient) -> None:
    sick.host.write("/root/hostile.py", SERVER.read_text())
    sick.host.run(f"systemd-run --quiet --unit=hostile {PYTHON} -I /root/hostile.py hang")
    with sick.set_to("status_remote", "http://127.0.0.1:8080/status.git"):
        sick.want("patient")
        assert (sick.cycle(), sick.says) == (9, "patient")
    sick.host.run("systemctl stop hostile")
    assert sick.is_well("patient")

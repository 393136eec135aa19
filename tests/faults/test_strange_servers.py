"""What answers is no Git server of ours, or there is no way to it: each is named, the host stays on what it had and
goes on repairing itself, and the next good answer heals. Servers that are merely ill: test_remotes.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.patient import MOTD, REMOTE, Patient

SERVER = Path(__file__).with_name("hostile.py")
PYTHON = "/opt/hostwright/current/bin/python"


@contextmanager
def ill_treated_by(patient: Patient, talk: str) -> Iterator[None]:
    """A hostile server in the place of the Git server; reports still go where they went."""
    patient.host.write("/root/hostile.py", SERVER.read_text())
    patient.host.run(f"systemd-run --quiet --unit=hostile {PYTHON} -I /root/hostile.py {talk}")
    patient.host.run("until ss -ltn | grep -q :8080; do sleep 0.05; done")
    try:
        with patient.set_to("status_remote", REMOTE), patient.set_to("remote", "http://127.0.0.1:8080/config.git"):
            yield
    finally:
        patient.host.run("systemctl stop hostile")


@pytest.fixture(scope="module")
def kept(sick: Patient) -> Iterator[Patient]:
    """Knows a commit, and in the end is well with the next one."""
    sick.want("kept")
    assert sick.cycle() == 0
    yield sick
    sick.want("mended")
    assert sick.is_well("mended")


def keeps_itself(patient: Patient, kind: str) -> bool:
    """Whether without its Git server it undoes what was done by hand, and reports nothing but that the server is so."""
    patient.host.write(MOTD, "by hand\n")
    return (patient.cycle(), patient.says, patient.problems()) == (4, "kept", [kind])


@pytest.mark.parametrize(
    ("talk", "kind"),
    [
        ("flood", "bad-answer"),
        ("login", "branch-missing"),
    ],
)
def test_a_server_that_ill_treats_the_host_is_named_and_changes_nothing(kept: Patient, talk: str, kind: str) -> None:
    with ill_treated_by(kept, talk):
        assert keeps_itself(kept, kind)


@pytest.mark.parametrize(
    "url", ["https://git.nowhere.example/config.git", "http://192.0.2.1/config.git"], ids=["no DNS", "no route"]
)
def test_without_a_way_to_its_server_a_host_keeps_itself_as_it_was(kept: Patient, url: str) -> None:
    with kept.set_to("status_remote", REMOTE), kept.set_to("remote", url):
        assert keeps_itself(kept, "source-unreachable")

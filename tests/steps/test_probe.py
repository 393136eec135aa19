import dataclasses

from agent.steps.probe import assess, failed_at_first
from agent.system import dbus, systemd
from tests.steps.build import VITALS


def test_a_unit_that_fails_counts_against_the_host():
    seen = assess(VITALS, ("web.service",), (), reboot_required=False)
    assert (seen.healthy, seen.complaints) == (False, ("web.service has failed",))


def test_one_that_had_failed_before_the_agent_came_is_noted_and_not_counted():
    seen = assess(VITALS, ("old.service",), ("old.service",), reboot_required=False)
    assert (seen.healthy, seen.notes) == (True, ("old.service has failed since before the agent came",))


def test_what_was_forgiven_at_first_is_remembered_and_not_asked_again():
    assert failed_at_first(()) == ()
    assert failed_at_first(("old.service",)) == ("old.service",)


def test_a_systemd_that_does_not_answer_does_not_say_that_no_unit_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "booted", lambda: True)
    monkeypatch.setattr(dbus, "SOCKET", f"{tmp_path / 'none'}")
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}", prepend=":")
    seen = assess(VITALS, systemd.failed_units(), (), reboot_required=False)
    assert seen.complaints == ("systemd does not say which units have failed",)


def test_a_disk_or_inodes_almost_full_are_noted():
    full = dataclasses.replace(VITALS, disk_free=1, inodes_free_percent=1)
    assert [note.split(" of the ")[1] for note in assess(full, (), (), reboot_required=False).notes] == [
        "disk is free",
        "inodes are free",
    ]

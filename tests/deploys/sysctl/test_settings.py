"""Settings below a temporary root: files that look like a kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.deploys.correction import Correction
from agent.deploys.sysctl.host import Kernel, KernelSetting
from agent.deploys.sysctl.keys import SettingLine
from agent.domain.codec import to_plain
from agent.domain.ownership import LedgerEntry, Origin
from agent.errors import DeployError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the file belongs to root")

FORWARD = "net.ipv4.ip_forward"
HEADER = "# Managed by Hostwright: what is changed here by hand is put back. Edit the config repo.\n"


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    (tmp_path / "proc/sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "proc/sys/net/ipv4/ip_forward").write_text("0\n")
    (tmp_path / "proc/sys/net/ipv4/ports").write_text("32768\t60999\n")
    return Kernel(tmp_path)


Wanted = tuple[str, SettingLine]


def one(key: str, value: str, *, optional: bool = False) -> Wanted:
    return key, SettingLine(value, optional)


def corrections(kernel: Kernel, *wanted: Wanted) -> list[Correction]:
    return KernelSetting(kernel).corrections({"settings": to_plain(dict(wanted))})


def operations(kernel: Kernel, *wanted: Wanted) -> list[str]:
    return [correction.change.operation for correction in corrections(kernel, *wanted)]


def converge(kernel: Kernel, *wanted: Wanted) -> list[str]:
    found = corrections(kernel, *wanted)
    for correction in found:
        correction.run()
    assert operations(kernel, *wanted) == []
    return [correction.change.operation for correction in found]


def late(kernel: Kernel, name: str, text: str) -> None:
    (kernel.root / "etc/sysctl.d").mkdir(parents=True, exist_ok=True)
    (kernel.root / "etc/sysctl.d" / name).write_text(text)


def test_a_setting_is_set_and_written_and_stays_so(kernel: Kernel) -> None:
    assert converge(kernel, one(FORWARD, "1")) == ["set to 1 (was 0), write it to our file for the next boot"]
    assert kernel.value(FORWARD) == "1"
    assert kernel.file.read_text() == f"{HEADER}# {FORWARD} was 0\n{FORWARD} = 1\n"
    assert kernel.file.stat().st_mode & 0o7777 == 0o644


def test_the_value_from_before_is_kept_when_git_wants_another(kernel: Kernel) -> None:
    converge(kernel, one(FORWARD, "1"))
    converge(kernel, one(FORWARD, "2"))
    assert kernel.file.read_text() == f"{HEADER}# {FORWARD} was 0\n{FORWARD} = 2\n"


def test_space_between_words_makes_no_difference(kernel: Kernel) -> None:
    assert operations(kernel, one("net.ipv4.ports", "32768 60999")) == ["write it to our file for the next boot"]


def test_every_drift_is_found_and_repaired(kernel: Kernel) -> None:
    wanted = one(FORWARD, "1")
    converge(kernel, wanted)
    kernel.set(FORWARD, "0")
    assert converge(kernel, wanted) == ["set to 1 (was 0)"]
    kernel.file.write_text(f"{FORWARD} = 0\n")
    assert converge(kernel, wanted) == ["write it to our file for the next boot"]
    kernel.file.chmod(0o600)
    assert converge(kernel, wanted) == ["write it to our file for the next boot"]
    kernel.file.unlink()
    assert converge(kernel, wanted) == ["write it to our file for the next boot"]


def test_a_setting_that_the_kernel_does_not_have_keeps_no_other_from_being_set(kernel: Kernel) -> None:
    wanted = [one(key, "1") for key in ("net.x", FORWARD, "net.y")]
    changes = [correction.change for correction in corrections(kernel, *wanted)]
    assert [change.refused for change in changes] == [False, True, True]
    assert changes[0].resource == f"sysctl:{FORWARD}"
    assert [change.operation.partition(": ")[2] for change in changes[1:]] == [
        f"the kernel of this host has no net.{name}" for name in "xy"
    ]


def test_an_optional_one_is_written_and_set_once_it_is_there(kernel: Kernel) -> None:
    wanted = one("net.ipv4.later", "1", optional=True)
    converge(kernel, wanted)
    assert "-net.ipv4.later = 1\n" in kernel.file.read_text()
    (kernel.root / "proc/sys/net/ipv4/later").write_text("0\n")
    assert converge(kernel, wanted) == ["set to 1 (was 0)"]


def test_a_value_that_the_kernel_does_not_take_is_told(kernel: Kernel) -> None:
    (kernel.root / "proc/sys/net/ipv4/ip_forward").unlink()
    (kernel.root / "proc/sys/net/ipv4/ip_forward").symlink_to("ports")
    with pytest.raises(DeployError, match="cannot be set to 1"):
        kernel.set(FORWARD, "1")


@pytest.mark.parametrize("name", ["95-mine.conf", "99-sysctl.conf"])
def test_a_later_file_that_undoes_it_is_named_and_nothing_else_waits_for_that(kernel: Kernel, name: str) -> None:
    late(kernel, name, f"{FORWARD} = 0\n")
    (correction,) = corrections(kernel, one(FORWARD, "1"))
    told = f"/etc/sysctl.d/{name} sets it to 0 at the next boot; take that line away"
    assert correction.change.operation.endswith(told)
    with pytest.raises(DeployError, match="take that line away"):
        correction.run()
    assert kernel.value(FORWARD) == "1"


def test_a_later_file_that_agrees_and_an_earlier_one_are_fine(kernel: Kernel) -> None:
    late(kernel, "99-mine.conf", f"{FORWARD}=1\n")
    late(kernel, "10-mine.conf", f"{FORWARD}=0\n")
    assert converge(kernel, one(FORWARD, "1")) == ["set to 1 (was 0), write it to our file for the next boot"]


def entry(settings: KernelSetting, origin: Origin = Origin.CREATED) -> LedgerEntry:
    seen = settings.look(FORWARD)
    assert seen is not None
    return LedgerEntry(f"sysctl:{FORWARD}", "sysctl", 0, origin, left=seen.state, before=seen.state, settled=True)


def test_it_is_ours_once_our_file_has_it(kernel: Kernel) -> None:
    settings = KernelSetting(kernel)
    assert settings.look(FORWARD) is None
    converge(kernel, one(FORWARD, "1"))
    seen = settings.look(FORWARD)
    assert seen is not None
    assert seen.state == {"line": "1", "optional": False, "was": "0", "value": "1"}


def test_one_that_left_git_goes_from_the_file_and_the_kernel_has_the_value_from_before(kernel: Kernel) -> None:
    converge(kernel, one(FORWARD, "1"), one("net.ipv4.ports", "1 2"))
    settings = KernelSetting(kernel)
    assert settings.remove([entry(settings)], purge=False) == {}
    assert kernel.value(FORWARD) == "0"
    assert FORWARD not in kernel.file.read_text()
    assert "net.ipv4.ports = 1 2" in kernel.file.read_text()


def test_the_last_one_takes_the_file_with_it(kernel: Kernel) -> None:
    converge(kernel, one(FORWARD, "1"))
    settings = KernelSetting(kernel)
    settings.remove([entry(settings)], purge=True)
    assert not kernel.file.exists()


def test_what_another_file_says_counts_more_than_the_value_from_before(kernel: Kernel) -> None:
    converge(kernel, one(FORWARD, "1"))
    late(kernel, "50-mine.conf", f"{FORWARD} = 2\n")
    settings = KernelSetting(kernel)
    settings.remove([entry(settings)], purge=False)
    assert kernel.value(FORWARD) == "2"


def test_a_value_that_somebody_set_since_stays(kernel: Kernel) -> None:
    converge(kernel, one(FORWARD, "1"))
    settings = KernelSetting(kernel)
    left = entry(settings)
    kernel.set(FORWARD, "7")
    now = settings.look(FORWARD)
    assert now is not None
    assert settings.changed(left.left or {}, now) == ""
    settings.remove([left], purge=False)
    assert kernel.value(FORWARD) == "7"


def test_a_line_that_somebody_changed_is_changed(kernel: Kernel) -> None:
    converge(kernel, one(FORWARD, "1"))
    settings = KernelSetting(kernel)
    left = entry(settings)
    kernel.file.write_text(f"{FORWARD} = 5\n")
    now = settings.look(FORWARD)
    assert now is not None
    assert settings.changed(left.left or {}, now) == "its line now says 5"


def test_one_that_was_adopted_comes_back_as_it_was(kernel: Kernel) -> None:
    converge(kernel, one(FORWARD, "1"))
    settings = KernelSetting(kernel)
    adopted = entry(settings, Origin.ADOPTED)
    converge(kernel, one(FORWARD, "2"))
    settings.restore(adopted, None)
    seen = settings.look(FORWARD)
    assert seen is not None
    assert seen.state == adopted.before

from __future__ import annotations

import pytest

from tests.deploys.on_host import Deploys
from tests.deploys.taking_back import Kinds

pytestmark = pytest.mark.booted

SLEEPER = "[Service]\nExecStart=/bin/sleep {}\n[Install]\nWantedBy=multi-user.target\n"
TIMER = "[Timer]\nOnCalendar=yearly\n[Install]\nWantedBy=timers.target\n"
UP = {"running": True, "enabled": True}


@pytest.fixture(scope="module")
def kinds(deploys: Deploys) -> Kinds:
    return Kinds(deploys.host)


def states(deploys: Deploys, *names: str) -> list[str]:
    listed = " ".join(names)
    return deploys.host.run(f"systemctl is-active {listed}; systemctl is-enabled {listed}", check=False).output.split()


def leftovers(deploys: Deploys, stem: str) -> str:
    return deploys.host.run(f"find /etc/systemd /run/systemd/system -name '{stem}*'").output


def test_a_unit_that_never_was_is_nothing(kinds: Kinds) -> None:
    assert kinds.look("unit:never.service") is None
    assert kinds.look("unit:never@.service") is None
    assert kinds.look("unit:systemd-journald.service") is not None
    assert kinds.look("unit:getty@.service") is not None


def test_units_go_with_their_files_links_and_instances(deploys: Deploys, kinds: Kinds) -> None:
    wanted = {
        "gone.service": {"content": SLEEPER.format("infinity"), **UP},
        "gone.timer": {"content": TIMER, **UP},
        "gone@.service": {"content": SLEEPER.format("%i")},
        "gone@1000.service": UP,
    }
    deploys.converge("services", {"units": wanted})
    keys = [f"unit:{name}" for name in wanted]
    kinds.settle(*keys)
    assert [kinds.changed(key) for key in keys] == [""] * 4
    assert kinds.remove(*keys) == {}
    assert leftovers(deploys, "gone") == ""
    assert [kinds.look(key) for key in keys] == [None] * 4
    assert deploys.host.run("systemctl list-units --all --plain --no-legend 'gone*'").output == ""


@pytest.mark.parametrize(("purge", "stays"), [(False, True), (True, False)])
def test_purged_a_persistent_timer_forgets_when_it_was_last_up(
    deploys: Deploys, kinds: Kinds, purge: bool, stays: bool
) -> None:
    units = {
        "late.service": {"content": SLEEPER.format("0")},
        "late.timer": {"content": f"{TIMER}[Timer]\nPersistent=true\n", **UP},
    }
    deploys.converge("services", {"units": units})
    stamp = "test -e /var/lib/systemd/timers/stamp-late.timer"
    assert deploys.host.run(stamp, check=False).code == 0
    kinds.remove("unit:late.service", "unit:late.timer", purge=purge)
    assert (deploys.host.run(stamp, check=False).code == 0) is stays


def test_an_edited_unit_file_is_a_change_and_a_stopped_unit_is_not(deploys: Deploys, kinds: Kinds) -> None:
    deploys.converge("services", {"units": {"edited.service": {"content": SLEEPER.format("infinity"), **UP}}})
    kinds.settle("unit:edited.service")
    deploys.host.run("systemctl stop edited; systemctl disable edited")
    assert kinds.changed("unit:edited.service") == ""
    deploys.host.run("echo '# mine' >> /etc/systemd/system/edited.service")
    assert kinds.changed("unit:edited.service") == "its unit file was changed"


def test_a_unit_that_does_not_stop_stays_and_keeps_no_other(deploys: Deploys, kinds: Kinds) -> None:
    stubborn = "[Unit]\nRefuseManualStop=yes\n[Service]\nExecStart=/bin/sleep infinity\n"
    wanted = {
        "stubborn.service": {"content": stubborn, "running": True},
        "willing.service": {"content": SLEEPER.format("infinity"), **UP},
    }
    deploys.converge("services", {"units": wanted})
    reasons = kinds.remove("unit:stubborn.service", "unit:willing.service")
    assert list(reasons) == ["unit:stubborn.service"]
    assert "stubborn.service" in leftovers(deploys, "stubborn")
    assert leftovers(deploys, "willing") == ""


def test_a_unit_file_that_was_there_is_given_back_with_its_states(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.write("/etc/systemd/system/theirs.service", SLEEPER.format("infinity"), mode=0o600)
    deploys.host.run("systemctl daemon-reload; systemctl enable --now theirs")
    kinds.remember("unit:theirs.service")
    wanted = {"content": SLEEPER.format("1000"), "running": False, "enabled": False}
    deploys.converge("services", {"units": {"theirs.service": wanted}})
    kinds.settle("unit:theirs.service")
    assert kinds.restore("unit:theirs.service") == ""
    assert states(deploys, "theirs") == ["active", "enabled"]
    assert deploys.host.read("/etc/systemd/system/theirs.service") == SLEEPER.format("infinity")
    assert deploys.host.run("stat -c %a /etc/systemd/system/theirs.service").output == "600\n"


def test_an_override_of_a_vendors_unit_goes_and_the_vendors_is_in_force(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.write("/usr/lib/systemd/system/vendor.service", SLEEPER.format("infinity"))
    deploys.host.run("systemctl daemon-reload")
    kinds.remember("unit:vendor.service")
    deploys.converge("services", {"units": {"vendor.service": {"content": SLEEPER.format("1000"), **UP}}})
    kinds.settle("unit:vendor.service")
    assert kinds.restore("unit:vendor.service") == ""
    assert states(deploys, "vendor") == ["inactive", "disabled"]
    shown = deploys.host.run("systemctl show -p FragmentPath --value vendor").output
    assert shown.endswith("/lib/systemd/system/vendor.service\n")


def test_a_mask_goes_and_comes_back(deploys: Deploys, kinds: Kinds) -> None:
    unit = SLEEPER.format("infinity")
    for name in ("mask1", "mask2"):
        deploys.host.write(f"/usr/lib/systemd/system/{name}.service", unit)
    deploys.host.run("systemctl daemon-reload; systemctl mask mask1; systemctl enable --now mask2")
    kinds.remember("unit:mask1.service", "unit:mask2.service")
    deploys.converge("services", {"units": {"mask1.service": UP, "mask2.service": {"running": False, "masked": True}}})
    kinds.settle("unit:mask1.service", "unit:mask2.service")
    assert [kinds.restore(f"unit:{name}.service") for name in ("mask1", "mask2")] == ["", ""]
    assert states(deploys, "mask1", "mask2") == ["inactive", "active", "masked", "enabled"]


def test_a_unit_whose_package_has_gone_has_nothing_to_give_back(deploys: Deploys, kinds: Kinds) -> None:
    deploys.host.write("/usr/lib/systemd/system/passing.service", SLEEPER.format("infinity"))
    deploys.host.run("systemctl daemon-reload")
    kinds.remember("unit:passing.service")
    deploys.host.run("rm /usr/lib/systemd/system/passing.service; systemctl daemon-reload")
    assert kinds.restore("unit:passing.service") == ""

from __future__ import annotations

from typing import Any

import pytest

from agent.system import dbus
from tests.deploys.on_host import PYTHON, Deploys

pytestmark = pytest.mark.booted

UNIT = """\
[Service]
ExecStart=/bin/sleep infinity
ExecReload=/bin/true
[Install]
WantedBy=multi-user.target
"""


def unit(name: str, **wanted: Any) -> dict[str, Any]:
    return {name: {"content": UNIT, "running": True, "enabled": True, **wanted}}


def state(deploys: Deploys, name: str) -> tuple[str, str]:
    ask = ["systemctl", "show", "--value", "--property=ActiveState,UnitFileState", "--", name]
    active, enabled = deploys.host.run(ask).output.split()
    return active, enabled


def started(deploys: Deploys, name: str) -> str:
    return deploys.host.run(["systemctl", "show", "--property=ExecMainPID", name]).output


def test_a_unit_with_its_file_comes_up_and_stays_so(deploys: Deploys) -> None:
    changes = deploys.converge("services", unit("fresh"))
    assert changes == ("unit:fresh.service | write unit file, daemon-reload, enable, start",)
    assert state(deploys, "fresh.service") == ("active", "enabled")


DRIFTS = (
    ("systemctl stop drifty", "start"),
    ("systemctl kill -s KILL drifty; while systemctl is-active -q drifty; do sleep 0.1; done", "start"),
    ("systemctl -q disable drifty", "enable"),
    ("echo '# x' >> /etc/systemd/system/drifty.service", "write unit file, daemon-reload, restart"),
    ("rm /etc/systemd/system/drifty.service", "write unit file, daemon-reload, restart"),
    ("chmod 600 /etc/systemd/system/drifty.service", "write unit file, daemon-reload, restart"),
    (
        "rm /etc/systemd/system/drifty.service; systemctl -q mask --now drifty",
        "write unit file, daemon-reload, enable, start",
    ),
)


def test_every_drift_is_found_and_repaired(deploys: Deploys) -> None:
    deploys.converge("services", unit("drifty"))
    for by_hand, repair in DRIFTS:
        deploys.host.run(by_hand)
        assert deploys.converge("services", unit("drifty")) == (f"unit:drifty.service | {repair}",), by_hand
        assert state(deploys, "drifty.service") == ("active", "enabled"), by_hand


def test_a_changed_file_restarts_once_and_needs_no_memory(deploys: Deploys) -> None:
    wanted = unit("watcher", restart_on=["/etc/watched"])
    deploys.host.write("/etc/watched/a.conf", "1")
    deploys.converge("services", wanted)
    before = started(deploys, "watcher")
    deploys.host.write("/etc/watched/sub/b.conf", "2")
    assert deploys.converge("services", wanted) == ("unit:watcher.service | restart",)
    assert started(deploys, "watcher") != before


def test_a_changed_file_reloads_once_also_across_a_daemon_reload(deploys: Deploys) -> None:
    wanted = unit("reloader", reload_on=["/etc/reloaded.conf"])
    deploys.converge("services", wanted)
    before = started(deploys, "reloader")
    deploys.host.write("/etc/reloaded.conf", "1")
    assert deploys.converge("services", wanted) == ("unit:reloader.service | reload",)
    deploys.host.run("systemctl daemon-reload")
    assert deploys.plan("services", wanted).changes == ()
    assert started(deploys, "reloader") == before


def test_a_unit_goes_down_and_one_that_is_not_there_is_down(deploys: Deploys) -> None:
    deploys.converge("services", unit("downward"))
    down = {"downward": {"running": False, "enabled": False}, "no-such": {"running": False, "enabled": False}}
    assert deploys.converge("services", down) == ("unit:downward.service | disable, stop",)


def test_a_mask_comes_and_goes(deploys: Deploys) -> None:
    assert deploys.converge("services", {"some-daemon": {"masked": True}}) == ("unit:some-daemon.service | mask",)
    assert deploys.converge("services", {"some-daemon": {"masked": False}}) == ("unit:some-daemon.service | unmask",)


def test_a_template_a_timer_and_what_they_start_come_in_one_deploy(deploys: Deploys) -> None:
    timer = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n"
    deploys.converge(
        "services",
        {
            "tick.timer": {"content": timer, "running": True, "enabled": True},
            "tick": {"content": "[Service]\nType=oneshot\nExecStart=/bin/true\n"},
            "nap@100": {"running": True},
            "nap@": {"content": "[Service]\nExecStart=/bin/sleep %i\n"},
        },
    )
    assert state(deploys, "tick.timer") == ("active", "enabled")
    assert state(deploys, "nap@100.service")[0] == "active"


def test_a_unit_file_comes_from_the_config_repo(deploys: Deploys) -> None:
    told = deploys.apply("services", {"repo": {"unit": "files/repo.service"}}, files={"files/repo.service": UNIT})
    assert told.status == "done"
    assert deploys.host.read("/etc/systemd/system/repo.service") == UNIT
    diff = told.diffs["unit:repo.service"]
    assert diff.startswith("--- /etc/systemd/system/repo.service (found)\n")  # as of every other file
    assert "+ExecStart=/bin/sleep infinity" in diff


def test_a_unit_is_itself_by_whichever_of_its_names(deploys: Deploys) -> None:
    text = f"{UNIT}Alias=second.service\n"
    deploys.converge("services", unit("first", content=text))
    assert deploys.plan("services", {"second": {"running": True, "enabled": True}}).changes == ()
    told = deploys.apply("services", {"first": {"running": True}, "second": {"running": False}})
    assert "are the same unit (first.service)" in told.failed["unit:second.service"]
    assert deploys.converge("services", {"second": {"running": False, "masked": True}}) == (
        "unit:second.service | stop, mask",
    )
    assert state(deploys, "first.service") == ("inactive", "masked")


INIT_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: old
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
"""


def test_an_init_script_starts_at_boot_where_its_links_say_so(deploys: Deploys) -> None:
    deploys.host.write("/etc/init.d/old", INIT_SCRIPT, mode=0o755)
    deploys.host.run("systemctl daemon-reload")
    assert deploys.converge("services", {"old": {"enabled": True}}) == ("unit:old.service | enable",)
    assert deploys.host.run("ls /etc/rc3.d | grep -c 'S..old'").output == "1\n"
    assert deploys.converge("services", {"old": {"enabled": False}}) == ("unit:old.service | disable",)
    deploys.host.write("/etc/init.d/old", INIT_SCRIPT.replace("2 3 4 5", ""), mode=0o755)
    told = deploys.apply("services", {"old": {"enabled": True}})
    assert "update-rc.d: error: old Default-Start contains no runlevels" in told.failed["unit:old.service"]


def test_what_holds_until_the_next_boot_only_is_not_as_wanted(deploys: Deploys) -> None:
    deploys.converge("services", unit("brief", enabled=False))
    deploys.host.run("systemctl -q enable --runtime brief")
    assert deploys.converge("services", {"brief": {"enabled": False}}) == ("unit:brief.service | disable",)
    deploys.host.run("systemctl -q enable --runtime brief")
    assert deploys.converge("services", {"brief": {"enabled": True}}) == ("unit:brief.service | enable",)
    deploys.host.run("rm /etc/systemd/system/brief.service; systemctl -q mask --runtime --now brief")
    assert deploys.converge("services", {"brief": {"masked": False}}) == ("unit:brief.service | unmask",)
    deploys.host.run("systemctl -q mask --runtime brief")
    assert deploys.converge("services", {"brief": {"masked": True}}) == ("unit:brief.service | mask",)
    assert deploys.host.run("readlink /etc/systemd/system/brief.service").output == "/dev/null\n"


def test_a_mask_takes_the_place_of_a_unit_file(deploys: Deploys) -> None:
    deploys.converge("services", unit("filed"))
    assert deploys.converge("services", {"filed": {"running": False, "masked": True}}) == (
        "unit:filed.service | stop, mask",
    )
    assert state(deploys, "filed.service") == ("inactive", "masked")


def test_a_unit_that_nothing_can_enable_says_so(deploys: Deploys) -> None:
    deploys.host.write("/etc/systemd/system/plain.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    deploys.host.run("systemctl daemon-reload")
    told = deploys.apply("services", {"plain": {"running": True, "enabled": True}, "dbus": {"enabled": True}})
    assert "has no [Install] section, and nothing starts it at boot" in told.failed["unit:plain.service"]
    assert list(told.failed) == ["unit:plain.service"], "a socket starts this one"


def test_a_unit_that_does_not_exist_cannot_be_planned(deploys: Deploys) -> None:
    assert "there is no unit no-such.service" in deploys.apply("services", ["no-such"]).failed["unit:no-such.service"]


def test_a_unit_that_fails_shows_its_last_words(deploys: Deploys) -> None:
    broken = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo my own complaint; exit 3'\n"
    told = deploys.apply("services", {"broken": {"content": broken, "running": True}})
    assert "my own complaint" in told.failed["unit:broken.service"]
    assert told.left == ("unit:broken.service | start",), "the file stays, the start is still wanted"


def test_the_bus_names_the_units_that_have_failed(deploys: Deploys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbus, "SOCKET", f"/proc/{deploys.host.pid}/root{dbus.SOCKET}")

    def named() -> set[bytes]:
        return {name for name in dbus.failed_units(20) or () if name.startswith(b"fails-")}

    deploys.host.run("systemd-run -q --unit fails-1 false; systemd-run -q --unit fails-22 --description long: false")
    deploys.host.run("for each in fails-1 fails-22; do until systemctl is-failed -q $each; do sleep 0.1; done; done")
    assert named() == {b"fails-1.service", b"fails-22.service"}
    deploys.host.run("systemctl reset-failed fails-1 fails-22")
    assert named() == set()


def test_a_unit_that_gave_up_is_started_once_its_cause_is_mended(deploys: Deploys) -> None:
    text = (
        "[Unit]\nStartLimitBurst=2\n[Service]\nExecStart=/usr/bin/tail -f /etc/needed\nRestart=always\nRestartSec=0\n"
    )
    wanted = {"quitter": {"content": text, "running": True, "restart_on": ["/etc/needed"]}}
    deploys.apply("services", wanted)
    deploys.host.run("until systemctl is-failed -q quitter; do sleep 0.1; done; touch /etc/needed")
    assert deploys.converge("services", wanted) == ("unit:quitter.service | start",)


DROP_IN = "/etc/systemd/system/extended.service.d/limits.conf"
DROP_IN_DRIFTS = (
    (f"echo > {DROP_IN}", f"file:{DROP_IN} | write content", "daemon-reload, restart"),
    (f"rm -r {DROP_IN.rpartition('/')[0]}", f"file:{DROP_IN} | create", "daemon-reload, restart"),
    (f"chmod 600 {DROP_IN}", f"file:{DROP_IN} | set mode", "daemon-reload, restart"),
    ("systemctl stop extended", "", "daemon-reload, start"),
)


def test_a_drop_in_adds_to_a_unit_and_every_drift_of_it_is_repaired(deploys: Deploys) -> None:
    wanted = unit("extended", drop_ins={"limits.conf": "[Service]\nLimitNOFILE=4321\n"})
    deploys.converge("services", wanted)
    ask = ["systemctl", "show", "--value", "--property=LimitNOFILE,NeedDaemonReload", "extended"]
    for by_hand, file_repair, unit_repair in DROP_IN_DRIFTS:
        deploys.host.run(by_hand)
        changes = deploys.converge("services", wanted)
        assert changes[-1] == f"unit:extended.service | {unit_repair}", by_hand
        assert any(change.startswith(file_repair) for change in changes), by_hand
        assert deploys.host.run(ask).output.split() == ["4321", "no"], by_hand


def test_a_drop_in_that_was_written_before_a_crash_still_restarts(deploys: Deploys) -> None:
    wanted = unit("crashed", drop_ins={"a.conf": "[Service]\nLimitNOFILE=4321\n"})
    deploys.converge("services", unit("crashed"))
    folder = "/etc/systemd/system/crashed.service.d"
    told = deploys.apply("services", wanted, only=[f"directory:{folder}", f"file:{folder}/a.conf"])
    assert told.left == ("unit:crashed.service | daemon-reload, restart",)


def test_an_instance_follows_its_template(deploys: Deploys) -> None:
    template = {"nod@": {"content": "[Service]\nExecStart=/bin/sleep %i\n"}, "nod@100": {"running": True}}
    deploys.converge("services", template)
    template["nod@"] = {"content": "[Service]\nExecStart=/bin/sleep 1%i\n"}
    assert deploys.converge("services", template) == (
        "unit:nod@.service | write unit file, daemon-reload",
        "unit:nod@100.service | daemon-reload, restart",
    )
    template["nod@"]["drop_ins"] = {"a.conf": "[Service]\nLimitNOFILE=4321\n"}  # type: ignore[assignment]
    assert deploys.converge("services", template)[-1] == "unit:nod@100.service | daemon-reload, restart"


def test_a_unit_no_longer_goes_by_a_drop_in_that_was_taken_away(deploys: Deploys) -> None:
    path = "/etc/systemd/system/lighter.service.d/a.conf"
    deploys.converge("services", unit("lighter", drop_ins={"a.conf": "[Service]\nLimitNOFILE=4321\n"}))
    deploys.host.run(["rm", path])
    tell = "from agent.deploys import systemctl; systemctl.tell('lighter.service')"
    deploys.host.run([PYTHON, "-I", "-c", tell])
    show = ["systemctl", "show", "--value", "--property=LimitNOFILE,NeedDaemonReload", "lighter"]
    assert "4321" not in deploys.host.run(show).output
    assert deploys.host.run(show).output.split()[-1] == "no"
    assert deploys.host.run("cat /proc/$(systemctl show --value -p MainPID lighter)/limits").output.count("4321") == 0

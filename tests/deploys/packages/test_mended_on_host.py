"""apt and dpkg that were killed, ran out of room or are in use by somebody else, on a booted host.

On one suite and with --long: a kill has to wait for its moment, and what dpkg leaves then has been the same in all of
them for decades.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploys.on_host import Deploys
from tests.deploys.packages.vendor import Vendor

pytestmark = [pytest.mark.booted, pytest.mark.long]

BOOTED_ON = ("trixie",)
ONLINE = True

MANY = {f"usr/share/hw-big/{number}": "x" * 4000 for number in range(2000)}
"""Files enough for dpkg to be at it for a while."""

WAITS = "#!/bin/sh\ntouch /run/at-{0}; while test -e /run/hold-{0}; do sleep 0.05; done\n"

MOMENTS = {
    "before a package is unpacked": ("test -e /run/at-preinst", "hw-lib i", "preinst"),
    "while one is unpacked": ("set -- /usr/share/hw-big/*.dpkg-new; test -e $1", "hw-big iHR", ""),
    "while one is configured": ("test -e /run/at-postinst", "hw-lib iF", "postinst"),
    "between two": ("test -e /usr/share/doc/hw-lib/version", "hw-lib i", ""),
}
"""By what it is known to have come, the state that a kill then leaves (dpkg-query(1)), and what waits for the kill."""

KILL = """\
apt-get -qq -y purge 'hw-*' >/dev/null 2>&1; rm -f /run/at-*; touch /run/hold-{holds}
systemd-run --quiet --unit=victim --collect --setenv=DEBIAN_FRONTEND=noninteractive apt-get -qq -y install hw-app hw-big
n=0; until {moment}; do n=$((n + 1)); [ $n -lt 10000 ] || exit 9; sleep 0.01; done
systemctl kill --signal=KILL victim
while systemctl is-active --quiet victim; do sleep 0.02; done
rm /run/hold-*
dpkg-query -Wf '${{Package}} ${{db:Status-Abbrev}}\\n' 'hw-*'
"""


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    with Vendor(tmp_path_factory.mktemp("vendor")) as vendor:
        vendor.add("hw-lib", "1.0", scripts={"preinst": WAITS.format("preinst"), "postinst": WAITS.format("postinst")})
        vendor.add("hw-app", "1.0", fields={"Depends": "hw-lib"})
        vendor.add("hw-big", "1.0", files=MANY, fields={"Depends": "hw-lib"})
        vendor.add("hw-after", "1.0")
        vendor.add("hw-large", "1.0", files={"usr/share/hw-large/file": "x" * 4_000_000})
        vendor.add("hw-asking", "1.0", files={"etc/hw-asking": "1\n"}, scripts={"conffiles": "/etc/hw-asking\n"})
        vendor.add("hw-asking", "2.0", files={"etc/hw-asking": "2\n"}, scripts={"conffiles": "/etc/hw-asking\n"})
        vendor.publish()
        yield vendor


@pytest.fixture(autouse=True)
def _repository(deploys: Deploys, vendor: Vendor) -> None:
    deploys.converge("packages", {"repositories": {"vendor": vendor.repository()}})


def unsound(deploys: Deploys) -> str:
    """What dpkg and apt find wrong."""
    return deploys.host.run("dpkg --audit; apt-get -qq check").output


def test_a_killed_apt_is_mended_whenever_it_was_killed(deploys: Deploys) -> None:
    for moment, (condition, state, holds) in MOMENTS.items():
        assert state in deploys.host.run(KILL.format(moment=condition, holds=holds)).output, moment
        deploys.converge("packages", ["hw-after", "hw-app", "hw-big"])
        assert unsound(deploys) == "", moment


def test_what_lacks_what_it_needs_is_mended(deploys: Deploys) -> None:
    deploys.host.run(
        "apt-get -qq -y purge 'hw-*'; cd /tmp && apt-get -qq download hw-app && dpkg --unpack hw-app_*.deb"
    )
    deploys.converge("packages", ["hw-after"])
    assert unsound(deploys) == ""


def test_a_full_disk_is_said_and_heals_when_there_is_room(deploys: Deploys) -> None:
    deploys.host.run("mkdir -p /usr/share/hw-large && mount -t tmpfs -o size=1M none /usr/share/hw-large")
    told = deploys.apply("packages", ["hw-large", "hw-after"])
    deploys.host.run("umount /usr/share/hw-large")
    assert "No space left on device" in told.failed["package:hw-large"]
    assert list(told.failed) == ["package:hw-large"]
    deploys.converge("packages", ["hw-large"])
    assert unsound(deploys) == ""


def test_somebody_else_at_dpkg_is_waited_for(deploys: Deploys) -> None:
    holding = (
        "import fcntl,time; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f,fcntl.LOCK_EX); time.sleep(5)"
    )
    deploys.host.run("apt-get -qq -y purge hw-after")
    deploys.host.run(["systemd-run", "--quiet", "--collect", "python3", "-c", holding])
    deploys.converge("packages", ["hw-after"])


def test_a_new_version_of_an_edited_configuration_file_asks_nobody(deploys: Deploys) -> None:
    deploys.converge("packages", ["hw-asking=1.0"])
    deploys.host.run("echo mine > /etc/hw-asking")
    deploys.converge("packages", ["hw-asking=2.0"])
    assert deploys.host.read("/etc/hw-asking") == "mine\n"
    assert deploys.host.read("/etc/hw-asking.dpkg-dist") == "2\n"

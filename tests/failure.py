"""What hosts say of themselves when a test that booted them fails, so that its output alone tells why."""

from __future__ import annotations

import pytest

from tests.lab.host import Host, HostError
from tests.lab.lab import Lab

SHOWN = 3
"""Hosts, the last ones that booted."""

LOOK_TIMEOUT_S = 40
LOOK = """\
show() { printf '\\n# %s\\n' "$*"; timeout 10 "$@" 2>&1 | cut -c 1-400; }
show date +%T.%N
show systemctl list-units --all --plain --no-legend 'hostwright*'
show systemctl list-jobs --no-legend
show hostwright status
show hostwright events -n 12
for file in /var/lib/hostwright/state.json /var/lib/hostwright/update.json; do show head -c 2000 $file; done
show head -n 1 /run/hostwright/rest
show ls -l /opt/hostwright
show journalctl -o short-precise --no-pager -n 80
"""


def sections(item: pytest.Item) -> list[tuple[str, str]]:
    """A title and a text for each host that runs: the answers to the last commands of tests, then a look around."""
    lab = getattr(item, "funcargs", {}).get("lab")
    return [(f"host {host.name}", _look_around(host)) for host in lab.hosts[-SHOWN:]] if isinstance(lab, Lab) else []


def _look_around(host: Host) -> str:
    asked = [*host.asked]
    try:
        done = host.run(LOOK, check=False, timeout_s=LOOK_TIMEOUT_S)
    except HostError as error:
        return "\n".join([*asked, f"{error}"])
    return "\n".join([*asked, done.output, done.error])

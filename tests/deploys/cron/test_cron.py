from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.deploys.on_host import PYTHON, Deploys

pytestmark = pytest.mark.booted

WANTED = {"beat": {"command": "/bin/echo 100% >> /tmp/beat", "schedule": "* * * * *", "env": {"MAILTO": ""}}}
FILE = "/etc/cron.d/hostwright-beat"


@pytest.fixture(scope="module")
def host(deploys: Deploys) -> Iterator[Deploys]:
    """With what counts as a cron daemon here; what it would do with the files is told by no test but by crontab(5)."""
    deploys.host.run("mkdir -p /etc/cron.d; ln -sf /bin/true /usr/sbin/cron")
    yield deploys
    deploys.host.run("rm -f /usr/sbin/cron")


def test_without_a_cron_daemon_it_says_what_to_do(deploys: Deploys) -> None:
    deploys.host.run("rm -f /usr/sbin/cron")
    assert "there is no cron daemon on this host that reads /etc/cron.d" in deploys.plan("cron", WANTED).error


def test_a_job_comes_stays_and_is_put_back(host: Deploys) -> None:
    assert host.converge("cron", WANTED) == ("cron:beat | create file, mode 0644, owner root:root",)
    assert host.host.read(FILE).splitlines()[1:] == ['MAILTO=""', r"* * * * * root /bin/echo 100\% >> /tmp/beat"]
    assert host.plan("cron", WANTED).changes == ()
    for by_hand, repair in (
        (f"echo '# x' >> {FILE}", "write content"),
        (f"chmod 666 {FILE}", "set mode 0644 (was 0666)"),
        (f"chown nobody {FILE}", "set owner root:root (was nobody:root)"),
        (f"rm {FILE}", "create file, mode 0644, owner root:root"),
    ):
        host.host.run(by_hand)
        assert host.converge("cron", WANTED) == (f"cron:beat | {repair}",), by_hand


def test_a_user_who_does_not_exist_is_named_and_keeps_no_other_job_away(host: Deploys) -> None:
    told = host.apply("cron", {"first": {**WANTED["beat"], "user": "nobody-there"}, "second": WANTED["beat"]})
    assert "user nobody-there does not exist, who should run it" in told.failed["cron:first"]
    assert told.succeeded == ("cron:second",)


LEDGER = """
import json, pathlib
from agent.deploys.kind import kind_named
from agent.domain.ownership import LedgerEntry, Origin
kind = kind_named("cron")
seen = kind.look("gone")
entry = LedgerEntry("cron:gone", "cron", 0, Origin.CREATED, left=seen.state)
file = pathlib.Path("/etc/cron.d/hostwright-gone")
left = file.read_bytes()
file.write_bytes(left + b"# by hand\\n")
changed = kind.changed(entry.left, kind.look("gone"))
refused = kind.remove([entry], purge=False)
file.write_bytes(left)
stayed = kind.remove([entry], purge=False)
gone = kind.look("gone") is None
kind.restore(LedgerEntry("cron:gone", "cron", 0, Origin.ADOPTED, before=seen.state), seen.image)
print(json.dumps([changed, dict(refused), dict(stayed), gone, kind.look("gone").state == seen.state]))
"""


def test_a_job_can_be_taken_away_and_given_back(host: Deploys) -> None:
    host.converge("cron", {"gone": WANTED["beat"]})
    told = host.host.run([PYTHON, "-I", "-c", LEDGER]).output
    assert json.loads(told) == ["content", {"cron:gone": "changed since: content"}, {}, True, True]

"""A unit whose deploy comes before that of the files that it reads ends with what Git wants, whoever changed them."""

from __future__ import annotations

from tests.lab.host import Host
from tests.stories.world import World, apply, kinds

CLERK = """\
[Service]
ExecStart=/bin/sh -c 'cat /etc/clerk.d/* > /run/clerk; exec sleep infinity'
ExecReload=/bin/sh -c 'cat /etc/clerk.d/* > /run/clerk'
"""


def site(word: str) -> str:
    return f"""\
- hosts: all
  deploys:
    - services: {{clerk.service: {{unit: clerk.service, running: true, reload_on: [/etc/clerk.d]}}}}
    - files: {{/etc/clerk.d/word: {{content: "{word}\\n"}}}}
"""


def test_a_unit_reads_the_file_that_a_later_deploy_writes(world: World, host: Host) -> None:
    world.commit("A clerk", {"clerk.service": CLERK, "inventories/lab/site.yaml": site("one")})
    assert apply(host).code == 0
    assert host.read("/run/clerk") == "one\n", "the unit was started before the file was there"
    host.run("echo evil > /etc/clerk.d/word")
    assert apply(host).code == 0
    assert host.read("/run/clerk") == "one\n", "the unit was reloaded before the file was repaired"
    world.site(site("two"))
    assert apply(host).code == 0
    assert host.read("/run/clerk") == "two\n"
    assert "held-not-idempotent" not in kinds(host)
    assert host.run("hostwright plan").output.startswith("in sync")

"""What leaves Git leaves the host; what somebody changed or had before stays; and a typo takes nothing away."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from agent.inventory.schema import schema
from tests.lab.host import Host
from tests.stories.world import FLEET, MOTD, World, apply, events, kinds

OPEN = f"{FLEET}prune: {{max: 100, max_percent: 100}}\n"

GIVEN = """\
- hosts: all
  deploys:
    - name: given
      deploy: files
      with:
        /srv/app: {directory: true}
        /srv/app/conf: {content: "ours\\n"}
        /srv/app/link: {link: conf}
        /srv/edited: {block: "ours\\n", name: lab}
        /srv/both: {line: "ours"}
        /srv/changed: {content: "ours\\n"}
        /srv/adopted: {content: "ours\\n"}
        /srv/full: {directory: true}
    - dotfiles: {user: ann, sets: [common]}
"""

LATE = """\
- hosts: late
  deploys:
    - name: late
      deploy: files
      with: {/srv/late: {content: "late\\n"}}
"""

LATE_HOSTS = "all: {hosts: {web1: {}, web2: {}}, vars: {greeting: hello}, children: {late: {hosts: {%s}}}}\n"

MANY = f"""\
- hosts: all
  deploys:
    - name: many
      deploy: files
      with:
        {{{", ".join(f'/srv/{number}: {{content: "ours"}}' for number in range(6))}}}
"""

ALLOW = "\n\nHostwright-Prune: allow\n"


def site(world: World, text: str, subject: str = "Change the site", **files: str | None) -> None:
    paths = {f"inventories/lab/{name}.yaml": content for name, content in files.items()}
    world.commit(subject, {"inventories/lab/site.yaml": text, **paths})


def exists(host: Host, *paths: str) -> list[bool]:
    return [host.run(["test", "-e", path], check=False).code == 0 for path in paths]


def plan(host: Host) -> tuple[int, list[str], dict[str, Any]]:
    told = host.run(["hostwright", "plan"], check=False)
    document = json.loads(host.run(["hostwright", "--json", "plan"], check=False).output)
    return told.code, told.output.splitlines(), document["data"]


def standing(world: World, name: str) -> dict[str, str]:
    return {each["resource"]: each["reason"] for each in world.report("web1")[name]}


def test_what_leaves_git_leaves_the_host(world: World, host: Host) -> None:
    host.run("useradd -m ann; echo theirs > /srv/adopted; printf 'first\\nlast\\n' > /srv/edited")
    files = {"dotfiles/common/.config/rc": "ours\n", "inventories/lab/fleet.yaml": OPEN}
    world.commit("Give", {"inventories/lab/site.yaml": MOTD + GIVEN, **files})
    assert apply(host).code == 0
    assert host.read("/home/ann/.config/rc") == "ours\n"
    host.run("echo mine >> /srv/changed; touch /srv/full/mine")

    site(world, MOTD)
    done = apply(host)
    assert done.code == 0, done.error
    assert "- file:/srv/app/conf: remove, left Git  [given]" in done.error
    assert exists(host, "/srv/app", "/srv/both") == [False, False]
    assert exists(host, "/srv/adopted", "/srv/changed", "/srv/edited", "/srv/full") == [True] * 4
    assert host.read("/srv/edited") == "first\nlast\n"
    assert exists(host, "/home/ann/.config", "/home/ann") == [False, True]
    assert host.read("/srv/adopted") == "ours\n"

    report = world.report("web1")
    jsonschema.validate(report, schema("report"))
    assert (report["phase"], report["problems"], report["prune_held"]) == ("converged", [], [])
    assert standing(world, "orphaned") == {
        "file:/srv/changed": "changed since: content",
        "directory:/srv/full": "it is not empty",
    }
    assert standing(world, "released") == {"file:/srv/adopted": ""}
    told = {event["resource"]: event["kind"] for event in events(host) if event["kind"] in _FATES}
    assert told["file:~ann/.config/rc"] == told["directory:/srv/app"] == told["block:/srv/edited#lab"] == "pruned"
    assert told["file:/srv/both"] == told["line:/srv/both#ours"] == "pruned"
    assert told["file:/srv/changed"] == "orphaned"
    assert told["file:/srv/adopted"] == "released"
    before = kinds(host)
    assert plan(host)[:2] == (0, [f"in sync with commit {world.head[:12]}"])
    assert apply(host).code == 0
    assert kinds(host) == before, "told once"

    host.run("rm -r /srv/changed")
    site(world, MOTD + GIVEN)
    assert apply(host).code == 0
    assert world.report("web1")["orphaned"] == world.report("web1")["released"] == []
    assert host.read("/srv/changed") == "ours\n"


_FATES = ("pruned", "orphaned", "released")


def test_a_typo_takes_nothing_away(world: World, host: Host) -> None:
    there = {"hosts": LATE_HOSTS % "web1: {}", "fleet": OPEN}
    site(world, MOTD + LATE, **there)
    assert apply(host).code == 0

    # The group is empty.
    site(world, MOTD + LATE, hosts=LATE_HOSTS % "", fleet=OPEN)
    assert apply(host).code == 0
    assert exists(host, "/srv/late") == [True]
    why = "inventories/lab/site.yaml:5:3 is for hosts: late, which matches no host of the inventory"
    (reason,) = standing(world, "prune_held").values()
    assert reason.startswith(why)
    assert world.report("web1")["phase"] == "waiting"
    code, lines, data = plan(host)
    assert (code, lines[1].startswith("- file:/srv/late: remove, left Git  [late], held")) == (10, True)
    assert [(each["resource"], each["hold"]["kind"]) for each in data["removals"]] == [("file:/srv/late", "prune-held")]
    assert apply(host).code == 0
    assert kinds(host).count("prune-held") == 1, "told once"

    # The host gets nothing at all; it is not there at all.
    site(world, "[]")
    assert apply(host).code == 0
    assert exists(host, "/srv/late", "/etc/motd") == [True, True]
    site(world, MOTD, hosts="all: {hosts: {web2: {}}, vars: {greeting: hello}}\n")
    assert apply(host).code == 6
    assert exists(host, "/srv/late", "/etc/motd") == [True, True]

    # Put right: nothing has happened.
    site(world, MOTD + LATE, **there)
    assert apply(host).code == 0
    assert world.report("web1")["prune_held"] == []
    assert exists(host, "/srv/late") == [True]

    # Moved to another play, and to another deploy.
    site(world, MOTD + LATE.replace("hosts: late", "hosts: all"))
    assert apply(host).code == 0
    site(world, MOTD + LATE.replace("hosts: late", "hosts: web1").replace("name: late", "name: early"))
    assert apply(host).code == 0
    assert exists(host, "/srv/late") == [True]
    assert not set(_FATES) & set(kinds(host))

    # And this is meant.
    site(world, MOTD, f"Away with it{ALLOW}")
    assert apply(host).code == 0
    assert exists(host, "/srv/late") == [False]


def test_more_than_may_go_at_once_waits_for_a_commit_that_says_so(world: World, host: Host) -> None:
    many = [f"/srv/{number}" for number in range(6)]
    site(world, MOTD + MANY)
    assert apply(host).code == 0
    site(world, MOTD)
    assert apply(host).code == 0
    assert exists(host, *many) == [True] * 6
    assert len(world.report("web1")["prune_held"]) == 6
    (hold,) = world.report("web1")["holds"]
    assert (hold["kind"], "6 left Git at once, and no more than 5 may go" in hold["reason"]) == ("prune-held", True)
    world.commit(f"Let it go{ALLOW}", {"README": "1"})
    world.commit("Something else", {"README": "2"})
    assert apply(host).code == 0
    assert exists(host, *many) == [False] * 6
    assert world.report("web1")["phase"] == "converged"


ILL = "the host is not well: sick.service has failed"


def test_on_a_host_that_is_not_well_what_is_due_waits_and_says_why(world: World, host: Host) -> None:
    site(world, MOTD + LATE.replace("hosts: late", "hosts: all"))
    assert apply(host).code == 0
    host.run("systemd-run --unit=sick --wait false", check=False)
    site(world, MOTD)
    done = apply(host)
    assert (done.code, "not removed: the host is not well" in done.error) == (8, True)
    assert standing(world, "prune_held") == {"file:/srv/late": ILL}
    _, lines, data = plan(host)
    assert lines[1:3] == ["- file:/srv/late: remove, left Git  [late], held", f"held: {ILL}"]
    assert [each["hold"]["kind"] for each in data["removals"]] == ["prune-waits"]
    host.run("systemctl reset-failed sick.service")
    assert apply(host).code == 0
    assert exists(host, "/srv/late") == [False]


APP = """\
from pyinfra.operations import files
files.file(name="state", path="/srv/app-state", present=True, mode="600")
"""

ABSENT = """\
from pyinfra import host
from pyinfra.operations import server
server.shell(name="take leave", commands=f"test ! -e /srv/no && echo {host.data.word} >> /srv/farewell")
"""

APP_PLAY = """\
- hosts: all
  deploys:
    - {name: app, deploy: deploys/app.py, with: {word: bye}, on_remove: deploys/app_absent.py}
"""


GUARDED = """\
from io import StringIO
from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.operations import files
if not host.get_fact(File, path="/srv/cond"):
    files.put(name="once", src=StringIO("ours"), dest="/srv/cond", mode="644")
"""
PLAIN = """\
from agent.deploys import operations
files.put(name="always", src=StringIO("ours"), dest="/srv/plain", mode="644")
operations.files({"/srv/built-in": {"content": "ours"}})
"""


def test_what_code_puts_only_while_it_is_missing_stays_until_its_deploy_leaves(world: World, host: Host) -> None:
    play = "- hosts: all\n  deploys:\n    - {name: app, deploy: deploys/app.py}\n"
    world.commit("Code", {"deploys/app.py": GUARDED + PLAIN, "inventories/lab/site.yaml": MOTD + play})
    for _ in range(2):
        assert apply(host).code == 0
        assert exists(host, "/srv/cond", "/srv/plain", "/srv/built-in") == [True, True, True]
    world.commit("Less code", {"deploys/app.py": GUARDED})
    told = apply(host).error
    for path in ("/srv/plain", "/srv/built-in"):
        assert f"- file:{path}: remove, left Git  [app]" in told
    assert exists(host, "/srv/cond", "/srv/plain", "/srv/built-in") == [True, False, False]
    assert kinds(host).count("pruned") == 2
    site(world, MOTD)
    assert apply(host).code == 0
    assert exists(host, "/srv/cond") == [False]


def test_what_a_deploy_says_is_run_when_it_has_left_until_it_ends_well_and_then_no_more(
    world: World, host: Host
) -> None:
    """test_windows.py has one that ends well at once."""
    world.commit("Files", {"deploys/app.py": APP, "deploys/app_absent.py": ABSENT, "inventories/lab/fleet.yaml": OPEN})
    site(world, MOTD + APP_PLAY)
    assert apply(host).code == 0
    assert exists(host, "/srv/app-state", "/srv/farewell") == [True, False]
    host.run("touch /srv/no")
    world.commit("Away", {"inventories/lab/site.yaml": MOTD, "deploys/app.py": None, "deploys/app_absent.py": None})
    assert apply(host).code == 7
    (problem,) = world.report("web1")["problems"]
    assert problem["kind"] == "on-remove-failed"
    assert exists(host, "/srv/app-state") == [True]
    host.run(["hostwright", "cycle"], check=False)
    assert exists(host, "/srv/app-state") == [True], "it waits"
    host.run("rm /srv/no")
    assert apply(host).code == 0
    assert apply(host).code == 0
    assert host.read("/srv/farewell") == "bye\n"
    assert exists(host, "/srv/app-state") == [False]
    assert kinds(host).count("departed") == 1

"""A deploy of another repository: pinned on a desk, fetched once by the host, refused where it is another."""

from __future__ import annotations

import os
import sys

import pytest

from agent.system.process import run
from tests.gitserver import ConfigRepo, HttpServer
from tests.lab.host import Host
from tests.stories.world import PATIENCE_S, World, apply

LOCK = "inventories/lab/lock.yaml"
STORE = "/var/lib/hostwright/repositories"
SITE = """\
- hosts: all
  deploys:
    - name: greeting
      deploy: git+{url}@v1//web/greeting.py
      with: {{to: {to}}}
"""
CODE = """\
from pyinfra import host
from pyinfra.operations import files
from lib.words import NAME

files.put(name=NAME, src="greeting.txt", dest=host.data.to, mode="644")
"""


@pytest.fixture
def other(world: World) -> ConfigRepo:
    repo = ConfigRepo(world.served.parent / "other")
    repo.commit("First", {"web/greeting.py": CODE, "lib/words.py": "NAME = 'greet'\n", "greeting.txt": "one\n"})
    repo.git("tag", "v1")
    repo.bare(world.served / "other.git")
    return repo


def lock(world: World) -> str:
    """What an administrator does before a commit; lock.yaml as it is then."""
    argv = [sys.executable, "-I", "-m", "agent", "--repo", f"{world.config.path}", "lock"]
    done = run(argv, timeout_s=PATIENCE_S, env=dict(os.environ))
    assert done.ok, done.complaint
    return (world.config.path / LOCK).read_text()


def test_a_deploy_of_another_repository_is_what_was_pinned_or_nothing(
    world: World, http: HttpServer, host: Host, other: ConfigRepo
) -> None:
    served = world.served / "other.git"
    site = SITE.format(url=http.url("other.git"), to="/etc/greeting")
    world.config.write({"inventories/lab/site.yaml": site})
    locked = lock(world)
    world.commit("Greet", {})
    assert apply(host).code == 0
    assert host.read("/etc/greeting") == "one\n"
    (tree,) = host.run(["ls", STORE]).output.split()
    assert f"tree: {tree}" in locked

    # It was fetched once: nobody asks the server again.
    served.rename(world.served / "away")
    world.site(site.replace("/etc/greeting", "/etc/greeting2"))
    assert apply(host).code == 0
    assert host.read("/etc/greeting2") == "one\n"
    host.run(["rm", "/etc/greeting2"])
    assert apply(host).code == 0
    assert host.read("/etc/greeting2") == "one\n"

    # What somebody changed in the store does not run, and comes anew as soon as it can.
    host.write(f"{STORE}/{tree}/greeting.txt", "evil\n")
    host.run(["rm", "/etc/greeting2"])
    assert apply(host).code == 4
    assert host.run(["test", "-e", "/etc/greeting2"], check=False).code == 1
    (world.served / "away").rename(served)
    assert apply(host).code == 0
    assert host.read("/etc/greeting2") == "one\n"

    # A tag that moved changes nothing; a lock that was changed by hand is refused as a whole.
    evil = other.commit("Evil", {"greeting.txt": "evil\n"})
    other.git("tag", "--force", "v1")
    other.git("push", "--quiet", "--force", "origin", "main", "v1")
    commit = locked.partition("commit: ")[2].partition("\n")[0]
    host.run(["rm", "-rf", STORE])
    assert apply(host).code == 0
    world.commit("By hand", {LOCK: locked.replace(commit, evil)})
    host.run(["rm", "-rf", STORE, "/etc/greeting2"])
    refused = apply(host, "--json")
    assert refused.code == 5
    assert "pin-mismatch" in refused.output
    assert tree in refused.output
    assert host.read("/etc/greeting2") == "one\n", "the host stays on the commit that it had"
    assert [problem["kind"] for problem in world.report("web1")["problems"]] == ["pin-mismatch"]

    # What no commit pins any more goes.
    world.commit("Stop", {LOCK: None, "inventories/lab/site.yaml": "- {hosts: all, deploys: []}\n"})
    assert apply(host).code == 0
    assert host.run(["ls", STORE]).output == ""

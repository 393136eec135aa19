"""The whole life of what each deploy can give a host: absent, applied, left alone, drifted, repaired, taken back.

The rows are in ``life_cycles``; every one goes through a real cycle of the agent on booted hosts of each suite.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.host import Host
from tests.lab.images import SUITES
from tests.lab.lab import Lab
from tests.stories.life_cycles import ROWS, Place, Row
from tests.stories.world import FLEET, World, follow, rest

REMOTE = "/srv/config.git"
"""On the host itself, so that hosts with no network of this machine can follow it, too."""

ALWAYS = """\
- hosts: all
  deploys:
    - name: always
      deploy: files
      with: {/etc/always: {content: "here\\n"}}
"""
"""A site that wants nothing at all takes nothing back, so it always wants this."""

OPEN = f"{FLEET}prune: {{max: 1000, max_percent: 100}}\n"


class Life:
    """A host and the config repo that it follows."""

    def __init__(self, host: Host, world: World) -> None:
        self.host = host
        self.world = world
        self._push({"inventories/lab/site.yaml": ALWAYS, "inventories/lab/fleet.yaml": OPEN})
        follow(host, REMOTE)
        rest(host)

    def want(self, row: Row | None) -> None:
        site = ALWAYS if row is None else ALWAYS + row.play
        self._push({"inventories/lab/site.yaml": site, **(row.files if row is not None else {})})

    def apply(self) -> list[str]:
        """A cycle that ends well; the resources that it changed."""
        done = self.host.run(["hostwright", "--json", "apply"], check=False, timeout_s=600)
        assert done.code == 0, done.error
        deploys = json.loads(done.output)["data"]["deploys"]
        return [result["resource"] for deploy in deploys for result in deploy["results"] if result["changed"]]

    def plan(self) -> dict[str, str]:
        """The cause of each change that is wanted now, by resource."""
        done = self.host.run(["hostwright", "--json", "plan"], check=False)
        data = json.loads(done.output)["data"]
        found: dict[str, str] = {
            change["wanted"]["resource"]: change["cause"] for deploy in data["deploys"] for change in deploy["changes"]
        }
        assert done.code == (10 if found else 0), done.error
        return found

    def ledger(self) -> dict[str, dict[str, Any]]:
        told = json.loads(self.host.run(["hostwright", "--json", "ledger"]).output)["data"]
        return {entry["key"]: entry for entry in told}

    def _push(self, files: dict[str, str]) -> None:
        self.world.commit("Change the site", files)
        self.host.push(self.world.bare, REMOTE)


@pytest.fixture(scope="module")
def lives(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, Place], Life]]:
    """One host for each suite and place; the rows keep out of each other's way."""
    lives: dict[tuple[str, Place], Life] = {}
    yield lives
    for life in lives.values():
        life.host.destroy()


@pytest.fixture
def life(
    lab: Lab,
    lives: dict[tuple[str, Place], Life],
    suite: str,
    row: Row,
    tmp_path_factory: pytest.TempPathFactory,
) -> Life:
    key = (suite, row.place)
    if key not in lives:
        place = row.place
        more = {"online": place.online, "options": place.options, "environment": place.environment}
        host = lab.boot(suite, image=place.image, name="web1", **more)
        lives[key] = Life(host, World(tmp_path_factory.mktemp("life") / "world"))
    return lives[key]


def _lives() -> Iterator[object]:
    """Every row on each of its suites. All are more than a short run has time for: that takes turns."""
    for suite in SUITES:
        for number, row in enumerate(ROWS):
            if suite in row.suites:
                turn = row.suites[number % len(row.suites)]
                marks = () if suite == turn else (pytest.mark.long,)
                yield pytest.param(suite, row, id=f"{row.name}-{suite}", marks=marks)


@pytest.mark.parametrize(("suite", "row"), [*_lives()])
def test_what_a_deploy_gives_is_applied_kept_and_taken_back(life: Life, row: Row) -> None:
    host = life.host
    if row.before:
        host.run(f"set -e\n{row.before}", timeout_s=300)

    life.want(row)
    changed = life.apply()
    assert set(row.keys) <= set(changed), "applied"
    host.run(f"set -e\n{row.there}")
    assert life.apply() == [], "the second run changes nothing"

    for commands in row.rounds:
        for command in commands.values():
            host.run(f"set -e\n{command}")
        found = life.plan()
        assert {key: found.get(key) for key in commands} == dict.fromkeys(commands, "drift"), commands
        assert commands.keys() <= set(life.apply()), f"repaired: {commands}"
        host.run(f"set -e\n{row.there}")
    assert life.plan() == {}, "nothing is left to do"

    if row.by_hand:
        host.run(f"set -e\n{row.by_hand}")
    life.want(None)
    assert life.apply() == []
    host.run(f"set -e\n{row.gone}")
    ledger = life.ledger()
    standing = {key: ledger[key]["standing"] if key in ledger else "gone" for key in row.fates}
    assert standing == dict(row.fates)
    assert life.plan() == {}, "nothing is wanted any more"

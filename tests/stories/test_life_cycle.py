"""The whole life of what each deploy can give a host: absent, applied, left alone, drifted, repaired, taken back.

The rows are in ``life_cycles``. All rows of one host live at the same time, through real cycles of the agent; each test
looks at what became of its own.
"""

from __future__ import annotations

import json
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.lab.host import Host
from tests.lab.images import SUITES
from tests.lab.lab import Lab
from tests.stories.life_cycles import ALONE, MIRRORED, PODMAN, ROWS, Place, Row
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

Resources = dict[str, set[str]]
"""By the deploy that they belong to, which is called like its row."""


class Life:
    """A host, the config repo that it follows, and what went wrong with each row."""

    def __init__(self, host: Host, world: World, rows: Iterable[Row]) -> None:
        self.host = host
        self.world = world
        self.rows = tuple(rows)
        self.wrong: dict[str, list[str]] = {row.name: [] for row in self.rows}

    def live(self) -> None:
        self._push({"inventories/lab/fleet.yaml": OPEN, "inventories/lab/site.yaml": ALWAYS})
        follow(self.host, REMOTE)
        rest(self.host)
        self._run("make ready", ((row, [row.before]) for row in self.rows))
        self._want(self.rows)
        changed = self._apply()
        for row in self.rows:
            self._expect(row, "applied", changed[row.name] & set(row.keys), set(row.keys))
        self._run("there", ((row, [row.there]) for row in self.rows))
        changed = self._apply()
        for row in self.rows:
            self._expect(row, "changed by the second run", changed[row.name], set())
        for number in range(max(len(row.rounds) for row in self.rows)):
            self._drift(number)
        self._expect_in_sync("still to do")
        self._run("by hand", ((row, [row.by_hand]) for row in self.rows))
        self._want(())
        changed = self._apply()
        self._run("gone", ((row, [row.gone]) for row in self.rows))
        ledger = {entry["key"]: entry["standing"] for entry in self._tell("ledger")}
        for row in self.rows:
            self._expect(row, "changed when nothing is wanted", changed[row.name], set())
            fates = {key: ledger.get(key, "gone") for key in row.fates}
            self._expect(row, "fates", fates, dict(row.fates))
        self._expect_in_sync("to do when nothing is wanted")

    def _drift(self, number: int) -> None:
        """Spoil what the rows say for this round; it is found and repaired. The first time a plan says so as well."""
        spoilt = [(row, row.rounds[number]) for row in self.rows if number < len(row.rounds)]
        self._run("spoil", ((row, commands.values()) for row, commands in spoilt))
        if number == 0:
            causes = self._plan()
            for row, commands in spoilt:
                found = {key: causes.get(key) for key in commands}
                self._expect(row, "planned", found, dict.fromkeys(commands, "drift"))
        changed = self._apply()
        reported = {change["resource"]: change["cause"] for change in self._report()["changes"]}
        for row, commands in spoilt:
            found = {key: reported.get(key) for key in commands}
            self._expect(row, f"reported in round {number}", found, dict.fromkeys(commands, "drift"))
            self._expect(row, f"repaired in round {number}", changed[row.name] & set(commands), set(commands))
        self._run(f"there after round {number}", ((row, [row.there]) for row, _ in spoilt))

    def _run(self, what: str, scripts: Iterable[tuple[Row, Iterable[str]]]) -> None:
        for row, commands in scripts:
            for command in filter(None, commands):
                done = self.host.run(f"set -e\n{command}", check=False, timeout_s=300)
                self._expect(row, f"{what}: {command}\n{done.output}{done.error}", done.code, 0)

    def _expect(self, row: Row, what: str, found: object, expected: object) -> None:
        if found != expected:
            self.wrong[row.name].append(f"{what}: {found}, expected {expected}")

    def _expect_in_sync(self, what: str) -> None:
        left = self._plan()
        for row in self.rows:
            self._expect(row, what, left, {})

    def _want(self, rows: Iterable[Row]) -> None:
        files = {path: text for row in rows for path, text in row.files.items()}
        self._push({"inventories/lab/site.yaml": ALWAYS + "".join(row.play for row in rows), **files})

    def _push(self, files: dict[str, str]) -> None:
        self.world.commit("Change the site", files)
        self.host.push(self.world.bare, REMOTE)

    def _apply(self) -> Resources:
        """A cycle that ends well; the resources that it changed."""
        changed: Resources = defaultdict(set)
        for deploy in self._tell("apply")["deploys"]:
            changed[deploy["deploy"]] = {result["resource"] for result in deploy["results"] if result["changed"]}
        return changed

    def _plan(self) -> dict[str, str]:
        """The cause of each change that is wanted now, by resource."""
        changes = (change for deploy in self._tell("plan")["deploys"] for change in deploy["changes"])
        return {change["wanted"]["resource"]: change["cause"] for change in changes}

    def _report(self) -> dict[str, Any]:
        shown = self.host.run(f"git --git-dir={REMOTE} grep -h . status -- 'hosts/*/web1.json'")
        report: dict[str, Any] = json.loads(shown.output)
        return report

    def _tell(self, command: str) -> Any:
        """What a command says as JSON. Raises AssertionError unless it ends with 0, or 10 for changes that are due."""
        done = self.host.run(["hostwright", "--json", command], check=False, timeout_s=600)
        assert done.code in ((0, 10) if command == "plan" else (0,)), done.error
        return json.loads(done.output)["data"]


def place_of(suite: str, row: Row) -> Place:
    """What needs no special host lives beside what does: the containers on trixie, the packages on bookworm."""
    return {"trixie": PODMAN, "bookworm": MIRRORED}[suite] if row.place is ALONE else row.place


@pytest.fixture(scope="module")
def lives() -> Iterator[dict[tuple[str, Place], Life]]:
    """By suite and place; the rows keep out of each other's way."""
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
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Life:
    """What became of this row and all others of this run that live on the same host."""
    place = place_of(suite, row)
    if (suite, place) not in lives:
        others = (
            item.callspec.params
            for item in request.session.items
            if isinstance(item, pytest.Function)
            and item.function is request.function
            and not item.get_closest_marker("skip")
        )
        here = [each["row"] for each in others if each["suite"] == suite and place_of(suite, each["row"]) == place]
        more = {"options": place.options, "environment": place.environment}
        host = lab.boot(suite, image=place.image, name="web1", **more)
        life = lives[suite, place] = Life(host, World(tmp_path_factory.mktemp("life") / "world"), here)
        try:
            life.live()
        except Exception as error:  # a cycle or plan that failed is everybody's
            for wrong in life.wrong.values():
                wrong.append("".join(traceback.format_exception(error)))
    return lives[suite, place]


def _lives() -> Iterator[object]:
    """Every row on each of its suites. All are more than a short run has time for: that takes turns."""
    for suite in SUITES:
        for number, row in enumerate(ROWS):
            if suite in row.suites:
                turn = row.suites[number % len(row.suites)]
                marks = () if suite == turn else (pytest.mark.long,)
                yield pytest.param(suite, row, id=f"{row.name}-{suite}", marks=marks)


@pytest.mark.timeout(900)  # the first row of a host waits for all of them
@pytest.mark.parametrize(("suite", "row"), [*_lives()])
def test_what_a_deploy_gives_is_applied_kept_and_taken_back(life: Life, row: Row) -> None:
    assert life.wrong[row.name] == [], "\n".join(life.wrong[row.name])

from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys.timezone.host import KEY, Timezone
from agent.domain.ownership import LedgerEntry, Origin, Seen
from agent.errors import DeployError

BERLIN = "/usr/share/zoneinfo/Europe/Berlin"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for zone in ("Europe/Berlin", "Etc/UTC"):
        file = tmp_path / "usr/share/zoneinfo" / zone
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("TZif2")
    (tmp_path / "etc").mkdir()
    return tmp_path


@pytest.fixture
def utc(host: Path) -> Path:
    (host / "etc/localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    (host / "etc/timezone").write_text("Etc/UTC\n")
    return host


def due(host: Path, zone: str = "Europe/Berlin") -> list[str]:
    return [correction.change.operation for correction in Timezone(host).corrections({"zone": zone})]


def settle(host: Path) -> None:
    for correction in Timezone(host).corrections({"zone": "Europe/Berlin"}):
        correction.run()


def entry(before: Seen | None, left: Seen | None = None) -> LedgerEntry:
    states = [seen.state if seen is not None else None for seen in (before, left)]
    origin = Origin.ADOPTED if before is not None else Origin.CREATED
    return LedgerEntry(KEY, "timezone", 0, origin, *states, settled=True)


def files(host: Path) -> list[str]:
    return sorted(path.name for path in (host / "etc").iterdir())


def test_another_zone_gives_way_and_then_nothing_differs(utc: Path) -> None:
    assert due(utc) == ["set to Europe/Berlin (was Etc/UTC), write /etc/timezone"]
    settle(utc)
    assert (utc / "etc/localtime").readlink() == Path(BERLIN)
    assert (utc / "etc/timezone").read_text() == "Europe/Berlin\n"
    assert due(utc) == []


def test_a_host_without_a_zone_gets_one_and_loses_it_again(host: Path) -> None:
    assert Timezone(host).look(KEY) is None
    settle(host)
    assert files(host) == ["localtime", "timezone"]
    assert Timezone(host).remove([entry(None)], purge=False) == {}
    assert files(host) == []


def test_a_relative_link_is_as_good(host: Path) -> None:
    (host / "etc/localtime").symlink_to("../usr/share/zoneinfo/Europe/Berlin")
    (host / "etc/timezone").write_text("Europe/Berlin\n")
    assert due(host) == []


def test_what_else_says_another_zone_is_put_right(utc: Path) -> None:
    settle(utc)
    (utc / "etc/timezone").write_text("Etc/UTC\n")
    assert due(utc) == ["write /etc/timezone"]


def test_a_zone_that_this_host_lacks_is_refused(utc: Path) -> None:
    assert due(utc, "America/Lima") == ["cannot be done: this host has no time zone America/Lima"]
    with pytest.raises(DeployError, match="no time zone America/Lima"):
        Timezone(utc).corrections({"zone": "America/Lima"})[0].run()


@pytest.mark.parametrize("copied", [True, False], ids=["a copy", "a link"])
def test_the_zone_from_before_is_given_back(utc: Path, copied: bool) -> None:
    if copied:
        (utc / "etc/localtime").unlink()
        (utc / "etc/localtime").write_text("TZif2 of somewhere")
    before = Timezone(utc).look(KEY)
    assert before is not None
    settle(utc)
    Timezone(utc).restore(entry(before), before.image)
    assert Timezone(utc).look(KEY) == before


def test_a_zone_that_somebody_set_since_is_theirs(utc: Path) -> None:
    settle(utc)
    left = Timezone(utc).look(KEY)
    assert left is not None
    assert Timezone(utc).changed(left.state, left) == ""
    (utc / "etc/localtime").unlink()
    (utc / "etc/localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    now = Timezone(utc).look(KEY)
    assert now is not None
    assert Timezone(utc).changed(left.state, now) == "it is Etc/UTC"

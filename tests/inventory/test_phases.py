"""What is wrong for every host is told and refused apart from what is wrong with one host's values."""

from __future__ import annotations

import pytest

from agent.errors import InventoryError
from agent.steps.resolve import desired_state
from tests.inventory.samples import Repo

TWO_PLAYS = """
    - hosts: web
      deploys: [{PLAY}]
    - hosts: db1
      deploys: [{files: {/etc/db: {content: "x"}}}]
    """


def digest(repo: Repo, host: str) -> str:
    return desired_state(repo.load(), repo.tree, host=host, commit="0" * 40).digest


@pytest.mark.parametrize(
    "play",
    [
        "packages: {presnt: [nginx]}",
        "packages: [5 6]",
        "pakages: [nginx]",
        "deploy: packages, with: [nginx], health: [{htp: 'http://x/'}]",
        "deploy: packages, with: [nginx], health: [{tcp: nowhere}]",
        "files: {/etc/a: {content: a, mode: rw}}",
        "files: {/etc/a: {contnt: '{{ owner }}'}}",
        "name: x, deploy: deploys/gone.py",
    ],
)
def test_a_play_of_the_wrong_shape_is_refused_by_hosts_that_it_is_not_for(repo: Repo, play: str) -> None:
    repo.write("site.yaml", TWO_PLAYS.replace("PLAY", play))
    with pytest.raises(InventoryError, match=r"site\.yaml:3:"):
        digest(repo, "db1")


@pytest.mark.parametrize(
    "file", ["group_vars/web.yaml", "group_vars/wbe.yaml", "fleet.yaml", "tools.yaml", "lock.yaml"]
)
def test_a_file_of_other_groups_that_cannot_be_read_is_refused_by_every_host(repo: Repo, file: str) -> None:
    repo.write("site.yaml", TWO_PLAYS.replace("PLAY", "packages: [nginx]"))
    repo.write(file, "a: [1\n")
    with pytest.raises(InventoryError, match=file):
        digest(repo, "db1")


@pytest.mark.parametrize(
    "play",
    [
        "packages: ['{{ nope }}']",
        "packages: '{{ owner }}'",
        "files: {/etc/a: {content: a, mode: '{{ owner }}'}}",
        "files: {/etc/a: {source: files/gone}}",
        "deploy: packages, with: [nginx], needs: [gone]",
    ],
)
def test_a_mistake_in_values_is_refused_by_its_hosts_alone(repo: Repo, play: str) -> None:
    repo.write("site.yaml", TWO_PLAYS.replace("PLAY", play))
    assert digest(repo, "db1")
    with pytest.raises(InventoryError, match=r"\(host web1\)"):
        digest(repo, "web1")


def test_the_variables_of_another_host_are_read_when_they_are_asked_for(repo: Repo) -> None:
    repo.write("site.yaml", TWO_PLAYS.replace("PLAY", "packages: [nginx]"))
    repo.write("host_vars/web2.yaml", "a: [1\n")
    assert digest(repo, "db1")
    assert digest(repo, "web1")
    with pytest.raises(InventoryError, match=r"host_vars/web2\.yaml:1:4"):
        digest(repo, "web2")


def test_what_is_wrong_for_all_and_what_for_one_is_told_at_once(repo: Repo) -> None:
    repo.write("site.yaml", TWO_PLAYS.replace("PLAY", "pakages: [nginx]").replace('"x"', "'{{ nope }}'"))
    repo.write("fleet.yaml", "shedule: {}\n")
    repo.write("host_vars/web2.yaml", "a: [1\n")
    assert [complaint.split(": ")[0] for complaint in repo.complaints()] == [
        "fleet.yaml:1:1",
        "host_vars/web2.yaml:1:4",
        "site.yaml:3:14",
        "site.yaml:5:41",
    ]


def test_nobody_is_blamed_for_needing_what_was_complained_of(repo: Repo) -> None:
    repo.write(
        "site.yaml", "- {hosts: all, deploys: [packages: {presnt: []}, {deploy: files, with: {}, needs: [packages]}]}"
    )
    assert len(repo.complaints()) == 1


def test_without_pins_that_can_be_read_none_is_missed(repo: Repo) -> None:
    repo.write_all({"site.yaml": "- {hosts: all, deploys: [tools: [rg]]}", "tools.yaml": "rg: [1\n"})
    assert [complaint.split(": ")[0] for complaint in repo.complaints()] == ["tools.yaml:1:5"]

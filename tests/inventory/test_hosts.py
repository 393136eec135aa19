"""Hosts files: what is refused, and where the complaint points."""

from __future__ import annotations

import tracemalloc

import pytest

from agent.errors import InventoryError
from agent.inventory.ansible.hosts_ini import read_ini
from agent.inventory.ansible.ranges import expand
from agent.inventory.complaint import Complaints
from tests.inventory.samples import Repo


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("all: {hosts: {we-b/1: }}", 'hosts.yaml:1:15: all.hosts.we-b/1: "we-b/1" is not a host name'),
        ("all: {hosts: {_a: }}", '"_a" is not a host name'),
        ("all: {hosts: {8: }}", "a host name is a string; put it in quotes"),
        ("all: {hosts: [a]}", "all.hosts: a mapping is expected here; end every name with a colon"),
        ("all: {hosts: {a: 5}}", "a host's variables are a mapping"),
        ("all: {host: {a: }}", 'unknown key "host"; did you mean "hosts"?'),
        ("all: 5", "all: a group is a mapping"),
        ("[a]", "no groups in here"),
        ("", "no groups in here"),
        ("plugin: aws_ec2", "inventory plugins are not run"),
        ("web: {children: {web: }}", '"web" contains "web"'),
        ("a: {children: {b: {children: {a: }}}}", '"b" contains "a", so it cannot be a child of it'),
        ("all: {children: {web: {hosts: {web: }}}}", '"web" is both a host and a group'),
        ("web: {children: {ungrouped: }}", "ungrouped has no children and no parent but all"),
        ("web: {vars: {ansible_group_priority: high}}", "the priority of a group is a whole number"),
        ('"a b": ', '"a b" is not a group name'),
        ("all: {hosts: {a: {x: !vault abc}}}", "the tag !vault is not supported; Ansible Vault is not read: "),
        (
            "all: {hosts: {a: {x: {{ y }}}}}",
            "a text that begins with {{ stands without quotes; put the whole text in quotes",
        ),
    ],
)
def test_what_cannot_be_a_hosts_file_is_said_with_its_place(repo: Repo, text: str, complaint: str) -> None:
    repo.write("hosts.yaml", text)
    assert complaint in "\n".join(repo.complaints())


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("web[1:]", "is not a range"),
        ("web[3:1]", "is empty"),
        ("web[f:a]", "is empty"),
        ("web[01:100]", "different length"),
        ("web[1:3:0]", "a step of at least 1"),
        ("web[1:9999999]", "more than 100000 hosts"),
        ("web[1:999][1:999]", "more than 100000 hosts"),
        ("web[1:3", "is not a host name"),
        ("web]", "is not a host name"),
        ("web:x", "is not a host name"),
        ("w" * 254, "is not a host name"),
        ("", "is not a host name"),
    ],
)
def test_a_range_that_stands_for_nothing_or_too_much_is_refused(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        expand(pattern)


def test_all_complaints_come_at_once_in_the_order_of_the_files(repo: Repo) -> None:
    repo.write_all(
        {
            "hosts.yaml": "all: {hosts: {a/b: , c/d: }}",
            "group_vars/all.yaml": "- 1\n",
            "fleet.yaml": "schedule: {fetch: x}\n",
            "site.yaml": "- {}\n",
        }
    )
    files = [line.split(":")[0] for line in repo.complaints()]
    assert files == ["fleet.yaml", "group_vars/all.yaml", "hosts.yaml", "hosts.yaml", "site.yaml", "site.yaml"]


def test_without_a_hosts_file_the_complaint_names_it(repo: Repo) -> None:
    (repo.inventory_folder / "hosts.yaml").unlink()
    assert repo.complaints()[0].startswith("hosts.yaml: there is no hosts file")


def test_two_hosts_files_are_one_too_many(repo: Repo) -> None:
    repo.write("hosts.ini", "a\n")
    assert repo.complaints() == ["hosts.ini: hosts.yaml says who already; keep one of the two"]


def test_an_inventory_script_is_not_run(repo: Repo) -> None:
    (repo.inventory_folder / "hosts.yaml").unlink()
    repo.write("hosts", "#!/bin/sh\necho {}\n").chmod(0o755)
    assert repo.complaints()[0].startswith("hosts: inventory scripts are not run")


def test_a_link_inside_the_repository_counts_as_what_it_leads_to(repo: Repo) -> None:
    repo.write("/shared/all.yaml", "x: 1\n")
    repo.write("/shared/web/more.yaml", "y: 2\n")
    vars_folder = repo.inventory_folder / "group_vars"
    vars_folder.mkdir()
    (vars_folder / "all.yaml").symlink_to("../../../shared/all.yaml")
    (vars_folder / "web").symlink_to("../../../shared/web")
    assert repo.inventory().vars("web1") == {"owner": "ann", "x": 1, "y": 2}


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../../outside", "nothing", "all.yaml"])
def test_a_link_that_leads_to_nothing_of_the_repository_is_a_complaint(repo: Repo, target: str) -> None:
    (repo.inventory_folder / "group_vars").mkdir()
    (repo.inventory_folder / "group_vars/all.yaml").symlink_to(target)
    assert repo.complaints() == [
        "group_vars/all.yaml: a link to nothing that is in the repository; put the file here, or link to one of the "
        "repository"
    ]


def test_an_unknown_inventory_is_answered_with_the_nearest(repo: Repo) -> None:
    (repo.root / "inventories/dmo").mkdir()
    repo.inventory_folder.rename(repo.root / "inventories/demos")
    with pytest.raises(InventoryError) as caught:
        repo.load()
    assert (caught.value.kind, caught.value.hint) == ("inventory-unknown", 'did you mean "demos"?')


@pytest.mark.parametrize("host", ["web", "web1.example.org", "WEB1", "web4", ""])
def test_a_host_is_found_by_its_full_name_only(repo: Repo, host: str) -> None:
    environment = repo.load()
    with pytest.raises(InventoryError) as caught:
        environment.deploys(host)
    assert caught.value.kind == "host-unknown"


def test_the_nearest_host_is_named(repo: Repo) -> None:
    with pytest.raises(InventoryError) as caught:
        repo.load().inventory.vars("wbe1")
    assert caught.value.hint == 'did you mean "web1"?'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[web\nb", "hosts.ini:1:1: "),
        ("[web:hots]\na", 'there is no kind of section "hots"; did you mean "hosts"?'),
        ("[web:vars]\nx", "hosts.ini:2:1: a variable is expected here"),
        ("[web:children]\ndb", "hosts.ini:2:1: there is no section for the group db"),
        ("[web:vars]\nx=1", "there is no section for the group web"),
        ("a x", '"x" is not a variable; write name=value'),
        ("a 'x", "a quote in this line is never closed"),
        ("a/b", "is not a host name"),
        ("[a:children]\nb\n[b:children]\na\n", "cannot be a child of it"),
    ],
)
def test_what_cannot_be_an_ini_hosts_file_is_said_with_its_line(repo: Repo, text: str, complaint: str) -> None:
    (repo.inventory_folder / "hosts.yaml").unlink()
    repo.write("hosts.ini", text)
    assert complaint in "\n".join(repo.complaints())


@pytest.mark.parametrize("pattern", ["", ",", "&", "web,!", "~(", "[", "web:80", "web[9]"])
def test_what_is_no_pattern_is_refused(repo: Repo, pattern: str) -> None:
    with pytest.raises(InventoryError, match=";"):
        repo.load().inventory.match(pattern)


def test_an_implicit_localhost_does_not_exist(repo: Repo) -> None:
    assert repo.load().inventory.match("localhost") == ()


def _memory_for(groups: int) -> int:
    """The bytes that an inventory takes at most while it is read, where each of so many groups is inside the last."""
    text = "".join(f"[g{number}:children]\ng{number + 1}\n" for number in range(groups)) + f"[g{groups}]\nweb1\n"
    tracemalloc.start()
    try:
        assert len(read_ini(text.encode(), "hosts", Complaints()).lineage("web1")) == groups + 1
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_groups_inside_of_groups_take_memory_by_their_number_and_not_by_its_square() -> None:
    assert _memory_for(600) < 8 * _memory_for(150)

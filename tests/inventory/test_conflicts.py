"""Deploys that want the same thing differently."""

from __future__ import annotations

import pytest

from agent.deploys.items import Item
from agent.domain.desired import Resource
from agent.inventory.lint.conflicts import conflicts
from tests.inventory.samples import Repo, checked


def found(*wanted: tuple[str, str, str]) -> list[tuple[str, str]]:
    """Each: deploy, key, digest."""
    return [
        (conflict.resource, conflict.other)
        for conflict in conflicts((name, [Resource(key, d)]) for name, key, d in wanted)
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("file:/etc/motd", "file:/etc/motd"),
        ("file:/etc/motd", "link:/etc/motd"),
        ("block:/etc/motd#a", "file:/etc/motd"),
        ("file:/etc/motd", "line:/etc/motd#a"),
        ("block:/etc/motd#a", "block:/etc/motd#a"),
        ("package:nginx", "package:nginx"),
        ("sysctl:vm.swappiness", "sysctl:vm.swappiness"),
        ("hosts:/etc/hosts#192.0.2.10", "hosts:/etc/hosts#192.0.2.10"),
        ("file:/etc/hosts", "hosts:/etc/hosts#192.0.2.10"),
        ("directory:/srv/app", "file:/srv/app"),
        ("link:/srv/app", "directory:/srv/app"),
        ("block:/srv/app#a", "directory:/srv/app"),
    ],
)
def test_two_deploys_cannot_want_it_differently(one: str, other: str) -> None:
    assert found(("a", one, "1"), ("b", other, "2")) == [(other, one)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("block:/etc/motd#a", "block:/etc/motd#b"),
        ("block:/etc/hosts#lab", "hosts:/etc/hosts#192.0.2.10"),
        ("hosts:/etc/hosts#192.0.2.10", "hosts:/etc/hosts#192.0.2.11"),
        ("file:/etc/motd", "file:/etc/motd.d"),
        ("directory:/etc/app", "directory:/etc/app"),
        ("user:ann", "user:ann"),
        ("unit:nginx.service", "unit:nginx.service"),
    ],
)
def test_several_may_each_want_a_part(one: str, other: str) -> None:
    assert found(("a", one, "1"), ("b", other, "2")) == []


def test_several_may_want_the_same() -> None:
    assert found(("a", "file:/etc/motd", "1"), ("b", "file:/etc/motd", "1")) == []


def test_one_deploy_may_edit_what_it_writes() -> None:
    assert found(("a", "file:/etc/motd", "1"), ("a", "block:/etc/motd#a", "2")) == []


PARENT = Item(path="/srv/app", kind="directory").resource


def test_a_link_to_a_folder_will_do_for_a_parent_and_a_file_will_not() -> None:
    assert list(conflicts([("a", [PARENT]), ("b", [Resource("link:/srv/app", "1")])])) == []
    assert len(list(conflicts([("a", [PARENT]), ("b", [Resource("file:/srv/app", "1")])]))) == 1


WANTED_TWICE = [
    ("cron: {x: {command: a, schedule: '@daily'}}", "/etc/cron.d/hostwright-x"),
    ("services: {x: {content: '[Service]'}}", "/etc/systemd/system/x.service"),
    ("services: {x: {masked: true}}", "/etc/systemd/system/x.service"),
    ("containers: {x: {content: '[Container]'}}", "/etc/containers/systemd/x.container"),
]


@pytest.mark.parametrize(("deploy", "path"), WANTED_TWICE)
def test_what_a_deploy_writes_is_not_for_files_too(repo: Repo, deploy: str, path: str) -> None:
    repo.write("site.yaml", f"- hosts: web1\n  deploys:\n  - {deploy}\n  - files: {{{path}: {{content: mine}}}}\n")
    (complaint,) = repo.complaints()
    assert f"file:{path} is wanted differently by" in complaint


def test_a_unit_that_only_runs_may_have_its_file_from_elsewhere(repo: Repo) -> None:
    file = "/etc/systemd/system/x.service: {content: '[Service]'}"
    deploys = f"  - files: {{{file}}}\n  - services: {{x: {{running: true}}}}\n"
    repo.write("site.yaml", f"- hosts: web1\n  deploys:\n{deploys}")
    assert checked(repo.load()) == ()


SUDO = "users: {ann: {sudo: true}}"


@pytest.mark.parametrize(
    ("deploys", "complaint"),
    [
        ((SUDO, "packages: [sudo]"), 'ann is to have sudo, and "packages" brings only after it the package sudo'),
        (("packages: {absent: [sudo]}", SUDO), 'ann is to have sudo, and "packages" takes away the package sudo'),
        (
            ("containers: {web: {image: x}}", "packages: [podman]"),
            'web.container is to run, and "packages" brings only after it the package podman',
        ),
    ],
)
def test_check_knows_which_package_a_deploy_relies_on(repo: Repo, deploys: tuple[str, str], complaint: str) -> None:
    repo.write("site.yaml", "- hosts: web1\n  deploys:\n" + "".join(f"    - {each}\n" for each in deploys))
    (told,) = repo.complaints()
    assert complaint in told


@pytest.mark.parametrize(
    "deploys",
    [
        ("packages: [sudo]", SUDO),
        (SUDO,),
        ("{name: users, deploy: users, with: {ann: {sudo: true}}, needs: [packages]}", "packages: [sudo]"),
        ("packages: {absent: [sudo]}", "users: {ann: {sudo: true, absent: true}}"),
    ],
)
def test_what_comes_before_or_may_be_there_is_relied_on(repo: Repo, deploys: tuple[str, ...]) -> None:
    repo.write("site.yaml", "- hosts: web1\n  deploys:\n" + "".join(f"    - {each}\n" for each in deploys))
    assert checked(repo.load()) == ()


SITE = """
    - hosts: web1
      deploys:
        - files: {/etc/motd: {content: "mine"}}
        - motd
    """


def test_check_names_the_deploys_and_the_host(repo: Repo) -> None:
    repo.write("site.yaml", SITE)
    assert repo.complaints() == [
        'site.yaml:5:7: [0].deploys[1].motd: file:/etc/motd is wanted differently by "files" (host web1);'
        " leave it to one of them: each would undo what the other did"
    ]


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJQ5wwxnBMTjOoL6HH2zFbGzbiE1Ekz3Tn5BAGmIVWtq"


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (f"users: {{ann: {{keys: ['{KEY}']}}}}", "{ann: {shell: /bin/sh}}", 'user:ann: "users" wants keys'),
        ("users: {ann: {sudo: true}}", "{ann: {shell: /bin/sh}}", 'user:ann: "users" wants sudo'),
        ("users: {ann: {groups: [a]}}", "{ann: {groups: [b]}}", 'user:ann: "users" wants groups'),
        ("users: {ann: {uid: 1500}}", "{ann: {uid: 1501}}", 'user:ann: "users" wants uid'),
        ("users: {groups: {crew: {gid: 1500}}}", "{groups: {crew: {gid: 1501}}}", 'group:crew: "users" wants gid'),
        ("users: {ann: {absent: true}}", "{ann: {}}", 'user:ann: "users" wants absent'),
        ("services: {x: {running: true}}", "{x.service: {running: false}}", 'unit:x.service: "services" wants running'),
    ],
)
def test_of_what_several_may_share_each_thing_is_said_in_one_way(repo: Repo, one: str, other: str, words: str) -> None:
    kind = one.partition(":")[0]
    repo.write("site.yaml", f"- hosts: web1\n  deploys:\n  - {one}\n  - {{name: b, deploy: {kind}, with: {other}}}\n")
    (complaint,) = repo.complaints()
    assert f"{words} differently (host web1); say it in one of them, or call both {kind}" in complaint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"users: {{ann: {{keys: ['{KEY}'], groups: [a, b]}}}}", f"{{ann: {{keys: ['{KEY}'], groups: [b, a]}}}}"),
        ("users: {ann: {uid: 1500}}", "{ann: {shell: /bin/sh}}"),
        ("users: {groups: {crew: {gid: 1500}}}", "{groups: {crew: {}}}"),
        ("services: {x: {running: true}}", "{x: {enabled: true, restart_on: [/etc/x]}}"),
    ],
)
def test_each_deploy_may_say_another_thing_of_what_they_share(repo: Repo, one: str, other: str) -> None:
    kind = one.partition(":")[0]
    repo.write("site.yaml", f"- hosts: web1\n  deploys:\n  - {one}\n  - {{name: b, deploy: {kind}, with: {other}}}\n")
    assert checked(repo.load()) == ()

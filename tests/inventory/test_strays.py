"""A file or a key that nobody reads is complained of, with the name that was meant."""

from __future__ import annotations

import os

import pytest

from tests.inventory.samples import Repo, checked


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("group_vars/wbe.yaml", 'there is no group "wbe", so nobody reads this; did you mean "web"?'),
        ("group_vars/wbe/vars.yaml", 'there is no group "wbe", so nobody reads this; did you mean "web"?'),
        ("host_vars/wbe1.yaml", 'there is no host "wbe1", so nobody reads this; did you mean "web1"?'),
        ("host_vars/web9.yaml", 'there is no host "web9", so nobody reads this; call it after one of the hosts file'),
        ("host_vars/zz.yaml", 'there is no host "zz", so nobody reads this; call it after one of the hosts file'),
        ("group_vars/web1.yaml", 'there is no group "web1", so nobody reads this; move it to host_vars/'),
        ("host_vars/production.yaml", 'there is no host "production", so nobody reads this; move it to group_vars/'),
        ("hostvars/web1.yaml", 'nobody reads this; did you mean "host_vars"?'),
        ("identities", "a folder is expected here; write identities/<host>.pub"),
        ("secrets", "a folder is expected here; write secrets/<group or host>/<name>.age"),
        ("site.json", "nobody reads this; write it in YAML, and call it site.yaml"),
        ("fleet.toml", "nobody reads this; write it in YAML, and call it fleet.yaml"),
        ("sites.yaml", 'nobody reads this; did you mean "site.yaml"?'),
        ("Fleet.yaml", 'nobody reads this; did you mean "fleet.yaml"?'),
        ("tools.yml", 'nobody reads this; did you mean "tools.yaml"?'),
        ("databases.yml", "nobody reads this; files here are hosts.yaml"),
        ("site.yaml.bak", "nobody reads this copy; remove it"),
        ("group_vars/web.yaml.orig", "nobody reads this copy; remove it"),
        ("group_vars/web.yaml~", "nobody reads this copy; remove it"),
        ("host_vars/web1.yaml.1", "nobody reads this copy; remove it"),
    ],
)
def test_a_file_that_nobody_reads_is_told_with_what_was_meant(repo: Repo, file: str, complaint: str) -> None:
    repo.write(file, "a: 1\n")
    (told,) = repo.complaints()
    assert told.startswith(f"{file.split('/', maxsplit=1)[0]}")
    assert complaint in told


def test_of_two_files_for_one_name_the_one_that_does_not_count_is_told(repo: Repo) -> None:
    repo.write_all({"group_vars/web.yml": "a: 1\n", "group_vars/web.yaml": "a: 2\n"})
    assert repo.complaints() == [
        "group_vars/web.yaml: group_vars/web.yml counts, so nobody reads this; keep one of the two"
    ]


def test_a_file_in_a_folder_of_variables_that_does_not_count_is_told(repo: Repo) -> None:
    repo.write_all({"group_vars/web/a.yaml": "a: 1\n", "group_vars/web/b.conf": "", "group_vars/web/a.yaml.bak": ""})
    assert repo.complaints() == [
        "group_vars/web/a.yaml.bak: nobody reads this copy; remove it: Git keeps what was there before",
        "group_vars/web/b.conf: nobody reads this; end its name in .yaml",
    ]


def test_what_people_put_beside_their_files_is_left_alone(repo: Repo) -> None:
    for file in (
        "README.md",
        ".gitkeep",
        "group_vars/README",
        "group_vars/.gitignore",
        "files/app.conf",
        "admins",
        "site.schema.json",
    ):
        repo.write(file, "")
    assert checked(repo.load()) == ()


@pytest.mark.parametrize("file", ["hosts.yaml", "group_vars/all.yaml", "host_vars/web1.yaml"])
def test_a_key_that_stands_twice_is_told(repo: Repo, file: str) -> None:
    repo.write(file, "all: {hosts: {web1: }}\nall: {hosts: {web2: }}\n")
    assert f"{file}:2:1: the key 'all' stands here twice, first in line 1; keep one of the two" in repo.complaints()


@pytest.mark.parametrize("file", ["hosts.yaml", "site.yaml", "fleet.yaml", "tools.yaml", "lock.yaml", "group_vars"])
def test_what_is_no_file_in_the_place_of_one_is_told(repo: Repo, file: str) -> None:
    path = repo.inventory_folder / file
    path.unlink(missing_ok=True)
    if file == "group_vars":
        path.write_text("")
    else:
        os.mkfifo(path)
    (told,) = (line for line in repo.complaints() if line.startswith(file))
    assert "is expected here" in told
    if file != "group_vars":
        path.unlink()
        path.mkdir()
        (path / "x").write_text("")
        assert [line for line in repo.complaints() if line.startswith(file)] == [told]

"""``lookup('file', …)``: Ansible's results over the files of the repository, and nothing outside of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from agent.errors import InventoryError
from agent.inventory.lookups import LIMIT, lookups
from tests.inventory.samples import Repo


@pytest.fixture
def files(repo: Repo) -> Repo:
    repo.write("hosts.yaml", "all: {hosts: {web1: }}\n")
    repo.write("site.yaml", "[]\n")
    repo.write("/files/motd", "\n  two  \nlines {{ not_rendered }}\n\n")
    repo.write("/files/key.pub", "ssh-ed25519 AAAA ann\n")
    repo.write("/files/empty", "")
    return repo


def value(repo: Repo, template: str) -> object:
    repo.write("host_vars/web1.yaml", f"x: >-\n  {template}\n")
    return repo.load().values("web1").settled("x")


@pytest.mark.parametrize(
    "template",
    [
        "{{ lookup('file', 'files/motd') }}",
        "{{ lookup('file', 'files/key.pub', 'files/empty', 'files/key.pub') }}",
        "{{ lookup('file', 'files/motd', rstrip=False) }}",
        "{{ lookup('file', 'files/motd', lstrip=True) | length }}",
        "{{ lookup('file', 'files/motd', wantlist=True) }}",
        "{{ query('file', 'files/key.pub', 'files/motd') }}",
        "{{ q('file', './files/key.pub') | first | split(' ') | last }}",
        "a{{ lookup('file', playbook_dir ~ '/files/key.pub') }}b",
        "{{ ['files/key.pub'] | map('string') | map('length') | first }}{{ lookup('file', 'files/empty') }}",
    ],
)
def test_a_file_of_the_repository_is_what_ansible_makes_of_it(files: Repo, template: str) -> None:
    loader = DataLoader()
    loader.set_basedir(f"{files.root}")
    there = Templar(loader, variables={"playbook_dir": f"{files.root}"}).template(trust_as_template(template))
    assert value(files, template) == there


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("'/etc/passwd'", "takes paths inside the repository"),
        ("'../outside'", "takes paths inside the repository"),
        ("'files/../../outside'", "takes paths inside the repository"),
        ("'~/.ssh/id_rsa'", "takes paths inside the repository"),
        ("5", "takes paths inside the repository"),
        ("'files/link'", "is a link in the config repo, which is not followed"),
        ("'linked/outside'", "there is no file linked/outside in the config repo"),
        ("'files'", "is a folder of the config repo"),
        ("'files/mtd'", "did you mean files/motd?"),
        ("'.git/config'", "there is no file .git/config"),
        ("'files/binary'", "files/binary: "),
        ("'files/large'", f"more than {LIMIT} bytes"),
        ("'files/pointer'", "files/pointer "),
        ("'files/motd', errors='ignore'", "has no errors here"),
    ],
)
def test_nothing_else_is_read(files: Repo, tmp_path: Path, path: str, problem: str) -> None:
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    outside.mkdir()
    (outside / "outside").write_text("not for templates\n")
    (files.root / "linked").symlink_to(outside)
    (files.root / "files/link").symlink_to(outside / "outside")
    (files.root / "files/binary").write_bytes(b"\xff\xfe\x00")
    (files.root / "files/large").write_bytes(b"x" * (LIMIT + 1))
    files.write("/files/pointer", f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n")
    files.write("/.git/config", "[core]\n")
    with pytest.raises(InventoryError) as caught:
        value(files, f"{{{{ lookup('file', {path}) }}}}")
    assert problem in f"{caught.value.message}; {caught.value.hint}"


@pytest.mark.parametrize("call", ["lookup", "query"])
def test_one_call_gives_no_more_than_one_file_may_hold(files: Repo, call: str) -> None:
    files.write("/files/half", "x" * (LIMIT // 2) + "\n")
    template = f"{{{{ {call}('file', *(['files/half'] * %d)) | length }}}}"
    assert value(files, template.replace("%d", "1"))
    with pytest.raises(InventoryError, match=f"more than {LIMIT} characters at once"):
        value(files, template.replace("%d", "2"))


def test_many_calls_for_one_file_hold_its_text_once(files: Repo) -> None:
    query = lookups(files.tree)["query"]
    (first,), (second,) = query("file", "files/motd"), query("file", "files/motd")
    assert first is second


def test_it_has_its_full_name_too(files: Repo) -> None:
    assert value(files, "{{ lookup('ansible.builtin.file', 'files/key.pub') }}") == "ssh-ed25519 AAAA ann"


def test_it_goes_into_files_of_hosts(files: Repo) -> None:
    files.write(
        "site.yaml",
        """
        - hosts: all
          deploys:
            - files: {/etc/motd: {content: "{{ lookup('file', 'files/key.pub') }}\\n"}}
        """,
    )
    (deploy,) = files.load().deploys("web1")
    assert "ssh-ed25519 AAAA ann\n" in f"{deploy.spec}".replace("\\n", "\n")

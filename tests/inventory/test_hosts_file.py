"""A host put into a hosts file: nothing else of it changes, and what cannot be done so is left to a person."""

from __future__ import annotations

import pytest

from agent.inventory.hosts_file import with_host, without_host

FILE = """\
# who there is
all:
  hosts:
    lone: {}   # at the office
  children:
    web:
      hosts:
        web1:
          site_port: 80

        # the second
        web2:
    db:
      # none yet
      hosts: {}   # soon
      vars: {a: 1}
flow: {hosts: {a: }}
"""


ANCHOR = "w:\n  hosts:\n    a: &w\n      x: 1\n    b: *w\n"
ONE_MAPPING = "web:\n  hosts: &h\n    a:\ndb:\n  hosts: *h\n"


@pytest.mark.parametrize(
    ("group", "before", "added"),
    [
        ("web", "        web2:\n", "        new:\n"),
        ("all", "    lone: {}   # at the office\n", "    new:\n"),
        ("db", "      hosts:   # soon\n", "        new:\n"),
    ],
)
def test_a_host_stands_behind_the_last_of_its_group(group: str, before: str, added: str) -> None:
    file = FILE.replace("hosts: {}   # soon", "hosts:   # soon") if group == "db" else FILE
    assert with_host(FILE, group, "new") == file.replace(before, before + added)


def test_a_file_without_a_last_line_end_gets_one() -> None:
    assert with_host("web:\n  hosts:\n    a: {x: 1}", "web", "b") == "web:\n  hosts:\n    a: {x: 1}\n    b:\n"


@pytest.mark.parametrize("text", [FILE, "", "web:\n", "web: {children: {}}\n", "- web\n", ONE_MAPPING])
def test_where_it_cannot_be_done_so_nothing_is(text: str) -> None:
    group = "flow" if text == FILE else "web"
    assert with_host(text, group, "new") is None


@pytest.mark.parametrize(
    ("host", "lines"),
    [
        ("web1", "        web1:\n          site_port: 80\n"),
        ("web2", "        web2:\n"),
        ("lone", "    lone: {}   # at the office\n"),
    ],
)
def test_a_host_that_goes_takes_its_own_lines_along_and_no_other(host: str, lines: str) -> None:
    assert without_host(FILE, host) == FILE.replace(lines, "")


def test_a_host_goes_from_all_of_its_groups() -> None:
    text = "a:\n  hosts:\n    x:\n    y:\n  children:\n    b:\n      hosts:\n        x: {n: 1}\n"
    assert without_host(text, "x") == "a:\n  hosts:\n    y:\n  children:\n    b:\n      hosts:\n"


@pytest.mark.parametrize(
    "text", ["web: {hosts: {a: }}\n", "w:\n  hosts:\n    'a[1:3]':\n", "", "w:\n  hosts: {a: }\n", ANCHOR]
)
def test_a_host_that_has_no_line_of_its_own_is_left_to_a_person(text: str) -> None:
    assert without_host(text, "a") is None
    assert without_host(text, "a2") is None


@pytest.mark.parametrize("file", [FILE, "web:\n  hosts:\n    a:", "web:\n  hosts: {}\n"])
def test_a_file_keeps_its_line_ends(file: str) -> None:
    dos = file.replace("\n", "\r\n")
    changed = with_host(file, "web", "new")
    assert changed is not None
    assert with_host(dos, "web", "new") == changed.replace("\n", "\r\n")
    assert without_host(changed.replace("\n", "\r\n"), "new") == (without_host(changed, "new") or "").replace(
        "\n", "\r\n"
    )


@pytest.mark.parametrize("name", ["123", "true", "null", "1e3", "0x1f", "2026-01-01"])
def test_a_name_that_yaml_reads_as_something_else_goes_in_quotes(name: str) -> None:
    changed = with_host("web:\n  hosts:\n    a:\n", "web", name)
    assert changed in (f"web:\n  hosts:\n    a:\n    '{name}':\n", f"web:\n  hosts:\n    a:\n    {name}:\n")
    assert without_host(changed, name) == "web:\n  hosts:\n    a:\n"

"""Every name that Ansible gives to templates works here as there, or is a complaint that says what to write instead."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.constants import INTERNAL_STATIC_VARS
from ansible.plugins.loader import filter_loader, lookup_loader, test_loader

from agent.errors import InventoryError
from agent.inventory.template import not_here
from agent.inventory.template.sandbox import known
from tests.inventory.samples import Repo
from tests.inventory.test_values_as_ansible import REFUSED, ansible, value_of

ODD, USES = (part.splitlines()[1:] for part in (Path(__file__).parent / "odd_values.txt").read_text().split("\n\n"))
"""Values, and what is put behind each of them."""

_SETS = re.compile(r"\| (union|intersect|difference|symmetric_difference)\(")
"""Ansible gives these in a random order."""

LAZIER = re.compile(
    r"\| (bool|combine|combinations|permutations|xmlattr|(min|max)\(attr)|is (truthy|falsy|in|eq)"
    r"|intersect\('ab'|^\{\{ range\(3\) \| (combine|to_\w*yaml)|\| subelements\(5\)"
)
"""Ansible refuses an undefined part that nobody looks at, a range, or an attribute of the only item; here there is a
value."""

STRICTER = re.compile(r"\| b64decode|\| relpath\('/a'\)|\| from_yaml \| type_debug")
"""What is no UTF-8 is a text with surrogates in Ansible; a relative path counts from its working directory; a range
becomes a list."""


def _differences(repo: Repo, expressions: list[str]) -> Iterator[tuple[str, Any, Any]]:
    texts = {f"v{number}": f"{{{{ {expression} }}}}" for number, expression in enumerate(expressions)}
    repo.write("host_vars/web1.yaml", json.dumps(texts))
    values = repo.load().values("web1")
    for name, text in texts.items():
        there, here = ansible({"x": text}), value_of(values, name)
        if _SETS.search(text) and isinstance(there, list) and isinstance(here, list):
            there, here = sorted(there, key=repr), sorted(here, key=repr)
        if there != here or isinstance(there, bool) != isinstance(here, bool):
            yield text, there, here


@pytest.fixture
def quiet() -> Iterator[None]:
    """Ansible warns of much that is odd."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def _require_alike(repo: Repo, values: list[str]) -> None:
    for text, there, here in _differences(repo, [f"{value} {use}" for value in values for use in USES]):
        lazier = there == REFUSED and LAZIER.search(text)
        stricter = (STRICTER.search(text) and here == REFUSED) or here == "range"
        assert lazier or stricter, f"{text}: Ansible gives {there!r}, and here it is {here!r}"


@pytest.mark.usefixtures("quiet")
def test_odd_values_come_out_as_in_ansible(repo: Repo) -> None:
    _require_alike(repo, ODD[:15:3])


@pytest.mark.usefixtures("quiet")
@pytest.mark.long
def test_all_odd_values_come_out_as_in_ansible(repo: Repo) -> None:
    _require_alike(repo, ODD)


@pytest.mark.parametrize(
    ("loader", "works", "refused"),
    [
        (filter_loader, known("filter"), not_here.FILTERS),
        (test_loader, known("test"), not_here.TESTS),
        (lookup_loader, ("file",), not_here.LOOKUPS),
    ],
    ids=["filter", "test", "lookup"],
)
def test_every_plugin_of_ansible_core_works_or_is_refused_by_name(loader: Any, works: Any, refused: Any) -> None:
    names = {name.rpartition(".")[2] for plugin in loader.all() for name in (plugin.ansible_name,)}
    assert len(names) > 20
    assert names - set(works) - set(refused) == set()
    assert set(works) & set(refused) == set()


def test_every_magic_variable_of_ansible_is_there_or_refused_by_name(repo: Repo) -> None:
    here = repo.load().values("web1")
    assert {name for name in INTERNAL_STATIC_VARS if name not in here and not_here.variable(name) is None} == set()


def _complaint(repo: Repo, expression: str) -> str:
    repo.write("host_vars/web1.yaml", json.dumps({"x": f"{{{{ {expression} }}}}"}))
    with pytest.raises(InventoryError) as caught:
        repo.load().values("web1").settled("x")
    return f"{caught.value.message}; {caught.value.hint}"


@pytest.mark.parametrize(
    ("names", "use"),
    [
        (not_here.FILTERS, "5 | {}"),
        (not_here.TESTS, "5 is {}"),
        (not_here.LOOKUPS, "lookup('ansible.builtin.{}', 5)"),
        (not_here.VARIABLES, "{}"),
    ],
    ids=["filter", "test", "lookup", "variable"],
)
def test_each_name_that_is_not_there_is_a_complaint_with_its_reason_and_remedy(
    repo: Repo, names: Any, use: str
) -> None:
    texts = {f"v{number}": f"{{{{ {use.format(name)} }}}}" for number, name in enumerate(names)}
    repo.write("host_vars/web1.yaml", json.dumps(texts))
    values = repo.load().values("web1")
    for variable, fault in zip(texts, names.values(), strict=True):
        with pytest.raises(InventoryError) as caught:
            values.settled(variable)
        assert fault.problem in caught.value.message
        assert caught.value.hint == fault.remedy


@pytest.mark.parametrize("expression", ["ansible_distribution", "ansible_check_mode", "play_hosts"])
def test_a_variable_that_only_ansible_sets_is_no_case_for_a_default(repo: Repo, expression: str) -> None:
    """Ansible would give its value, and here the default would quietly take its place."""
    assert "here: " in _complaint(repo, f"{expression} | default('d')")
    assert "here: " in _complaint(repo, f"hostvars['web2'].{expression} | default('d')")


def test_a_variable_of_the_connection_has_a_default_as_in_ansible(repo: Repo) -> None:
    repo.write("host_vars/web1.yaml", "x: \"{{ hostvars['web2']['ansible_host'] | default('d') }}\"")
    assert repo.load().values("web1").settled("x") == "d"


def test_an_inventory_may_set_what_ansible_sets(repo: Repo) -> None:
    repo.write("host_vars/web1.yaml", 'ansible_distribution: Debian\nx: "{{ ansible_distribution }}"')
    assert repo.load().values("web1").settled("x") == "Debian"


@pytest.mark.long
def test_every_fact_that_ansible_gathers_is_refused_by_name() -> None:
    command = [Path(sys.executable).with_name("ansible"), "-i", "localhost,", "-c", "local", "all", "-m", "setup"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    facts = json.loads(done.stdout.partition("=>")[2])["ansible_facts"]
    of_devices = {f"ansible_{name.replace('-', '_')}" for name in facts["ansible_interfaces"]}
    names = {name for name in facts if name.startswith("ansible_")} - of_devices
    assert len(names) > 50
    assert {name for name in names if not_here.variable(name) is None} == set()


def test_a_filter_of_an_unknown_collection_is_refused_without_a_guess(repo: Repo) -> None:
    assert "; collections of Ansible are not read here: " in _complaint(repo, "5 | acme.net.fitler")

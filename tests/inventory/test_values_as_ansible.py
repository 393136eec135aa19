"""Ansible 2.19 is the oracle for templates: what each one stands for, and what each filter and test gives."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.filter import core as core_filters
from ansible.plugins.filter import mathstuff as number_filters
from ansible.plugins.loader import init_plugin_loader
from ansible.plugins.test import core as core_tests
from ansible.plugins.test import files as file_tests
from ansible.plugins.test import mathstuff as set_tests
from ansible.plugins.test import uri as uri_tests
from ansible.template import Templar, trust_as_template
from jinja2 import TemplateError

from agent.errors import InventoryError
from agent.inventory.template.filters import registry
from agent.inventory.template.render import HostValues
from tests.inventory.samples import Repo

init_plugin_loader([])

REFUSED = "refused"


def ansible(variables: dict[str, Any]) -> Any:
    """What Ansible makes of the variable ``x``."""
    try:
        return Templar(DataLoader(), variables=_trusted(variables)).template(trust_as_template("{{ x }}"))
    except Exception:  # of many classes of its own
        return REFUSED


def ours(repo: Repo, variables: dict[str, Any]) -> Any:
    repo.write("host_vars/web1.yaml", json.dumps(variables))
    return value_of(repo.load().values("web1"), "x")


def value_of(values: HostValues, name: str) -> Any:
    try:
        return values.settled(name)
    except InventoryError:
        return REFUSED


def _trusted(value: Any) -> Any:
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: _trusted(item) for key, item in value.items()}
    return [_trusted(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "variables",
    [
        # None puts out nothing, and a template that puts out nothing is None
        {"x": "http_proxy={{ p }}\n", "p": None},
        {"x": "{{ p }}{{ p }}", "p": None},
        {"x": "a{{ none }}b"},
        {"x": "{% if t %}{{ l }}{% endif %}", "t": False, "l": [1]},
        {"x": "{% set y = 5 %}"},
        {"x": "{{ y ~ 'a' }}", "y": None},
        {"x": "{{ [y, none] }}", "y": None},
        # one thing put out is that object
        {"x": "{{ n }}\n", "n": 5},
        {"x": "{{ n }}\n\n", "n": 5},
        {"x": "{{ l }}\n", "l": [1, 2]},
        {"x": "{{ s }}\n", "s": "text"},
        {"x": "{{ s }}\n", "s": "text\n"},
        {"x": "{% if t %}{{ l }}{% endif %}", "t": True, "l": [1, 2]},
        {"x": "{% if t %}  {{ l }}{% endif %}", "t": True, "l": [1, 2]},
        {"x": "{% if t %}5{% endif %}", "t": True},
        {"x": "{% if t %}{{ 5 }}{% endif %}", "t": True},
        {"x": "{% set y = l %}{{ y }}", "l": [1, 2]},
        {"x": "{% for i in l %}{{ i }}{% endfor %}", "l": [1]},
        {"x": "{% for i in l %}{{ i }}{% endfor %}", "l": [1, 2]},
        {"x": "{% macro m() %}{{ 5 }}{% endmacro %}{{ m() }}"},
        {"x": "{# why #}{{ y }}", "y": [1]},
        {"x": "{{ '' }}{{ y }}", "y": [1]},
        {"x": " {{ y }}", "y": 5},
        {"x": "{{ y }}a", "y": [1, None, True, 'a"b', {"k": None}]},
        {"x": "{{ a }}-{{ b }}", "a": 1.0, "b": 1e22},
        {"x": "{% if true %}\nq\n{% endif %}\n"},
        # only what is asked for renders, part by part
        {"x": "{{ opts.a }}", "opts": {"a": 1, "b": "{{ per_host }}"}},
        {"x": "{{ opts }}", "opts": {"a": 1, "b": "{{ per_host }}"}},
        {"x": "{{ opts.a }}", "opts": {"a": "{{ opts.b }}", "b": 5}},
        {"x": "{{ opts.a }}", "opts": {"a": "{{ opts }}", "b": 5}},
        {"x": "{{ opts.keys() | list }}", "opts": {"a": "{{ nope }}"}},
        {"x": "{{ opts.items() | list }}", "opts": {"a": "{{ z }}"}, "z": 1},
        {"x": "{{ opts.get('a', 'd') }}", "opts": {"a": "{{ z }}"}, "z": 1},
        {"x": "{{ dict(opts, b=1) }}", "opts": {"a": "{{ z }}"}, "z": 1},
        {"x": "{{ opts | combine({'b': 1}) }}", "opts": {"a": "{{ z }}"}, "z": 1},
        {"x": "{{ l | length }}", "l": ["{{ nope }}"]},
        {"x": "{{ l[1] }}", "l": ["{{ nope }}", 2]},
        {"x": "{{ l[1:] }}", "l": ["{{ nope }}", 2]},
        {"x": "{{ l + [1] }}", "l": ["{{ z }}"], "z": 5},
        {"x": "{{ [1] + l }}", "l": ["{{ z }}"], "z": 5},
        {"x": "{{ l == [5] }}", "l": ["{{ z }}"], "z": 5},
        {"x": "{{ l != [5] }}", "l": ["{{ z }}"], "z": 5},
        {"x": "{{ [5] != l }}", "l": ["{{ z }}"], "z": 5},
        {"x": "{{ opts != {'a': 5} }}", "opts": {"a": "{{ z }}"}, "z": 5},
        {"x": "{{ 5 in l }}", "l": ["{{ z }}"], "z": 5},
        {"x": "{{ l | join(',') }}", "l": ["{{ z }}", 2], "z": 1},
        {"x": "{{ l | map('upper') | list }}", "l": ["{{ z }}"], "z": "q"},
        {"x": "{{ l | selectattr('a', 'eq', 'q') | list }}", "l": [{"a": "{{ z }}"}], "z": "q"},
        {"x": "{{ l | sort | first }}", "l": ["{{ z }}", 3], "z": 5},
        {"x": "{{ l | last }}", "l": ["{{ nope }}", "{{ z }}"], "z": 5},
        {"x": "{{ l | to_json }}", "l": ["{{ z }}"], "z": 5},
        # what is undefined has a default, whatever it is undefined by
        {"x": "{{ bad | default('d') }}", "bad": "{{ nope }}"},
        {"x": "{{ bad | default('d') }}", "bad": "a{{ nope }}"},
        {"x": "{{ bad | default('d', true) }}", "bad": "{{ nope.foo }}"},
        {"x": "{{ bad is defined }}", "bad": "{{ nope }}"},
        {"x": "{{ bad is defined }}", "bad": ["{{ nope }}"]},
        {"x": "{{ bad }}", "bad": ["{{ nope }}"]},
        {"x": "{{ bad | default('d') }}", "bad": "{{ 1 / 0 }}"},
        {"x": "{{ bad | default('d') }}", "bad": "{{ 1"},
        {"x": "{{ svc.tls.enabled | default(false) }}", "svc": {}},
        {"x": "{{ svc.tls.enabled is defined }}", "svc": {}},
        {"x": "{{ svc.tls.enabled }}", "svc": {}},
        {"x": "{{ l[5] | default(1) }}", "l": []},
        {"x": "{{ y.z | default('d') }}", "y": {"z": "{{ nope }}"}},
        {"x": "{{ y.z.w | default('d') }}", "y": {"z": "{{ nope }}"}},
        {"x": "{{ y | default(z) }}", "z": "{{ nope | default('in') }}"},
        # a filter or a call passes on what is undefined, a test refuses it
        {"x": "{{ nope | int | default(80) }}"},
        {"x": "{{ nope | map('upper') | list | default([1]) }}"},
        {"x": "{{ 'a' | replace('a', nope) | default(1) }}"},
        {"x": "{{ nope | to_json | default('d') }}"},
        {"x": "{{ nope.upper() | default('d') }}"},
        {"x": "{{ range(nope) | default('d') }}"},
        {"x": "{{ '-'.join(nope) }}"},
        {"x": "{% macro m(a) %}{{ a | default('d') }}{% endmacro %}{{ m(nope) }}"},
        {"x": "{% if nope is none %}a{% endif %}"},
        {"x": "{{ nope is not none }}"},
        {"x": "{{ nope is string }}"},
        {"x": "{{ none is sameas nope }}"},
        {"x": "{{ [{}] | rejectattr('a', 'none') | list }}"},
        {"x": "{{ [{}] | rejectattr('a', 'defined') | list }}"},
        # an `if` without an `else` is nothing in a text, and no value alone
        {"x": "a{{ 'b' if f }}c", "f": False},
        {"x": "{{ 'b' if f }}", "f": False},
        {"x": "{{ ['b' if f] }}", "f": False},
        {"x": "{{ ['a', 'b'] | map('extract', o) | select('defined') | list }}", "o": {"a": "{{ z }}"}, "z": 1},
        {"x": "{{ ['a', 'b'] | map('extract', o, 'c') | map('default', 0) | list }}", "o": {"a": {"c": 1}}},
        {"x": "{{ 'b' | extract(o) }}", "o": {}},
        # the names in collections
        {"x": "{{ [1, 2] | ansible.builtin.union([2]) | length }}"},
        {"x": "{{ ['a'] | map('ansible.builtin.upper') | list }}"},
        {"x": "{{ 'ab' is ansible.builtin.match('a') }}"},
        {"x": "{{ nope | bool }}"},
        {"x": "{{ nope | ternary(1, 2) }}"},
        {"x": "{{ a }}", "a": "{{ x }}"},
    ],
    ids=lambda variables: variables["x"],
)
def test_a_template_stands_for_what_ansible_says(repo: Repo, variables: dict[str, Any]) -> None:
    assert ours(repo, variables) == ansible(variables)


EXPRESSIONS = (Path(__file__).parent / "expressions.txt").read_text().splitlines()
"""What real inventories ask of filters and tests: one a line, as it stands between the braces."""


def test_filters_and_tests_give_what_ansible_gives(repo: Repo) -> None:
    texts = {f"v{number}": f"{{{{ {expression} }}}}" for number, expression in enumerate(EXPRESSIONS)}
    repo.write("host_vars/web1.yaml", json.dumps(texts))
    values = repo.load().values("web1")
    found = {text: value_of(values, name) for name, text in texts.items()}
    assert found == {text: ansible({"x": text}) for text in texts.values()}


@pytest.mark.parametrize("name", ["union", "intersect", "difference", "symmetric_difference"])
def test_sets_hold_what_ansible_says_in_the_order_of_the_lists(repo: Repo, name: str) -> None:
    variables = {"x": f"{{{{ [3, 1, 2, 3] | {name}([2, 5, 4]) }}}}"}
    found = ours(repo, variables)
    assert sorted(found) == sorted(ansible(variables))
    assert found == [item for item in (3, 1, 2, 5, 4) if item in found]


@pytest.mark.parametrize(
    "expression",
    [
        "lookup('env', 'HOME')",
        "query('url', 'https://example.org')",
        "now()",
        "'*' | fileglob",
        "'~' | expanduser",
        "5 | random",
        "'/etc' is exists",
        "[1, 2] | shuffle",
        "'%Y' | strftime",
        "'a' | password_hash",
    ],
)
def test_what_differs_at_each_rendering_is_a_complaint_with_a_remedy(repo: Repo, expression: str) -> None:
    repo.write("host_vars/web1.yaml", json.dumps({"x": f"{{{{ {expression} }}}}"}))
    with pytest.raises(InventoryError) as caught:
        repo.load().values("web1").settled("x")
    told = f"{caught.value.message}; {caught.value.hint}"
    assert re.search(r"write the value into|write (the value )?down|give a seed|give a salt|give the time", told)


def test_facts_are_a_complaint_that_says_what_to_do_instead(repo: Repo) -> None:
    repo.write("host_vars/web1.yaml", "x: '{{ ansible_os_family }}'")
    with pytest.raises(InventoryError) as caught:
        repo.load().values("web1").settled("x")
    assert caught.value.message.endswith('"ansible_os_family" here: facts are not gathered')
    assert caught.value.hint == "set a variable, or look at the host in a deploy file"


def test_every_pure_filter_and_test_of_ansible_core_is_there() -> None:
    of_jinja = {*("d", "default", "groupby", "map", "reject", "rejectattr", "select", "selectattr")}
    of_jinja |= {"defined", "undefined"}
    of_tasks = {*("change", "changed", "failed", "failure", "finished", "reachable", "skip", "skipped", "started")}
    of_tasks |= {*("succeeded", "success", "successful", "timedout", "unreachable", "vault_encrypted", "vaulted_file")}
    theirs = core_filters.FilterModule().filters().keys() | number_filters.FilterModule().filters().keys()
    assert theirs - of_jinja - registry.FILTERS.keys() == set()
    tests = {name for module in (core_tests, file_tests, set_tests, uri_tests) for name in module.TestModule().tests()}
    assert tests - of_jinja - of_tasks - registry.CONDITIONS.keys() == set()


OPENSSL = {
    "sha512": "$6$saltsalt$8gzUrz5S2/0AfMGfui2LllQQ2fwu.jYnAVGef2XY7gAo0jNFrzHsTq9lMr2ze7QvIJxr4BYOKdgDpx4Va9Atb1",
    "sha256": "$5$saltsalt$Mtm6KOxb.PwaKES1sp80SDYOu1T0RdwsBVakhLiqA64",
    "md5": "$1$saltsalt$MzDjbImyzEz2m0NTiPzNW/",
}
"""What `openssl passwd` makes of `a`; Ansible has no hashes without passlib."""


@pytest.mark.parametrize("method", OPENSSL)
def test_a_password_hash_is_that_of_openssl(method: str) -> None:
    assert registry.FILTERS["password_hash"]("a", method, "saltsalt") == OPENSSL[method]


def test_address_filters_give_what_the_collection_gives() -> None:
    """addresses.json: a filter, its value and arguments, and what ansible.utils 6.0.0 with netaddr 1.3.0 gave."""
    cases = json.loads((Path(__file__).parent / "addresses.json").read_text())
    found = [[name, value, args, registry.FILTERS[name](value, *args)] for name, value, args, _ in cases]
    assert found == cases


def test_an_address_that_is_asked_for_something_unknown_is_refused() -> None:
    with pytest.raises(TemplateError, match="none of address"):
        registry.FILTERS["ipaddr"]("192.0.2.1", "adress")

"""Templates: what strings become, once, lazily, within bounds."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import InventoryError
from tests.inventory.samples import Repo


def value(repo: Repo, text: str, *, host: str = "web1") -> object:
    repo.write("host_vars/web1.yaml", text)
    return repo.load().values(host).settled("x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: '{{ y }}'\ny: [1, {a: 2}]", [1, {"a": 2}]),
        ("x: '{{ y }} '\ny: 5", "5 "),
        ("x: '{{ y }}{{ y }}'\ny: 5", "55"),
        ("x: '{{- y -}}'\ny: 5", 5),
        ("x: '{# why #}{{ y }}'\ny: 5", 5),
        ("x: '{{ none }}'", None),
        ("x: '{{ y }}'\ny: '007'", "007"),
        ("x: 'n={{ y }}'\ny: true", "n=True"),
        ("x: [a, '{{ y }}', {b: '{{ y }}'}]\ny: 5", ["a", 5, {"b": 5}]),
        ("x: {'{{ y }}': 1}\ny: 5", {"{{ y }}": 1}),
        ("x: '{{ \"{{ y }}\" }}'\ny: 5", "{{ y }}"),
        ("x: '{{ y }}'\ny: !unsafe '{{ z }}'", "{{ z }}"),
        ("x: '{% raw %}{{ y }}{% endraw %}'", "{{ y }}"),
        ("x: '{{ y.items() | list }}'\ny: {a: 1}", [["a", 1]]),
        ("x: '{{ y | map(\"upper\") }}'\ny: [a]", ["A"]),
        ("x: '{{ nowhere | default(3) }}'", 3),
        ("x: '{{ inventory_hostname }}'\ninventory_hostname: other", "web1"),
        ("x: '{{ group_names }}'", ["production", "web"]),
        ("x: '{{ inventory_dir }}/a {{ playbook_dir }}/b'", "inventories/demo/a ./b"),
        ("x: '{{ groups.web | length }}'", 3),
        ("x: '{{ hostvars.db1.owner ~ hostvars[\"web2\"].inventory_hostname }}'", "annweb2"),
        ("x: '{{ hostvars | length }}'", 4),
        ("x: '{{ ports[80] }}'\nports: {80: http}", "http"),
        ("x: |\n  {% if owner %}\n  Hello {{ owner }}\n  {% endif %}\n  Bye\n", "Hello ann\nBye\n"),
    ],
)
def test_a_string_becomes(repo: Repo, text: str, expected: object) -> None:
    assert value(repo, text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x: '{{ ownr }}'", "host_vars/web1.yaml:1:4: 'ownr' is undefined"),
        ("x: '{{ y.z }}'\ny: {}", 'nothing in there is called "z"'),
        ("x: '{{ y }}'\ny: 'a{{ z }}'\nz: '{{ x }}'", "these variables need each other: x → y → z → x"),
        ("x: '{{ hostvars.web1.x }}'", "these variables need each other: x → x"),
        ("x: '{{ secret(\"a/b\") }}'", "there is no inventories/demo/secrets/a/b.age"),
        ("x: '{{ y'", "{{ opens here and is never closed"),
        ("x: '{{ 1 / 0 }}'", "this divides by zero"),
        ("x: '{{ y | nofilter }}'", 'there is no filter "nofilter"'),
        ("x: '{{ range }}'", "the expression gives a function, which is no value"),
        ("x: '{{ hostvars.nobody }}'", "nobody"),
        ("x: \"{% include '/etc/passwd' %}\"", "a template takes in no other file"),
        ("x: \"{{ ''.__class__ }}\"", 'a template may not use "__class__"'),
        ("x: '{{ y.append(1) }}'\ny: []", "append() would change a value"),
        ("x: \"{{ secret('a/b', binray=true) }}\"", "secret() has no argument binray"),
        ("x: \"{{ sops('a', kye='b') }}\"", "sops() has no argument kye"),
        ("x: \"{{ vault('a', kye='b') }}\"", "vault() has no argument kye"),
        ("x: '{{ [y] | join(1, 2, 3) }}'\ny: 1", "join() is given too many arguments, or too few"),
        ("x: '{{ 4 is divisibleby }}'", "divisibleby() is given too many arguments, or too few"),
        ("x: '{{ hostvar }}'", "'hostvar' is undefined"),
        ("x: |\n  a\n  {{ nix }}\n", "line 2 of the text: 'nix' is undefined"),
    ],
)
def test_a_template_that_does_not_render_is_said_with_its_place(repo: Repo, text: str, problem: str) -> None:
    with pytest.raises(InventoryError) as caught:
        value(repo, text)
    assert problem in caught.value.message


def test_the_variables_of_a_host_are_a_mapping_without_hostvars(repo: Repo) -> None:
    whole = value(repo, "x: '{{ hostvars.db1 }}'")
    assert isinstance(whole, dict)
    assert (whole["owner"], whole["group_names"], "hostvars" in whole) == ("ann", ["production"], False)
    assert value(repo, "x: '{{ hostvars.db1.hostvars.web1.owner }}'") == "ann"


def test_the_short_name_of_a_host_ends_at_the_first_dot(repo: Repo) -> None:
    repo.write("hosts.yaml", "all: {hosts: {web1.example.org: {x: '{{ inventory_hostname_short }}'}}}")
    assert repo.load().values("web1.example.org")["x"] == "web1"


def test_the_nearest_variable_is_named(repo: Repo) -> None:
    with pytest.raises(InventoryError) as caught:
        value(repo, "x: '{{ ownr }}'")
    assert caught.value.hint == 'did you mean "owner"?'


@pytest.mark.parametrize(
    "expression",
    [
        "{{ 'x' * 10**9 }}",
        "{{ [1] * 10**9 }}",
        "{{ 9 ** 99999 }}",
        "{{ range(10**9) | list }}",
        "{{ 'x' | center(10**9) }}",
        "{{ 'x'.ljust(10**9) }}",
        "{{ '%1000000000d' % 5 }}",
        "{{ '%*d' % (1000000000, 5) }}",
        "{{ '%1000000000d' | format(5) }}",
        "{{ '{:>1000000000}'.format(5) }}",
        "{{ [1] | batch(10**9, 0) | list }}",
        "{{ ('x' * 10000) | replace('x', 'x' * 10000) }}",
        "{{ ('x' * 10000).replace('x', 'x' * 10000) }}",
        "{{ ('x' * 10000).join(['y'] * 10000) }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(x='xxxxxxxx') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
        "{% set n = namespace(x='xxxxxxxx') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
        "{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = n.x + ['x' * 99999] %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for i in range(9999) %}{{ 'x' * 1000 }}{% endfor %}",
        "{{ [[1] * 9000] * 9000 }}",
        "{{ (['x' * 1000] * 9000) | join }}",
        "{{ {'a': 1} | to_nice_json(indent=900000000) }}",
        "{{ {'a': 1} | tojson(900000000) }}",
        "{{ ('\\n' * 100000) | indent(10000, blank=true) }}",
        "{{ 'x' | comment(prefix_count=10**9) }}",
        "{{ range(10000) | permutations }}",
        "{{ [1] | product(repeat=10**9) }}",
        "{{ 'x' | password_hash('sha512', 'abcdefgh', rounds=999999999) }}",
        "{{ 'x' | password_hash('blowfish', 'abcdefghijklmnopqrstuu', rounds=31) }}",
    ],
)
def test_a_template_cannot_take_the_machine_with_it(repo: Repo, expression: str) -> None:
    begun = time.process_time()
    with pytest.raises(InventoryError):
        value(repo, f'x: "{expression}"')
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    "expression",
    [
        "{{ ('a' * 40 ~ 'b') | regex_search('(a+)+$') }}",
        "{{ ('a' * 60) is match('(a|aa)+c') }}",
        "{{ range(9999) | list | unique | length }}",
    ],
)
def test_what_no_step_bounds_is_bounded_by_its_cpu_time(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, expression: str
) -> None:
    monkeypatch.setattr("agent.inventory.template.bounds.CPU_LIMIT_S", 0.05)
    with pytest.raises(InventoryError, match=r"web1\.yaml:1:4: this takes more than 0\.05 s of CPU$") as caught:
        value(repo, f'x: "{expression}"')
    assert caught.value.hint.startswith("make texts and lists shorter")


@pytest.mark.parametrize(
    "expression",
    [
        "{{ ('a' * 10000).translate({97: 'x' * 100000}) | length }}",
        "{{ ('{0}' * 1000).format('x' * 1000000) | length }}",
        "{{ ('%(a)s' * 3000) | format(a='x' * 1000000) | length }}",
        "{{ ('x' * 10000) | regex_replace('x', 'y' * 10000) | length }}",
        "{{ ('x' * 100000) | regex_findall('(?=(.*))') | length }}",
        "{{ range(9999) | map('regex_replace', '^', 'x' * 200000) | list | length }}",
        "{{ range(9999) | map('regex_replace', '^', 'x' * 200000) }}",
        "{{ range(9999) | zip(range(9999)) | map('join', 'x' * 100000) | list | length }}",
        "{% for i in range(9999) %}{% set n.x = [n.x, 'x' * 200000] %}{% endfor %}",
        "{% for i in range(9999) %}{% set n.x = {'a': n.x, 'b': 'x' * 200000} %}{% endfor %}",
        "{% for i in range(9999) %}{% set n.x = n.x | combine({i: 'x' * 200000}) %}{% endfor %}",
        "{% for i in range(9999) %}{% set t %}{{ y }}{{ i }}{% endset %}{% set n.x = [n.x, t] %}{% endfor %}",
        "{% macro m(i) %}{{ y }}{{ i }}{% endmacro %}{% for i in range(9999) %}{% set n.x = [n.x, m(i)] %}{% endfor %}",
    ],
)
def test_whatever_makes_it_a_value_is_bounded_by_its_memory(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, expression: str
) -> None:
    monkeypatch.setattr("agent.inventory.template.bounds.MEMORY_LIMIT", 32 * 1024 * 1024)
    repo.write("group_vars/all.yaml", "y: \"{{ 'y' * 200000 }}\"\n")
    with pytest.raises(InventoryError, match=r"web1\.yaml:1:4: this takes more than \d+ MiB of memory$") as caught:
        value(repo, f'x: "{{% set n = namespace(x={{}}) %}}{expression}"')
    assert caught.value.hint.startswith("make texts and lists shorter")


def test_complaints_about_memory_hold_none_of_it(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.inventory.template.bounds.MEMORY_LIMIT", 64 * 1024 * 1024)
    repo.write("host_vars/web1.yaml", "".join(f'x{n}: "{{{{ [y{n}] }}}}"\n{_gathering(n)}' for n in range(8)))
    values = repo.load().values("web1")
    before, kept = _data_of_this_process(), []
    for n in range(8):
        with pytest.raises(InventoryError, match="MiB of memory") as caught:
            values.settled(f"x{n}")
        kept.append(caught.value)
    assert len(kept) == 8
    assert _data_of_this_process() - before < 4 * 64 * 1024 * 1024


def _gathering(number: int) -> str:
    return (
        f'y{number}: "{{% set n = namespace(x=[]) %}}'
        "{% for i in range(9999) %}{% set n.x = n.x + ['x' * 99999] %}{% endfor %}\"\n"
    )


def _data_of_this_process() -> int:
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("{{ 'http://{}/x'.format('a') }}", "http://a/x"),
        ("{{ '{}:{}'.format('a', 80) }}", "a:80"),
        ("{{ 'a: {0}, b: {1}'.format(1, 2) }}", "a: 1, b: 2"),
        ("{{ '{}:10443'.format('a') }}", "a:10443"),
        ("{{ '{:>{}}'.format('a', 3) }}", "  a"),
        ("{{ '%s %%d: 10443' % 'a' }}", "a %d: 10443"),
        ("{{ '\\n' * 300000 }}", "\n" * 300000),
        ("{{ range(20000) | length }}", 20000),
        ("{{ range(100000, 165536) | length }}", 65536),
        ("{{ 'abc' | truncate(65536) }}", "abc"),
        ("{{ 'a b' | wordwrap(100000) }}", "a b"),
        ("{{ [1] | batch(20000) | list }}", [[1]]),
        ("{{ 'x,y'.split(',', 100000) }}", ["x", "y"]),
        ("{{ 'abc'.find('c', 0, 100000) }}", 2),
        ("{% set a = ['x' * 1000000] * 100 %}{{ (a + a) | length }}", 200),
        ("{% set a = ['x' * 60] * 500 %}{% for i in range(3000) %}{% set b = a + a %}{% endfor %}ok", "ok"),
    ],
)
def test_an_ordinary_expression_is_within_all_bounds(repo: Repo, expression: str, expected: object) -> None:
    assert value(repo, f'x: "{expression}"') == expected


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("{{ range(10**9) }}", "range(0, 1000000000) has 1000000000 numbers, and 1000000 is the most"),
        ("{{ 9 ** 99999 }}", "a number of about 399996 bits, and 10000 is the most"),
        ("{{ 2.5 | round(10**7, 'floor') }}", "round: 10000000 digits, and 10000 is the most"),
    ],
)
def test_a_number_that_is_too_large_is_said_with_its_bound(repo: Repo, expression: str, problem: str) -> None:
    with pytest.raises(InventoryError) as caught:
        value(repo, f'x: "{expression}"')
    assert problem in caught.value.message


def test_no_other_thread_renders_for_nothing_would_bound_it(repo: Repo) -> None:
    usual = resource.getrlimit(resource.RLIMIT_DATA)[0]
    with ThreadPoolExecutor(1) as pool, pytest.raises(InventoryError, match="only the main thread"):
        pool.submit(value, repo, "x: '{{ 1 }}'").result(timeout=60)
    assert value(repo, "x: '{{ 1 }}'") == 1
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == usual


def test_variables_that_multiply_each_other_end_in_a_complaint(repo: Repo) -> None:
    layers = "\n".join(f"v{n}: ['{{{{ v{n + 1} }}}}', '{{{{ v{n + 1} }}}}']" for n in range(40))
    with pytest.raises(InventoryError, match="renders to more than"):
        value(repo, f"x: '{{{{ v0 }}}}'\n{layers}\nv40: 1\n")


def test_a_variable_renders_once_however_often_it_is_asked_for(repo: Repo) -> None:
    values = repo.load().values("web1")
    assert values["group_names"] is values["group_names"]


def test_a_template_file_that_does_not_render_is_named_with_its_line(repo: Repo) -> None:
    sources = repo.load().sources("web1")
    with pytest.raises(InventoryError, match=r"^dotfiles/common/gitconfig.j2:3:1: 'nix' is undefined$"):
        sources.render("a\nb\n{{ nix }}\n", "dotfiles/common/gitconfig.j2")


def test_a_first_line_with_options_of_ansible_s_templates_is_refused(repo: Repo) -> None:
    sources = repo.load().sources("web1")
    with pytest.raises(InventoryError, match=r"^x\.j2:1:1: #jinja2: lstrip_blocks: True sets options") as caught:
        sources.render("#jinja2: lstrip_blocks: True\n  {% if true %}\na\n  {% endif %}\n", "x.j2")
    assert caught.value.hint.startswith("remove the line")


def test_a_template_file_keeps_its_last_newline(repo: Repo) -> None:
    assert repo.load().sources("web1").render("name = {{ owner }}\n", "x.j2") == "name = ann\n"


def test_a_variable_of_another_host_is_read_whatever_its_name(repo: Repo) -> None:
    repo.write("host_vars/db1.yaml", "part: 1\nsettled: 2\nfunctions: 3")
    repo.write("host_vars/web1.yaml", "x: '{{ [hostvars.db1.part, hostvars.db1.settled, hostvars.db1.functions] }}'")
    assert repo.load().values("web1").settled("x") == [1, 2, 3]


@pytest.mark.parametrize("name", ["functions", "nodes", "part", "rendered", "settled", "text"])
def test_a_variable_that_another_host_does_not_have_is_undefined_whatever_its_name(repo: Repo, name: str) -> None:
    asked = f"[hostvars.db1.{name} is defined, hostvars['db1']['{name}'] is defined, hostvars.db1.{name} | default(1)]"
    repo.write("host_vars/web1.yaml", f'x: "{{{{ {asked} }}}}"')
    assert repo.load().values("web1").settled("x") == [False, False, 1]

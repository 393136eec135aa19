"""Ansible 2.19 is the oracle: hosts, groups, variables and patterns mean here what they mean there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import InventoryError
from agent.system.document import plain
from tests.drawing import cases
from tests.inventory.oracle import Oracle
from tests.inventory.samples import Repo

CASES: dict[str, dict[str, str]] = {
    "ranges with padding, steps and letters": {
        "hosts.yaml": """
            all:
              hosts: {"a[01:12:3]": , "b[0:3]-[a:c].example.org": , "c[x:z:2]": {port: 1}, "d1:2222": , "e[8:10]": }
            """
    },
    "a host of all alone is ungrouped": {
        "hosts.yaml": "all: {hosts: {lone: , web1: }, children: {web: {hosts: {web1: }}}}"
    },
    "ungrouped named aloud": {"hosts.yaml": "ungrouped: {hosts: {a: , b: }}\nweb: {hosts: {b: }}"},
    "groups beside all": {
        "hosts.yaml": "web: {hosts: {a: }}\nall: {vars: {x: 1}}\nempty:\nparent: {children: {web: }}"
    },
    "a child and a host as plain strings": {"hosts.yaml": "all: {children: web}\nweb: {hosts: a}"},
    "deeper groups win, then priority, then the name": {
        "hosts.yaml": """
            all:
              vars: {x: all, y: all}
              children:
                outer: {vars: {x: outer, y: outer}, children: {inner: {hosts: {a: }, vars: {x: inner}}}}
                beta: {vars: {y: beta, z: beta}, hosts: {a: }}
                alpha: {vars: {z: alpha, ansible_group_priority: 5}, hosts: {a: }}
            """
    },
    "group_vars win over the inventory, all of them after all groups": {
        "hosts.yaml": "all: {vars: {x: 1}, children: {web: {hosts: {a: {h: 1}}, vars: {x: 2, y: 2}}}}",
        "group_vars/all.yml": "x: 3\ny: 3\n",
        "group_vars/web.yaml": "y: 4\n",
        "host_vars/a.json": '{"h": 5, "n": 1e5, "t": "{{ x }}"}',
    },
    "a vars folder: sorted, nested, without hidden files, backups and other extensions": {
        "hosts.yaml": "all: {hosts: {a: }}",
        "group_vars/all/b.yml": "x: b\nb: 1\n",
        "group_vars/all/a/z.yaml": "x: a\na: 1\n",
        "group_vars/all/.hidden.yml": "hidden: 1\n",
        "group_vars/all/c.yml~": "backup: 1\n",
        "group_vars/all/d.txt": "text: 1\n",
        "group_vars/all/plain": "plain: 1\n",
        "group_vars/all/e.d/f.yml": "dotted: 1\n",
        "group_vars/all.yml": "loses: 1\n",
    },
    "the extension-less file comes before .yml, .yml before .yaml": {
        "hosts.yaml": "all: {hosts: {a: , b: }}",
        "host_vars/a": "x: none\n",
        "host_vars/a.yml": "x: yml\n",
        "host_vars/b.yaml": "x: yaml\n",
        "host_vars/b.yml": "x: yml\n",
        "host_vars/b.json": '{"x": "json"}',
    },
    "YAML 1.1 values": {
        "hosts.yaml": """
            all:
              hosts:
                a: {o: 017, x: 0x1F, s: 1:30, e: 1e5, f: 1.5, y: yes, n: ~, d: 2026-01-02, t: 2026-01-02T03:04:05Z,
                    i: 10.0.0.1, u: !unsafe "{{ x }}", str: !!str 5, k: {3: a, true: b, ~: c, 2.5: d}, empty: "",
                    m: {<<: {p: 1, q: 2}, q: 3}, l: &l [1, {a: b}], again: *l, big: 1_000}
            """
    },
    "JSON is YAML": {"hosts.yaml": '{"all": {"hosts": {"a": {"x": 1e5, "y": null}}}}'},
    "names that only Ansible sets are not printed": {
        "hosts.yaml": "all: {hosts: {a: {role_name: x, inventory_dir: y, playbook_dir: z, mine: 1}}}"
    },
    "dotted and dashed group names": {
        "hosts.yaml": "all: {children: {web-servers: {hosts: {a: }}, eu.west: {hosts: {b: }}}}"
    },
    "a variable may have any name": {
        "hosts.yaml": "all: {hosts: {a: {x-y: 1, x.y: 2, 5: 3, true: 4, a b: 6}}, vars: {1a: 7}}",
        "host_vars/a.yaml": "p-q: 1\nr.s: 2\n7: 8\n",
        "group_vars/all.yml": "g-h: 1\n",
    },
    "a variable may have any name in INI": {"hosts.ini": "a x-y=1 x.y=2\n[g]\na\n[g:vars]\nq-r=1\n"},
    "no variables, no hosts": {"hosts.yaml": "all:\n"},
    "INI": {
        "hosts.ini": """
            lone ansible_port=2222
            # a comment
            [web]
            web[01:03].example.org  x=1 s='two words' l="['a', 2]" b=True n=None # trailing
            other:44

            [web:vars]
            zone = eu west
            d = {'a': 1, 'b': [True]}
            ansible_group_priority = 7

            [prod:children]
            web
            later

            [later]
            db1
            [all:vars]
            x=0
            """
    },
    "a file `hosts` is INI where it is not YAML": {"hosts": "a x=1\n[g]\nb\n"},
    "a file `hosts` is YAML where it is": {"hosts": "all: {hosts: {a: }}\n"},
}


@pytest.mark.parametrize("files", CASES.values(), ids=CASES.keys())
def test_the_inventory_is_what_ansible_says(tmp_path: Path, files: dict[str, str]) -> None:
    repo = Repo(tmp_path)
    repo.write_all(files)
    inventory, oracle = repo.inventory(), Oracle(repo.inventory_folder / next(iter(files)))
    assert _printed(inventory.as_list()) == oracle.as_list()
    for host in inventory.hosts:
        assert _printed(inventory.as_host(host)) == oracle.as_host(host)


NAMES = ("a", "b", "web", "db", "eu", "prod")
HOSTS = ("h1", "h2", "h3", "x.example.org", "y[1:3]", "z[a:c:2]")
VARIABLES = st.dictionaries(st.sampled_from("pqr"), st.integers(0, 9), max_size=2)
SUBSCRIPT = re.compile(r"\[[0-9:]+\]")
PARTS = st.sampled_from(
    (
        "all",
        "*",
        "ungrouped",
        *NAMES,
        "h1",
        "h*",
        "y?",
        "*.org",
        "~h[12]",
        "~(a|web)",
        "web[0]",
        "h*[0:1]",
        "un*",
        "none",
    )
)


@st.composite
def groups(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    """Groups inside each other; a name may come up anywhere, but never below itself or a later name (no circles)."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    found = {}
    for name in names:
        children = draw(groups(depth - 1)) if depth else {}
        found[name] = {
            "hosts": draw(st.dictionaries(st.sampled_from(HOSTS), VARIABLES, max_size=3)),
            "vars": draw(VARIABLES)
            | ({"ansible_group_priority": draw(st.integers(0, 3))} if draw(st.booleans()) else {}),
            "children": {child: below for child, below in children.items() if child > name},
        }
    return found


@cases(60)
@given(
    top=groups(2),
    lone=st.dictionaries(st.sampled_from(HOSTS), VARIABLES, max_size=2),
    group_vars=st.dictionaries(st.sampled_from(("all", *NAMES)), VARIABLES, max_size=3),
    host_vars=st.dictionaries(st.sampled_from(("h1", "y2", "x.example.org")), VARIABLES, max_size=2),
    patterns=st.lists(st.tuples(st.sampled_from(("", "", "!", "&")), PARTS).map("".join), min_size=1, max_size=3),
)
def test_random_inventories_are_what_ansible_says(
    tmp_path_factory: pytest.TempPathFactory,
    top: dict[str, Any],
    lone: dict[str, Any],
    group_vars: dict[str, Any],
    host_vars: dict[str, Any],
    patterns: list[str],
) -> None:
    repo = Repo(tmp_path_factory.mktemp("random"))
    file = repo.write("hosts.yaml", json.dumps({"all": {"hosts": lone, "children": top}}))
    for folder, values in (("group_vars", group_vars), ("host_vars", host_vars)):
        for name, variables in values.items():
            repo.write(f"{folder}/{name}.yml", json.dumps(variables))
    inventory, oracle = repo.inventory(), Oracle(file)
    assert _printed(inventory.as_list()) == oracle.as_list()
    for pattern in (",".join(patterns), ":".join(patterns)):
        try:
            expected = oracle.match(pattern)
        except Exception:
            with pytest.raises(InventoryError):
                inventory.match(pattern)
        else:
            found, whole = inventory.match(pattern), SUBSCRIPT.sub("", pattern)
            if whole == pattern:
                assert set(found) == set(expected)
            else:
                # Below the second level of groups Ansible's order is that of a set: who is the first is not compared.
                assert set(found) <= set(inventory.hosts)
                assert set(inventory.match(whole)) == set(oracle.match(whole))


ORDERED = (
    "web[0]",
    "web[-1]",
    "web[1:2]",
    "web[1:]",
    "*[0:1]",
    "w*:!web[0]",
    "all[1]",
    "db,web",
    "web:&prod",
    "!db",
    "~w",
)


@pytest.mark.parametrize("pattern", ORDERED)
def test_patterns_pick_in_the_order_of_the_inventory(tmp_path: Path, pattern: str) -> None:
    repo = Repo(tmp_path)
    hosts = (
        "all: {children: {web: {hosts: {w3: , w1: , w2: }}, db: {hosts: {d1: , w2: }}, prod: {hosts: {d1: , w3: }}}}"
    )
    file = repo.write("hosts.yaml", hosts)
    assert list(repo.inventory().match(pattern)) == Oracle(file).match(pattern)


INI = """
x0
[db]
d1
w2
[web]
w3
w1
[prod:children]
web
db
[site-a:children]
prod
"""


@pytest.mark.parametrize("pattern", [*ORDERED, "prod[0]", "prod[1:]", "site-a[0]", "site-a[-1]", "all[0]", "prod:!web"])
def test_patterns_pick_in_the_order_of_children_in_an_ini_file(tmp_path: Path, pattern: str) -> None:
    repo = Repo(tmp_path)
    file = repo.write("hosts.ini", INI)
    assert list(repo.inventory().match(pattern)) == Oracle(file).match(pattern)


@pytest.mark.parametrize("name", ["app-port", "app.port", "1st", "with space", "port"])
def test_a_variable_may_have_any_name_that_ansible_reads(tmp_path: Path, name: str) -> None:
    repo = Repo(tmp_path)
    file = repo.write("hosts.yaml", json.dumps({"all": {"hosts": {"w1": {name: 1}}, "vars": {f"{name}_": 2}}}))
    repo.write("group_vars/all.yaml", json.dumps({f"{name}+": 3}))
    variables = {key: plain(node) for key, node in repo.inventory().variables("w1").items()}
    assert variables == Oracle(file).as_host("w1")


@pytest.mark.parametrize("hosts", ["127.0.0.1", "localhost", "localhost, 127.0.0.1"])
@pytest.mark.parametrize("pattern", ["localhost", "127.0.0.1", "localhost:b", "!localhost", "b:&localhost"])
def test_localhost_and_its_address_stand_for_each_other(tmp_path: Path, hosts: str, pattern: str) -> None:
    repo = Repo(tmp_path)
    file = repo.write("hosts.yaml", json.dumps({"all": {"hosts": {host: {} for host in (*hosts.split(", "), "b")}}}))
    inventory = repo.inventory()
    assert list(inventory.match(pattern)) == Oracle(file).match(pattern)
    assert inventory.unknown_names(pattern) == ()


def _printed(document: object) -> Any:
    return json.loads(json.dumps(document))

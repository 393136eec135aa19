"""Whatever the files hold: an environment or complaints with places, never a traceback, never a hang."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inventory.complaint import Complaint, ComplaintsError
from agent.inventory.load import read as load
from agent.system import yaml
from tests.drawing import cases
from tests.inventory.samples import NAME, Repo

KEYS = (
    *("all", "hosts", "children", "vars", "web", "deploys", "packages", "files", "users", "services", "dotfiles"),
    *("name", "deploy", "with", "needs", "mode", "merge", "health", "present", "absent", "schedule", "fetch"),
    *("trust", "accept", "tags", "status", "suspend", "reason", "until", "windows", "reboot", "prune", "ungrouped"),
)
TEXTS = (
    *("web:&all", "~(", "a[1:3]", "a[3:1]", "!", "{{ a }}", "{{ b", "{{ a ~ web }}", "deploys/x.py", "../x", "60s"),
    *("observe", "replace", "2026-12-01T06:00Z", "", "é", "packages", "{{ hostvars }}", "{{ groups.all[0] }}"),
)
SCALARS = st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.sampled_from((*TEXTS, *KEYS))
KEY = st.sampled_from((*KEYS, *TEXTS)) | st.integers(0, 3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4), max_leaves=15
)
SOUND_HOSTS = {"all": {"hosts": {"a": None, "b": {"web": "{{ nope }}"}}, "vars": {"b": "{{ web }}"}}}
KINDS = st.sampled_from(("packages", "files", "users", "services", "dotfiles"))
DEPLOYS = st.one_of(
    st.dictionaries(KINDS, VALUES, min_size=1, max_size=1),
    st.fixed_dictionaries({"deploy": KINDS, "with": VALUES}),
    st.fixed_dictionaries(
        {"deploy": st.just("deploys/x.py"), "name": st.sampled_from("xyz")},
        optional={
            "with": st.dictionaries(KEY, VALUES, max_size=2),
            "needs": st.lists(st.sampled_from("xyz"), max_size=2),
        },
    ),
)


def read(repo: Repo, **files: object) -> tuple[object, ...]:
    """The complaints about these files. Any other exception is the failure that these tests look for."""
    repo.write("/deploys/x.py", "")
    for name, value in files.items():
        repo.write(f"{name.replace('__', '/')}.yaml", yaml.dump(value))  # type: ignore[arg-type]
    return complaints_of(repo)


def complaints_of(repo: Repo) -> tuple[object, ...]:
    """Those about all hosts and about single ones; each says what to write."""
    environment, complaints = load(repo.tree, NAME)
    for _ in environment.each(complaints):
        pass
    told: tuple[Complaint, ...] = ()
    try:
        complaints.raise_if_any()
    except ComplaintsError as error:
        told = error.complaints
    assert [found for found in told if not found.remedy] == []
    return told or (("refused without a complaint",) if complaints else ())


TOOL_KEYS = st.sampled_from(("version", "url", "platforms", "bin", "pip", "arch", "sha256", "asked", "requirements"))
PIN_KEYS = st.sampled_from(
    ("tools", "repositories", "version", "commit", "tree", "ref", "url", "hashes", "linux-x86_64")
)
PINNED = st.recursive(
    SCALARS | st.sampled_from(("https://x/{{ version }}", "{{ a", "0.*", "git+ssh://h/d.git", "a" * 64, "b" * 40)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TOOL_KEYS | PIN_KEYS | KEY, inner, max_size=4),
    max_leaves=15,
)


@cases(200)
@given(tools=PINNED | st.dictionaries(KEY, PINNED, max_size=3), lock=PINNED)
def test_tools_and_locks_of_any_shape_are_read_or_complained_of(
    tmp_path_factory: pytest.TempPathFactory, tools: object, lock: object
) -> None:
    repo = Repo(tmp_path_factory.mktemp("malformed"))
    complaints = read(repo, hosts=SOUND_HOSTS, site=[], tools=tools, lock=lock)
    assert all(complaint.position.file for complaint in complaints)  # type: ignore[attr-defined]


@cases(200)
@given(hosts=VALUES, variables=VALUES, site=VALUES, fleet=VALUES)
def test_files_of_any_shape_are_read_or_complained_of(
    tmp_path_factory: pytest.TempPathFactory, hosts: object, variables: object, site: object, fleet: object
) -> None:
    repo = Repo(tmp_path_factory.mktemp("malformed"))
    complaints = read(repo, hosts=hosts, group_vars__all=variables, site=site, fleet=fleet)
    assert "refused without a complaint" not in complaints


@cases(300)
@given(
    variables=st.dictionaries(st.sampled_from(("a", "b", "web")), VALUES, max_size=3),
    deploys=st.lists(DEPLOYS, max_size=4),
)
def test_deploys_of_any_shape_are_placed_or_complained_of(
    tmp_path_factory: pytest.TempPathFactory, variables: object, deploys: object
) -> None:
    repo = Repo(tmp_path_factory.mktemp("malformed"))
    site = [{"hosts": "all", "deploys": deploys}, {"hosts": "a", "deploys": deploys}]
    complaints = read(repo, hosts=SOUND_HOSTS, group_vars__all=variables, site=site)
    assert "refused without a complaint" not in complaints


WORDS = (
    *(
        "all: ",
        "hosts: ",
        "- hosts: all\n  deploys:\n    - ",
        "packages: ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "a",
        "a: ",
        "\n",
        "\n  ",
    ),
    *("- ", "&x ", "*x", "<<: *x", "<<: ", "!!timestamp foo", "!!int x", "!!float ''", "!!bool maybe", "!!null x"),
    *("!!binary aGk=", "!!omap [a: 1]", "!!set {a}", "!!python/object:os.system ", "!vault |\n  x", "!unsafe '{{ x'"),
    *(
        "9" * 500,
        "1" + ":59" * 200,
        "2026-13-45",
        "{{ a }}",
        "'{{ owner'",
        '"',
        "'",
        "\t",
        "#",
        "|\n  x",
        "---\n",
        "\x00",
    ),
)
FILES = ("hosts.yaml", "hosts.ini", "site.yaml", "fleet.yaml", "tools.yaml", "lock.yaml", "group_vars/all.yaml")
FILES = (*FILES, "host_vars/a.yaml")


@cases(400)
@given(file=st.sampled_from(FILES), text=st.lists(st.sampled_from(WORDS), max_size=12).map("".join))
def test_text_of_any_kind_in_any_file_is_read_or_complained_of(
    tmp_path_factory: pytest.TempPathFactory, file: str, text: str
) -> None:
    repo = Repo(tmp_path_factory.mktemp("malformed"))
    repo.write_all(
        {"hosts.yaml": "all: {hosts: {a: , b: }}\n", "site.yaml": "- {hosts: all, deploys: [motd: '{{ a }}']}\n"}
    )
    if file == "hosts.ini":
        (repo.inventory_folder / "hosts.yaml").unlink()
    path = repo.inventory_folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert "refused without a complaint" not in complaints_of(repo)


LINES = ("[a]", "[a:vars]", "[b:children]", "a", "b c=1", "x=[1", "[1:3]", "h[1:3]:22 y='z", "#", "[", "a:b", "é=\x00")


@cases(200)
@given(st.lists(st.sampled_from((*LINES, "\u2028")), max_size=8).map("\n".join))
def test_ini_files_of_any_shape_are_read_or_complained_of(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    repo = Repo(tmp_path_factory.mktemp("malformed"))
    (repo.inventory_folder / "hosts.ini").write_text(text)
    repo.write("site.yaml", "[]")
    assert "refused without a complaint" not in read(repo)

"""lock.yaml: read strictly, written the same each time, compared with what the inventory asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.domain.address import Address
from agent.domain.pins import AgentPin, Asset, RepositoryPin, ToolPin
from agent.errors import InventoryError
from agent.inventory.load import load
from agent.inventory.lock import Lock, lock_text, stale
from tests.inventory.samples import Repo

A, B, COMMIT = "aa" * 32, "bb" * 32, "c" * 40
URL = "https://example.org/rg-{}.tar.gz"
RIPGREP = ToolPin(
    "ripgrep",
    "14.1",
    {"rg": "rg"},
    {
        "linux-aarch64": Asset(URL.format("aarch64"), B, 9),
        "linux-x86_64": Asset(URL.format("x86_64"), A, 10, {"rg": "x/rg"}),
    },
)
RUFF = ToolPin("ruff", "0.6.9", {"ruff": "ruff"}, requirements=(f"ruff==0.6.9 --hash=sha256:{A} --hash=sha256:{B}",))
DOTFILES = RepositoryPin("git+https://h.example/dotfiles.git", "main", COMMIT, A)
LOCK = Lock({"ruff": RUFF, "ripgrep": RIPGREP}, {DOTFILES.address.pinned: DOTFILES}, {"ruff": "ruff==0.6.*"})
TEXT = f"""\
# Written by `hostwright lock`; do not edit.
version: 1
tools:
  ripgrep:
    version: '14.1'
    bin:
      rg: rg
    platforms:
      linux-aarch64:
        url: https://example.org/rg-aarch64.tar.gz
        sha256: {B}
        size: 9
      linux-x86_64:
        url: https://example.org/rg-x86_64.tar.gz
        sha256: {A}
        size: 10
        bin:
          rg: x/rg
  ruff:
    version: 0.6.9
    bin:
      ruff: ruff
    asked: ruff==0.6.*
    requirements:
    - requirement: ruff==0.6.9
      hashes:
      - sha256:{A}
      - sha256:{B}
repositories:
- url: git+https://h.example/dotfiles.git
  ref: main
  commit: {COMMIT}
  tree: {A}
"""
TOOLS = """
    ripgrep:
      version: "14.1"
      url: "https://example.org/rg-{{ arch }}.tar.gz"
      platforms: {linux-x86_64: , linux-aarch64: }
      bin: [rg]
    ruff: {pip: ruff, version: 0.6.*}
    """


@pytest.fixture
def locked(repo: Repo) -> Repo:
    repo.write("tools.yaml", TOOLS)
    repo.write("lock.yaml", TEXT)
    return repo


def test_the_text_has_one_fact_to_a_line_in_a_fixed_order() -> None:
    assert lock_text(LOCK) == TEXT


def test_what_was_written_is_read_again(locked: Repo) -> None:
    assert locked.load().lock == LOCK


def test_a_lock_for_nothing_is_short() -> None:
    assert lock_text(Lock()) == "# Written by `hostwright lock`; do not edit.\nversion: 1\n"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("version: 1\n", "version: 2\n", "lock.yaml:2:1: version: 1 is expected"),
        ("size: 9", "size: -1", "lock.yaml:12:9: tools.ripgrep.platforms.linux-aarch64.size"),
        (f"sha256: {B}", f"sha256: {B.upper()}", "linux-aarch64.sha256"),
        ("rg: x/rg", "rg: ../rg", "is not a path in an archive"),
        ("size: 9", "size: 9\n        sice: 9", 'unknown key "sice"; take the file from Git again'),
        ("    asked: ruff==0.6.*\n", "", "tools.ruff: a tool has either platforms, or asked and requirements"),
        ("requirement: ruff==0.6.9", "requirement: --index-url=http://evil", "requirements[0].requirement"),
        ("requirement: ruff==0.6.9", "requirement: ruff", "requirements[0].requirement"),
        (f"- sha256:{A}", "- md5:1", "requirements[0].hashes[0]"),
        (f"commit: {COMMIT}", "commit: main", "repositories[0].commit"),
        (
            "git+https://h.example/dotfiles.git",
            "ext::sh",
            "repositories[0]: it has another form; take the file from Git again",
        ),
        ("  ref: main", "  ref: main//x", "repositories[0]"),
        ("https://example.org/rg-aarch64.tar.gz", "ftp://x", "linux-aarch64.url"),
        ("tools:\n", "<<<<<<< ours\ntools:\n", "lock.yaml:3:1: a merge conflict was left in here"),
    ],
)
def test_a_file_that_is_odd_in_any_way_is_refused_with_the_place(
    locked: Repo, old: str, new: str, complaint: str
) -> None:
    assert TEXT.count(old) == 1
    locked.write("lock.yaml", TEXT.replace(old, new))
    assert complaint in "\n".join(locked.complaints())


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"14.1"', '"14.2"', "ripgrep: lock.yaml has the version 14.1, tools.yaml asks for 14.2"),
        (
            "/rg-",
            "/v-",
            "the URL for linux-aarch64 https://example.org/rg-aarch64.tar.gz, tools.yaml asks for https://",
        ),
        (
            "linux-aarch64: ",
            "linux-riscv64: ",
            "the platforms linux-aarch64, linux-x86_64, tools.yaml asks for linux-ri",
        ),
        ("[rg]", "[rg, rga]", "the commands for linux-aarch64 rg, tools.yaml asks for rg, rga"),
        ("[rg]", "{rg: y/rg}", "the commands for linux-aarch64 rg, tools.yaml asks for rg (y/rg)"),
        ("linux-x86_64: ", f"linux-x86_64: {{sha256: '{B}'}}", f"sha256 for linux-x86_64 {A}, tools.yaml asks for {B}"),
        ("0.6.*", "0.7.*", "ruff: lock.yaml has the requirement ruff==0.6.*, tools.yaml asks for ruff==0.7.*"),
        ("version: 0.6.*", "version: 0.6.*, bin: [rf]", "the commands ruff, tools.yaml asks for rf"),
    ],
)
def test_what_tools_yaml_asks_for_and_lock_yaml_lacks_is_said(locked: Repo, old: str, new: str, why: str) -> None:
    locked.write("tools.yaml", TOOLS.replace(old, new))
    environment = locked.load()
    (line,) = stale(environment.lock, environment.tools, {DOTFILES.address})
    assert why in line


def test_what_is_in_step_is_not_mentioned(locked: Repo) -> None:
    environment = locked.load()
    assert list(stale(environment.lock, environment.tools, {DOTFILES.address})) == []


def test_a_command_that_was_found_may_lie_anywhere(locked: Repo) -> None:
    assert set(locked.load().pins.tools) == {"ripgrep", "ruff"}


def test_pins_that_are_missing_or_that_nobody_asks_for_are_named(locked: Repo) -> None:
    locked.write("tools.yaml", "jq: {pip: jq}")
    environment = locked.load()
    other = Address.parse("git+ssh://h.example/d.git@v1//x.py")
    assert list(stale(environment.lock, environment.tools, {other})) == [
        "jq: lock.yaml has no pin for it",
        "git+ssh://h.example/d.git@v1: lock.yaml has no pin for it",
        "git+https://h.example/dotfiles.git@main: lock.yaml has a pin that nobody asks for",
        "ripgrep: lock.yaml has a pin that nobody asks for",
        "ruff: lock.yaml has a pin that nobody asks for",
    ]


def test_a_tool_that_is_behind_cannot_be_used_and_says_why(locked: Repo) -> None:
    locked.write("tools.yaml", TOOLS.replace('"14.1"', '"14.2"'))
    pins = locked.load().pins
    assert pins.tool("ruff") == RUFF
    with pytest.raises(InventoryError, match=r"has the version 14\.1, tools\.yaml asks for 14\.2") as refused:
        pins.tool("ripgrep")
    assert (refused.value.kind, refused.value.hint) == ("not-locked", "run `hostwright lock` in the config repo")


def test_a_tool_that_nobody_described_cannot_be_used(locked: Repo) -> None:
    locked.write("tools.yaml", "ruff: {pip: ruff, version: 0.6.*}")
    with pytest.raises(InventoryError, match=r'tools\.yaml has no tool "ripgrep"'):
        locked.load().pins.tool("ripgrep")


def test_a_lock_that_is_about_to_be_written_does_not_stand_in_the_way(locked: Repo) -> None:
    locked.write("lock.yaml", "<<<<<<<")
    assert load(locked.tree, "demo", locked=False).lock == Lock()


AGENT = AgentPin("1.1", (f"hostwright==1.1 --hash=sha256:{A}", f"rich==14.0 --hash=sha256:{B}"))


def test_the_agent_s_own_pin_is_written_and_read_as_it_is(locked: Repo) -> None:
    lock = replace(LOCK, agent=AGENT, agent_asked="hostwright==1.*")
    locked.write("lock.yaml", lock_text(lock))
    assert locked.load().lock == lock


def test_a_pin_of_the_agent_counts_for_what_it_was_found_for() -> None:
    lock = Lock(agent=AGENT, agent_asked="hostwright==1.*")
    assert lock.agent_for("hostwright==1.*") == AGENT
    with pytest.raises(InventoryError, match=r"has hostwright==1\.\*, fleet.yaml asks for hostwright==2") as refused:
        lock.agent_for("hostwright==2")
    assert refused.value.kind == "not-locked"


@pytest.mark.parametrize(
    ("fleet", "said"),
    [
        ("", ["hostwright: lock.yaml has hostwright==1.*, fleet.yaml asks for none"]),
        ("agent: {version: 1.*}", []),
        ("agent: {version: '2.0'}", ["hostwright: lock.yaml has hostwright==1.*, fleet.yaml asks for hostwright==2.0"]),
    ],
)
def test_a_pin_of_the_agent_that_is_behind_fleet_yaml_is_said(repo: Repo, fleet: str, said: list[str]) -> None:
    repo.write("fleet.yaml", fleet)
    repo.write("lock.yaml", lock_text(Lock(agent=AGENT, agent_asked="hostwright==1.*")))
    assert list(repo.load().stale()) == said


def test_a_pin_of_the_agent_without_the_agent_is_refused(repo: Repo) -> None:
    text = lock_text(Lock(agent=AGENT, agent_asked="hostwright==1.*")).replace("hostwright==1.1", "hostwrong==1.1")
    repo.write("lock.yaml", text)
    with pytest.raises(InventoryError, match=r"hold no hostwright==1\.1"):
        repo.load()


@pytest.mark.parametrize("version", ["../x", "latest", "1.0/..", "-1", ">=1"])
def test_only_a_version_can_be_asked_for(repo: Repo, version: str) -> None:
    repo.write("fleet.yaml", f"agent: {{version: '{version}'}}")
    with pytest.raises(InventoryError, match=r"agent\.version"):
        repo.load()

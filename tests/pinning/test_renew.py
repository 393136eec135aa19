"""Which pins are looked up anew, which stay, and which go."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import InventoryError, SettingsError, UsageError
from agent.inventory.lock import Lock, lock_text
from tests.gitserver import ConfigRepo
from tests.pinning.desk import Desk

TOOLS = """
a: {{version: '1', url: '{a}', platforms: {{linux-x86_64: }}, bin: [a]}}
b: {{version: '1', url: '{b}', platforms: {{linux-x86_64: }}, bin: [b]}}
"""


@pytest.fixture
def other(tmp_path: Path) -> ConfigRepo:
    repo = ConfigRepo(tmp_path / "other")
    repo.commit("First", {"one.py": "x = 1\n", "two.py": "x = 2\n"})
    return repo


@pytest.fixture
def tools(desk: Desk) -> Lock:
    """Two archives, locked."""
    urls = {name: desk.archive(f"{name}.tar.gz", {name: "#!"}) for name in "ab"}
    desk.repo.write("tools.yaml", TOOLS.format(**urls))
    return desk.lock()


def site(desk: Desk, *addresses: str) -> None:
    deploys = "".join(f"    - {{name: d{n}, deploy: '{address}'}}\n" for n, address in enumerate(addresses))
    desk.repo.write("site.yaml", f"- hosts: all\n  deploys:\n{deploys}" if addresses else "[]\n")


def test_what_is_exact_and_asked_for_as_it_is_is_not_downloaded_again(desk: Desk, tools: Lock) -> None:
    assert desk.seen == ["a linux-x86_64", "b linux-x86_64"]
    assert desk.lock(tools) == tools
    assert desk.seen == []


def test_what_tools_yaml_says_otherwise_now_is_downloaded_and_nothing_else(desk: Desk, tools: Lock) -> None:
    text = (desk.repo.inventory_folder / "tools.yaml").read_text()
    desk.repo.write("tools.yaml", text.replace("a: {version: '1'", "a: {version: '2'"))
    assert desk.lock(tools).tools["a"].version == "2"
    assert desk.seen == ["a linux-x86_64"]


def test_what_nobody_asks_for_is_dropped(desk: Desk, tools: Lock) -> None:
    desk.repo.write("tools.yaml", "")
    assert desk.lock(tools) == Lock()


def test_what_is_named_is_looked_up_anew_and_everything_else_left_alone(desk: Desk, tools: Lock) -> None:
    desk.archive("a.tar.gz", {"a": "#!changed"})
    desk.archive("b.tar.gz", {"b": "#!changed"})
    new = desk.lock(tools, ["a"])
    assert desk.seen == ["a linux-x86_64"]
    assert new.tools["a"] != tools.tools["a"]
    assert new.tools["b"] == tools.tools["b"]


@pytest.mark.parametrize(("version", "after"), [("1.0", "1.0"), ("1.*", "1.1"), (">=1,<2", "1.1"), ("==1.0", "1.0")])
def test_of_a_python_tool_an_exact_version_stays_unless_it_is_named(desk: Desk, version: str, after: str) -> None:
    desk.wheel("cowsay", "1.0", scripts=["cowsay"])
    desk.repo.write("tools.yaml", f"say: {{pip: cowsay, version: '{version}'}}\n")
    first = desk.lock()
    desk.wheel("cowsay", "1.1", scripts=["cowsay"])
    second = desk.lock(first)
    assert (first.tools["say"].version, second.tools["say"].version) == ("1.0", after)
    assert desk.seen == ([] if after == "1.0" else ["say"])
    assert desk.lock(second, ["say"]).tools["say"].version == after
    assert desk.seen == ["say"]


def test_a_name_that_nobody_knows_is_answered_with_the_nearest(desk: Desk, tools: Lock) -> None:
    desk.repo.write("tools.yaml", "ripgrep: {pip: x}")
    with pytest.raises(UsageError) as refused:
        desk.lock(tools, ["ripgrap"])
    assert refused.value.hint == 'did you mean "ripgrep"?'


def test_a_repository_is_pinned_once_for_all_its_deploys_and_renewed_as_it_moves(desk: Desk, other: ConfigRepo) -> None:
    address = f"git+file://{other.path}@main"
    site(desk, f"{address}//one.py", f"{address}//two.py")
    first = desk.lock()
    assert desk.seen == [address]
    assert {name: pin.commit for name, pin in first.repositories.items()} == {address: other.head}
    second = other.commit("Second", {"one.py": "x = 3\n"})
    assert desk.lock(first, [address]).repositories[address].commit == second
    assert desk.lock(first).repositories[address].commit == second


def test_two_refs_of_one_repository_are_two_pins(desk: Desk, other: ConfigRepo) -> None:
    other.git("tag", "v1")
    second = other.commit("Second", {"one.py": "x = 3\n"})
    url = f"git+file://{other.path}"
    site(desk, f"{url}@v1//one.py", f"{url}//two.py")
    found = desk.lock().repositories
    assert (found[url].commit, found[f"{url}@v1"].commit == second) == (second, False)


def test_a_commit_cannot_move_and_is_not_looked_up_twice(desk: Desk, other: ConfigRepo) -> None:
    site(desk, f"git+file://{other.path}@{other.head}//one.py")
    lock = desk.lock()
    assert desk.lock(lock) == lock
    assert desk.seen == []


def test_a_deploy_that_could_not_run_is_not_pinned(desk: Desk, other: ConfigRepo) -> None:
    other.commit("Needs", {"one.py": "import requests\n"})
    site(desk, f"git+file://{other.path}//one.py")
    with pytest.raises(InventoryError) as refused:
        desk.lock()
    assert refused.value.kind == "needs-packages"


def test_the_same_question_has_the_same_text_for_an_answer(desk: Desk, other: ConfigRepo, tools: Lock) -> None:
    desk.wheel("cowsay", "1", scripts=["z", "a"])
    text = (desk.repo.inventory_folder / "tools.yaml").read_text()
    desk.repo.write("tools.yaml", text + "say: {pip: cowsay}\n")
    site(desk, f"git+file://{other.path}//one.py")
    assert lock_text(desk.lock(tools)) == lock_text(desk.lock())


@pytest.fixture
def of_the_agent(desk: Desk) -> Desk:
    """Where two versions of the agent are to be had, and one is asked for."""
    for version in ("1.0", "1.1"):
        desk.wheel("hostwright", version, needs=["dep; extra == 'host'"], scripts=["hostwright"])
    desk.wheel("dep", "2.0")
    desk.repo.write("fleet.yaml", "agent: {version: 1.*}")
    return desk


def test_the_agent_is_pinned_with_all_that_it_needs(of_the_agent: Desk) -> None:
    pin = of_the_agent.lock().agent
    assert pin is not None
    assert (pin.version, [line.split()[0] for line in pin.requirements]) == ("1.1", ["dep==2.0", "hostwright==1.1"])


def test_a_pin_of_the_agent_that_is_exact_stays_as_it_is(of_the_agent: Desk) -> None:
    of_the_agent.repo.write("fleet.yaml", "agent: {version: '1.0'}")
    old = of_the_agent.lock()
    assert of_the_agent.lock(old) == old
    assert of_the_agent.seen == []


def test_the_agent_can_be_pinned_anew_by_its_name(of_the_agent: Desk) -> None:
    old = of_the_agent.lock()
    of_the_agent.wheel("hostwright", "1.2", needs=["dep"], scripts=["hostwright"])
    found = of_the_agent.lock(old, ["hostwright"]).agent
    assert found is not None
    assert found.version == "1.2"


def test_the_agent_is_not_taken_by_name_from_an_index_that_nobody_named(
    of_the_agent: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", "https://127.0.0.1:9/simple")  # asked first, and the public one behind it
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    with pytest.raises(SettingsError, match="which package index has the agent"):
        of_the_agent.lock()

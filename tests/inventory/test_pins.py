"""Plays that ask for what is pinned: other repositories' deploys, and what an inventory says of them offline."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.domain.address import Address
from agent.domain.pins import RepositoryPin
from agent.domain.tree import Tree
from agent.errors import Exit, HostwrightError, InventoryError, SourceError, TrustError
from agent.inventory.environment import Environment
from agent.inventory.load import load
from agent.problems import ProblemKind
from agent.steps.resolve import desired_state
from agent.system.folder import FolderTree
from tests.inventory.samples import NAME, Repo, checked

URL = "git+ssh://h.example/d.git"
SITE = f"""
    - hosts: all
      deploys:
        - {{name: motd, deploy: "{URL}@v1//web/motd.py", with: {{port: 80}}}}
    """
LOCK = """
    version: 1
    repositories:
    - {{url: "{url}", ref: v1, commit: "{commit}", tree: "{tree}"}}
    """
COMMIT, TREE = "c" * 40, "d" * 64


def lock(repo: Repo, commit: str = COMMIT, tree: str = TREE) -> None:
    repo.write("lock.yaml", LOCK.format(url=URL, commit=commit, tree=tree))


@pytest.fixture
def locked(repo: Repo) -> Repo:
    repo.write("site.yaml", SITE)
    lock(repo)
    return repo


@pytest.fixture
def other(tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    (folder / "web").mkdir(parents=True)
    (folder / "web/motd.py").write_text("x = 1\n")
    return folder


def fetched(repo: Repo, other: Path) -> Environment:
    def tree(pin: RepositoryPin) -> Tree:
        assert (pin.url, pin.ref, pin.commit) == (URL, "v1", COMMIT)
        return FolderTree(other)

    return load(repo.tree, NAME, tree)


def digest(repo: Repo, other: Path) -> str:
    def tree(_: RepositoryPin) -> Tree:
        return FolderTree(other)

    return desired_state(load(repo.tree, NAME, tree), repo.tree, host="web1", commit="0" * 40).deploys[0].digest


def test_a_deploy_of_another_repository_is_known_by_its_pin(locked: Repo, other: Path) -> None:
    state = desired_state(fetched(locked, other), locked.tree, host="web1", commit="0" * 40)
    (deploy,) = state.deploys
    assert deploy.repository == RepositoryPin(URL, "v1", COMMIT, TREE)
    assert (deploy.source, deploy.data["port"], deploy.data["owner"]) == ("web/motd.py", 80, "ann")


def test_its_digest_is_over_commit_tree_path_and_data_and_nothing_of_the_config_repo(locked: Repo, other: Path) -> None:
    first = digest(locked, other)
    locked.write("/deploys/unrelated.py", "x = 1\n")
    assert digest(locked, other) == first
    changed = []
    for commit, tree, site in (
        ("e" * 40, TREE, SITE),
        (COMMIT, "e" * 64, SITE),
        (COMMIT, TREE, SITE.replace("80", "81")),
        (COMMIT, TREE, SITE.replace("motd.py", "more.py")),
    ):
        (other / "web/more.py").write_text("x = 1\n")
        locked.write("site.yaml", site)
        lock(locked, commit, tree)
        changed.append(digest(locked, other))
    assert len({first, *changed}) == 5


def test_what_the_plays_ask_for_is_known_without_any_pin(repo: Repo) -> None:
    repo.write("site.yaml", SITE.replace("all", "web") + SITE.replace("all", "production").replace("motd.py", "b.py"))
    assert repo.load().addresses() == {Address(URL, "v1", "web/motd.py"), Address(URL, "v1", "web/b.py")}


def test_without_a_pin_the_place_and_the_remedy_are_said(repo: Repo) -> None:
    repo.write("site.yaml", SITE)
    (complaint,) = repo.complaints()
    assert complaint.startswith(f"site.yaml:4:28: [0].deploys[0].deploy: lock.yaml has no pin for {URL}@v1 (host")
    assert complaint.endswith("run `hostwright lock` in the config repo")


def test_what_is_not_fetched_here_is_said_and_everything_else_checked(locked: Repo) -> None:
    assert checked(locked.load()) == (f"{URL}@v1 is not fetched here",)
    locked.write("site.yaml", SITE + "\n    - {hosts: all, deploys: [dotfiles: {user: ann, sets: [nope]}]}\n")
    (complaint,) = locked.complaints()
    assert "nope" in complaint


def test_what_is_not_fetched_cannot_be_desired(locked: Repo) -> None:
    with pytest.raises(InventoryError) as refused:
        locked.load().concrete("web1")
    assert refused.value.kind == "not-fetched"


def test_all_that_cannot_be_had_is_told_at_once_and_asked_for_once(locked: Repo) -> None:
    more = "git+ssh://h.example/e.git"
    deploys = (f'{{name: d{n}, deploy: "{url}@v1//web/motd.py"}}' for n, url in enumerate((URL, more, URL)))
    locked.write("site.yaml", f"[{{hosts: all, deploys: [{', '.join(deploys)}]}}]")
    pins = (f'{{url: "{url}", ref: v1, commit: "{COMMIT}", tree: "{TREE}"}}' for url in (URL, more))
    locked.write("lock.yaml", f"{{version: 1, repositories: [{', '.join(pins)}]}}")
    asked = []

    def gone(pin: RepositoryPin) -> Tree:
        asked.append(pin.url)
        if pin.url == URL:
            raise SourceError(f"{URL} does not answer", hint="wait")
        raise TrustError(f"{more} holds something else", kind=ProblemKind.PIN_MISMATCH)

    with pytest.raises(HostwrightError) as refused:
        load(locked.tree, NAME, gone).concrete("web1")
    assert refused.value.message.splitlines() == [f"{URL} does not answer (wait)", f"{more} holds something else"]
    assert (refused.value.exit, refused.value.kind, asked) == (Exit.TRUST, "pin-mismatch", [URL, more])


def test_what_is_fetched_is_looked_at_once_for_all_hosts(locked: Repo, other: Path) -> None:
    (other / "web/motd.py").write_text("def (:\n")
    with pytest.raises(InventoryError) as refused:
        checked(fetched(locked, other))
    (complaint,) = refused.value.message.splitlines()
    assert f"[0].deploys[0].deploy: {URL}@v1//web/motd.py is not Python" in complaint
    (other / "web/motd.py").write_text("import requests\n")
    with pytest.raises(InventoryError, match=r"needs Python packages of its own: web/motd\.py:1 imports requests"):
        checked(fetched(locked, other))


@pytest.mark.parametrize(
    ("deploy", "complaint"),
    [
        ("git+ssh://h/d.git@v1", "names no deploy file; end it with //<path in that repository>.py"),
        ("git+ssh://h/d.git//motd.sh", "names no deploy file"),
        ("git+https://ann:pw@h/d.git//motd.py", "it holds a password or token"),
        ("git+ssh://h/d.git//../motd.py", "is no path inside of a repository"),
        ("https://h/d.git//motd.py", "write deploys/<file>.py, or git+ssh://<host>/<repository>.git//<file>.py"),
    ],
)
def test_an_address_that_cannot_be_meant_is_said_with_its_place(repo: Repo, deploy: str, complaint: str) -> None:
    repo.write("site.yaml", f"- {{hosts: all, deploys: [{{name: x, deploy: '{deploy}'}}]}}")
    (told,) = repo.complaints()
    assert told.startswith("site.yaml:1:44: [0].deploys[0].deploy: ")
    assert complaint in told
    assert "pw" not in told


def test_a_play_whose_tool_is_not_locked_as_it_is_asked_for_is_complained_of(repo: Repo) -> None:
    repo.write("site.yaml", "- {hosts: web1, deploys: [tools: [jq, rg]]}\n")
    repo.write(
        "tools.yaml",
        """
        jq: {version: "2", url: "https://example.org/jq-{{ version }}", platforms: {linux-x86_64: }, bin: [jq]}
        """,
    )
    repo.write(
        "lock.yaml",
        f"""
        version: 1
        tools:
          jq:
            version: "1"
            bin: {{jq: jq}}
            platforms: {{linux-x86_64: {{url: "https://example.org/jq-1", sha256: "{TREE}", size: 1}}}}
        """,
    )
    version, missing = repo.complaints()
    assert "jq: lock.yaml has the version 1, tools.yaml asks for 2" in version
    assert 'tools.yaml has no tool "rg"' in missing
    assert "run `hostwright lock`" in version


def test_what_dotfiles_take_from_elsewhere_is_asked_for_with_its_templates_filled_in(repo: Repo) -> None:
    repo.write("site.yaml", f"- {{hosts: all, deploys: [dotfiles: {{user: ann, repo: '{URL}@{{{{ owner }}}}'}}]}}\n")
    assert repo.load().addresses() == {Address(URL, "ann")}

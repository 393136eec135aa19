"""Deploys of other repositories run from their own root, beside those of the config repo, in one engine child."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.desired import DesiredDeploy
from agent.domain.digest import JSON
from agent.domain.outcome import Status
from agent.domain.pins import RepositoryPin
from agent.engine.client import Engine
from tests import children
from tests.engine.conftest import HEADER, TIMEOUT_S, Bench, everything


class Elsewhere:
    """The config repo of the bench, and the store of other repositories."""

    def __init__(self, bench: Bench, store: Path) -> None:
        self.bench = bench
        self.store = store

    def deploy(self, name: str, digest: str, files: dict[str, str], **data: JSON) -> None:
        """A deploy file ``<name>.py`` of the repository that has this tree digest."""
        for path, text in files.items():
            (self.store / digest / path).parent.mkdir(parents=True, exist_ok=True)
            (self.store / digest / path).write_text(HEADER + text if path.endswith(".py") else text)
        pin = RepositoryPin("git+ssh://h.example/d.git", "v1", "c" * 40, digest)
        data = {"target": str(self.bench.target), **data}
        self.bench.deploys.append(
            DesiredDeploy(name, "deploy", {}, digest=name, source=f"{name}.py", data=data, repository=pin)
        )

    @property
    def engine(self) -> Engine:
        return children.engine(work=self.bench.work, timeout_s=TIMEOUT_S, repositories=self.store)


@pytest.fixture
def elsewhere(bench: Bench, tmp_path: Path) -> Elsewhere:
    return Elsewhere(bench, tmp_path / "store")


SAME_NAMES = """
from lib.word import WORD
files.put(name=WORD, src="word.txt", dest=str(target / host.data.to))
"""


def test_imports_and_files_are_those_of_the_repository_that_the_deploy_lies_in(elsewhere: Elsewhere) -> None:
    bench = elsewhere.bench
    for path, text in {"lib/__init__.py": "", "lib/word.py": "WORD = 'ours'\n", "word.txt": "ours\n"}.items():
        bench.write(path, text)
    bench.deploy("first", SAME_NAMES, to="first")
    theirs = {"lib/word.py": "WORD = 'theirs'\n", "word.txt": "theirs\n", "second.py": SAME_NAMES}
    elsewhere.deploy("second", "a" * 64, theirs, to="second")
    others = {"lib/word.py": "WORD = 'others'\n", "word.txt": "others\n", "third.py": SAME_NAMES}
    elsewhere.deploy("third", "b" * 64, others, to="third")
    bench.deploys.append(replace(bench.deploys[0], name="fourth", data={**bench.deploys[0].data, "to": "fourth"}))
    outcomes = elsewhere.engine.apply(bench.state(), bench.root, frozenset(), decide=everything)
    assert [outcome.status for outcome in outcomes] == [Status.DONE] * 4
    assert {path.name: path.read_text() for path in bench.target.iterdir()} == {
        "first": "ours\n",
        "second": "theirs\n",
        "third": "others\n",
        "fourth": "ours\n",
    }
    assert [result.operation for outcome in outcomes for result in outcome.results] == [
        "ours",
        "theirs",
        "others",
        "ours",
    ]


def test_a_module_of_the_config_repo_is_not_there_for_others(elsewhere: Elsewhere) -> None:
    bench = elsewhere.bench
    bench.write("private.py", "x = 1\n")
    bench.deploy("first", "import private")
    elsewhere.deploy("second", "a" * 64, {"second.py": "import private\n"})
    first, second = elsewhere.engine.plan(bench.state(), bench.root, frozenset())
    assert first.error is None
    assert second.error is not None
    assert "No module named 'private': deploys run with Python's library, pyinfra and what lies in" in second.error


def test_an_error_names_the_place_in_the_other_repository(elsewhere: Elsewhere) -> None:
    elsewhere.deploy("broken", "a" * 64, {"broken.py": "import lib.deep\n", "lib/deep.py": "1 / 0\n"})
    (found,) = elsewhere.engine.plan(elsewhere.bench.state(), elsewhere.bench.root, frozenset())
    assert found.error is not None
    assert found.error.startswith("lib/deep.py:")

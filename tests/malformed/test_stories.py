"""Repositories with one mistake each: what `hostwright check` prints is, word for word, what a person works with."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.malformed.story import GOOD, STORIES, GoodRepository, Story

OF_LIBRARIES = re.compile(
    r"pydantic|jinja2\.|yaml\.org|Traceback|<class|object at|agent\.|block mapping|input should|expected an? |NoneType",
    re.IGNORECASE,
)
"""Words of a parser, or of our insides."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GoodRepository:
    return GoodRepository(tmp_path_factory.mktemp("malformed"))


def check(repository: GoodRepository, story: Story, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    monkeypatch.chdir(repository.root)
    return repository.check(story)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_a_mistake_is_told_as_its_story_says(
    repository: GoodRepository, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """``python -m tests.malformed`` writes what is printed now into the stories."""
    story = Story.read(path)
    assert check(repository, story, monkeypatch) == (story.printed, story.exit)


def test_the_good_repository_is_fine_before_and_after_a_story(
    repository: GoodRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Story.read(GOOD)
    check(repository, Story.read(STORIES[0]), monkeypatch)
    assert check(repository, Story("", (), "", 0), monkeypatch) == (good.printed, 0)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_a_story_is_called_by_its_title_and_tells_place_and_remedy_in_our_words(path: Path) -> None:
    story = Story.read(path)
    first = story.printed.splitlines()[0]
    assert path.stem == re.sub(r"[^a-z0-9]+", "-", story.title.splitlines()[0].lower()).strip("-")
    assert "; " in first
    assert not OF_LIBRARIES.search(story.printed)


def test_there_are_stories_of_each_kind_of_file() -> None:
    named = Counter(file.path for path in STORIES for file in Story.read(path).files)
    kinds = {re.sub(r".*/prod/", "", path).partition("/")[0] for path in named}
    assert {
        *("hosts.yaml", "hosts.ini", "hosts", "group_vars", "host_vars", "site.yaml", "fleet.yaml", "tools.yaml"),
        *("lock.yaml", "secrets", "admins", "identities", "trusted_signers", "files", "dotfiles", "deploys"),
    } <= kinds

"""One mistake each, and what is said of it: word for word, for these words are what people work with.

``mistakes.txt`` holds them: a title, the files that differ from sound ones, and the complaints behind ``=>``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.inventory.conftest import HOSTS
from tests.inventory.samples import Repo

CASES = re.findall(
    r"^# (?P<title>.+)\n(?P<files>(?:(?!^=>).*\n)+)(?P<said>(?:^=> .*\n)+)",
    (Path(__file__).with_name("mistakes.txt")).read_text(),
    re.MULTILINE,
)

OF_LIBRARIES = re.compile(
    r"pydantic|jinja2\.|yaml\.org|Traceback|<class|object at|agent\.|block mapping|input should|expected an? |NoneType",
    re.IGNORECASE,
)


@pytest.mark.parametrize(("title", "files", "said"), CASES, ids=[title for title, _, _ in CASES])
def test_a_mistake_is_told_in_our_words(repo: Repo, title: str, files: str, said: str) -> None:
    del title
    for name, text in re.findall(r"^> (\S+)\n((?:(?!^> ).*\n)*)", files, re.MULTILINE):
        if name.startswith("hosts"):
            (repo.inventory_folder / "hosts.yaml").unlink()
        path = repo.root / name[1:] if name.startswith("/") else repo.inventory_folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("\\t", "\t"))
    told = repo.complaints()
    assert told == [line.removeprefix("=> ") for line in said.splitlines()]
    assert [line for line in told if "; " not in line or OF_LIBRARIES.search(line)] == []


def test_there_are_mistakes_in_each_file() -> None:
    named = {name for _, files, _ in CASES for name in re.findall(r"^> (\S+)", files, re.MULTILINE)}
    assert {"hosts.yaml", "hosts.ini", "hosts", "site.yaml", "fleet.yaml", "tools.yaml", "lock.yaml"} <= named
    assert HOSTS

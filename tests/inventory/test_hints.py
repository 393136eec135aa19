"""Hints of `check`: folders that nobody reads, and merge conflicts in files that any text may be in."""

from __future__ import annotations

import pytest

from agent.inventory.lint.check_alone import hints
from tests.inventory.samples import Repo

CONFLICT = """\
alias l='ls'
<<<<<<< HEAD
alias ll='ls -l'
=======
alias ll='ls -la'
>>>>>>> theirs
"""


@pytest.mark.parametrize(
    ("folder", "meant"),
    [
        ("inventory", "inventories"),
        ("deploy", "deploys"),
        ("dotfile", "dotfiles"),
        (".dotfiles", "dotfiles"),
        ("policy", "policies"),
        ("Deploys", "deploys"),
        ("deplyos", "deploys"),
    ],
)
def test_a_folder_whose_name_is_nearly_one_that_is_read_is_named(repo: Repo, folder: str, meant: str) -> None:
    repo.write(f"/{folder}/a", "x\n")
    assert [str(hint) for hint in hints(repo.tree)] == [f'{folder}/: nobody reads this folder; did you mean "{meant}"?']


def test_other_folders_and_files_at_the_top_are_nobodys_business(repo: Repo) -> None:
    for path in ("files/a", "profiles/a", "docs/a", ".github/a", "dotfiles/common/.bashrc", "deploys/a.py", "deploy"):
        repo.write(f"/{path}", "x\n")
    assert list(hints(repo.tree)) == []


@pytest.mark.parametrize("path", ["dotfiles/common/.bashrc", "deploys/notes.txt"])
def test_a_merge_conflict_in_a_file_of_any_format_is_told_with_its_line(repo: Repo, path: str) -> None:
    repo.write(f"/{path}", CONFLICT)
    (told,) = hints(repo.tree)
    assert str(told).startswith(f"{path}:2:1: a merge conflict was left in here; keep one of the two sides")


def test_a_row_of_equals_signs_is_no_merge_conflict(repo: Repo) -> None:
    repo.write("/dotfiles/common/notes.rst", "Title\n=======\n\n>>>>>>> quoted\n")
    assert list(hints(repo.tree)) == []

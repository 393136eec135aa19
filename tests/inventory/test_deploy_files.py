"""Deploy files that are not Python, do nothing, or include what is not there, found without running them."""

from __future__ import annotations

import pytest

from agent.errors import InventoryError
from tests.inventory.samples import Repo, checked


def test_a_deploy_file_that_only_defines_functions_is_a_complaint_unless_what_it_imports_may_act(repo: Repo) -> None:
    functions = "def install():\n    print('x')\n\nif __name__ == '__main__':\n    install()\n"
    repo.write("/deploys/idle.py", f"import os\n{functions}")
    repo.write("/deploys/other.py", f"from deploys import idle\n{functions}")
    repo.write("site.yaml", "- {hosts: web, deploys: [{name: a, deploy: deploys/idle.py}]}")
    with pytest.raises(InventoryError, match=r"site.yaml:1:.*deploys/idle.py defines install and calls nothing"):
        checked(repo.load())
    repo.write("site.yaml", "- {hosts: web, deploys: [{name: a, deploy: deploys/other.py}]}")
    checked(repo.load())
    repo.write("/deploys/other.py", f"import idle\n{functions}")
    checked(repo.load())


@pytest.mark.parametrize(
    "path", ["./tasks/a.py", "tasks/a.py", "deploys/./tasks//a.py", "deploys/tasks/a.py", "linked/a.py", "../none.py"]
)
def test_an_included_file_is_found_by_each_way_that_leads_to_it(repo: Repo, path: str) -> None:
    repo.write("/deploys/web.py", f"from pyinfra import local\nlocal.include({path!r})\n")
    repo.write("/deploys/tasks/a.py", "")
    (repo.root / "linked").symlink_to("deploys/tasks")
    repo.write("site.yaml", "- {hosts: web, deploys: [{name: a, deploy: deploys/web.py}]}")
    checked(repo.load())
    repo.write("/deploys/tasks/a.py", "(")
    if path != "../none.py":
        with pytest.raises(InventoryError, match=r"deploys/tasks/a.py:1:1: not Python"):
            checked(repo.load())


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_a_relative_import_for_type_checkers_alone_is_none(repo: Repo, condition: str) -> None:
    checking = f"import typing\nfrom typing import TYPE_CHECKING\nif {condition}:"
    relative = "    from .kinds import Kind\n"
    repo.write("site.yaml", "- {hosts: web, deploys: [{name: a, deploy: deploys/web.py}]}")
    repo.write("/deploys/web.py", f"{checking}\n{relative}print('x')\n")
    checked(repo.load())
    repo.write("/deploys/web.py", f"{checking}\n    pass\nelse:\n{relative}print('x')\n")
    with pytest.raises(InventoryError, match=r"deploys/web.py:6:1: a relative import"):
        checked(repo.load())

"""Deploys of other repositories: what keeps them from running here is found before they do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.domain.address import Address
from agent.errors import InventoryError
from agent.inventory.lint.external_deploys import require_runnable, there
from agent.system.folder import FolderTree

SITE = "web/site.py"
PYINFRA = there()["pyinfra"]
ADDRESS = Address("git+ssh://h.example/d.git", "v1", SITE)


def judge(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    require_runnable(ADDRESS, FolderTree(folder))


def refusal(folder: Path, files: Mapping[str, str]) -> str:
    with pytest.raises(InventoryError) as refused:
        judge(folder, files)
    return refused.value.message


@pytest.mark.parametrize(
    "code",
    [
        "import os, json.decoder\nfrom pyinfra.operations import files\nfrom pyinfra import host",
        "from __future__ import annotations\nimport lib.inner\nfrom lib import other\nimport single",
        "try:\n    import requests\nexcept ImportError:\n    requests = None",
        "try:\n    import tomli\nexcept (KeyError, ModuleNotFoundError):\n    import tomllib",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mypy_stubs",
        "importlib = 'import requests'",
        "import jinja2, click\nfrom dateutil.parser import parse",
    ],
)
def test_pythons_library_pyinfra_and_the_repositorys_own_modules_are_there(tmp_path: Path, code: str) -> None:
    judge(tmp_path, {SITE: code, "lib/inner.py": "", "lib/other.py": "", "single.py": ""})


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({SITE: "import requests\n"}, "web/site.py:1 imports requests"),
        ({SITE: "x = 1\ndef f():\n    from yaml import safe_load\n"}, "web/site.py:3 imports yaml"),
        ({SITE: "from lib import inner\n", "lib/inner.py": "import boto3.session\n"}, "lib/inner.py:1 imports boto3"),
        (
            {SITE: "import lib.a", "lib/__init__.py": "from .b import x", "lib/b.py": "import attr"},
            "lib/b.py:1 imports",
        ),
        ({SITE: "try:\n    x = 1\nexcept ImportError:\n    import tomli\n"}, "imports tomli"),
        ({SITE: "", "requirements.txt": "# tools\n-r more.txt\n"}, "requirements.txt asks for -r more.txt"),
        (
            {SITE: "", "requirements.txt": "-r a/b.txt", "a/b.txt": "-r c.txt", "a/c.txt": "boto3"},
            "a/c.txt asks for boto3",
        ),
        ({SITE: "", "requirements.txt": "pyinfra\nansible==9.1 \\\n  --hash=sha256:ab\n"}, "asks for ansible==9.1"),
        ({SITE: "", "requirements.txt": "pyinfra<3"}, f"asks for pyinfra<3 and {PYINFRA} is here"),
        ({SITE: "", "requirements.txt": "pyinfra==2.9.2"}, f"asks for pyinfra==2.9.2 and {PYINFRA} is here"),
        ({SITE: "", "requirements.txt": "jinja2 @ git+https://h.example/j.git"}, "asks for jinja2 @ git"),
        ({SITE: "", "requirements.txt": "-e .\n"}, "asks for -e ."),
        ({SITE: "", "pyproject.toml": "[project]\ndependencies = ['gevent>=999']"}, "asks for gevent>=999 and "),
        ({SITE: "", "pyproject.toml": "[project]\ndependencies = ['requests']"}, "pyproject.toml asks for requests"),
    ],
)
def test_a_deploy_that_needs_packages_of_its_own_is_refused_with_the_reason(
    tmp_path: Path, files: Mapping[str, str], why: str
) -> None:
    told = refusal(tmp_path, files)
    assert told.startswith("git+ssh://h.example/d.git@v1//web/site.py needs Python packages of its own: ")
    assert why in told


def test_asking_for_pyinfra_itself_asks_for_nothing(tmp_path: Path) -> None:
    project = "[project]\ndependencies = ['pyinfra>=3']\n"
    judge(tmp_path, {SITE: "", "requirements.txt": "pyinfra==3.10  # as here\n", "pyproject.toml": project})


@pytest.mark.parametrize(
    "text",
    [
        "jinja2>=3\nclick\nPython_DateUtil<3",
        "".join(f"{name}=={version}\n" for name, version in there().items()),
        "pyinfra==3.1.1\n",
        "--index-url https://h.example/simple\n-i x\npyinfra[docs]>=3  # with words\n",
        "colorama; sys_platform == 'win32'\n",
        "-c constraints.txt\npyinfra\n",
        "pyinfra==3.10.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n",
        "\ufeffpyinfra\r\n\r\nclick\r\n",
    ],
)
def test_what_pyinfra_needs_itself_is_there(tmp_path: Path, text: str) -> None:
    judge(tmp_path, {SITE: "", "requirements.txt": text, "constraints.txt": "gevent>=1\n"})


def test_modules_that_nobody_imports_may_need_what_they_like(tmp_path: Path) -> None:
    judge(tmp_path, {SITE: "", "tools/report.py": "import pandas"})


def test_modules_that_import_each_other_are_read_once(tmp_path: Path) -> None:
    judge(tmp_path, {SITE: "import a", "a.py": "import b", "b.py": "import a"})


def test_a_file_that_is_missing_no_python_or_a_link_is_refused(tmp_path: Path) -> None:
    assert "has no file web/site.py" in refusal(tmp_path, {"x.py": ""})
    assert "is not Python" in refusal(tmp_path, {SITE: "def ("})
    (tmp_path / "web/site.py").unlink()
    (tmp_path / "web/site.py").symlink_to("../x.py")
    assert "symbolic link" in refusal(tmp_path, {})


def test_a_file_that_no_parser_survives_is_refused_as_any_other(tmp_path: Path) -> None:
    assert "is not Python" in refusal(tmp_path, {SITE: "x = " + "(" * 5000 + ")" * 5000})
    assert "is not Python" in refusal(tmp_path, {SITE: "x = '\0'"})
    assert refusal(tmp_path, {SITE: f"x = {'-' * 5000}1"}).endswith("is nested too deep to be read")


def test_a_project_file_that_is_nested_too_deep_asks_for_nothing(tmp_path: Path) -> None:
    judge(tmp_path, {SITE: "", "pyproject.toml": f"x = {'[' * 5000}"})

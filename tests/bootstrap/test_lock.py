"""requirements.txt: everything that ends up on a host, pinned, hashed, and independent of where it comes from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@pytest.fixture(scope="module")
def locked() -> dict[str, Requirement]:
    """The requirements by name, each of which was seen to have hashes."""
    text = (ROOT / "requirements.txt").read_text().replace("\\\n", " ")
    found: dict[str, Requirement] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            assert HASH.search(line), f"no hash: {line}"
            requirement = Requirement(HASH.sub("", line).strip())
            found[canonicalize_name(requirement.name)] = requirement
    return found


def test_every_version_is_exact(locked: dict[str, Requirement]) -> None:
    for requirement in locked.values():
        assert re.fullmatch(r"==[0-9][0-9A-Za-z.+]*", str(requirement.specifier)), requirement


def test_it_names_no_index_no_url_and_no_path() -> None:
    text = (ROOT / "requirements.txt").read_text()
    assert not re.search(r"https?:|file:|--index|--find-links|--extra|@ ", text)
    assert not re.search(r"^\s*[./]", text, re.MULTILINE)


def test_it_fits_what_the_agent_and_its_build_ask_for(locked: dict[str, Requirement]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = project["project"]
    asked = [*named["dependencies"], *named["optional-dependencies"]["host"], *project["build-system"]["requires"]]
    for requirement in map(Requirement, asked):
        pinned = locked[canonicalize_name(requirement.name)]
        assert next(iter(pinned.specifier)).version in requirement.specifier, requirement


def test_the_installer_itself_is_locked(locked: dict[str, Requirement]) -> None:
    assert "uv" in locked

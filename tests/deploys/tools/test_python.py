"""What is asked of uv. What uv makes of it, test_on_host.py shows on real hosts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent.deploys.tools import install
from agent.errors import DeployError, SourceError

HASH = f"--hash=sha256:{'a' * 64}"

UV = """\
#!/bin/sh
cd "$(dirname "$0")" && env >> environment && echo "$*" >> arguments
[ "$1" != pip ] || [ ! -e failing ] || { cat failing >&2; exit 2; }
"""


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the agent's own Python, with a uv that writes down what it is told."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/uv").write_text(UV)
    (tmp_path / "bin/uv").chmod(0o755)
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/bin/python")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "bin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "staging/new").mkdir(parents=True)
    return tmp_path / "staging/new"


def test_only_wheels_with_pinned_hashes_and_nothing_else_are_taken(uv: Path, folder: Path) -> None:
    assert install.build_environment(folder, [f"ruff==0.6.9 {HASH}"]) == install.host_python()
    asked = (uv / "arguments").read_text().splitlines()[1].split()
    assert {"--require-hashes", "--no-deps", "--only-binary", ":all:"} < set(asked)
    assert (folder / "requirements.txt").read_text() == f"ruff==0.6.9 {HASH}\n"


@pytest.mark.parametrize(
    "line",
    [
        "ruff==0.6.9",
        f"ruff {HASH}",
        f"--index-url=https://example.org {HASH}",
        f"-r other.txt {HASH}",
        f"./folder {HASH}",
        f"ruff @ https://example.org/ruff.whl {HASH}",
        f"ruff==0.6.9 {HASH}\n--index-url https://example.org",
        f"ruff==0.6.9 --hash=md5:{'a' * 32}",
    ],
)
def test_a_line_that_is_no_hashed_requirement_gets_nowhere(uv: Path, folder: Path, line: str) -> None:
    with pytest.raises(DeployError, match="is not a requirement with version and hashes"):
        install.build_environment(folder, [line])
    assert not (uv / "arguments").exists()


@pytest.mark.parametrize(
    "line",
    [
        f"httpie[socks]==3.2.4 {HASH}",
        f"tomli==2.0.1 ; python_full_version < '3.11' {HASH} {HASH}",
        f"a.b-c==1!2.0+local \\\n    {HASH}",
    ],
)
def test_a_hashed_requirement_may_have_extras_markers_and_many_hashes(uv: Path, folder: Path, line: str) -> None:
    install.build_environment(folder, [line])


@pytest.mark.parametrize(
    ("given", "index"),
    [
        ({"PIP_INDEX_URL": "https://pip.example.org"}, "https://pip.example.org"),
        ({"PIP_INDEX_URL": "https://pip", "UV_DEFAULT_INDEX": "https://uv.example.org"}, "https://uv.example.org"),
    ],
)
def test_the_index_of_the_environment_is_used(
    uv: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], index: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_NO_VERIFY_HASHES", "1")
    install.build_environment(folder, [f"ruff==0.6.9 {HASH}"])
    environment = (uv / "environment").read_text().splitlines()
    assert f"UV_DEFAULT_INDEX={index}" in environment
    assert "UV_NO_VERIFY_HASHES=1" not in environment


def test_the_home_and_the_temporary_folder_of_uv_are_where_versions_are_built(uv: Path, folder: Path) -> None:
    install.build_environment(folder, [f"ruff==0.6.9 {HASH}"])
    lines = (uv / "environment").read_text().splitlines()
    assert {line for line in lines if line.startswith(("HOME=", "TMPDIR="))} == {
        f"HOME={folder.parent}",
        f"TMPDIR={folder.parent}",
    }


def test_uv_keeps_no_cache_on_the_host(uv: Path, folder: Path) -> None:
    install.build_environment(folder, [f"ruff==0.6.9 {HASH}"])
    environments = (uv / "environment").read_text().splitlines()
    assert environments.count("UV_NO_CACHE=1") == len((uv / "arguments").read_text().splitlines()) == 2


def test_what_uv_says_of_a_wrong_hash_is_told(uv: Path, folder: Path) -> None:
    (uv / "failing").write_text("error: Hash mismatch\n  Expected: sha256:aa\n\n  Computed: sha256:bb\n")
    with pytest.raises(SourceError, match=r"Hash mismatch\nExpected: sha256:aa\nComputed: sha256:bb"):
        install.build_environment(folder, [f"ruff==0.6.9 {HASH}"])


def test_an_agent_without_its_uv_says_so(uv: Path, folder: Path) -> None:
    (uv / "uv").unlink()
    with pytest.raises(DeployError, match=r"there is no .*/bin/uv"):
        install.build_environment(folder, [f"ruff==0.6.9 {HASH}"])

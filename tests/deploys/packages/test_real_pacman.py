"""pacman itself, in a root of its own below a temporary folder, with a repository made here."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.deploys import engine
from tests.deploys.packages.test_other_managers import deploy

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("pacman") is None, reason="needs root and the package pacman-package-manager"
)

PACMAN = """\
#!/bin/sh
cd {root}
exec {program} --root {root} --dbpath {root}/db --cachedir {root}/cache --config {root}/conf --gpgdir {root} \\
    --logfile {root}/log --hookdir {root}/hooks "$@"
"""
PACKAGES = {"hw-real": {"provides": "hw-virtual"}, "hw-app": {"depend": "hw-real"}}
WORDS = {"provides": "PROVIDES", "depend": "DEPENDS"}


def archive(path: Path, name: str, text: str) -> None:
    with tarfile.open(path, "w:gz") as tar:
        add(tar, name, text)


def add(tar: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text)
    tar.addfile(member, io.BytesIO(text.encode()))


def make_repository(folder: Path) -> None:
    """Packages and the database of a repository (PKGBUILD(5), alpm's sync databases)."""
    with tarfile.open(folder / "here.db", "w:gz") as database:
        for name, said in PACKAGES.items():
            file = folder / f"{name}-1.0-1-any.pkg.tar.gz"
            fields = {"pkgname": name, "pkgver": "1.0-1", "arch": "any", "size": "1", "group": "hw-group", **said}
            archive(file, ".PKGINFO", "".join(f"{field} = {value}\n" for field, value in fields.items()))
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            known = {"FILENAME": file.name, "NAME": name, "VERSION": "1.0-1", "SHA256SUM": digest, "ARCH": "any"}
            known |= {"CSIZE": f"{file.stat().st_size}", "GROUPS": "hw-group"}
            known |= {WORDS[field]: value for field, value in said.items()}
            text = "".join(f"%{field}%\n{value}\n\n" for field, value in known.items())
            add(database, f"{name}-1.0-1/desc", text)


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pacman is the only package manager that the agent finds; it works on another root."""
    folder, root, repository = (tmp_path / name for name in ("bin", "root", "repository"))
    for path in (folder, root / "db/sync", root / "db/local/base-1-1", root / "cache", repository):
        path.mkdir(parents=True)
    make_repository(repository)
    source = f"[options]\nArchitecture = auto\nSigLevel = Never\n[here]\nServer = file://{repository}\n"
    (root / "conf").write_text(source)
    (folder / "pacman").write_text(PACMAN.format(root=root, program=shutil.which("pacman")))
    (folder / "pacman").chmod(0o755)
    shutil.copy(repository / "here.db", root / "db/sync/here.db")
    (root / "db/local/ALPM_DB_VERSION").write_text("9\n")
    (root / "db/local/base-1-1/desc").write_text("%NAME%\nbase\n\n%VERSION%\n1-1\n\n")  # no host is without any
    monkeypatch.setenv("PATH", f"{folder}")


@pytest.mark.parametrize("name", ["hw-virtual", "hw-group"])
def test_a_provided_name_and_a_group_are_installed_once(name: str, tmp_path: Path) -> None:
    wanted = deploy([name], tmp_path)
    run = engine.apply(wanted, tmp_path, tmp_path / "work")
    assert (run.outcome.error, set(run.operations)) == ("", {f"package:{name}"})
    again = engine.plan(wanted, tmp_path, tmp_path / "work")
    assert (again.error, again.changes) == (None, ())


def test_what_something_else_needs_stays_and_that_is_said(tmp_path: Path) -> None:
    engine.apply(deploy(["hw-app"], tmp_path), tmp_path, tmp_path / "work")
    run = engine.apply(deploy({"absent": ["hw-real"]}, tmp_path), tmp_path, tmp_path / "work")
    assert "required by hw-app" in f"{[result.error for result in run.results]}"
    assert engine.plan(deploy(["hw-real"], tmp_path), tmp_path, tmp_path / "work").changes == ()

"""dnf, zypper and rpm themselves, in a root of their own below a temporary folder, with a repository made here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.deploys.packages.package import Package
from agent.domain.ownership import LedgerEntry, Origin
from tests.deploys import engine
from tests.deploys.packages.test_other_managers import deploy

PROGRAMS = ("rpm", "rpmbuild", "createrepo_c")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, PROGRAMS)),
    reason="needs root, and the packages rpm and createrepo-c",
)

SPEC = """\
Name: {name}
Version: 1.0
Release: 1
Summary: a
License: MIT
BuildArch: noarch
{field}
%description
a
%files
"""
REAL = {
    "dnf": "--installroot={root} --releasever=1 --repofrompath=here,file://{repository} --repo=here --nogpgcheck",
    "zypper": "--root {root}",
}

RPM = """\
case $1 in
--erase | --initdb) exec rpm --root={root} "$@" ;;
*) exec rpm --dbpath={root}/root/.rpmdb "$@" ;;
esac
"""
"""A plan may not change its root. Debian's rpm has its database in root's home, and not in /var/lib/rpm."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    for name, field in (("hw-real", "Provides: hw-virtual"), ("hw-app", "Requires: hw-real")):
        (folder / f"{name}.spec").write_text(SPEC.format(name=name, field=field))
        defined = {"_topdir": f"{folder}/work", "_rpmdir": f"{folder}"}
        options = [word for macro, value in defined.items() for word in ("--define", f"{macro} {value}")]
        subprocess.run(["rpmbuild", "-bb", *options, f"{folder}/{name}.spec"], check=True, capture_output=True)
    subprocess.run(["createrepo_c", "--quiet", folder], check=True)
    return folder


@pytest.fixture(params=REAL)
def manager(request: pytest.FixtureRequest, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The only package manager that the agent finds; it works on another root."""
    name: str = request.param
    if (program := shutil.which(name)) is None:
        pytest.skip(f"needs the package {name}")
    folder, root = tmp_path / "bin", tmp_path / "root"
    for path in (folder, root):
        path.mkdir()
    options = REAL[name].format(root=root, repository=repository)
    for each, script in {name: f'exec {program} {options} "$@"', "rpm": RPM.format(root=root)}.items():
        (folder / each).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        (folder / each).chmod(0o755)
    subprocess.run([folder / "rpm", "--initdb"], check=True)
    if name == "zypper":
        source = ["addrepo", "--no-gpgcheck", f"file://{repository}", "here"]
        subprocess.run([folder / name, *source], check=True, capture_output=True)
    monkeypatch.setenv("PATH", f"{folder}")
    return name


def test_packages_come_stay_and_go(manager: str, tmp_path: Path) -> None:
    wanted = deploy(["hw-virtual", "hw-app=1.0"], tmp_path)
    run = engine.apply(wanted, tmp_path, tmp_path / "work")
    assert (run.outcome.error, set(run.operations)) == ("", {"package:hw-virtual", "package:hw-app"})
    again = engine.plan(wanted, tmp_path, tmp_path / "work")
    assert (again.error, again.changes) == (None, ()), "hw-real provides hw-virtual"
    unwanted = engine.apply(deploy({"absent": ["hw-real"]}, tmp_path), tmp_path, tmp_path / "work")
    assert "hw-real is needed by (installed) hw-app" in f"{[result.error for result in unwanted.results]}"
    gone = engine.apply(deploy({"absent": ["hw-app"]}, tmp_path), tmp_path, tmp_path / "work")
    assert gone.outcome.error == ""
    assert Package().look("hw-app") is None
    assert Package().look("hw-real") is not None


def test_what_something_else_needs_stays_and_that_is_said(manager: str, tmp_path: Path) -> None:
    engine.apply(deploy(["hw-app"], tmp_path), tmp_path, tmp_path / "work")
    entries = [LedgerEntry(f"package:{name}", "packages", 0, Origin.CREATED) for name in ("hw-real", "hw-app")]
    stayed = Package().remove(entries[:1], purge=False)
    assert "needed by" in stayed["package:hw-real"]
    assert Package().remove(entries, purge=True) == {}
    assert Package().look("hw-real") is None

"""files through the real engine: wanted, applied, in sync; drift found and repaired; a failure that says what."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agent.deploys.files.spec import FilesSpec
from agent.domain.desired import DesiredDeploy
from agent.domain.outcome import Status
from tests.deploys.commit import Commit, snapshot
from tests.deploys.engine import apply, plan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files belong to root by default")


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    return Commit(
        tmp_path / "commit",
        {"files/app.conf": "port = 1\n", "files/conf.d/a": "a\n", "files/conf.d/run": ("executable", "#!/bin/sh\n")},
        port=8080,
    )


def deploy(commit: Commit, written: dict[str, Any]) -> DesiredDeploy:
    concrete = FilesSpec.model_validate(written).concrete(commit)
    return DesiredDeploy("files", "files", concrete.arguments, "", concrete.resources)


def test_what_is_wanted_comes_to_be_and_a_drift_is_found_and_repaired(tmp_path: Path, commit: Commit) -> None:
    place = tmp_path / "host"
    (place / "etc").mkdir(parents=True)
    (place / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (place / "etc/old").write_text("old\n")
    wanted = deploy(
        commit,
        {
            f"{place}/etc/app/app.conf": {"source": "files/app.conf", "mode": "0640"},
            f"{place}/etc/app/conf.d": {"tree": "files/conf.d"},
            f"{place}/etc/hosts": {"block": "10.0.0.1 a\n", "name": "lab"},
            f"{place}/etc/link": {"link": "app/app.conf"},
            f"{place}/etc/old": {"absent": True, "backup": True},
            f"{place}/srv": {"directory": True, "mode": "0750"},
        },
    )

    first = apply(wanted, commit.root, tmp_path / "work")

    assert first.outcome.status is Status.DONE
    assert len(first.results) == len(first.changes) == 9
    assert all(result.succeeded and result.changed for result in first.results)
    converged = snapshot(place)
    assert converged == {
        "etc": ("directory", 0o755, None),
        "etc/app": ("directory", 0o755, None),
        "etc/app/app.conf": ("file", 0o640, b"port = 1\n"),
        "etc/app/conf.d": ("directory", 0o755, None),
        "etc/app/conf.d/a": ("file", 0o644, b"a\n"),
        "etc/app/conf.d/run": ("file", 0o755, b"#!/bin/sh\n"),
        "etc/hosts": (
            "file",
            0o644,
            b"127.0.0.1 localhost\n# BEGIN hostwright lab\n10.0.0.1 a\n# END hostwright lab\n",
        ),
        "etc/link": ("link", 0, "app/app.conf"),
        "etc/old.before-hostwright": ("file", 0o644, b"old\n"),
        "srv": ("directory", 0o750, None),
    }
    assert plan(wanted, commit.root, tmp_path / "work").changes == ()

    (place / "etc/app/conf.d/a").write_text("by hand\n")
    (place / "etc/app/app.conf").chmod(0o644)
    (place / "etc/link").unlink()
    drifted = plan(wanted, commit.root, tmp_path / "work")

    assert {change.resource.removeprefix("file:"): change.operation for change in drifted.changes} == {
        f"{place}/etc/app/app.conf": "set mode 0640 (was 0644)",
        f"{place}/etc/app/conf.d/a": "write content",
        f"link:{place}/etc/link": "create link to app/app.conf",
    }
    assert drifted.changes[0].private
    assert (drifted.changes[1].lines_added, drifted.changes[1].lines_removed) == (1, 1)
    apply(wanted, commit.root, tmp_path / "work")
    assert snapshot(place) == converged


def test_a_path_that_cannot_be_written_fails_the_deploy_and_the_others_are_done(tmp_path: Path, commit: Commit) -> None:
    (tmp_path / "full/of").mkdir(parents=True)
    wanted = deploy(commit, {f"{tmp_path}/full": {"content": "x"}, f"{tmp_path}/good": {"content": "x"}})

    run = apply(wanted, commit.root, tmp_path / "work")

    assert run.outcome.status is Status.FAILED
    assert [(result.resource, result.succeeded) for result in run.results] == [
        (f"file:{tmp_path}/good", True),
        (f"file:{tmp_path}/full", False),
    ]
    assert "a directory that is not empty is in the way of a file; move it away" in run.results[1].error
    assert (tmp_path / "full/of").is_dir()


def test_an_export_that_was_tampered_with_is_not_planned(tmp_path: Path, commit: Commit) -> None:
    wanted = deploy(commit, {f"{tmp_path}/f": {"source": "files/app.conf"}})
    (commit.root / "files/app.conf").write_text("port = 666\n")
    prepared = plan(wanted, commit.root, tmp_path / "work")
    assert prepared.error is not None
    assert "is not what the commit holds" in prepared.error

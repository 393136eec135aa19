"""What goes to a machine that is enrolled, from a clone and from an installed wheel."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO

import pytest

from agent.cli.agent_files import BESIDE, write_bundle
from agent.cli.enrolment import Following, access_wanted, enroll_host
from agent.cli.main import run
from agent.host.environment import find_agent
from agent.system.ssh_host import Login, Ran
from tests.gitserver import ConfigRepo, author, free_port

HOSTS = "inventories/prod/hosts.yaml"
ROOT = Path(__file__).parents[2]
BUNDLED = "import sys; from agent.cli.agent_files import write_bundle; write_bundle(sys.stdout.buffer, {}, None)"


def unpack(bundle: bytes, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["tar", "-xz", "-C", folder], input=bundle, check=True, timeout=60)
    return folder


def test_what_goes_there_is_what_bootstrap_installs_from_with_what_was_given(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/a.whl").write_text("a")
    bundle = io.BytesIO()
    write_bundle(bundle, {"trusted_signers": b"ann\n"}, tmp_path / "wheels")
    sent = unpack(bundle.getvalue(), tmp_path / "sent")
    assert (sent / "trusted_signers").read_text() == "ann\n"
    assert (sent / "wheels/a.whl").read_text() == "a"
    assert find_agent(sent).digest == find_agent(ROOT).digest
    assert not [path for path in sent.rglob("*") if path.suffix == ".pyc"]


def test_an_installed_wheel_brings_all_that_a_clone_does(tmp_path: Path) -> None:
    argv = ["uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", f"{tmp_path}", f"{ROOT}"]
    subprocess.run([f"{Path(sys.executable).with_name('uv')}", *argv[1:]], check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    program = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {BUNDLED}"
    done = subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True, cwd=tmp_path)
    sent = unpack(done.stdout, tmp_path / "sent")
    assert [name for name in BESIDE if (sent / name).read_bytes() != (ROOT / name).read_bytes()] == []
    assert find_agent(sent).digest == find_agent(ROOT).digest


@pytest.mark.parametrize(
    ("config", "status", "keys"),
    [
        ("ssh://git@a/c.git", "ssh://git@a/c.git", {"deploy_key": "write"}),
        ("ssh://git@a/c.git", "ssh://git@a/s.git", {"deploy_key": "read", "status_key": "write"}),
        ("https://a/c.git", "ssh://git@a/s.git", {"status_key": "write"}),
        ("https://a/c.git", "https://a/c.git", {}),
    ],
)
def test_a_host_makes_a_key_for_each_remote_by_ssh_and_none_may_do_more_than_it_must(
    config: str, status: str, keys: dict[str, str]
) -> None:
    assert access_wanted({"config": config, "status": status}) == keys


def test_the_password_of_a_remote_goes_by_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sudo logs the arguments of what it runs, and every user of the host can read them."""
    url, commands, inputs = "https://ann:hunter2@git.example.org/c.git", list[str](), list[bytes]()

    class Machine:
        def run(self, argv: Sequence[str], *, input: bytes | IO[bytes] = b"", **_: object) -> Ran:
            commands.extend(argv)
            inputs.append(input if isinstance(input, bytes) else input.read())
            identity = {"data": {"ssh": public}}
            return Ran(0, json.dumps(identity).encode() if "identity" in argv else b"/root/x", "")

    public = author(tmp_path, "web1").public
    monkeypatch.setattr("agent.cli.enrolment.logged_in", lambda *_: nullcontext(Machine()))
    following = Following(url, "main", "prod", None, b"signers", b"", {}, None)
    assert enroll_host("web1", Login("web1"), None, following, print).exit == 0
    assert "hunter2" not in f"{commands}"
    assert [f"--repo={url}".encode() in each.splitlines() for each in inputs].count(True) == 1


def test_the_reason_of_a_host_is_told_and_not_its_hint() -> None:
    assert Ran(3, b"", "asking\nhostwright: nothing is set up here\n  → run bootstrap.sh\n").complaint == (
        "nothing is set up here"
    )


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigRepo:
    """An inventory of one host, in a clone whose commits are all pushed."""
    repo = ConfigRepo(tmp_path / "work")
    files = {
        HOSTS: "web:\n  hosts:\n    web1:\n",
        "inventories/prod/site.yaml": "- hosts: all\n  deploys: []\n",
    }
    repo.commit("First", files)
    repo.bare(tmp_path / "bare.git")
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("HOME", f"{tmp_path}")
    return repo


@pytest.mark.parametrize(
    ("name", "options", "code", "said"),
    [
        ("bad name", ("--trust", "unsigned"), 2, "no name for a host"),
        ("web[3:5]", ("--trust", "unsigned"), 2, "no name for a host"),
        ("../web2", ("--trust", "unsigned"), 2, "no name for a host"),
        ("web2", (), 2, "nobody may sign"),
        ("web", ("--trust", "unsigned"), 6, "nothing was done"),
        ("web2", ("--trust", "unsigned"), 4, "127.0.0.1"),
    ],
)
def test_nothing_is_written_or_pushed_before_all_else_is_found_fine(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], name: str, options: tuple[str, ...], code: int, said: str
) -> None:
    before = repo.git("ls-remote", "origin")
    target = f"root@127.0.0.1:{free_port()}"
    assert run(["enroll", target, "--as", name, "--group", "web", "--commit", *options]) == code
    assert said in capsys.readouterr().err
    assert repo.git("ls-remote", "origin") == before
    assert repo.git("status", "--short") == ""


def test_a_host_whose_ssh_config_is_wrong_does_not_keep_the_others_from_being_asked(
    repo: ConfigRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = f"web:\n  hosts:\n    web1:\n    web2: {{ansible_host: 127.0.0.1, ansible_port: {free_port()}}}\n"
    repo.commit("Two", {HOSTS: hosts})
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host web1\n  Port abc\n")
    for command in (["plan", "all"], ["enroll", "all", "--trust", "unsigned"]):
        assert run(command) == 2
        told = capsys.readouterr()
        assert -1 < told.out.find("ssh_config: port is abc") < told.out.find("127.0.0.1"), told


def test_a_pattern_that_no_host_matches_is_named(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["enroll", "web:&db", "wbe1"]) == 2
    assert f'no host of {HOSTS.rpartition("/")[0]} matches "web:&db:wbe1"' in capsys.readouterr().err

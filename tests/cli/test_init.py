"""`hostwright init`: what it makes passes our own checks and those of each CI, and is never put over anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from agent.cli.commands.init import CI
from agent.cli.main import run
from tests.gitserver import ConfigRepo, author

SCHEMAS = {
    "circleci": ("circle-ci", ".circleci/config.yml"),
    "forgejo": ("github-workflows", ".forgejo/workflows/hostwright.yaml"),
    "gitea": ("github-workflows", ".gitea/workflows/hostwright.yaml"),
    "github": ("github-workflows", ".github/workflows/hostwright.yaml"),
    "gitlab": ("gitlab-ci", ".gitlab-ci.yml"),
    "travis": ("travis", ".travis.yml"),
    "woodpecker": ("woodpecker-ci", ".woodpecker.yaml"),
}
"""The schema by which check-jsonschema judges a CI's file. Nobody offers one for a Jenkinsfile and for Tekton's."""


@contextmanager
def forge() -> Iterator[tuple[str, list[tuple[str | None, str]]]]:
    """A server that takes comments: its URL, and what it was sent (authorization, body)."""
    taken: list[tuple[str | None, str]] = []

    class Comments(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
            taken.append((self.headers["Authorization"], body))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Comments)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", taken
    server.shutdown()
    server.server_close()


def test_what_is_made_passes_check_and_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", f"{tmp_path / 'ops'}", "--host", "web1", "--host", "db1"]) == 0
    assert "inventories/main/site.yaml" in capsys.readouterr().out
    assert run(["--repo", f"{tmp_path / 'ops'}", "check"]) == 0
    assert capsys.readouterr().out == "main: 2 hosts, fine\n"
    assert run(["--repo", f"{tmp_path / 'ops'}", "lock", "--check"]) == 0


def test_without_a_host_it_passes_check_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--inventory", "prod", "init", f"{tmp_path / 'ops'}"]) == 0
    assert run(["--repo", f"{tmp_path / 'ops'}", "check"]) == 0
    assert capsys.readouterr().out.endswith("prod: 0 hosts, fine\n")


def test_a_folder_with_anything_in_it_is_refused_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("x")
    assert run(["init", f"{tmp_path}"]) == 2
    assert "is not empty: mine" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_clone_without_a_commit_is_filled(tmp_path: Path) -> None:
    repo = ConfigRepo(tmp_path / "ops")
    assert run(["init", f"{repo.path}"]) == 0
    assert "inventories/main/hosts.yaml" in repo.git("ls-files")


def test_a_clone_with_commits_and_nothing_checked_out_is_refused_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = ConfigRepo(tmp_path / "ops")
    origin.commit("Begin", {"inventories/prod/hosts.yaml": "all: {hosts: {web1: {}}}\n"})
    origin.git("clone", "--quiet", "--no-checkout", f"{origin.path}", f"{tmp_path / 'clone'}")
    assert run(["init", f"{tmp_path / 'clone'}"]) == 2
    assert "is a clone with commits, of which nothing is checked out" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "clone").iterdir()] == [".git"]


def test_who_signs_with_an_ssh_key_may_sign_and_read_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = author(tmp_path / "keys", "ann")
    settings = f"[gpg]\nformat = ssh\n[user]\nsigningKey = {ann.key}\nemail = ann@example.org\n"
    (tmp_path / "gitconfig").write_text(settings)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", f"{tmp_path / 'gitconfig'}")
    run(["init", f"{tmp_path / 'ops'}"])
    assert (tmp_path / "ops/inventories/main/trusted_signers").read_text() == f"{ann.line}\n"
    assert (tmp_path / "ops/inventories/main/admins").read_text() == f"{ann.public} ann@example.org\n"


@pytest.mark.parametrize("name", ["../x", "", "a b", "-x"])
def test_what_cannot_be_a_name_is_refused(name: str, tmp_path: Path) -> None:
    assert run(["init", f"{tmp_path / 'ops'}", f"--host={name}"]) == 2
    assert not (tmp_path / "ops").exists()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init") / "ops"
    argv = [sys.executable, "-m", "agent", "init", f"{folder}", *(word for name in CI for word in ("--ci", name))]
    subprocess.run(argv, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_checker_of_each_ci_takes_its_file(name: str, everything: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="it has the schemas: tests/requirements.txt")
    schema, path = SCHEMAS[name]
    options = ["--data-transform", "gitlab-ci"] if name == "gitlab" else []
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *options]
    done = subprocess.run([*argv, f"{everything / path}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_ci_runs_the_review(everything: Path) -> None:
    assert {*SCHEMAS, "jenkins", "tekton"} == set(CI)
    files = [everything / path for _, path in SCHEMAS.values()]
    files += [everything / "Jenkinsfile", everything / ".tekton/hostwright.yaml"]
    assert [path.name for path in files if "sh ci/review" not in path.read_text()] == []


@pytest.mark.parametrize("name", ["github", "gitea", "forgejo", "tekton"])
def test_what_pip_installs_is_passed_on_by_a_ci_that_passes_on_only_what_its_file_names(
    name: str, everything: Path
) -> None:
    text = (everything / (SCHEMAS[name][1] if name in SCHEMAS else ".tekton/hostwright.yaml")).read_text()
    for word in ("HOSTWRIGHT", "PIP_INDEX_URL"):
        assert f" {word}: " in text or f"name: {word}\n" in text


def test_no_secret_of_woodpecker_has_to_be_there(everything: Path) -> None:
    lines = (everything / SCHEMAS["woodpecker"][1]).read_text().splitlines()
    assert [line for line in lines if "from_secret" in line and not line.lstrip().startswith("#")] == []


def test_the_review_comments_what_a_branch_changes_and_fails_where_check_does(tmp_path: Path) -> None:
    folder = tmp_path / "ops"
    repo = ConfigRepo(folder)
    run(["init", f"{folder}", "--host", "web1"])
    repo.commit("Begin")
    site = folder / "inventories/main/site.yaml"
    repo.commit("Jq", {"inventories/main/site.yaml": site.read_text().replace("curl", "curl, jq")})
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "hostwright").write_text(f'#!/bin/sh\nexec {sys.executable} -m agent "$@"\n')
    (programs / "hostwright").chmod(0o755)

    def review(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **variables, "PATH": f"{programs}:{os.environ['PATH']}"}
        argv = [f"{folder / 'ci/review'}", *arguments]
        return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)

    with forge() as (url, taken):
        done = review("HEAD~1", HOSTWRIGHT_COMMENTS=url, HOSTWRIGHT_TOKEN="secret")
        assert done.returncode == 0, done.stderr
        ((authorization, comment),) = taken
        assert authorization == "Bearer secret"
        assert "+ package:jq  [packages]" in comment
        assert comment in done.stdout
        repo.commit("Typo", {"inventories/main/site.yaml": site.read_text().replace("packages", "packagez")})
        done = review("HEAD~1", HOSTWRIGHT_COMMENTS=url, HOSTWRIGHT_TOKEN="secret", GITLAB_CI="true")
        assert done.returncode == 6
        assert "does not pass" in taken[1][1]
    report = json.loads((folder / "gl-code-quality-report.json").read_text())
    assert {one["location"]["path"] for one in report} == {"inventories/main/site.yaml"}
    done = review(GITHUB_ACTIONS="true", GITLAB_CI="")
    assert (done.returncode, done.stdout[:38]) == (6, "::error file=inventories/main/site.yam")


def test_the_schema_that_the_first_site_yaml_names_lies_where_its_command_puts_it_and_check_says_nothing_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ops"
    repo = ConfigRepo(folder)
    run(["init", f"{folder}", "--host", "web1"])
    repo.commit("Begin")
    site = folder / "inventories/main/site.yaml"
    named = site.read_text().partition("# yaml-language-server: $schema=")[2].splitlines()[0]
    capsys.readouterr()
    assert run(["schema", "site"]) == 0
    schema = site.parent / named
    assert f"schema site > {schema.name}` at the top" in site.read_text()
    assert schema.resolve().parent == folder
    schema.write_text(capsys.readouterr().out)
    assert run(["--repo", f"{folder}", "check"]) == 0
    assert capsys.readouterr() == ("main: 1 host, fine\n", "")


def test_hosts_may_be_named_twice_or_like_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("a", "a", "123", "null", "true")
    assert run(["init", f"{tmp_path / 'ops'}", *(word for name in names for word in ("--host", name))]) == 0
    capsys.readouterr()
    assert run(["--repo", f"{tmp_path / 'ops'}", "check"]) == 0
    assert capsys.readouterr().out == "main: 4 hosts, fine\n"


def test_the_review_installs_into_a_folder_that_nobody_could_have_made_before(tmp_path: Path) -> None:
    assert run(["init", f"{tmp_path / 'ops'}"]) == 0
    programs, made, temporary = (tmp_path / name for name in ("programs", "made", "temporary"))
    for path, says in {
        programs / "python3": f'cp -r {made}/. "$3"',
        made / "bin/pip": ":",
        made / "bin/hostwright": "echo new",
        temporary / "hostwright/bin/hostwright": "echo planted",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{says}\n")
        path.chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "TMPDIR": f"{temporary}", "HOSTWRIGHT": "./hostwright"}
    done = subprocess.run(
        [f"{tmp_path / 'ops/ci/review'}"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "new\nnew\n", "")
    assert [path.name for path in temporary.iterdir()] == ["hostwright"]


@pytest.mark.parametrize(
    ("named", "index", "why"),
    [
        ("", "", "hostwright is not installed"),
        ("", "https://index.example.org/simple", "hostwright is not installed"),
        ("hostwright==0.1.0", "", "no index is named"),
        ("https://git.example.org/hostwright.whl", "", "a URL without its hash"),
        ("hostwright==0.1.0", "https://index.example.org/simple", ""),
        *(
            (f"https://git.example.org/hostwright.whl{end}", "", "a URL without its hash")
            for end in ("#sha256=", f"#sha256={'g' * 64}")
        ),
        (f"https://git.example.org/hostwright.whl#sha256={'0a' * 32}", "", ""),
        (f"hostwright[policy] @ https://git.example.org/hostwright.whl#sha256={'0a' * 32}", "", ""),
        ("hostwright.whl", "", ""),
        ("hostwright.whl[policy]", "", ""),
    ],
)
def test_the_review_installs_nothing_by_its_name_alone(named: str, index: str, why: str, tmp_path: Path) -> None:
    assert run(["init", f"{tmp_path / 'ops'}"]) == 0
    python = tmp_path / "programs/python3"  # in the place of venv: makes the pip that writes down what it is to install
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nmkdir "$3/bin"; echo "echo pip \\$3; exit 9" >"$3/bin/pip"; chmod +x "$3/bin/pip"\n')
    python.chmod(0o755)
    environment = {"PATH": f"{python.parent}:/usr/bin:/bin", "HOSTWRIGHT": named, "PIP_INDEX_URL": index}
    script = f"{tmp_path / 'ops/ci/review'}"
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == ((3, "") if why else (9, f"pip {named}\n"))
    assert why in done.stderr


def test_what_is_next_can_be_pasted_whatever_the_folder_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "our $(ops)'s; repo"
    assert run(["init", f"{folder}"]) == 0
    entered = capsys.readouterr().err.partition("next: ")[2].partition(" && ")[0]
    done = subprocess.run(["sh", "-c", f"{entered} && pwd"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{folder}\n"

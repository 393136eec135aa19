"""What git could be made to start, by effect: every trap touches a canary, and there is none when all is read."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import SourceError
from agent.system.git_command import Access, local_environment
from agent.system.mirror import Mirror
from agent.system.process import run
from tests.gitserver import ConfigRepo, http_server, silent_server


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A program that leaves a trace; at the end of the test there must be none."""
    program, trace = tmp_path / "traps/canary", tmp_path / "sang"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ndate >> {trace}\nexec cat\n")
    program.chmod(0o755)
    yield program
    assert not trace.exists()


def use(mirror: Mirror, repo: ConfigRepo, target: Path) -> str:
    """All that is done with a repository: fetched twice, walked, read, written out."""
    first = mirror.fetch(f"{repo.path}", "main").sha
    head = repo.commit("Next", {"next": "x"})
    tag = repo.tag("v1")
    commit = mirror.fetch(f"{repo.path}", "main", tags=True)
    mirror.bring(commit.tags)
    assert mirror.tag(tag)
    assert mirror.first_parent_range(first, head)[-1] == head
    target.parent.mkdir(exist_ok=True)
    mirror.export(head, target)
    assert (target / "site.yaml").is_file()
    return head


SETTINGS = (
    "alias.fetch",
    "core.alternateRefsCommand",
    "core.askPass",
    "core.editor",
    "core.fsmonitor",
    "core.gitProxy",
    "core.pager",
    "core.sshCommand",
    "credential.helper",
    "diff.external",
    "filter.evil.clean",
    "filter.evil.process",
    "filter.evil.smudge",
    "gpg.program",
    "gpg.ssh.program",
    "remote.origin.receivepack",
    "remote.origin.uploadpack",
    "remote.origin.vcs",
    "uploadpack.packObjectsHook",
)
HOOKS = ("post-checkout", "post-index-change", "post-update", "pre-auto-gc", "pre-receive", "reference-transaction")


def trap(repo: Path, canary: Path) -> None:
    """Every setting and hook of the repository starts the canary."""
    with (repo / "config").open("a") as config:
        for setting in SETTINGS:
            section, _, key = setting.rpartition(".")
            name, _, inner = section.partition(".")
            value = f"!{canary}" if name in ("alias", "credential") else f"{canary}"
            config.write(f"[{name}{f' {chr(34)}{inner}{chr(34)}' if inner else ''}]\n\t{key} = {value}\n")
    for name in HOOKS:
        (repo / "hooks").mkdir(exist_ok=True)
        shutil.copy(canary, repo / "hooks" / name)


def test_a_remote_s_settings_and_hooks_start_nothing(
    repo: ConfigRepo, mirror: Mirror, canary: Path, tmp_path: Path
) -> None:
    repo.commit("Attributes", {".gitattributes": "* filter=evil diff=evil\n"})
    for subject in ("One", "Two"):
        head = repo.commit(subject)
        served = repo.bare(tmp_path / f"{subject}.git")
        repo.git("remote", "remove", "origin")
        trap(served, canary)
        assert mirror.fetch(f"{served}", "main").sha == head


def test_a_mirror_s_settings_and_hooks_start_nothing(
    repo: ConfigRepo, mirror: Mirror, canary: Path, tmp_path: Path
) -> None:
    """Whatever came to lie there."""
    mirror.fetch(f"{repo.path}", "main")
    mirror.close()
    trap(tmp_path / "host/repo.git", canary)
    use(mirror, repo, tmp_path / "commits/x")


def test_the_person_s_settings_and_variables_start_nothing(
    repo: ConfigRepo, mirror: Mirror, canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config").touch()
    trap(home, canary)
    (home / "config").rename(home / ".gitconfig")
    monkeypatch.setenv("HOME", f"{home}")
    for name in ("GIT_ASKPASS", "GIT_EDITOR", "GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_PROXY_COMMAND", "GIT_SSH"):
        monkeypatch.setenv(name, f"{canary}")
    monkeypatch.setenv("GIT_SSH_COMMAND", f"{canary}")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'core.fsmonitor={canary}'")
    monkeypatch.setenv("GIT_TEMPLATE_DIR", f"{home}")
    with pytest.MonkeyPatch.context() as only_for_us:
        # The author's own commits, in the test, would start them.
        only_for_us.setattr(ConfigRepo, "commit", lambda self, *_: self.head)
        only_for_us.setattr(ConfigRepo, "tag", lambda self, *_: self.head)
        head = mirror.fetch(f"{repo.path}", "main").sha
        mirror.export(head, tmp_path / "out")


def test_a_promisor_remote_of_a_remote_is_not_asked(
    repo: ConfigRepo, mirror: Mirror, canary: Path, tmp_path: Path
) -> None:
    """git upload-pack would fetch what is missing there, by a program that the remote's settings name."""
    blob = repo.git("rev-parse", "HEAD:site.yaml")
    (repo.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    repo.git("config", "extensions.partialClone", "evil")
    repo.git("config", "remote.evil.promisor", "true")
    repo.git("config", "remote.evil.url", f"{tmp_path}")
    repo.git("config", "remote.evil.uploadpack", f"{canary}")
    with pytest.raises(SourceError):
        mirror.fetch(f"{repo.path}", "main")


def test_a_folder_that_looks_like_a_repository_is_none(canary: Path, tmp_path: Path) -> None:
    """Such as one that lies in a checkout, with settings of its own (safe.bareRepository)."""
    run(["git", "init", "--quiet", "--bare", f"{tmp_path}/looks"], timeout_s=20)
    trap(tmp_path / "looks", canary)
    done = run(["git", "rev-parse", "--git-dir"], timeout_s=20, env=local_environment(), cwd=tmp_path / "looks")
    assert not done.ok
    assert b"bareRepository" in done.error


def test_what_an_http_server_says_of_other_stores_is_not_fetched(
    repo: ConfigRepo, mirror: Mirror, tmp_path: Path
) -> None:
    """The old protocol knows objects/info/http-alternates: a server could have others asked, or files read."""
    bare = repo.bare(tmp_path / "srv/config.git")
    run(["git", "-C", f"{bare}", "update-server-info"], timeout_s=20)
    shutil.move(bare / "objects", tmp_path / "srv/kept")
    (bare / "objects/info").mkdir(parents=True)
    with plain_http(tmp_path / "srv") as (port, _), plain_http(tmp_path / "srv/kept") as (other, asked):
        (bare / "objects/info/http-alternates").write_text(f"http://127.0.0.1:{other}/\n")
        with pytest.raises(SourceError):
            mirror.fetch(f"http://127.0.0.1:{port}/config.git", "main")
    assert asked == []


def test_a_redirect_is_not_followed_and_the_password_stays_here(
    repo: ConfigRepo, mirror: Mirror, tmp_path: Path
) -> None:
    repo.bare(tmp_path / "srv/config.git")
    with http_server(tmp_path / "srv") as other, redirecting(other.url("")) as port:
        with pytest.raises(SourceError) as refused:
            mirror.fetch(f"http://ann:word@127.0.0.1:{port}/config.git", "main")
        assert mirror.fetch(other.url("config.git"), "main").sha == repo.head, "it would have had it"
    assert refused.value.kind == "source-unreachable"
    assert "not followed" in refused.value.hint


def test_nobody_is_waited_for(tmp_path: Path) -> None:
    """No prompt, no hanging: a conversation ends with its time."""
    mirror = Mirror(tmp_path / "repo.git", Access(None, None, timeout_s=1))
    with silent_server() as port, pytest.raises(SourceError) as refused:
        mirror.fetch(f"http://ann@127.0.0.1:{port}/x.git", "main", tags=True)
    assert refused.value.kind == "timeout"


def test_replaced_objects_in_the_mirror_do_not_count(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    good = mirror.fetch(f"{repo.path}", "main").sha
    evil = repo.commit("Evil", {"site.yaml": "evil"})
    mirror.fetch(f"{repo.path}", "main")
    run(["git", f"--git-dir={tmp_path}/host/repo.git", "replace", good, evil], timeout_s=20)
    mirror.close()
    assert mirror.commit(good).subject == "First"
    assert mirror.tree(good).read("site.yaml") == b"- hosts: all\n"


def test_a_remote_that_was_shallow_is_followed_when_it_is_whole(
    repo: ConfigRepo, mirror: Mirror, tmp_path: Path
) -> None:
    first = mirror.fetch(f"{repo.path}", "main").sha
    repo.commit("Second")
    head = repo.commit("Third")
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.path}", f"{tmp_path}/shallow")
    for _ in range(2):
        with pytest.raises(SourceError, match="shallow") as refused:
            mirror.fetch(f"{tmp_path}/shallow", "main")
        assert "--unshallow" in refused.value.hint
    run(["git", "-C", f"{tmp_path}/shallow", "fetch", "--quiet", "--unshallow"], timeout_s=20)
    assert mirror.fetch(f"{tmp_path}/shallow", "main").sha == head
    assert mirror.descends(head, first)


@contextlib.contextmanager
def redirecting(target: str) -> Iterator[int]:
    """A web server that sends everybody elsewhere; its port."""

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", target.rstrip("/") + self.path)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join(10)
    server.server_close()


class plain_http:  # noqa: N801 - reads as a statement
    """A web server that knows nothing of git; the port, and the paths that were asked for."""

    def __init__(self, folder: Path) -> None:
        self._asked: list[str] = []
        asked = self._asked

        class Files(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=f"{folder}")  # type: ignore[arg-type]

            def do_GET(self) -> None:
                asked.append(self.path)
                super().do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> tuple[int, list[str]]:
        self._thread.start()
        return self._server.server_port, self._asked

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

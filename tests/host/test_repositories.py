"""Other repositories at their pins: fetched once, kept, and refused where they are not what was pinned."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.address import Address
from agent.domain.pins import RepositoryPin
from agent.domain.tree import tree_digest
from agent.errors import Consequence, Exit, InventoryError, SourceError, TrustError
from agent.host import believed, repositories
from agent.host.repositories import Repositories
from agent.inventory.lint.external_deploys import require_runnable
from agent.system import git_command
from agent.system.git_command import Access
from tests.gitserver import ConfigRepo, SshServer, http_server, ssh_server

ANY = Access(known_hosts=None, deploy_key=None, timeout_s=30)


@pytest.fixture
def repo(tmp_path: Path) -> ConfigRepo:
    repo = ConfigRepo(tmp_path / "other")
    repo.commit("First", {"motd.py": "x = 1\n", "lib/y.py": "y = 2\n"})
    repo.git("tag", "v1")
    return repo


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def address(repo: ConfigRepo) -> Address:
    return Address(f"git+file://{repo.path}", "main")


@pytest.fixture
def pin(address: Address, tmp_path: Path) -> RepositoryPin:
    """Made elsewhere, as an administrator does."""
    return Repositories(tmp_path / "desk", ANY).pin(address)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def offline(store: Path) -> Repositories:
    return Repositories(store, None)


def test_a_ref_is_pinned_as_its_commit_and_the_digest_of_its_files(repo: ConfigRepo, store: Path) -> None:
    repositories = Repositories(store, ANY)
    url = f"git+file://{repo.path}"
    pins = [repositories.pin(Address(url, ref)) for ref in ("", "main", "v1", "refs/tags/v1", repo.head)]
    assert {(pin.commit, pin.tree) for pin in pins} == {(repo.head, pins[0].tree)}
    assert [pin.ref for pin in pins] == ["", "main", "v1", "refs/tags/v1", repo.head]
    repo.git("-c", "tag.gpgSign=false", "tag", "-a", "-m", "annotated", "v2")
    assert repositories.pin(Address(url, "v2")).commit == repo.head


def test_a_pin_names_what_is_left_out_of_its_commit(repo: ConfigRepo, store: Path) -> None:
    code = repo.blob(b"x = 1\n")
    head = repo.plumb(repo.tree(("100644", code, "motd.py"), ("160000", repo.head, "vendor")), repo.head)
    pin = Repositories(store, ANY).pin(Address(f"git+file://{repo.path}", "main"))
    assert (pin.commit, pin.left_out) == (head, ("the submodule vendor, which hosts do not fetch",))


def test_a_pin_is_fetched_once_and_then_kept(repo: ConfigRepo, pin: RepositoryPin, store: Path) -> None:
    Repositories(store, ANY).tree(pin)
    shutil.rmtree(repo.path)
    tree = offline(store).tree(pin)
    assert [entry.path for entry in tree.entries()] == ["lib/y.py", "motd.py"]
    assert tree.read("motd.py") == b"x = 1\n"


def test_the_store_is_for_its_owner_alone_and_what_is_in_it_read_only(pin: RepositoryPin, store: Path) -> None:
    Repositories(store, ANY).tree(pin)
    assert store.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in store.iterdir()] == [pin.tree]
    assert (store / pin.tree / "motd.py").stat().st_mode & 0o777 == 0o444


def test_a_moved_tag_changes_nothing_for_those_who_have_pinned_it(repo: ConfigRepo, store: Path) -> None:
    address = Address(f"git+file://{repo.path}", "v1")
    pin = Repositories(store / "desk", ANY).pin(address)
    repo.commit("Evil", {"motd.py": "evil()\n"})
    repo.git("tag", "--force", "v1")
    assert Repositories(store / "host", ANY).tree(pin).read("motd.py") == b"x = 1\n"
    assert Repositories(store / "desk", ANY).pin(address).commit == repo.head


def test_a_commit_that_was_rewritten_away_and_is_gone_cannot_be_had(
    repo: ConfigRepo, pin: RepositoryPin, store: Path
) -> None:
    repo.git("tag", "--delete", "v1")
    repo.git("commit", "--quiet", "--amend", "-m", "Rewritten")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    with pytest.raises(SourceError) as refused:
        Repositories(store, ANY).tree(pin)
    assert (refused.value.kind, refused.value.exit) == ("commit-missing", Exit.SOURCE)
    assert list(store.iterdir()) == []


@pytest.mark.parametrize("field", ["tree", "commit"])
def test_a_lock_edited_by_hand_is_refused_with_both_digests(
    repo: ConfigRepo, pin: RepositoryPin, store: Path, field: str
) -> None:
    evil = repo.commit("Evil", {"motd.py": "evil()\n"})
    wrong = replace(pin, **{field: "0" * 64 if field == "tree" else evil})
    with pytest.raises(TrustError) as refused:
        Repositories(store, ANY).tree(wrong)
    assert (refused.value.kind, refused.value.exit, refused.value.consequence) == (
        *("pin-mismatch", Exit.TRUST, Consequence.STALL),
    )
    assert wrong.tree in refused.value.message
    assert refused.value.message.count("digest") == 1
    assert list(store.iterdir()) == []


@pytest.mark.parametrize("change", ["content", "mode", "more", "less", "link"])
def test_a_store_in_which_somebody_changed_something_is_fetched_anew(
    pin: RepositoryPin, store: Path, change: str
) -> None:
    Repositories(store, ANY).tree(pin)
    folder = store / pin.tree
    for path in (folder, folder / "lib", folder / "motd.py"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    match change:
        case "content":
            (folder / "motd.py").write_text("evil()\n")
        case "mode":
            (folder / "motd.py").chmod(0o755)
        case "more":
            (folder / "os.py").write_text("evil()\n")
        case "less":
            (folder / "lib/y.py").unlink()
        case "link":
            (folder / "motd.py").unlink()
            (folder / "motd.py").symlink_to("/etc/passwd")
    with pytest.raises(InventoryError):
        offline(store).tree(pin)
    assert Repositories(store, ANY).tree(pin).read("motd.py") == b"x = 1\n"
    assert offline(store).tree(pin)


def test_a_store_that_nobody_touched_is_not_read_again(
    pin: RepositoryPin, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(believed, "RACY_NS", 0)
    Repositories(store, ANY).tree(pin)
    read: list[object] = []
    monkeypatch.setattr(repositories, "tree_digest", lambda tree: read.append(tree) or tree_digest(tree))
    for _ in range(3):
        assert offline(store).tree(pin).read("motd.py") == b"x = 1\n"
    assert len(read) == 1
    (store / pin.tree / "motd.py").touch()
    assert offline(store).tree(pin)
    assert len(read) == 2
    Repositories(store, ANY).collect(frozenset())
    assert list(store.iterdir()) == []


def test_without_a_network_what_is_not_here_is_said_to_be_so(pin: RepositoryPin, store: Path) -> None:
    with pytest.raises(InventoryError) as refused:
        offline(store).tree(pin)
    assert (refused.value.kind, refused.value.hint) == (
        "not-fetched",
        "`hostwright lock` in the config repo fetches it",
    )


def test_a_repository_that_cannot_be_reached_may_be_later(pin: RepositoryPin, repo: ConfigRepo, store: Path) -> None:
    repo.path.rename(repo.path.with_name("away"))
    with pytest.raises(SourceError) as refused:
        Repositories(store, ANY).tree(pin)
    assert refused.value.consequence is Consequence.RETRY
    repo.path.with_name("away").rename(repo.path)
    assert Repositories(store, ANY).tree(pin)


def test_a_name_of_both_a_branch_and_a_tag_has_to_be_said_in_full(repo: ConfigRepo, store: Path) -> None:
    repo.git("branch", "v1")
    with pytest.raises(SourceError, match="a branch and a tag called v1"):
        Repositories(store, ANY).pin(Address(f"git+file://{repo.path}", "v1"))


@pytest.mark.parametrize("ref", ["nope", "0" * 40])
def test_a_ref_that_is_not_there_cannot_be_pinned(repo: ConfigRepo, store: Path, ref: str) -> None:
    with pytest.raises(SourceError):
        Repositories(store, ANY).pin(Address(f"git+file://{repo.path}", ref))


def test_what_no_commit_needs_is_collected(repo: ConfigRepo, address: Address, store: Path) -> None:
    repositories = Repositories(store, ANY)
    first = repositories.pin(address)
    repo.commit("Second", {"motd.py": "x = 2\n"})
    second = repositories.pin(address)
    for name, age_s in (("killed", 3700), ("running", 60)):
        (store / f".fetch-{name}").mkdir()
        os.utime(store / f".fetch-{name}", (time.time() - age_s,) * 2)
    repositories.collect(frozenset({second.tree}))
    assert first.tree != second.tree
    assert sorted(path.name for path in store.iterdir()) == sorted([".fetch-running", second.tree])


def test_over_ssh_the_hosts_key_and_known_hosts_count(repo: ConfigRepo, sshd: SshServer, store: Path) -> None:
    address = Address(f"git+{sshd.url(repo.path)}", "main")
    repositories = Repositories(store, Access(sshd.known_hosts, sshd.client_key))
    assert repositories.tree(repositories.pin(address)).read("motd.py") == b"x = 1\n"
    sshd.known_hosts.with_name("empty").write_text("")
    with pytest.raises(SourceError) as refused:
        Repositories(store, Access(sshd.known_hosts.with_name("empty"), sshd.client_key)).pin(address)
    assert refused.value.kind == "host-key-unknown"


def test_over_http_the_password_of_the_same_servers_remote_counts(
    repo: ConfigRepo, tmp_path: Path, store: Path
) -> None:
    repo.bare(tmp_path / "srv/other.git")
    with http_server(tmp_path / "srv", password="ann:word") as server:
        address = Address(f"git+{server.url('other.git')}", "main")
        repositories = Repositories(store, ANY, server.url("config.git", "ann:word"))
        assert repositories.pin(address).commit == repo.head
        with pytest.raises(SourceError) as refused:
            Repositories(store, ANY, "http://ann:word@localhost/config.git").pin(address)
    assert refused.value.kind == "auth-refused"


def test_a_server_that_gives_only_what_its_refs_are_at_is_asked_for_the_ref(
    repo: ConfigRepo, address: Address, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's first protocol, which servers without a current sshd configuration still speak."""
    pin = Repositories(tmp_path / "desk", ANY).pin(address)
    repo.commit("Second", {"motd.py": "x = 2\n"})
    config = {**git_command._CONFIG, "protocol.version": "0"}
    monkeypatch.setattr(git_command, "_CONFIG", config)
    repo.git("tag", "--delete", "v1")
    assert Repositories(store, ANY).tree(pin).read("motd.py") == b"x = 1\n"


def test_a_link_that_leads_out_of_a_repository_is_kept_and_not_followed(
    repo: ConfigRepo, address: Address, store: Path
) -> None:
    """In a home such links are normal."""
    (repo.path / "out").symlink_to("/etc/passwd")
    repo.commit("Out")
    pin = Repositories(store, ANY).pin(address)
    assert Repositories(store, None).tree(pin).read("out") == b"/etc/passwd"


def test_code_of_a_repository_that_leads_out_of_itself_is_not_run(
    repo: ConfigRepo, address: Address, store: Path
) -> None:
    (repo.path / "out").symlink_to("/etc")
    repo.commit("Out", {"x.py": "import os\n"})
    stored = Repositories(store, ANY)
    with pytest.raises(InventoryError, match="the link out leads out of that repository, to /etc") as refused:
        require_runnable(dataclasses.replace(address, path="x.py"), stored.tree(stored.pin(address)))
    assert address.pinned in refused.value.message

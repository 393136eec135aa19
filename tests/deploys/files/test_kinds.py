"""What is at a path, and parts of files, looked at, taken away and given back outside of any deploy."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agent.deploys.edits import BlockEdit
from agent.deploys.kind import Kind, kind_named
from agent.domain.ownership import LedgerEntry, Origin, Seen
from agent.errors import DeployError
from agent.system.safe_open import UnsafePath
from tests.deploys.commit import snapshot
from tests.system import acls

UID = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")


def kind_of(key: str) -> Kind:
    return cast("Kind", kind_named(key.partition(":")[0]))


def look(key: str) -> Seen | None:
    return kind_of(key).look(key.partition(":")[2])


def created(key: str) -> LedgerEntry:
    return LedgerEntry(key, "files", 5, Origin.CREATED)


def remove(*keys: str) -> dict[str, str]:
    return dict(kind_of(keys[0]).remove([created(key) for key in keys], purge=False))


def changed(key: str, left: Seen | None) -> str:
    return kind_of(key).changed(cast("Seen", left).state, cast("Seen", look(key)))


def adopted(key: str, seen: Seen | None) -> LedgerEntry:
    assert seen is not None
    return LedgerEntry(key, "files", 5, Origin.ADOPTED, seen.state)


def restore(key: str, before: Seen | None) -> None:
    assert before is not None
    kind_of(key).restore(adopted(key, before), before.image)


def found(key: str) -> Seen:
    seen = look(key)
    assert seen is not None
    return seen


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """~ann's, who is nobody."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    os.chown(home, UID, UID)
    ann = SimpleNamespace(pw_name="ann", pw_uid=UID, pw_gid=UID, pw_dir=f"{home}")

    def known(name: str) -> SimpleNamespace:
        if name != "ann":
            raise KeyError(name)
        return ann

    monkeypatch.setattr(pwd, "getpwnam", known)
    monkeypatch.setattr(pwd, "getpwall", lambda: [ann])
    return home


# --- Files, directories, links ----------------------------------------------------------------------------------------


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert look(f"file:{tmp_path}/no") is None
    assert look(f"file:{tmp_path}/no/such/folder") is None


def test_a_file_is_seen_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("text\n")
    (tmp_path / "f").chmod(0o640)
    seen = found(f"file:{tmp_path}/f")
    assert (seen.state["type"], seen.state["mode"], seen.image) == ("file", 0o640, b"text\n")


def test_a_link_is_seen_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("/etc/shadow")
    seen = found(f"file:{tmp_path}/l")
    assert (seen.state["type"], seen.state["target"], seen.image) == ("link", "/etc/shadow", None)


def test_a_fifo_is_seen_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    assert found(f"file:{tmp_path}/p").state["type"] == "special file"


@pytest.mark.parametrize(
    ("by_hand", "what"),
    [
        (lambda path: path.write_text("more\n"), "content"),
        (lambda path: path.chmod(0o666), "mode"),
        (lambda path: (path.write_text("more\n"), path.chmod(0o666)), "mode, content"),
        (lambda path: os.utime(path, (5, 5)), ""),
        (lambda path: (path.unlink(), path.symlink_to("/etc")), "it is a link now"),
        (lambda path: (path.unlink(), path.mkdir()), "it is a directory now"),
    ],
)
def test_what_was_changed_by_hand_is_said_in_words(tmp_path: Path, by_hand: object, what: str) -> None:
    path = tmp_path / "f"
    path.write_text("ours\n")
    path.chmod(0o644)
    left = look(f"file:{path}")
    by_hand(path)  # type: ignore[operator]
    assert changed(f"file:{path}", left) == what


def test_what_was_created_goes_and_what_is_gone_is_fine(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("ours\n")
    (tmp_path / "l").symlink_to("/etc")
    keys = [f"file:{tmp_path}/f", f"link:{tmp_path}/l", f"file:{tmp_path}/gone/long/ago"]
    assert remove(*keys) == {}
    assert snapshot(tmp_path) == {}


def test_an_acl_is_seen_said_in_words_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("first\n")
    without = look(f"file:{path}")
    acls.give(path, UID - 1, 4)
    before = look(f"file:{path}")
    assert changed(f"file:{path}", without) == "ACL"
    path.unlink()
    path.write_text("ours\n")
    restore(f"file:{path}", before)
    assert look(f"file:{path}") == before


@needs_root
def test_nothing_is_taken_away_or_given_back_where_a_user_may_have_renamed_the_way(tmp_path: Path) -> None:
    key = f"file:{tmp_path}/app/conf/f"
    (tmp_path / "app/conf").mkdir(parents=True)
    (tmp_path / "app/conf/f").write_text("first\n")
    before = look(key)
    (tmp_path / "app/other").mkdir()
    (tmp_path / "app/other/f").write_text("first\n")
    os.chown(tmp_path / "app", UID, UID)
    (tmp_path / "app/conf").rename(tmp_path / "app/was")
    (tmp_path / "app/other").rename(tmp_path / "app/conf")
    kept = snapshot(tmp_path)
    assert "is not entered" in remove(key)[key]
    with pytest.raises(UnsafePath, match="is not entered"):
        restore(key, before)
    assert snapshot(tmp_path) == kept


@needs_root
def test_a_folder_of_root_that_a_user_renamed_is_not_given_back_to_him(tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "conf").mkdir(parents=True)
    for path in (app, app / "conf"):
        os.chown(path, UID, UID)
    before = look(f"directory:{app}/conf")
    (app / "conf").rename(app / "was")
    (app / "private").mkdir(mode=0o700)
    (app / "private/kept").write_text("root's\n")
    (app / "private").rename(app / "conf")
    with pytest.raises(DeployError, match="keeps its owner and mode"):
        restore(f"directory:{app}/conf", before)
    assert (app / "conf").stat().st_uid == 0


def test_folders_go_the_deepest_first(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    assert remove(*(f"directory:{tmp_path}/{path}" for path in ("a", "a/b", "a/b/c"))) == {}
    assert snapshot(tmp_path) == {}


def test_a_folder_with_something_in_it_stays_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/theirs").touch()
    assert remove(f"directory:{tmp_path}/d") == {f"directory:{tmp_path}/d": "it is not empty"}
    assert (tmp_path / "d/theirs").exists()


def test_a_home_stays_also_an_empty_one(home: Path) -> None:
    assert remove(f"directory:{home}") == {f"directory:{home}": "it is somebody's home"}
    assert home.is_dir()


def test_a_file_comes_back_with_its_content_mode_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("theirs\n")
    path.chmod(0o604)
    before, image = snapshot(tmp_path), look(f"file:{path}")
    path.unlink()
    path.symlink_to("/etc")
    restore(f"file:{path}", image)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("after", ["gone", "a file", "a folder"])
@pytest.mark.parametrize("before", ["link", "directory"])
def test_links_and_folders_come_back_whatever_is_there_now(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "it"
    if before == "link":
        path.symlink_to("somewhere")
    else:
        path.mkdir(mode=0o750)
    state, seen = snapshot(tmp_path), look(f"link:{path}")
    path.unlink() if before == "link" else path.rmdir()
    if after == "a file":
        path.write_text("ours\n")
    elif after == "a folder":
        path.mkdir(mode=0o777)
    restore(f"link:{path}", seen)
    assert snapshot(tmp_path) == state


@pytest.mark.parametrize(("kept", "stays"), [("theirs\n", False), ("of long before\n", True)])
def test_a_backup_goes_when_the_file_is_again_what_it_says(tmp_path: Path, kept: str, stays: bool) -> None:
    path, backup = tmp_path / "f", tmp_path / "f.before-hostwright"
    path.write_text("theirs\n")
    seen = look(f"file:{path}")
    path.write_text("ours\n")
    backup.write_text(kept)
    restore(f"file:{path}", seen)
    assert path.read_text() == "theirs\n"
    assert backup.exists() is stays


def test_a_backup_goes_with_the_block_that_it_was_made_for(tmp_path: Path) -> None:
    path, backup = tmp_path / "f", tmp_path / "f.before-hostwright"
    backup.write_text("theirs\n")
    path.write_text(BlockEdit("b", "ours\n").apply("theirs\n"))
    assert remove(f"block:{path}#b") == {}
    assert snapshot(tmp_path) == {"f": ("file", path.stat().st_mode & 0o777, b"theirs\n")}


def test_a_file_whose_content_was_not_kept_gets_back_what_can_be(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("theirs\n")
    path.chmod(0o600)
    before = found(f"file:{path}")
    path.chmod(0o644)
    restore(f"file:{path}", Seen(before.state))
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("ours\n")
    with pytest.raises(DeployError, match="was not kept: the file was too large"):
        restore(f"file:{path}", Seen(before.state))


def test_what_nobody_could_look_at_is_not_given_back(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="Permission denied"):
        restore(f"file:{tmp_path}/f", Seen({"unseen": "Permission denied"}))


def test_a_way_that_leads_through_somebody_elses_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "real")
    os.chown(tmp_path / "way", UID, UID, follow_symlinks=False)
    with pytest.raises(UnsafePath):
        look(f"file:{tmp_path}/way/f")
    (tmp_path / "real/f").touch()
    assert "is a link" in remove(f"file:{tmp_path}/way/f")[f"file:{tmp_path}/way/f"]
    assert (tmp_path / "real/f").exists()


@pytest.mark.parametrize("name", ["/etc/../passwd", "/", "", "~ann/", "~ann/../x", "~ann"])
def test_what_is_no_path_is_refused(home: Path, name: str) -> None:
    del home
    with pytest.raises(UnsafePath):
        look(f"file:{name}")


# --- In a home --------------------------------------------------------------------------------------------------------


@needs_root
def test_dotfiles_go_and_come_back_as_their_user(home: Path) -> None:
    (home / ".config").mkdir()
    (home / ".config/rc").write_text("ours\n")
    for path in (home / ".config", home / ".config/rc"):
        os.chown(path, UID, UID)
    before = found("file:~ann/.config/rc")
    assert remove("file:~ann/.config/rc") == {}
    restore("file:~ann/.config/rc", before)
    assert (home / ".config/rc").read_text() == "ours\n"
    assert (home / ".config/rc").stat().st_uid == UID
    assert remove("file:~ann/.config/rc") == {}
    assert remove("directory:~ann/.config") == {}
    assert snapshot(home) == {}


@needs_root
def test_all_that_leaves_a_home_is_removed_by_one_child_of_its_user(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forks, fork = [], os.fork

    def counted() -> int:
        child = fork()
        forks.append(child)
        return child

    monkeypatch.setattr(os, "fork", counted)
    (home / "roots").mkdir(mode=0o755)
    for path in ("a", "b", "roots/c", "d"):
        (home / path).touch()
    (tmp_path / "system").touch()
    keys = [f"file:{name}" for name in ("~ann/a", "~ann/b", "~ann/roots/c", "~ann/d", f"{tmp_path}/system", "~bob/e")]
    assert remove(*keys).keys() == {"file:~ann/roots/c"}, "one that stays keeps no other"
    assert (sorted(path.name for path in home.iterdir()), (tmp_path / "system").exists()) == (["roots"], False)
    assert len(forks) == 1


@needs_root
def test_nothing_goes_that_the_user_may_not_remove(home: Path) -> None:
    (home / "roots").mkdir(mode=0o755)
    (home / "roots/f").touch()
    assert "Permission denied" in remove("file:~ann/roots/f")["file:~ann/roots/f"]
    assert (home / "roots/f").exists()


@needs_root
def test_no_link_in_a_home_is_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").touch()
    (home / "way").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafePath):
        look("file:~ann/way/f")
    assert remove("file:~ann/way/f") != {}
    assert (tmp_path / "outside/f").exists()


def test_the_home_of_nobody_holds_nothing(home: Path) -> None:
    del home
    assert look("file:~bob/.bashrc") is None
    assert remove("file:~bob/.bashrc") == {}


# --- Blocks and lines -------------------------------------------------------------------------------------------------

BLOCK = "# BEGIN hostwright lab\n10.0.0.1 a\n# END hostwright lab\n"


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text(f"first\n{BLOCK}last\n")
    path.chmod(0o640)
    return path


def test_a_block_goes_and_the_rest_of_its_file_stays_as_it_is(hosts: Path) -> None:
    assert remove(f"block:{hosts}#lab") == {}
    assert hosts.read_text() == "first\nlast\n"
    assert hosts.stat().st_mode & 0o777 == 0o640


def test_a_block_that_is_not_there_is_nothing(hosts: Path) -> None:
    assert look(f"block:{hosts}#other") is None
    assert look(f"block:{hosts}-no#lab") is None
    before = hosts.stat().st_mtime_ns
    assert remove(f"block:{hosts}#other", f"block:{hosts}-no#lab") == {}
    assert hosts.stat().st_mtime_ns == before


def test_a_file_without_a_last_newline_holds_no_block(hosts: Path) -> None:
    hosts.write_text("first\nlast")
    assert look(f"block:{hosts}#lab") is None


def test_only_what_is_in_a_block_changes_it(hosts: Path) -> None:
    left = look(f"block:{hosts}#lab")
    hosts.write_text(hosts.read_text().replace("first", "second"))
    assert changed(f"block:{hosts}#lab", left) == ""
    hosts.write_text(hosts.read_text().replace("10.0.0.1 a", "10.0.0.2 a"))
    assert changed(f"block:{hosts}#lab", left) == "content"


def test_a_block_that_was_there_before_comes_back(hosts: Path) -> None:
    before = look(f"block:{hosts}#lab")
    hosts.write_text(hosts.read_text().replace("10.0.0.1 a", "10.0.0.2 a"))
    restore(f"block:{hosts}#lab", before)
    assert hosts.read_text() == f"first\nlast\n{BLOCK}"


def test_a_line_word_for_word_goes_wherever_it_is(hosts: Path) -> None:
    key = f"line:{hosts}#last"
    assert look(f"line:{hosts}#las") is None
    assert found(key).state == {"line": "last"}
    assert remove(key, f"line:{hosts}#a.*b") == {}
    assert hosts.read_text() == f"first\n{BLOCK}"


SSHD = "#PermitRootLogin yes\nPort 22\n#Port 23\nLast\n"
ROOT, PORT = "^#?PermitRootLogin", "^#?Port"


@pytest.fixture
def sshd(tmp_path: Path) -> Path:
    path = tmp_path / "sshd_config"
    path.write_text(SSHD)
    return path


def test_lines_that_took_the_place_of_others_come_back_in_place_and_nothing_else_moves(sshd: Path) -> None:
    root, port = f"line:{sshd}#~{ROOT}", f"line:{sshd}#~{PORT}"
    before = found(root), found(port)
    sshd.write_text("# mine\nPermitRootLogin no\nPort 2222\nLast\nmine too\n")
    restore(root, before[0])
    assert sshd.read_text() == "# mine\n#PermitRootLogin yes\nPort 2222\nLast\nmine too\n"
    restore(port, before[1])
    assert sshd.read_text() == f"# mine\n{SSHD}mine too\n"


def test_lines_that_were_taken_out_come_back_where_they_were(sshd: Path) -> None:
    before = found(f"line:{sshd}#~{PORT}")
    sshd.write_text("#PermitRootLogin yes\nLast\n")
    restore(f"line:{sshd}#~{PORT}", before)
    assert sshd.read_text() == SSHD


def test_a_line_that_took_no_place_goes_and_no_other(sshd: Path) -> None:
    key = f"line:{sshd}#~^X11"
    assert look(key) is None
    sshd.write_text(f"{SSHD}X11Forwarding no\n")
    left = look(key)
    assert changed(key, left) == ""
    sshd.write_text(f"mine\n{sshd.read_text()}")
    assert changed(key, left) == ""
    assert remove(key) == {}
    assert sshd.read_text() == f"mine\n{SSHD}"


def test_another_value_of_such_a_line_is_a_change(sshd: Path) -> None:
    left = look(f"line:{sshd}#~{ROOT}")
    sshd.write_text("PermitRootLogin no\n")
    assert changed(f"line:{sshd}#~{ROOT}", left) == "content"


def test_lines_that_were_not_kept_are_not_given_back(sshd: Path) -> None:
    before = found(f"line:{sshd}#~{ROOT}")
    with pytest.raises(DeployError, match="were not kept"):
        restore(f"line:{sshd}#~{ROOT}", Seen(before.state))
    sshd.write_text("Port 22\n" * 1001)
    with pytest.raises(OSError, match="finds 1001 lines"):
        look(f"line:{sshd}#~{PORT}")


@pytest.mark.parametrize("key", ["file:{}", "block:{}#lab", "line:{}#~^first"])
def test_what_was_changed_after_the_first_look_stays(hosts: Path, key: str) -> None:
    key = key.format(hosts)
    entry = replace(created(key), left=found(key).state, settled=True)
    text = hosts.read_text().replace("first", "first of all").replace("10.0.0.1", "10.0.0.2")
    hosts.write_text(text)
    assert kind_of(key).remove([entry], purge=True) == {key: "changed since: content"}
    assert hosts.read_text() == text


def test_a_file_that_is_empty_without_its_block_goes(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(BLOCK)
    keys = f"block:{path}#lab", f"file:{path}"
    entries = [replace(created(key), left=found(key).state, settled=True) for key in keys]
    for entry in entries:
        assert kind_of(entry.key).remove([entry], purge=False) == {}
    assert not path.exists()


def test_bytes_that_are_no_text_stay_as_they_are(hosts: Path) -> None:
    hosts.write_bytes(b"\xff\xfe\n" + BLOCK.encode() + b"\xfd\n")
    assert remove(f"block:{hosts}#lab") == {}
    assert hosts.read_bytes() == b"\xff\xfe\n\xfd\n"


def test_lines_of_a_file_with_returns_are_known_taken_away_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\r\np 1\r\nlast\r\n")
    line, setting = f"line:{path}#last", f"line:{path}#~^p [0-9]$"
    before = found(setting)
    assert look(line) is not None
    assert remove(line, setting) == {}
    assert path.read_bytes() == b"a\r\n"
    restore(setting, before)
    assert path.read_bytes() == b"a\r\np 1\r\n"

import pwd
from types import SimpleNamespace

import pytest

from agent.host.ledger import IMAGE_LIMIT, Ledger, Origin, place_of


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def key(path):
    return f"file:{path}"


def test_what_was_not_there_is_created(ledger, tmp_path):
    ledger.remember(key(tmp_path / "new"), "files", 5)
    (entry,) = ledger.entries()
    assert (entry.origin, entry.before, entry.deploy) == (Origin.CREATED, None, "files")


def test_what_was_there_is_adopted_with_its_content_and_mode(ledger, tmp_path):
    path = tmp_path / "old"
    path.write_text("before\n")
    path.chmod(0o640)
    ledger.remember(key(path), "files", 5)
    (entry,) = ledger.entries()
    assert (entry.origin, entry.before["mode"]) == (Origin.ADOPTED, 0o640)
    assert ledger.before_image(key(path)) == b"before\n"


def test_the_first_image_stays_whatever_changes_later(ledger, tmp_path):
    path = tmp_path / "old"
    path.write_text("before\n")
    ledger.remember(key(path), "files", 5)
    path.write_text("ours\n")
    ledger.remember(key(path), "files", 6)
    assert ledger.before_image(key(path)) == b"before\n"


def test_a_link_is_remembered_by_its_target_and_never_followed(ledger, tmp_path):
    path = tmp_path / "link"
    path.symlink_to("/etc/shadow")
    ledger.remember(key(path), "files", 5)
    (entry,) = ledger.entries()
    assert entry.before["target"] == "/etc/shadow"
    assert ledger.before_image(key(path)) is None


def test_a_large_file_is_remembered_without_its_content(ledger, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * (IMAGE_LIMIT + 1))
    ledger.remember(key(path), "files", 5)
    assert ledger.entries()[0].before["type"] == "-"
    assert ledger.before_image(key(path)) is None


def test_what_lies_at_no_path_is_not_imaged(ledger):
    ledger.remember("package:nginx", "packages", 5)
    assert ledger.entries() == ()


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("file:/etc/motd", "/etc/motd"),
        ("block:/etc/hosts#lab", "/etc/hosts"),
        ("file:~root/.bashrc", "/root/.bashrc"),
        ("file:~nobody-of-this-name/.bashrc", None),
        ("unit:app.service", "/etc/systemd/system/app.service"),
        ("unit:../../passwd", None),
        ("user:root", "/root/.ssh/authorized_keys"),
        ("package:nginx", None),
    ],
)
def test_a_key_says_where_its_resource_lies(given, path):
    found = place_of(given)
    assert (None if found is None else str(found)) == path


def test_no_link_of_a_user_leads_to_what_root_may_read(ledger, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".config").symlink_to("/etc")
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_dir=str(home)))
    ledger.remember("file:~ann/.config/passwd", "dotfiles", 5)
    assert (ledger.entries(), ledger.before_image("file:~ann/.config/passwd")) == ((), None)


def test_what_cannot_be_looked_at_counts_as_adopted(ledger, tmp_path):
    ledger.remember(key(tmp_path / ("x" * 300)), "files", 5)
    (entry,) = ledger.entries()
    assert (entry.origin, entry.before) == (Origin.ADOPTED, {"unseen": "File name too long"})


def test_keys_that_were_there_before_the_agent_are_kept(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_dir=str(tmp_path)))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/authorized_keys").write_text("ssh-ed25519 AAAA somebody\n")
    ledger.remember("user:ann", "users", 5)
    assert ledger.before_image("user:ann") == b"ssh-ed25519 AAAA somebody\n"


def test_an_account_without_keys_leaves_no_entry(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_dir=str(tmp_path)))
    ledger.remember("user:ann", "users", 5)
    assert ledger.entries() == ()

"""`hostwright lock` as an administrator meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import run
from tests.gitserver import ConfigRepo
from tests.pinning.desk import Desk

TOOLS = "rg: {{version: '1', url: '{url}', platforms: {{linux-x86_64: }}, bin: [rg]}}\n"


class Administrator:
    def __init__(self, desk: Desk, other: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
        self.desk = desk
        self.other = other
        self.address = f"git+file://{other.path}@main"
        self.lock_file = desk.repo.inventory_folder / "lock.yaml"
        self._capsys = capsys
        url = desk.archive("rg.tar.gz", {"rg": "#!"})
        desk.repo.write("tools.yaml", TOOLS.format(url=url))
        desk.repo.write("site.yaml", f"- {{hosts: all, deploys: [{{name: m, deploy: '{self.address}//motd.py'}}]}}\n")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, data, talk."""
        code = run(["--repo", f"{self.desk.repo.root}", *arguments])
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("--json", *arguments)[1])
        return found


@pytest.fixture
def admin(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Administrator:
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path / 'cache'}")
    other = ConfigRepo(tmp_path / "other")
    other.commit("First", {"motd.py": "x = 1\n"})
    return Administrator(Desk(tmp_path), other, capsys)


def test_lock_writes_what_is_asked_for_and_says_so(admin: Administrator) -> None:
    code, told, talk = admin.run("lock")
    assert (code, talk) == (0, "")
    assert told.splitlines() == [f"demo: {admin.address} {admin.other.head[:12]}", "demo: rg 1"]
    assert admin.lock_file.stat().st_mode & 0o777 == 0o644


def test_the_second_time_nothing_changes(admin: Administrator) -> None:
    admin.run("lock")
    before = admin.lock_file.stat()
    assert admin.run("lock")[:2] == (0, "demo: nothing has changed\n")
    now = admin.lock_file.stat()
    assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_left_out_of_a_pinned_commit_is_named_by_lock_and_by_check(admin: Administrator) -> None:
    code = admin.other.blob(b"x = 1\n")
    admin.other.plumb(admin.other.tree(("100644", code, "motd.py"), ("160000", admin.other.head, "vendor")))
    said = f"demo: left out by hosts: {admin.address}: the submodule vendor, which hosts do not fetch\n"
    assert admin.run("lock")[::2] == (0, said)
    assert said in admin.run("check")[2]


def test_check_names_what_is_behind_and_writes_nothing(admin: Administrator) -> None:
    code, told, talk = admin.run("lock", "--check")
    assert code == 10
    assert told.splitlines() == [
        "inventories/demo/lock.yaml: rg: lock.yaml has no pin for it",
        f"inventories/demo/lock.yaml: {admin.address}: lock.yaml has no pin for it",
    ]
    assert "nothing was downloaded" in talk
    assert not admin.lock_file.exists()


def test_check_is_content_with_what_lock_wrote_also_where_nothing_can_be_reached(admin: Administrator) -> None:
    admin.run("lock")
    admin.other.path.rename(admin.other.path.with_name("away"))
    admin.desk.shelf.rename(admin.desk.shelf.with_name("gone"))
    assert admin.run("lock", "--check")[:2] == (0, "")
    assert admin.json("lock", "--check")["data"] == {"demo": []}


def test_a_change_is_told_as_what_it_was_and_what_it_is(admin: Administrator) -> None:
    admin.run("lock")
    first = admin.other.head[:12]
    second = admin.other.commit("Second", {"motd.py": "x = 2\n"})[:12]
    text = (admin.desk.repo.inventory_folder / "tools.yaml").read_text()
    admin.desk.repo.write("tools.yaml", text.replace("rg: {version: '1'", "rg: {version: '2'"))
    assert admin.run("lock", "rg")[1] == "demo: rg 1 → 2\n"
    assert admin.run("lock")[1] == f"demo: {admin.address} {first} → {second}\n"
    admin.desk.repo.write("tools.yaml", "")
    assert admin.run("lock")[1] == "demo: rg 2 is not asked for any more\n"


def test_a_failure_leaves_the_lock_as_it_was(admin: Administrator) -> None:
    admin.run("lock")
    before = admin.lock_file.read_bytes()
    (admin.desk.shelf / "rg.tar.gz").unlink()
    code, told, talk = admin.run("lock", "rg")
    assert (code, told, admin.lock_file.read_bytes()) == (4, "", before)
    assert "rg.tar.gz" in talk


def test_what_can_be_pinned_is_and_all_that_cannot_is_told_at_once(admin: Administrator, tmp_path: Path) -> None:
    unsound = ConfigRepo(tmp_path / "unsound")
    unsound.commit("First", {"one.py": "import no_such_one\n", "two.py": "import no_such_two\n"})
    sources = [f"{admin.address}//motd.py", "git+file:///no/such@main//x.py"]
    sources += [f"git+file://{unsound.path}@main//{name}.py" for name in ("one", "two")]
    deploys = "".join(f"    - {{name: d{number}, deploy: '{source}'}}\n" for number, source in enumerate(sources))
    urls = f"linux-x86_64: , linux-aarch64: }}, url: 'file://{tmp_path}/{{{{ platform }}}}.tar.gz'"
    tools = (admin.desk.repo.inventory_folder / "tools.yaml").read_text()
    admin.desk.repo.write_all(
        {
            "site.yaml": f"- hosts: all\n  deploys:\n{deploys}",
            "tools.yaml": f"{tools}bad: {{version: '1', platforms: {{{urls}, bin: [bad]}}\n",
        }
    )
    code, told, talk = admin.run("lock")
    assert code == 6
    assert told.splitlines() == [f"demo: {admin.address} {admin.other.head[:12]}", "demo: rg 1"]
    for each in ("/no/such", "no_such_one", "no_such_two", "linux-x86_64.tar.gz", "linux-aarch64.tar.gz"):
        assert each in talk
    assert "unsound" not in admin.lock_file.read_text()


def test_what_cannot_be_pinned_anew_keeps_its_pin(admin: Administrator) -> None:
    admin.run("lock")
    before = admin.lock_file.read_bytes()
    admin.other.path.rename(admin.other.path.with_name("away"))
    (admin.desk.shelf / "rg.tar.gz").unlink()
    assert admin.run("lock", "rg", admin.address)[0] == 4
    assert admin.run("lock")[0] == 4
    assert admin.lock_file.read_bytes() == before


def test_an_inventory_that_is_wrong_keeps_no_other_from_its_lock(admin: Administrator) -> None:
    for name, site in (("aaa", "- hosts: [\n"), ("zzz", "- {hosts: all, deplois: []}\n")):
        folder = admin.desk.repo.root / "inventories" / name
        folder.mkdir(parents=True)
        (folder / "hosts.yaml").write_text("all: {hosts: {web1: }}\n")
        (folder / "site.yaml").write_text(site)
    code, told, talk = admin.run("lock")
    assert (code, admin.lock_file.exists(), "demo: rg 1" in told) == (6, True, True)
    assert "inventories/aaa/site.yaml:" in talk
    assert "inventories/zzz/site.yaml:" in talk


def test_a_lock_that_cannot_be_read_is_written_anew_but_not_in_parts(admin: Administrator) -> None:
    admin.run("lock")
    whole = admin.lock_file.read_bytes()
    admin.lock_file.write_bytes(b"<<<<<<< ours\n" + whole)
    assert admin.run("lock", "rg")[0] == 6
    assert admin.run("lock", "--check")[0] == 6
    code, _, talk = admin.run("lock")
    assert (code, admin.lock_file.read_bytes()) == (0, whole)
    assert "lock.yaml is written anew" in talk


def test_where_nothing_is_asked_for_no_file_appears(admin: Administrator) -> None:
    admin.desk.repo.write_all({"tools.yaml": "", "site.yaml": "[]"})
    assert admin.run("lock")[0] == 0
    assert not admin.lock_file.exists()


def test_names_and_check_exclude_each_other(admin: Administrator) -> None:
    assert admin.run("lock", "rg", "--check")[0] == 2


def test_check_looks_at_repositories_that_lock_has_fetched(
    admin: Administrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.run("lock")
    admin.other.path.rename(admin.other.path.with_name("away"))
    whole = admin.json("check")["data"]["demo"]
    assert len(whole["web1"]) == 64
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path / 'empty'}")
    code, told, talk = admin.run("check")
    assert (code, told) == (0, "demo: 1 host, fine\n")
    assert talk == f"demo: {admin.address} is not fetched here and was not looked at; hostwright lock fetches it\n"
    assert admin.json("check")["data"]["demo"] == {"web1": None}

"""``hostwright secret`` as administrators run it: what it writes, whom it makes files for, what it refuses."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agent.cli import main
from agent.host.identity import decryption_key
from agent.inventory.recipients import Recipients
from agent.secrets import editing
from agent.system import age
from tests.secrets.conftest import Desk


def command(
    desk: Desk, *arguments: str, given: bytes = b"", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in this process, in the config repo, at the home of nobody in particular. Programs that it starts
    write elsewhere."""
    told = {"PATH": os.environ["PATH"], "HOME": f"{desk.keys}", "TMPDIR": tempfile.gettempdir(), **(environment or {})}
    out, err = io.BytesIO(), io.BytesIO()
    with (
        contextlib.chdir(desk.repo),
        mock.patch.dict(os.environ, told, clear=True),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given))),
        mock.patch.object(sys, "stdout", io.TextIOWrapper(out, write_through=True)),
        mock.patch.object(sys, "stderr", io.TextIOWrapper(err, write_through=True)),
    ):
        code = main.run(arguments)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def run(desk: Desk, *arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    return command(desk, "secret", *arguments, **more)


def fine(desk: Desk, *arguments: str, **more: Any) -> str:
    done = run(desk, *arguments, **more)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def reads(desk: Desk, host: str, name: str) -> bytes | None:
    """The value of ``name`` as ``host`` reads it; None where it cannot."""
    content = (desk.repo / f"inventories/lab/secrets/{name}.age").read_bytes()
    try:
        return age.decrypt(content, age.x25519([decryption_key(desk.keys / host)]))
    except age.NotForUs:
        return None


def test_a_value_is_set_for_the_hosts_of_the_folder_and_read_by_the_administrator(desk: Desk) -> None:
    assert fine(desk, "set", "web/admin", given=b"value\n") == "web/admin: made for ann@example.org, web1, web2\n"
    assert fine(desk, "get", "web/admin", "--identity", f"{desk.ann}") == "value\n"
    assert [reads(desk, host, "web/admin") for host in ("web1", "web2", "db1")] == [b"value\n", b"value\n", None]
    assert (
        fine(desk, "list") == "secret     readers                      wrong\nweb/admin  ann@example.org, web1, web2\n"
    )


def test_the_file_is_what_age_itself_reads_and_lock_yaml_knows_it(desk: Desk) -> None:
    fine(desk, "set", "web1/own", given=b"value")
    lock = (desk.repo / "inventories/lab/lock.yaml").read_text()
    assert "web1/own" in lock
    assert "ann@example.org" in lock
    assert not list(desk.environment().stale())


def test_a_value_of_bytes_comes_from_a_file_and_goes_out_as_it_was(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"\0\xff\r\n")
    fine(desk, "set", "web/bytes", "--file", f"{tmp_path / 'value'}")
    assert run(desk, "get", "web/bytes", "--identity", f"{desk.ann}").stdout == b"\0\xff\r\n"
    document = json.loads(fine(desk, "get", "web/bytes", "--identity", f"{desk.ann}", "--json"))
    assert document["data"] == {"name": "web/bytes", "base64": "AP8NCg=="}


def test_the_usual_files_of_the_home_are_tried(desk: Desk) -> None:
    fine(desk, "set", "web/admin", given=b"value")
    (desk.keys / ".ssh").mkdir()
    (desk.keys / ".ssh/id_ed25519").write_bytes(desk.ann.read_bytes())
    assert fine(desk, "get", "web/admin") == "value"


def test_a_value_that_is_typed_is_not_shown(desk: Desk) -> None:
    main, other = pty.openpty()
    argv = [sys.executable, "-m", "agent", "secret", "set", "web/typed"]
    child = subprocess.Popen(argv, stdin=other, stdout=other, stderr=other, cwd=desk.repo, start_new_session=True)
    os.close(other)
    said = b""
    try:
        for _ in range(2):
            while not said.endswith(b": "):
                said += os.read(main, 1000)
            os.write(main, b"typed value\n")
            said += b"\n"
        while child.poll() is None or b"made for" not in said:
            said += os.read(main, 1000)
    except OSError:
        pass
    finally:
        os.close(main)
        child.wait(30)
    assert reads(desk, "web1", "web/typed") == b"typed value", said
    assert b"typed value" not in said


def test_edit_gives_the_editor_a_private_file_in_memory_and_wipes_it(desk: Desk, tmp_path: Path) -> None:
    fine(desk, "set", "web/admin", given=b"before\n")
    editor = tmp_path / "editor"
    editor.write_text(
        f'#!/bin/sh\nstat -c "%a %n" "$1" > {tmp_path}/seen\nsed -i s/before/after/ "$1"\ncp "$1" "$1~"\n'
    )
    editor.chmod(0o755)
    fine(desk, "edit", "web/admin", "--identity", f"{desk.ann}", environment={"EDITOR": f"{editor}"})
    assert reads(desk, "web2", "web/admin") == b"after\n"
    mode, path = (tmp_path / "seen").read_text().split()
    assert mode == "600"
    assert path.startswith("/dev/shm/")
    assert not Path(path).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_an_edit_that_a_signal_ends_leaves_no_value_behind(desk: Desk, tmp_path: Path, number: signal.Signals) -> None:
    fine(desk, "set", "web/admin", given=b"before\n")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsleep 1; echo "$1"\nexec sleep 20\n')
    editor.chmod(0o755)
    hearing = ["env", f"--default-signal={number.name}"]  # whatever began the tests, such as nohup
    argv = [*hearing, sys.executable, "-m", "agent", "secret", "edit", "web/admin", "--identity", f"{desk.ann}"]
    told = {**os.environ, "EDITOR": f"{editor}"}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=desk.repo, env=told, stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdout is not None
        path = Path(child.stdout.readline().strip())
        assert path.is_file()
        child.send_signal(number)
        assert f"interrupted by {number.name}" in child.communicate(timeout=30)[1]
    assert child.returncode == 130
    assert not path.parent.exists()


def test_an_edit_says_so_where_the_value_is_on_a_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    fine(desk, "set", "web/admin", given=b"before\n")
    monkeypatch.setattr(editing, "_IN_MEMORY", "/none")
    done = run(desk, "edit", "web/admin", "--identity", f"{desk.ann}", environment={"EDITOR": "true"})
    assert (done.returncode, b"in a file on a disk while you edit it" in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize(("editor", "said"), [("false", "ended with exit code 1"), ("true", ""), ("/none", "/none")])
def test_an_edit_that_fails_or_changes_nothing_writes_nothing(desk: Desk, editor: str, said: str) -> None:
    fine(desk, "set", "web/admin", given=b"value")
    before = (desk.repo / "inventories/lab/secrets/web/admin.age").read_bytes()
    done = run(desk, "edit", "web/admin", "--identity", f"{desk.ann}", environment={"EDITOR": editor})
    assert done.returncode == (2 if said else 0)
    assert said in done.stderr.decode()
    assert (desk.repo / "inventories/lab/secrets/web/admin.age").read_bytes() == before


def test_a_new_host_reads_after_rekey_and_a_leaver_is_told_until_the_value_is_new(desk: Desk) -> None:
    (desk.repo / "inventories/lab/identities/web2.pub").unlink()
    fine(desk, "set", "web/admin", given=b"value")
    assert not list(desk.environment().audit())
    desk.admit("web2")
    (desk.repo / "inventories/lab/identities/web1.pub").unlink()
    assert [hint.problem for hint in desk.environment().audit()] == [
        "web2 cannot read it yet",
        "web1 can still read it",
    ]
    assert "made for ann@example.org, web2" in fine(desk, "rekey", "--identity", f"{desk.ann}")
    assert [reads(desk, host, "web/admin") for host in ("web1", "web2")] == [None, b"value"]
    assert ["web1 knew its value" in hint.problem for hint in desk.environment().audit()] == [True]
    fine(desk, "set", "web/admin", given=b"another")
    assert not list(desk.environment().audit())


def test_a_file_that_another_program_made_is_noticed(desk: Desk) -> None:
    fine(desk, "set", "web/admin", given=b"value")
    ann = age.recipient(desk.ann.with_suffix(".pub").read_text())
    desk.write("secrets/web/admin.age", age.encrypt(b"other", [ann]))
    assert ["changed by another program" in hint.problem for hint in desk.environment().audit()] == [True]
    told = fine(desk, "rekey", "web/admin", "--identity", f"{desk.ann}")
    assert "lock.yaml did not know the file: make sure that its value is for them" in told
    assert reads(desk, "web1", "web/admin") == b"other"
    assert not list(desk.environment().audit())


def test_rekey_makes_what_it_can_and_names_what_it_cannot(desk: Desk) -> None:
    fine(desk, "set", "web/good", given=b"value")
    desk.write("secrets/web/foreign.age", age.encrypt(b"x", [age.recipient_of(age.generate())]))
    (desk.repo / "inventories/lab/identities/web1.pub").unlink()
    done = run(desk, "rekey", "web/foreign", "web/good", "--identity", f"{desk.ann}")
    assert done.returncode == 6
    assert "secrets/web/foreign.age was not made for you" in done.stderr.decode()
    assert reads(desk, "web1", "web/good") is None


def test_rekey_lists_the_values_to_change_also_where_a_file_fails(desk: Desk) -> None:
    fine(desk, "set", "web/good", given=b"value")
    desk.write("secrets/web/foreign.age", age.encrypt(b"x", [age.recipient_of(age.generate())]))
    (desk.repo / "inventories/lab/identities/web1.pub").unlink()
    done = run(desk, "rekey", "--identity", f"{desk.ann}")
    assert done.returncode == 6
    assert "web/good: web1 knew its value; change it with" in done.stderr.decode()
    assert "web/foreign.age: lock.yaml does not know this file" in done.stderr.decode()
    assert "was not made for you" not in done.stderr.decode()


def test_an_administrator_takes_no_host_s_place_among_the_recipients() -> None:
    found = Recipients(admins={"web1": "age1ann"}, hosts={"web1": "age1web1"})
    assert found.of(("web1",)).keys() == {"age1ann", "age1web1"}


@pytest.mark.parametrize("arguments", [(), ("--all",)])
def test_rekey_makes_no_file_for_a_host_that_lock_yaml_does_not_know(desk: Desk, arguments: tuple[str, ...]) -> None:
    ann = age.recipient(desk.ann.with_suffix(".pub").read_text())
    desk.write("secrets/web1/stolen.age", made := age.encrypt(b"of web2", [ann]))
    done = run(desk, "rekey", *arguments, "--identity", f"{desk.ann}")
    assert done.returncode == 6
    assert (
        "`hostwright secret rekey web1/stolen` in the config repo makes it for ann@example.org, web1"
        in done.stderr.decode()
    )
    assert (desk.repo / "inventories/lab/secrets/web1/stolen.age").read_bytes() == made


def test_a_copy_in_the_folder_of_others_is_complained_of_and_never_made_for_them(desk: Desk) -> None:
    fine(desk, "set", "web2/root", given=b"of web2")
    armoured = (desk.repo / "inventories/lab/secrets/web2/root.age").read_bytes()
    for copy in (armoured, age.unarmoured(armoured)):
        desk.write("secrets/web1/stolen.age", copy)
        done = run(desk, "rekey", "web1/stolen", "--identity", f"{desk.ann}")
        assert (done.returncode, reads(desk, "web1", "web1/stolen")) == (6, None)
        done = command(desk, "check")
        assert done.returncode == 6
        assert b"web1/stolen.age: the same encrypted bytes are secrets/web2/root.age, which is for" in done.stderr


def test_a_new_file_that_is_not_added_to_git_is_named_as_that(desk: Desk) -> None:
    ask_git = ["git", "-C", f"{desk.repo}"]
    subprocess.run([*ask_git, "init", "--quiet"], check=True, timeout=20)
    fine(desk, "set", "web/admin", given=b"value")
    subprocess.run([*ask_git, "add", ".", ":!*.age"], check=True, timeout=20)
    content = {"/srv/x": {"content": "{{ secret('web/admin') }}", "mode": "0600"}}
    for deploys, code in (([], 0), ([{"files": content}], 6)):
        desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": deploys}]))
        done = command(desk, "check")
        said = done.stderr.decode()
        assert done.returncode == code, said
        path = "inventories/lab/secrets/web/admin.age"
        assert "is not added to Git, so no host gets it; git add " + path in said.replace(f"`{path}", path)
        assert "rekey" not in said


def test_lock_check_ends_with_10_while_somebody_cannot_read(desk: Desk) -> None:
    (desk.repo / "inventories/lab/identities/web2.pub").unlink()
    fine(desk, "set", "web/admin", given=b"value")
    assert command(desk, "lock", "--check").returncode == 0
    desk.admit("web2")
    done = command(desk, "lock", "--check")
    assert (done.returncode, b"web2 cannot read it yet" in done.stdout) == (10, True)
    assert command(desk, "lock").returncode == 0
    assert "web/admin" in (desk.repo / "inventories/lab/lock.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "given", "code", "said"),
    [
        (("set", "admin"), b"x", 2, "write <group or host>/<name>"),
        (("set", "wbe/admin"), b"value", 2, 'did you mean "web"?'),
        (("set", "web/../../x"), b"value", 2, "is no name of a secret"),
        (("set", "web/x"), b" \n", 2, "the value is empty"),
        (("set", "web/x"), b"7\n", 2, "one character is no secret"),
        (("set", "web/x", "--file", "/none"), b"", 2, "/none: No such file"),
        (("set", "web/x"), b"x" * (1024 * 1024 + 1), 2, "1048576 at most"),
        (("get", "web/admn"), b"", 2, 'did you mean "web/admin"?'),
        (("get", "web/admin"), b"", 6, "was not made for you"),
        (("get", "web/admin", "--identity", "/etc/passwd"), b"", 2, "/etc/passwd: not an age identity"),
        (("get", "web/garbage"), b"", 6, "this is no age file"),
    ],
)
def test_what_cannot_be_done_says_why_and_writes_nothing(
    desk: Desk, arguments: tuple[str, ...], given: bytes, code: int, said: str
) -> None:
    fine(desk, "set", "web/admin", given=b"value")
    desk.write("secrets/web/garbage.age", "garbage")
    before = {path: path.read_bytes() for path in desk.repo.rglob("*") if path.is_file()}
    done = run(desk, *arguments, given=given)
    assert (done.returncode, said in done.stderr.decode()) == (code, True), done.stderr.decode()
    assert {path: path.read_bytes() for path in desk.repo.rglob("*") if path.is_file()} == before


def test_a_closed_stdin_is_an_empty_one(desk: Desk) -> None:
    fine(desk, "set", "web/admin", given=b"value")
    argv = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "agent", "secret"]
    done = subprocess.run([*argv, "set", "web/x"], cwd=desk.repo, capture_output=True, timeout=60, check=False)
    assert (done.returncode, b"the value is empty" in done.stderr) == (2, True), done.stderr
    argv += ["get", "web/admin", "--identity", f"{desk.ann}"]
    done = subprocess.run(argv, cwd=desk.repo, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"value"), done.stderr


def test_rekey_without_administrators_says_to_name_one(desk: Desk) -> None:
    fine(desk, "set", "web/admin", given=b"value")
    desk.write("admins", "# nobody yet\n")
    done = run(desk, "rekey", "--all")
    assert done.returncode == 6
    assert "admins names nobody" in done.stderr.decode()
    assert "secret rekey" not in done.stderr.decode()


def test_a_name_that_ends_as_the_file_does_is_refused(desk: Desk) -> None:
    done = run(desk, "set", "web/admin.age", given=b"value")
    assert (done.returncode, "leave .age out: web/admin\n" in done.stderr.decode()) == (2, True)
    assert not (desk.repo / "inventories/lab/secrets").exists()


def test_a_file_that_is_no_secret_is_listed_as_that(desk: Desk) -> None:
    desk.write("secrets/web/admin.age", "garbage")
    assert "this is no age file" in fine(desk, "list")


def test_without_administrators_nothing_is_written(desk: Desk) -> None:
    desk.write("admins", "# nobody yet\n")
    done = run(desk, "set", "web/admin", given=b"value")
    assert (done.returncode, "admins names nobody" in done.stderr.decode()) == (6, True)
    assert not (desk.repo / "inventories/lab/secrets").exists()


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("secrets/web/a.age", "in clear", "secrets/web/a.age: this is no age file"),
        (
            "secrets/wbe/a.age",
            age.BINARY,
            'there is no group or host "wbe", so nobody may read this; did you mean "web"?',
        ),
        ("secrets/web/a.txt", "x", "nobody reads this"),
        ("secrets/a.age", "x", "nobody reads this; a secret is called secrets/<group or host>/<name>.age"),
        ("secrets/web/b/a.age", "x", "nobody reads this"),
        ("secrets/web/a b.age", "x", '"a b.age" is not a name for a secret'),
        ("admins", "age1nonsense ann\n", "admins:1:1: nobody can read secrets by this line"),
        ("admins", "age1RECIPIENT web1\n", 'admins:1:1: "web1" is the name of a host; name the person'),
        ("admins", "\nssh-dss AAAA ann\n", "admins:2:1: nobody can read secrets by this line"),
    ],
)
def test_check_complains_of_files_that_nobody_can_read(desk: Desk, path: str, content: str | bytes, said: str) -> None:
    if isinstance(content, str):
        content = content.replace("age1RECIPIENT", age.recipient_of(age.generate()))
    desk.write(path, content)
    done = command(desk, "check")
    assert (done.returncode, said in done.stderr.decode()) == (6, True), done.stderr.decode()


def test_a_file_of_secrets_and_lock_yaml_are_readable_by_git_and_not_executable(desk: Desk) -> None:
    fine(desk, "set", "web/admin", given=b"value")
    for path in ("secrets/web/admin.age", "lock.yaml"):
        assert stat.S_IMODE((desk.repo / "inventories/lab" / path).stat().st_mode) == 0o644

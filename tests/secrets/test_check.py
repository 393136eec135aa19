"""A value that was meant to be secret and stands in clear: `check` names its place in every form, and not the value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.main import run
from agent.system import age
from tests.secrets.conftest import Desk
from tests.secrets.test_sops import encrypted

CANARY = "canary-4f1d9c"
URL = f"https://{CANARY}:{CANARY}@example.org"
FORMS = ((), ("--json",), ("--sarif",), ("--github",), ("--gitlab",))


def clear_in_sops(folder: Path) -> str:
    """A file of which somebody replaced a value by hand."""
    made = encrypted(folder, "all.yaml", "password: first\n", recipient=age.recipient_of(age.generate())).decode()
    return "\n".join((f"password: {CANARY}", *made.splitlines()[1:]))


@pytest.fixture
def careless(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What somebody wrote who does not know secrets yet, by the file that it stands in. `check` complains of each."""
    wrong = {
        "admins": f"AGE-SECRET-KEY-1{CANARY.upper()}\n{CANARY}\n",
        "fleet.yaml": json.dumps({"providers": {"vault": {"address": URL}}}),
        "group_vars/all.sops.yaml": clear_in_sops(tmp_path),
        "identities/web1.pub": f"ssh-ed25519 {CANARY}\n{CANARY}\n",
        "secrets/web/password.age": CANARY,
        "site.yaml": json.dumps(
            [
                {
                    "hosts": "web",
                    "deploys": [
                        {"users": {"ann": {"password_hash": CANARY}}},
                        {"name": "one", "deploy": f"{URL}/one.git//deploy.py"},
                        {"name": "two", "deploy": f"git+{URL}/two.git//deploy"},
                    ],
                }
            ]
        ),
        "tools.yaml": json.dumps({"x": {"url": f"{URL}/x.tar.gz", "bin": ["x"], "version": "1"}}),
        "/policies/rule.rego": f"package main\n\ndeny contains {CANARY}\n",
    }
    for path, content in wrong.items():
        desk.write(path, content)
    monkeypatch.chdir(desk.repo)
    return wrong


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_check_tells_where_a_secret_stands_in_clear_and_not_the_secret(
    careless: dict[str, str], form: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", *form]) == 6
    said = "".join(capsys.readouterr())
    assert [path for path in careless if path.lstrip("/") not in said] == []
    assert CANARY not in said.lower()


SOPS_NAMES = ("yaml", "yml", "json", "env", "ini", "binary")


@pytest.mark.parametrize("folder", ["group_vars", "host_vars/web1", "/files", "/dotfiles/base", "secrets/web"])
@pytest.mark.parametrize("end", SOPS_NAMES)
def test_check_refuses_a_file_that_is_named_like_one_of_sops_and_is_in_clear(
    desk: Desk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: str,
    end: str,
) -> None:
    forms = {"json": '{"password": "%s"}', "env": "password=%s\n", "ini": "[a]\npassword = %s\n"}
    clear = forms.get(end, "password: %s\n") % CANARY
    monkeypatch.chdir(desk.repo)
    desk.write(f"{folder}/web.sops.{end}", clear)
    assert run(["check"]) == 6
    said = "".join(capsys.readouterr())
    assert f"web.sops.{end}: not encrypted; encrypt it with `sops encrypt -i`, and change the value if it was" in said
    assert CANARY not in said


@pytest.mark.parametrize("end", SOPS_NAMES)
def test_what_sops_encrypted_is_fine_in_each_of_its_forms(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    forms = {"json": '{"password": "a"}', "env": "password=a\n", "ini": "[a]\npassword = a\n"}
    monkeypatch.chdir(desk.repo)
    desk.write(f"/files/web.sops.{end}", encrypted(tmp_path, f"web.sops.{end}", forms.get(end, "password: a\n")))
    desk.write("/.sops.yaml", "creation_rules: []\n")
    assert run(["check"]) == 0


def test_variables_of_a_file_named_like_one_of_sops_count_only_encrypted(desk: Desk) -> None:
    desk.write("group_vars/web.sops.yaml", "password: hunter2\n")
    assert "group_vars/web.sops.yaml: not encrypted" in desk.complaint()

"""``hostwright secret import``: what the real ansible-vault encrypted becomes secrets, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.secrets.ansible_vault import VaultError, decrypt, inline_values
from tests.secrets.conftest import Desk
from tests.secrets.test_command import fine, reads, run

PASSWORD = "the päss of the vault"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "vault.pass"
    path.write_text(f"{PASSWORD}\n")
    return path


def ansible_vault(folder: Path, password: Path, *arguments: str, given: bytes = b"") -> bytes:
    argv = [str(Path(sys.executable).parent / "ansible-vault"), *arguments]
    told = {**os.environ, "ANSIBLE_HOME": f"{folder / 'ansible'}", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, input=given, capture_output=True, cwd=folder, env=told, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def encrypted(content: bytes) -> bytes:
    """What ``ansible-vault encrypt`` writes, without the half second that the command takes."""
    from ansible.parsing.vault import VaultLib, VaultSecret

    secret = VaultSecret(PASSWORD.encode())
    written: bytes = VaultLib([("default", secret)]).encrypt(content, secret)
    return written


def encrypted_string(value: bytes, *, name: str = "") -> bytes:
    """The same for ``ansible-vault encrypt_string``."""
    from ansible.cli.vault import VaultCLI

    return f"{VaultCLI.format_ciphertext_yaml(encrypted(value), name=name)}\n".encode()


@pytest.mark.parametrize("vault_id", ["", "prod@"])
def test_a_whole_file_and_inline_values_become_secrets(
    desk: Desk, tmp_path: Path, password: Path, vault_id: str
) -> None:
    by = ["--vault-id", f"{vault_id or 'default@'}{password}"]
    encrypt_by = ["--encrypt-vault-id", "prod"] if vault_id else []
    whole = ansible_vault(tmp_path, password, "encrypt", *by, *encrypt_by, "--output", "-", given=b"\xff whole\n")
    named = ansible_vault(tmp_path, password, "encrypt_string", *by, *encrypt_by, "--name", "db", "a\nsecret: x")
    (tmp_path / "key.pem").write_bytes(whole)
    (tmp_path / "vars.yml").write_bytes(b"port: 80\n" + named + b"\nnested:\n  inner: 1\n")
    files = [f"{tmp_path / 'key.pem'}", f"{tmp_path / 'vars.yml'}"]
    fine(desk, "import", "--into", "web", "--password-file", f"{password}", *files)
    assert reads(desk, "web1", "web/key") == b"\xff whole\n"
    assert reads(desk, "web1", "web/db") == b"a\nsecret: x"


def test_the_lines_that_import_prints_for_a_whole_file_of_variables_give_the_same_variables(
    desk: Desk, tmp_path: Path, password: Path
) -> None:
    whole = encrypted(b"---\ndb_user: app\ndb_password: 'a: b'\n")
    (tmp_path / "vault.yml").write_bytes(whole)
    done = run(desk, "import", "--into", "web", "--password-file", f"{password}", f"{tmp_path / 'vault.yml'}")
    _, _, lines = done.stderr.decode().partition("write where it was:\n")
    desk.write("group_vars/web.yaml", lines)
    desk.write(
        "site.yaml",
        '- hosts: web\n  deploys: [{files: {/etc/a: {content: "{{ db_user }} {{ db_password }}", mode: "0600"}}}]\n',
    )
    assert desk.text("/etc/a") == "app a: b"


def test_every_way_to_write_a_key_is_taken(desk: Desk, tmp_path: Path, password: Path) -> None:
    inline = encrypted_string(b"value").strip()
    head, _, body = inline.partition(b"\n")
    text = b'"quoted": %s\n- item: %s\nnoted: %s  # to be changed\n' % (inline, inline, head)
    text = text.rstrip(b"\n") + b"\n" + body + b"\n# old: !vault |\n#   $ANSIBLE_VAULT;1.1;AES256\n"
    (tmp_path / "vars.yml").write_bytes(text.replace(b"\n", b"\r\n"))
    fine(desk, "import", "--into", "web", "--password-file", f"{password}", f"{tmp_path / 'vars.yml'}")
    assert [reads(desk, "web1", f"web/{key}") for key in ("quoted", "item", "noted")] == [b"value"] * 3


@pytest.mark.parametrize(
    ("left", "line"),
    [("- {}", 9), ("two words: {}", 9), ("'odd\": {}", 9), ('x: "$ANSIBLE_VAULT;1.1;AES256\\n61"', 8)],
)
def test_a_vault_without_a_name_is_named_by_its_line_and_nothing_is_written(
    desk: Desk, tmp_path: Path, password: Path, left: str, line: int
) -> None:
    inline = encrypted_string(b"value").decode().strip()
    (tmp_path / "vars.yml").write_text(f"good: {inline}\n{left.replace('{}', inline)}\n")
    done = run(desk, "import", "--into", "web", "--password-file", f"{password}", f"{tmp_path / 'vars.yml'}")
    assert (done.returncode, f"vault in line {line}\n".encode() in done.stderr) == (2, True), done.stderr
    assert not (desk.repo / "inventories/lab/secrets").exists()


def test_a_secret_that_is_there_is_written_over_only_when_told(desk: Desk, tmp_path: Path, password: Path) -> None:
    named = encrypted_string(b"new", name="db")
    (tmp_path / "vars.yml").write_bytes(named)
    fine(desk, "set", "web/db", given=b"old")
    told = ("import", "--into", "web", "--password-file", f"{password}", f"{tmp_path / 'vars.yml'}")
    done = run(desk, *told)
    assert (done.returncode, b"already there: web/db" in done.stderr) == (2, True), done.stderr
    assert reads(desk, "web1", "web/db") == b"old"
    fine(desk, *told, "--overwrite")
    assert reads(desk, "web1", "web/db") == b"new"


def test_a_wrong_password_and_a_file_without_vault_write_nothing(desk: Desk, tmp_path: Path, password: Path) -> None:
    whole = encrypted(b"x")
    (tmp_path / "key").write_bytes(whole)
    (tmp_path / "clear").write_text("a: 1\n")
    (tmp_path / "other").write_text("wrong")
    done = run(desk, "import", "--into", "web", "--password-file", f"{tmp_path / 'other'}", f"{tmp_path / 'key'}")
    assert (done.returncode, b"the password is not that of this vault" in done.stderr) == (2, True)
    done = run(desk, "import", "--into", "web", "--password-file", f"{password}", f"{tmp_path / 'clear'}")
    assert (done.returncode, b"holds nothing of Ansible Vault" in done.stderr) == (2, True)
    assert not (desk.repo / "inventories/lab/secrets").exists()


def test_vaults_are_taken_from_where_ansible_has_them_in_the_inventory(
    desk: Desk, tmp_path: Path, password: Path
) -> None:
    whole = encrypted(b"a: 1\n")
    named = encrypted_string(b"value", name="password")
    desk.write("group_vars/web/vault.yml", whole)
    desk.write("host_vars/web1.yml", named)
    files = [f"{desk.repo / 'inventories/lab' / path}" for path in ("group_vars/web/vault.yml", "host_vars/web1.yml")]
    fine(desk, "import", "--into", "web1", "--password-file", f"{password}", *files)
    assert reads(desk, "web1", "web1/vault") == b"a: 1\n"
    assert reads(desk, "web1", "web1/password") == b"value"


@given(st.binary(max_size=200))
def test_garbage_is_a_vault_error_and_nothing_else(garbage: bytes) -> None:
    for content in (
        garbage,
        b"$ANSIBLE_VAULT;1.1;AES256\n" + garbage,
        b"$ANSIBLE_VAULT;1.2;AES256;x\n" + garbage.hex().encode(),
    ):
        with pytest.raises(VaultError):
            decrypt(content, b"x")
    inline_values(garbage.decode(errors="replace"))

"""SOPS files, made by the real ``sops`` with age: we read what it encrypts as it does, and refuse what was touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engine.secrecy import Lacking
from agent.inventory.secrets import plain_yaml
from agent.system import age, sops
from tests.drawing import cases
from tests.secrets.conftest import Desk

SECRET = age.generate()
SOPS = shutil.which("sops") or "sops"

DOCUMENT = """\
# a comment
text: päss'word
number: 42
negative: -7
fraction: 1.5
large: 100000000000000000000.5
yes_no: true
no_yes: false
nothing:
empty: ""
word: yes
octal: "0755"
lines: |
  first
  second
nested:
  - {name: ann, ports: [1, 2]}  # another comment
  - [a, {b: c}]
note_unencrypted: in clear
count_unencrypted: 7
flag_unencrypted: yes
date_unencrypted: 2026-11-30
"""


def encrypted(folder: Path, name: str, content: str | bytes, *options: str, recipient: str = "") -> bytes:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    argv = [SOPS, "--disable-version-check", "encrypt", "--age", recipient or age.recipient_of(SECRET), *options]
    done = subprocess.run([*argv, f"{path}"], capture_output=True, check=False, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def decrypted(folder: Path, name: str, content: bytes) -> Any:
    """The document as ``sops`` itself decrypts it."""
    (folder / name).write_bytes(content)
    argv = [SOPS, "--disable-version-check", "decrypt", "--output-type", "json", name]
    told = {**os.environ, "SOPS_AGE_KEY": SECRET}
    done = subprocess.run(argv, capture_output=True, check=True, timeout=60, cwd=folder, env=told)
    return json.loads(done.stdout)


def ours(content: bytes, name: str) -> Any:
    file = sops.read(content, name, lambda content: plain_yaml(content, name))
    return file.opened(file.data_key(lambda wrapped: age.decrypt(wrapped, age.x25519([SECRET]))))


def test_whole_numbers_of_json_stay_whole(tmp_path: Path) -> None:
    content = encrypted(tmp_path, "a.json", '{"port": 5432, "below": -1, "fraction": 1.5, "whole": 3.0, "large": 1e22}')
    found = ours(content, "a.json")
    assert found == decrypted(tmp_path, "a.json", content)
    assert repr([found["port"], found["below"], found["whole"]]) == "[5432, -1, 3]"


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--encrypted-regex", "^(text|nested)$"),
        ("--unencrypted-regex", "^(number|nested)$"),
        ("--encrypted-suffix", "ed"),
        "mac_only_encrypted: true",
        "unencrypted_comment_regex: another",
    ],
    ids=str,
)
def test_a_document_is_read_as_sops_reads_it(tmp_path: Path, options: tuple[str, ...] | str) -> None:
    if isinstance(options, str):
        rule = f"creation_rules:\n  - age: {age.recipient_of(SECRET)}\n    {options}\n"
        (tmp_path / ".sops.yaml").write_text(rule)
        options = ()
    made = encrypted(tmp_path, "x.yaml", DOCUMENT, *options)
    assert ours(made, "x.yaml") == decrypted(tmp_path, "x.yaml", made)


def test_json_env_and_bytes_are_read_as_sops_reads_them(tmp_path: Path) -> None:
    made = encrypted(tmp_path, "x.json", json.dumps({"a": {"b": [1, "x", True, None, 2.5]}, "c_unencrypted": 1}))
    assert ours(made, "x.json") == decrypted(tmp_path, "x.json", made)
    made = encrypted(tmp_path, "x.env", "# c\nA=one\nB='two words'\nC=\n")
    assert ours(made, "x.env") == decrypted(tmp_path, "x.env", made)
    made = encrypted(tmp_path, "x.bin", b"\xff\0bytes")
    assert ours(made, "x.bin") == {"data": "\udcff\0bytes"}


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
SCALAR = TEXT | st.integers(-(2**53), 2**53) | st.booleans() | st.none()
VALUE = st.recursive(SCALAR, lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT, part, max_size=3))


@cases(15)
@given(document=st.dictionaries(TEXT.filter(lambda key: key != "sops"), VALUE, min_size=1, max_size=4))
def test_any_document_is_read_as_sops_reads_it(tmp_path: Path, document: dict[str, Any]) -> None:
    made = encrypted(tmp_path, "x.json", json.dumps(document))
    assert ours(made, "x.json") == document


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: made.replace("in clear", "changed"), "MAC does not fit"),
        (lambda made: made.replace("number:", "nomber:"), "the value of nomber is damaged, or was moved"),
        (lambda made: made[made.index("number:") :], "MAC does not fit"),
        (lambda made: made.replace("mac: ENC", "mac: XNC"), "it has no MAC"),
        (lambda made: made.replace('lastmodified: "2', 'lastmodified: "1'), "its MAC is damaged, or was moved"),
        (lambda made: made.replace("AGE ENCRYPTED", "AGE"), "no age file"),
        (lambda made: made.replace("sops:", "spos:"), "no metadata of SOPS"),
    ],
)
def test_what_was_touched_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    made = encrypted(tmp_path, "x.yaml", DOCUMENT).decode()
    with pytest.raises((sops.SopsError, age.AgeError), match=said):
        ours(change(made).encode(), "x.yaml")


def test_a_template_takes_a_value_or_all_of_a_file(desk: Desk, tmp_path: Path) -> None:
    recipient = age.recipient_of(desk.unsealer()._key())
    desk.write("/app.yaml", encrypted(tmp_path, "app.yaml", DOCUMENT, recipient=recipient))
    text = "{{ sops('app.yaml', 'nested.0.ports.1') }} {{ sops('app.yaml', 'text') }} {{ sops('app.yaml') | to_json }}"
    entry = {"/srv/x": {"content": text, "mode": "0600"}}
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": entry}]}]))
    assert desk.text("/srv/x").startswith("2 päss'word {")
    (deploy,) = desk.state().deploys
    assert "word" not in repr(deploy)
    with pytest.raises(Lacking, match="sops updatekeys"):
        desk.unsealer("db1")(deploy.arguments, desk.repo)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("sops('ap.yaml', 'text')", "there is no file ap.yaml"),
        ("sops('app.yaml', 'txt')", "app.yaml has no txt"),
        ("sops('plain.yaml', 'a')", "plain.yaml is no file of SOPS"),
        ("sops()", "sops() takes the path of a file and a key"),
    ],
)
def test_check_names_what_is_not_there_without_a_key(desk: Desk, tmp_path: Path, call: str, said: str) -> None:
    desk.write("/app.yaml", encrypted(tmp_path, "app.yaml", "text: a\n"))
    desk.write("/plain.yaml", "a: 1\n")
    entry = {"/srv/x": {"content": "{{ " + call + " }}", "mode": "0600"}}
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": entry}]}]))
    assert said in desk.complaint()


def test_variables_of_a_sops_file_are_read_wherever_variables_lie(desk: Desk, tmp_path: Path) -> None:
    recipient = age.recipient_of(desk.unsealer()._key())
    for path, text in {
        "group_vars/web.yaml": "pw: one\nport: 8080\nplain_unencrypted: x\nd: {l: [a, b]} # c\n",
        "group_vars/all.sops.yaml": "top: 'it is {{ not }} a template'\n",
        "host_vars/web1/inner.json": '{"own": "of web1"}',
    }.items():
        desk.write(path, encrypted(tmp_path, path, text, recipient=recipient))
    template = "{{ pw }} {{ port }} {{ plain_unencrypted }} {{ d.l[1] }} {{ top }} {{ own }}"
    entry = {"/srv/x": {"content": template, "mode": "0600"}}
    code = {"name": "x", "deploy": "deploys/x.py", "with": {"port": "{{ port }}"}}
    desk.write("/deploys/x.py", "")
    desk.write("site.yaml", json.dumps([{"hosts": "web1", "deploys": [{"files": entry}, code]}]))
    assert desk.text("/srv/x") == "one 8080 x b it is {{ not }} a template of web1"
    assert desk.values()["x"]["port"] == 8080
    inventory = desk.environment().inventory
    assert inventory.as_host("web1")["pw"] == "{{ sops('inventories/lab/group_vars/web.yaml', 'pw') }}"
    assert "sops" not in inventory.as_host("web1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: re.sub("pw: ENC.*", "pw: clear", made), "web.yaml:1:5: pw: a value in clear, which SOPS would"),
        (lambda made: re.sub("- ENC.*", "- 7", made), "l.0: a value in clear"),
        (lambda made: made.replace("mac: ENC", "mac: XNC"), "no file of SOPS: it has no MAC"),
        (lambda made: re.sub("mac: ENC.*", "mad: 1", made), "no file of SOPS: it has no MAC"),
        (lambda made: re.sub("(?s)age:.*lastm", "age: []\n    lastm", made), "its data key has no age recipient"),
        (lambda made: made.replace("enc: |", "end: |"), "the age recipients of its data key are damaged"),
        (lambda made: made.replace("unencrypted_suffix: ", "encrypted_regex: ("), "its encrypted_regex cannot be"),
    ],
)
def test_check_complains_of_variables_that_no_mac_would_protect(
    desk: Desk, tmp_path: Path, change: Any, said: str
) -> None:
    made = encrypted(
        tmp_path, "x.yaml", "pw: one\nl: [a]\nplain_unencrypted: {x: [y]}\nnothing: \nempty: ''\n"
    ).decode()
    desk.write("group_vars/web.yaml", made)
    desk.state()
    assert change(made) != made
    desk.write("group_vars/web.yaml", change(made))
    assert said in desk.complaint()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--encrypted-regex", "^(text|nested)$"),
        ("--unencrypted-regex", "^(number|nested)$"),
        ("--encrypted-suffix", "ed"),
    ],
    ids=str,
)
def test_values_that_sops_leaves_in_clear_are_no_complaint(
    desk: Desk, tmp_path: Path, options: tuple[str, ...]
) -> None:
    desk.write("group_vars/web.yaml", encrypted(tmp_path, "x.yaml", DOCUMENT, *options))
    desk.state()


def test_an_empty_value_that_took_the_place_of_a_secret_is_refused(desk: Desk, tmp_path: Path) -> None:
    recipient = age.recipient_of(desk.unsealer()._key())
    made = encrypted(tmp_path, "x.yaml", "pw: one\nempty: ''\nnothing:\n", recipient=recipient).decode()
    content = "{{ pw }} {{ empty }} {{ nothing }}"
    entry = {"/srv/x": {"content": content, "mode": "0600"}}
    desk.write("site.yaml", json.dumps([{"hosts": "web1", "deploys": [{"files": entry}]}]))
    desk.write("group_vars/web.yaml", made)
    assert desk.text("/srv/x") == "one  "
    desk.write("group_vars/web.yaml", re.sub("pw: ENC.*", "pw: ''", made))
    with pytest.raises(Lacking, match="MAC does not fit"):
        desk.text("/srv/x")


def test_half_a_character_in_json_is_refused() -> None:
    with pytest.raises(sops.SopsError, match="cannot be read as JSON in UTF-8"):
        sops.read(b'{"a": "\\ud800"}', "x.json", lambda content: plain_yaml(content, "x.json"))

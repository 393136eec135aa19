"""What `enroll --user-data` prints: the same first boot in every format, escaped, and nothing that cannot work."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from agent.cli.main import run
from agent.cli.user_data import FOLDER, FORMATS, SERVICE
from agent.domain.one_time_code import OneTimeCode
from tests.gitserver import ConfigRepo, author

ROOT = Path(__file__).parents[2]
INDEX = ("--index", "https://index.example.org/all")
HTTPS = ("--remote", "https://git.example.org/ops.git", "--trust", "unsigned")
SSH = ("--remote", "ssh://git@git.example.org/ops.git", "--trust", "unsigned")
PASSWORD_URL, TOKEN_URL = "https://u:hunter2@git.example.org/ops.git", "https://hunter2@git.example.org/ops.git"

Files = dict[str, tuple[int, bytes]]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigRepo:
    """An inventory of one host, in a clone whose commits are all pushed."""
    repo = ConfigRepo(tmp_path / "work")
    hosts = "web:\n  hosts:\n    web1:\n"
    repo.commit("First", {"inventories/prod/hosts.yaml": hosts, "inventories/prod/site.yaml": "[]\n"})
    repo.bare(tmp_path / "bare.git")
    repo.git("fetch", "--quiet", "origin")
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("HOME", f"{tmp_path}")
    return repo


Printed = Callable[..., str]


@pytest.fixture
def printed(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> Printed:
    def printed(form: str, *options: str) -> str:
        capsys.readouterr()
        assert run(["enroll", "--user-data", form, "--as", "web1", *options]) == 0
        return capsys.readouterr().out

    return printed


def cloud_files(config: Mapping[str, Any]) -> Files:
    def content(file: Mapping[str, str]) -> bytes:
        return gzip.decompress(base64.b64decode(file["content"])) if "encoding" in file else file["content"].encode()

    assert config["runcmd"][-1] == ["systemctl", "enable", "--now", "--no-block", SERVICE]
    return {file["path"]: (int(file["permissions"], 8), content(file)) for file in config["write_files"]}


def ignition_files(text: str) -> Files:
    def content(source: str) -> bytes:
        packed = source.removeprefix("data:;base64,")
        return (
            unquote(source.removeprefix("data:,")).encode()
            if packed == source
            else gzip.decompress(base64.b64decode(packed))
        )

    document = json.loads(text)
    files = {file["path"]: (file["mode"], content(file["contents"]["source"])) for file in document["storage"]["files"]}
    [unit] = document["systemd"]["units"]
    assert unit["enabled"]
    return files | {f"/etc/systemd/system/{unit['name']}": (0o644, unit["contents"].encode())}


def archived_files(coded: str) -> Files:
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(coded))) as archive:
        entries = archive.getmembers()
        links = {entry.name: entry.linkname for entry in entries if entry.issym()}
        assert links == {f"etc/systemd/system/multi-user.target.wants/{SERVICE}": f"../{SERVICE}"}
        files = [(entry, archive.extractfile(entry)) for entry in entries if entry.isfile()]
        return {f"/{entry.name}": (entry.mode, file.read()) for entry, file in files if file is not None}


READERS: Mapping[str, Callable[[str], Files]] = {
    "cloud-init": lambda text: cloud_files(yaml.safe_load(text)),
    "autoinstall": lambda text: cloud_files(yaml.safe_load(text)["autoinstall"]["user-data"]),
    "ignition": ignition_files,
    "preseed": lambda text: archived_files(text.partition("echo ")[2].partition(" >")[0]),
    "kickstart": lambda text: archived_files(text.partition("/\n")[2].partition("\nEND")[0]),
}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_puts_the_same_files_there_and_only_root_reads_them(
    printed: Printed, repo: ConfigRepo, form: str
) -> None:
    text = printed(form, *HTTPS, *INDEX)
    files = READERS[form](text)
    code = OneTimeCode.read(text)
    names = {path.removeprefix(f"{FOLDER}/"): content for path, (_, content) in files.items()}
    unit = f"/etc/systemd/system/{SERVICE}"
    assert set(names) == {"run", "options", "code", "bootstrap.sh", unit}
    assert {path for path, (mode, _) in files.items() if mode != 0o600} == {unit}
    assert names["code"] == f"{code.text}\n".encode()
    assert names["bootstrap.sh"] == (ROOT / "bootstrap.sh").read_bytes()
    assert hashlib.sha256(names["bootstrap.sh"]).hexdigest() in names["run"].decode()
    assert f"--min-commit={repo.head}\n" in names["options"].decode()
    assert names["options"].endswith(b"\n--end\n")


ODD = """https://git.example.org/it's$(id)`id`"%s;&*?\\!.git"""


@pytest.mark.parametrize("form", FORMATS)
def test_no_shell_on_the_way_reads_an_odd_address_as_a_command(printed: Printed, repo: ConfigRepo, form: str) -> None:
    branch = "it's#odd%s;$(id)&"
    repo.git("switch", "--quiet", "-c", branch)
    repo.git("push", "--quiet", "origin", branch)
    text = printed(form, "--remote", ODD, "--trust", "unsigned", "--branch", branch, *INDEX)
    files = READERS[form](text)
    options = files[f"{FOLDER}/options"][1].decode().splitlines()
    assert {f"--repo={ODD}", f"--branch={branch}"} <= set(options)
    assert "id)" not in files[f"{FOLDER}/run"][1].decode()
    assert "$(id)" not in text or form in ("cloud-init", "autoinstall")


def test_signers_and_host_keys_and_a_key_of_its_own_go_along(
    printed: Printed, repo: ConfigRepo, tmp_path: Path
) -> None:
    ann, server, web1 = (author(tmp_path, name) for name in ("ann", "server", "web1"))
    repo.commit("Trust", {"inventories/prod/trusted_signers": f"{ann.line}\n"})
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(f"git.example.org {server.public}\n")
    files = READERS["cloud-init"](printed("cloud-init", *SSH[:2], *INDEX, "--deploy-key", f"{web1.key}"))
    assert files[f"{FOLDER}/trusted_signers"] == (0o600, f"{ann.line}\n".encode())
    assert files[f"{FOLDER}/known_hosts"] == (0o600, f"git.example.org {server.public}\n".encode())
    assert files["/etc/hostwright/deploy_key"] == (0o600, web1.key.read_bytes())


def test_the_agent_goes_along_where_neither_the_repository_nor_an_index_has_it(printed: Printed) -> None:
    files = READERS["ignition"](printed("ignition", *HTTPS))
    with tarfile.open(fileobj=io.BytesIO(files[f"{FOLDER}/agent.tar.gz"][1])) as archive:
        assert {"bootstrap.sh", "agent/__init__.py", "requirements.txt"} <= set(archive.getnames())


def test_a_second_document_has_another_code(printed: Printed) -> None:
    assert OneTimeCode.read(printed("kickstart", *HTTPS)) != OneTimeCode.read(printed("kickstart", *HTTPS))


def test_ksvalidator_finds_nothing_wrong(printed: Printed, tmp_path: Path) -> None:
    document = tmp_path / "ks.cfg"
    checker = f"{Path(sys.executable).with_name('ksvalidator')}"
    text = printed("kickstart", *HTTPS)
    for content, code in ((text, 0), (text.replace("%end", ""), 1)):
        document.write_text(content)
        checked = subprocess.run([checker, "-v", "RHEL9", f"{document}"], capture_output=True, text=True, check=False)
        assert checked.returncode == code, checked.stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("root@10.0.0.7", "--as", "web1", *HTTPS), 2, "nobody logs in"),
        (HTTPS, 2, "say which host it becomes"),
        (("--as", "web1", *HTTPS, "--fingerprint", "SHA256:x"), 2, "does not go with --user-data"),
        (("--as", "web 1", *HTTPS), 2, "no name for a host"),
        (("--as", "web1", *SSH), 2, "nobody is there to register its own"),
        (("--as", "web1", *HTTPS, "--deploy-key", "key"), 2, "--deploy-key is not used"),
        (("--as", "web1", *SSH, "--deploy-key", "key.pub"), 3, "is the public half of a key"),
        (("--as", "web1", *SSH, "--deploy-key", "key"), 3, "not in your known_hosts"),
        (("--as", "web1", *HTTPS, "--index", "https://a b"), 2, "is no URL"),
        (("--as", "web1", *HTTPS, "--index", "http://index.example.org/all"), 2, "is no URL of https"),
        (("--as", "web1", *HTTPS, "--index", "https://u:p@index.example.org/all"), 2, "***@index"),
        (("--as", "web1", *HTTPS, "--index", "u:p@index.example.org/all"), 2, "--index ***@index"),
        (("--as", "web1", *HTTPS, "--branch", "nope"), 2, "git push -u origin nope"),
        (("--as", "web1", *HTTPS[2:]), 2, "is a path of this computer"),
        (("--as", "web1", *HTTPS, "--branch", "-x"), 3, "cannot be the name of a branch"),
        (("--as", "web1", "--remote", "https://git.example.org/a b", "--trust", "unsigned"), 3, "holds blanks"),
        (("--as", "web1", "--remote", PASSWORD_URL, *HTTPS[2:]), 2, "--deploy-key FILE, or the URL without a user"),
        (("--as", "web1", "--remote", TOKEN_URL, *HTTPS[2:]), 2, "--deploy-key FILE, or the URL without a user"),
        (("--as", "web1", *HTTPS, *INDEX, "--output", "nowhere/x"), 2, "name a file that you can write"),
        (("--as", "web2", *HTTPS), 2, "web2 is not in"),
        (("--as", "web1", *HTTPS, "--output", "web1.yaml"), 2, "is in the config repo"),
    ],
)
def test_what_could_not_work_is_refused_at_the_desk(
    repo: ConfigRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int, said: str
) -> None:
    author(tmp_path, "key")
    named = [f"{tmp_path / option}" if option in ("key", "key.pub", "nowhere/x") else option for option in options]
    assert run(["enroll", "--user-data", "cloud-init", *named]) == code
    told = capsys.readouterr()
    assert said in told.err
    assert "hunter2" not in told.err
    assert told.out == ""


def test_a_host_that_the_remote_does_not_have_yet_is_refused(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.write({"inventories/prod/hosts.yaml": "web:\n  hosts:\n    web1:\n    web3:\n"})
    assert run(["enroll", "--user-data", "cloud-init", "--as", "web3", *HTTPS, *INDEX]) == 2
    assert "web3 is not in the hosts file of origin/main" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["admins", "trusted_signers", "identities/web2.pub"])
def test_a_key_that_is_somebody_s_already_does_not_go_along(
    repo: ConfigRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    ann = author(tmp_path, "ann")
    line = f"{ann.line}\n" if file == "trusted_signers" else f"{ann.public} ann@example.org\n"
    repo.commit("Name her", {"inventories/prod/hosts.yaml": "web: {hosts: {web1: , web2: }}\n"})
    repo.commit("Trust", {f"inventories/prod/{file}": line})
    repo.git("push", "--quiet", "origin", "main")
    assert run(["enroll", "--user-data", "cloud-init", "--as", "web1", *SSH, "--deploy-key", f"{ann.key}"]) == 3
    told = capsys.readouterr()
    assert f"is the private half of a key in inventories/prod/{file}" in told.err
    assert told.out == ""


def test_a_document_that_trusts_unsigned_commits_says_so_aloud(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["enroll", "--user-data", "cloud-init", "--as", "web1", *HTTPS, *INDEX]) == 0
    assert "--trust unsigned: whoever can push to the repository is root on web1" in capsys.readouterr().err


def test_a_preseed_file_that_linux_would_not_take_is_refused(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["enroll", "--user-data", "preseed", "--as", "web1", *HTTPS]) == 2
    assert "too large" in capsys.readouterr().err


def test_options_of_user_data_alone_are_refused_over_ssh(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["enroll", "root@127.0.0.1", "--as", "web1", *INDEX]) == 2
    assert "--index is for --user-data" in capsys.readouterr().err

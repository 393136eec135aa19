"""bootstrap.sh as far as it can be seen without a host: its words, its arguments, under every shell it may meet."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import agent
from tests.gitserver import ConfigRepo, http_server
from tests.system.test_passed_on import HARMFUL

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "bootstrap.sh"
SHELLS = (("dash",), ("bash", "--posix"), ("busybox", "sh"))
NOBODY = 65534


def bootstrap(
    *arguments: str, shell: Sequence[str] = ("sh",), piped: bool = False, uid: int = NOBODY, env: Mapping[str, str] = {}
) -> subprocess.CompletedProcess[str]:
    """The script run as nobody, who may not change anything, from this clone or through a pipe."""
    command = [*shell, "-s", "--", *arguments] if piped else [*shell, str(SCRIPT), *arguments]
    return subprocess.run(
        command,
        input=SCRIPT.read_text() if piped else "",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **env},
    )


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> Sequence[str]:
    name: Sequence[str] = request.param
    if shutil.which(name[0]) is None:
        pytest.skip(f"no {name[0]} on this machine")
    return name


@pytest.mark.parametrize("script", ["bootstrap.sh", "agent/host/rescue.sh", "scripts/lock"])
def test_shellcheck_finds_nothing(script: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck on this machine")
    done = subprocess.run(
        ["shellcheck", "-s", "sh", str(ROOT / script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == ""


def test_help_names_every_option_in_every_shell(shell: Sequence[str]) -> None:
    done = bootstrap("--help", shell=shell)
    assert done.returncode == 0
    parsed = re.findall(r"^ +(--[a-z][a-z-]+(?: \| --[a-z][a-z-]+)*)", SCRIPT.read_text(), re.MULTILINE)
    options = {option for line in parsed for option in line.split(" | ")}
    assert len(options) > 15
    assert {option for option in options if option not in done.stdout} == set()


def test_the_version_is_that_of_the_agent() -> None:
    assert bootstrap("--version").stdout == f"hostwright {agent.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--no-such"], "unknown argument '--no-such'"),
        (["web01"], "unknown argument 'web01'"),
        (["--repo"], "--repo needs a value"),
        (["--repo", ""], "--repo is empty"),
        (["--repo="], "--repo is empty"),
        (["--host", "--plan"], "--host cannot be '--plan'"),
        (["--branch", "a\nb"], "--branch holds a control character"),
        (["--trust", "yes"], "--trust cannot be 'yes'"),
        (["--min-commit", "abc123"], "--min-commit cannot be 'abc123': give all 40 hex digits"),
        (["--min-commit", "Z" * 40], "ZZ': give all 40 hex digits"),
        (["--known-hosts", "/no/such"], "--known-hosts cannot be '/no/such': name a file that exists"),
        (["--code-file", "/no/such"], "--code-file cannot be '/no/such'"),
        (["--wheelhouse", "/no/such"], "--wheelhouse cannot be '/no/such': name the folder"),
        (["--proxy", "proxy:3128"], "--proxy cannot be 'proxy:3128': write it like https://name/path"),
        (["--index", "file://"], "--index cannot be 'file://'"),
        (["--plan", "--once"], "--plan and --once exclude each other"),
        (["--plan=yes"], "--plan takes no value"),
        (["--verbose=yes"], "--verbose takes no value"),
        (["--trust", "signed"], "--trust signed needs to know whom to trust"),
        (["--repo", "ftp://git.example/c.git"], "--repo cannot be 'ftp://git.example/c.git': write https://"),
        (["--repo", "ext::sh -c id"], "--repo cannot be 'ext::sh -c id'"),
        (["--repo", "config.git"], "--repo cannot be 'config.git'"),
        (["--status-repo", "git://git.example/s.git"], "--status-repo cannot be 'git://git.example/s.git'"),
        (["--repo", "https://git.example/c.git"], "add --trusted-signers FILE, or say --trust unsigned"),
    ],
)
def test_a_wrong_argument_ends_in_one_line_that_says_what_to_do(
    shell: Sequence[str], arguments: list[str], complaint: str
) -> None:
    done = bootstrap(*arguments, shell=shell)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert re.fullmatch(r"bootstrap: .+: .+\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--inventory", "exmaple"], "there is no inventory exmaple: name one with --inventory: example local"),
        (["--inventory", "example", "--host", "nobody"], "inventories/example does not know a host nobody: add it"),
        (["--inventory", "example", "--host", "db03"], "does not know a host db03"),
    ],
)
def test_a_name_that_the_clone_does_not_hold_is_told_before_anything_is_installed(
    shell: Sequence[str], arguments: list[str], complaint: str
) -> None:
    done = bootstrap(*arguments, shell=shell)
    assert (done.returncode, complaint in done.stderr) == (6, True), done.stderr


@pytest.mark.parametrize("host", ["desk-ann", "web02", "stage-web02", "ci2"])
def test_a_host_of_the_clone_is_found_by_its_name_or_in_a_range(shell: Sequence[str], host: str) -> None:
    assert "needs root" in bootstrap("--inventory", "example", "--host", host, shell=shell).stderr


def test_without_root_it_says_so_and_ends_with_3(shell: Sequence[str]) -> None:
    done = bootstrap(shell=shell)
    assert (done.returncode, done.stderr) == (3, "bootstrap: this needs root: run it with sudo, or as root\n")


def test_piped_without_a_repository_it_asks_for_one(shell: Sequence[str]) -> None:
    done = bootstrap(shell=shell, piped=True)
    assert done.returncode == 2
    assert "--repo URL" in done.stderr


def test_half_a_download_does_nothing(shell: Sequence[str]) -> None:
    text = SCRIPT.read_text()
    for share in (0.3, 0.6, 0.9):
        part = text[: int(len(text) * share)].rsplit("\n", 1)[0]
        done = subprocess.run(
            [*shell], input=part, capture_output=True, text=True, timeout=30, check=False, user=NOBODY, env={}
        )
        assert done.stdout == ""


def test_a_value_is_never_run(shell: Sequence[str], tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    tmp_path.chmod(0o777)
    for value in (f"$(touch {witness})", f"`touch {witness}`", f"'; touch {witness}; '", f"a;touch {witness}"):
        for option in ("--repo", "--branch", "--host", "--min-commit", "--index", "--known-hosts"):
            bootstrap(option, value, shell=shell)
    assert not witness.exists()


def test_of_the_environment_only_what_is_known_to_be_harmless_is_passed_on(shell: Sequence[str]) -> None:
    (clean,) = re.findall(r"^clean_environment\(\) \{\n.*?^\}\n", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    given = dict.fromkeys([*HARMFUL, "https_proxy", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"], "x") | {
        "PATH": "/usr/bin:/bin"
    }
    argv = [*shell, "-c", f"{clean}\nclean_environment\nenv"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True, env=given)
    left = {line.partition("=")[0] for line in done.stdout.splitlines()} - {"PWD", "OLDPWD", "_", "SHLVL", "SHELLOPTS"}
    assert left == {"PATH", "TMPDIR", "https_proxy", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"}


def test_a_variable_of_the_environment_that_has_the_name_of_one_of_ours_changes_nothing(shell: Sequence[str]) -> None:
    (clean,) = re.findall(r"^clean_environment\(\) \{\n.*?^\}\n", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    argv = [*shell, "-euc", f'{clean}\nOPT="our own"\nclean_environment\necho "$OPT"; env']
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True, env={"OPT": "x"})
    assert (done.stdout.splitlines()[0], "OPT=" in done.stdout) == ("our own", False)


ADVICE = "\nPlease make sure you have the correct access rights\nand the repository exists.\n"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"git@a: Permission denied (publickey).\nfatal: Could not read from it.\n{ADVICE}", "Permission denied"),
        (f"fatal: Could not read from remote repository.\n{ADVICE}", "fatal: Could not read"),
        ("warning: x\nfatal: repository 'https://a/' not found\n", "fatal: repository"),
        ("something else\n", "something else"),
    ],
)
def test_of_what_git_says_the_reason_is_told_and_not_its_advice(
    shell: Sequence[str], tmp_path: Path, said: str, told: str
) -> None:
    (reason,) = re.findall(r"^told_by_git\(\) \{\n.*?^\}\n", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "said").write_text(said)
    argv = [*shell, "-euc", f'{reason}\nwork="$0"\ntold_by_git', f"{tmp_path}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    assert told in done.stdout


@pytest.mark.parametrize("password", ["hunter2", "a@hunter2", "a:@b@hunter2"])
def test_a_password_in_a_url_is_not_shown(password: str) -> None:
    done = bootstrap("--repo", f"https://user:{password}@git.example/c.git")
    assert "hunter2" not in done.stderr
    assert "git.example" in done.stderr


def called(
    shell: Sequence[str], folder: Path, commands: str, code: int = 0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Commands that end with ``code``, with the functions and variables of the script at hand, and a ``folder`` in
    which it works."""
    functions = SCRIPT.read_text().removesuffix('main "$@"\n')
    places = f"work={folder} LOG={folder}/log ETC={folder}/etc environment={folder} clone='' action='' renewed=''"
    given = {"PATH": os.environ["PATH"], "HOME": f"{folder}", **env}
    argv = [*shell, "-c", f"{functions}\n{places} verbose='' trust=unsigned\n{commands}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=given)
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("password", ["hunter2", "a@hunter2", ""])
def test_git_gets_the_password_of_a_url_and_no_argument_has_it(
    shell: Sequence[str], tmp_path: Path, password: str
) -> None:
    repo = ConfigRepo(tmp_path / "work")
    repo.commit("First", {"README.md": "here\n"})
    repo.bare(tmp_path / "served/c.git")
    traced = {"GIT_TRACE2_EVENT": f"{tmp_path}/trace", "GIT_TRACE2_REDACT": "0", "GIT_TRACE_REDACT": "0"}
    user = f"user:{password}" if password else "hunter2"
    with http_server(tmp_path / "served", password=user if password else "hunter2:") as server:
        url = server.url("c.git", user)
        called(shell, tmp_path, f"repo='{url}' branch='' known_hosts=''\nclone_config_repo", **traced)
    assert (tmp_path / "source/README.md").read_text() == "here\n"
    told = (tmp_path / "trace").read_text() + (tmp_path / "log").read_text()
    assert "remote-http" in told
    assert "credential-store" in told
    assert "hunter2" not in told + (tmp_path / "source/.git/config").read_text()


UNSET = """\
at='' version='' status_repo='' branch='' inventory='' host='' trusted_signers='' min_commit='' known_hosts=''
code_file='' proxy='' ca='' adding='' setup='' settled='' building='' compiling='' interrupted='' sent=''
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_setup_gets_the_options_by_a_pipe(shell: Sequence[str], tmp_path: Path) -> None:
    setup = 'echo "$*" >"${0%/bin/*}/arguments"\ncat >"${0%/bin/*}/options"'
    program(tmp_path / "bin/hostwright", setup)
    given = f"PACKAGES={tmp_path}/no OPT={tmp_path}/no branch=main status_repo=https://t@h/s repo='https://u:p@h/c d'"
    called(shell, tmp_path, f"{UNSET}{given}\nhand_over")
    assert (tmp_path / "arguments").read_text() == "setup --options -\n"
    options = "--repo=https://u:p@h/c d\n--branch=main\n--status-repo=https://t@h/s\n--trust=unsigned\n--end\n"
    assert (tmp_path / "options").read_text() == options


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        ("export TMPDIR=$HOME/none; open_files", "no folder can be made in {}/none"),
        ("LOG=$HOME/none/log; open_files", "{}/none/log cannot be written"),
        ("LOCK=$HOME/none/lock; open_files", "{}/none/lock cannot be written"),
        ("work=$HOME/none; hand_over", "no pipe can be made in {}/none"),
    ],
)
def test_a_file_that_this_machine_does_not_take_ends_with_3_and_says_what_to_do(
    shell: Sequence[str], tmp_path: Path, commands: str, said: str
) -> None:
    done = called(shell, tmp_path, f"{UNSET}PACKAGES=$HOME/no LOCK=$HOME/lock\n{commands}", 3)
    assert done.stderr.splitlines()[-1].startswith(f"bootstrap: {said.format(tmp_path)}: let it be a place")


def test_what_a_signal_finds_started_ends_before_its_folder_is_removed(shell: Sequence[str], tmp_path: Path) -> None:
    """The signal comes between the start of a program and the shell's note of its number."""
    (tmp_path / "opt/versions/1.0").mkdir(parents=True)
    told = f"mkfifo {tmp_path}/told\nexec 8<>{tmp_path}/told"
    setup = f"{{ cat; sleep 0.3; ls $OPT/versions >{tmp_path}/seen; }} <{tmp_path}/told 8>&- &"
    given = f"OPT={tmp_path}/opt building={tmp_path}/opt/versions/1.0 work={tmp_path}/told"
    called(shell, tmp_path, f"{UNSET}{given}\n{told}\n{setup}\nclean_up")
    assert (tmp_path / "seen").read_text() == "1.0\n"
    assert not (tmp_path / "opt").exists()


def test_what_apt_said_is_in_the_log_where_the_build_fails_meanwhile(shell: Sequence[str], tmp_path: Path) -> None:
    program(tmp_path / "apt-get", "sleep 0.3; echo E: broken")
    start = f"work=$(mktemp -d {tmp_path}/XXXXXX) install={tmp_path}/apt-get OPT={tmp_path}/opt"
    add = "note_packages() { :; }\nadd_packages_meanwhile git\ntrap clean_up EXIT\ndie 4 build failed"
    called(shell, tmp_path, f"{UNSET}{start}\n{add}", 4)
    assert (tmp_path / "log").read_text() == f"\n$ {tmp_path}/apt-get git\nE: broken\n"


WAITING_SETUP = 'touch "$HOME/waits"\ncat >"$HOME/options"'
WAIT_FOR_SETUP = 'for i in $(seq 300); do [ ! -e "$HOME/waits" ] || break; sleep 0.1; done'
MORE_THAN_A_PIPE_HOLDS = "$(head -c 200000 /dev/zero | tr '\\0' x)"
RERUN = """
work=$(mktemp -d "$HOME/XXXXXX")
PACKAGES=$HOME/packages OPT=$HOME/opt manager=apt-get later=git install=$HOME/apt-get
list_packages() { echo base; }
trap clean_up EXIT
trap 'interrupted=TERM; exit 143' TERM
export MAIN=$$
add_packages_meanwhile git
version=1.0 environment=$OPT/versions/1.0 building=$OPT/versions/1.0 renewed=yes
sleep 0 & compiling=$!
hand_over
"""


@pytest.mark.parametrize(
    ("setup", "apt", "repo", "code"),
    [
        pytest.param(WAITING_SETUP, f"{WAIT_FOR_SETUP}; exit 100", "https://h/c", 3, id="packages-fail"),
        pytest.param(WAITING_SETUP, f"{WAIT_FOR_SETUP}; kill -TERM $MAIN", "https://h/c", 143, id="interrupted"),
        pytest.param("exit 9", "", MORE_THAN_A_PIPE_HOLDS, 9, id="setup-dies"),
    ],
)
def test_a_replaced_environment_comes_back_where_setup_did_not_get_all_options(
    shell: Sequence[str], tmp_path: Path, setup: str, apt: str, repo: str, code: int
) -> None:
    versions = tmp_path / "opt/versions"
    program(versions / "1.0/bin/hostwright", setup)
    program(tmp_path / "apt-get", apt)
    (versions / "1.0.old").mkdir()
    (versions / "1.0.old/replaced").touch()
    (versions.parent / "current").symlink_to("versions/1.0")
    called(shell, tmp_path, f'{UNSET}repo="{repo}"{RERUN}', code)
    assert [path.relative_to(versions).as_posix() for path in versions.rglob("*")] == ["1.0", "1.0/replaced"]


def test_options_come_from_a_file_or_from_stdin_and_are_checked_alike(shell: Sequence[str], tmp_path: Path) -> None:
    for name, lines, said in (
        ("good", "--repo=https://git.example/c.git\n--branch=a=b\n--end\n", "add --trusted-signers FILE"),
        ("bad", "--branch=x\n--repo=ftp://h\n", "line 2 of --options: --repo has a wrong value: write https://"),
        ("none", "--repo\n", "line 1 of --options: --repo needs a value"),
        ("behind", "--end\n--plan\n", "line 2 of --options: it stands behind --end"),
        ("cut", "--host=a\n--repo=https://git.exam", "line 2 of --options: the end of the line is missing"),
        ("empty", "", "is empty"),
        ("dos", "--repo=https://git.example/c.git\r\n", "line 1 of --options: it ends with a carriage return"),
        ("nul", "--repo=https://git.example/c.git\0x\n", "--repo holds a control character"),
        ("twice", "--options=-\n", "--options is given twice"),
    ):
        (tmp_path / name).write_text(lines)
        for source in ("-", f"{tmp_path / name}"):
            argv = [*shell, str(SCRIPT), "--options", source]
            with (tmp_path / name).open() as file:
                done = subprocess.run(argv, stdin=file, capture_output=True, text=True, timeout=30, check=False)
            assert (said in done.stderr, done.returncode) == (True, 2), done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "repo=https://bot:hunter2@h/x",
        "--repo https://bot:hunter2@h/x",
        " --repo=https://bot:hunter2@h/x",
        "\ufeff--repo=https://bot:hunter2@h/x",
        "--repo=https:bot:hunter2@h/x y",
        "--repo=bot:hunter2@h:/x",
        "--repo=ssh://git:hunter2@h/x",
        "--index=bot:hunter2@h/simple",
        "--proxy=socks5://bot:hunter2@h:1080",
        "--min-commit=hunter2",
        "--ca=hunter2",
        "-hunter2",
    ],
)
def test_nothing_of_a_wrong_line_of_options_is_shown(shell: Sequence[str], line: str) -> None:
    argv = [*shell, str(SCRIPT), "--options", "-"]
    told = f"--host=a\n{line}\n--end\n"
    done = subprocess.run(argv, input=told, capture_output=True, text=True, timeout=30, check=False)
    assert re.fullmatch(r"bootstrap: line 2 of --options: .+\n", done.stderr)
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("password", ["a#hunter2", "a?hunter2", "a/hunter2", "a hunter2", "hünter2"])
def test_of_a_password_that_cannot_stand_in_a_url_it_is_said_how_to_write_it(
    shell: Sequence[str], password: str
) -> None:
    done = bootstrap("--repo", f"https://bot:{password}@h/x", shell=shell)
    assert "percent-encode" in done.stderr
    assert password[-6:] not in done.stderr


@pytest.mark.parametrize("url", ["ssh://git:hunter2@h/x", "bot:hunter2@h:x", "https:bot:hunter2@h/x"])
def test_a_password_for_ssh_is_refused_and_not_shown(shell: Sequence[str], url: str) -> None:
    done = bootstrap("--repo", url, "--trust", "unsigned", shell=shell)
    assert (done.returncode, "--repo cannot be" in done.stderr, "hunter2" in done.stderr) == (2, True, False)


@pytest.mark.parametrize(
    "url", ["ssh://git@h:22/x@v1", "git@h:x@v1", "h:a/x@v1", "https://[::1]:80/x", "https://u:p@h:1/x"]
)
def test_an_at_sign_or_colon_elsewhere_is_no_password(shell: Sequence[str], url: str) -> None:
    assert "needs root" in bootstrap("--repo", url, "--trust", "unsigned", shell=shell).stderr


def test_options_by_stdin_that_may_have_been_cut_off_between_two_lines_are_refused(shell: Sequence[str]) -> None:
    argv = [*shell, str(SCRIPT), "--options", "-"]
    told = "--repo=https://git.example/c.git\n"
    done = subprocess.run(argv, input=told, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "without a line --end" in done.stderr) == (2, True)


def test_options_by_stdin_are_refused_where_the_script_itself_comes_from_there(shell: Sequence[str]) -> None:
    done = bootstrap("--options", "-", shell=shell, piped=True)
    assert (done.returncode, "finds this script itself on stdin" in done.stderr) == (2, True)


@pytest.mark.parametrize(("mode", "owner"), [(0o666, 0), (0o620, 0), (0o600, NOBODY)])
def test_root_takes_no_options_from_a_file_that_others_can_change(
    shell: Sequence[str], tmp_path: Path, mode: int, owner: int
) -> None:
    file = tmp_path / "options"
    file.write_text("--repo=https://git.example/c.git\n")
    os.chown(file, owner, -1)
    file.chmod(mode)
    done = bootstrap("--options", f"{file}", shell=shell, uid=0)
    assert (done.returncode, f"{file} can be changed by others than root" in done.stderr) == (3, True), done.stderr

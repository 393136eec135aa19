"""Deploy files as people have them: what pyinfra's own command line gives them, they find here. One run a bench."""

from __future__ import annotations

import os

import pytest

from agent.domain.outcome import DeployOutcome, Status
from agent.engine.client import FoundDeploy
from tests.engine.conftest import Bench

IN_TURN = """
from pyinfra.api import operation
from pyinfra.facts.server import Command

@operation()
def needs(path):
    yield f"cp {host.get_fact(Command, f'ls {path}')} {path}-copy"

@operation()
def cannot_tell(path):
    yield f"cp {path} {[path][len(Path(path).read_text())]}-again"

server.shell(name="make", commands=[f"touch {target}/late"], _if=lambda: not (target / "late").exists())
needs(name="by a fact", path=str(target / "late"))
cannot_tell(name="by code", path=str(target / "late"))
"""
ELSEWHERE = """
import os, shutil, tempfile
with tempfile.TemporaryDirectory() as scratch:
    (Path(scratch) / "made").mkdir()
    (Path(scratch) / "made" / "inner").write_text("x")
    above = os.open(scratch, os.O_RDONLY)
    os.close(os.open("by-folder", os.O_WRONLY | os.O_CREAT, dir_fd=above))
    os.rename("by-folder", "words.txt", src_dir_fd=above, dst_dir_fd=above)
    os.symlink("/etc", "link", dir_fd=above)
"""
NAMES = 'server.shell(name=f"{host.name} {host.data.inventory_hostname} {host.groups}", commands=["true"])'
GROUP_DATA = """
names = "port user place home colour shout"
server.shell(name=" ".join(f"{n}={host.data.get(n)}" for n in names.split()), commands=["true"])
"""
OWN_FOLDER = """
import parts
files.put(name="put", src="here.txt", dest=str(target / "own-put"), mode="644")
files.template(name="template", src="here.j2", dest=str(target / "own-template"), mode="644", who="me")
Path(__file__).resolve().stat()
from pyinfra import local
local.include("included.py")
"""
GLOBALS = """
log = target / "log"
server.shell(name="env", commands=f"echo $FOO in $PWD >> {log}", _env={"FOO": "b'r"}, _chdir="/usr", _timeout=20)
server.shell(name="ignored", commands="false", _ignore_errors=True)
server.shell(name="retry", commands=f"test -e {target}/r || {{ touch {target}/r; false; }}", _retries=2, _retry_delay=0)
server.shell(name="status", commands=f"echo three >> {log}; exit 3", _success_exit_codes=[0, 3])
server.shell(name="bash", commands=f"[[ a == a ]] && echo bash >> {log}", _shell_executable="bash")
server.shell(name="input", commands=f"cat >> {log}", _stdin="from stdin")
said = server.shell(name="said", commands="echo out; echo err >&2")
python.call(name="call", function=lambda: log.open("a").write(f"{said.stdout} {said.stderr_lines}\\n"))
def twice():
    server.shell(name="inner", commands=f"echo inner >> {log}")
    host.run_shell_command(f"echo raw >> {log}")
python.call(name="nested", function=twice)
"""
SYNCED = """
files.sync(name="sync", src="exported", dest=str(target / "synced"))
files.put(name="as it is", src="exported/run", dest=str(target / "run"), mode=True)
"""
WRITES = {
    "opens": 'open("made", "w")',
    "opens_beside": 'open(Path(__file__).resolve().parent / "made", "a")',
    "removes": 'Path("words.txt").unlink()',
    "renames": 'Path("words.txt").rename("other.txt")',
    "by_a_folder": 'import os; os.mkdir("made", dir_fd=os.open(".", os.O_RDONLY))',
    "makes_a_folder": 'Path("made").mkdir()',
    "changes_a_mode": 'Path("words.txt").chmod(0o600)',
    "links": 'Path("made").symlink_to("/etc")',
    "through_a_link": '(target / "root").symlink_to(Path.cwd()); open(target / "root" / "made", "w")',
    "while_it_runs": 'python.call(name="call", function=lambda: open("made", "w"))',
}


@pytest.fixture(scope="module")
def bench(shared_bench: Bench) -> Bench:
    bench = shared_bench
    ours = {"inventory_hostname": "atlas", "group_names": ["prod", "web"]}
    bench.deploy("in_turn", IN_TURN)
    bench.deploy("elsewhere", ELSEWHERE)
    bench.deploy("names", NAMES, **ours)
    bench.deploy("group_data", GROUP_DATA, **ours, user="vars")
    bench.write("group_data/all.py", 'import os as home\nport = 1\nuser = "all"\nplace = "all"\ncolour = "all"\n')
    bench.write("group_data/prod.py", 'port = 2\nplace = "prod"\nfrom pyinfra import host\nshout = host.name.upper()\n')
    bench.write("group_data/web.py", "port = 3\n")
    bench.write("group_data/db.py", "port = 4\nraise RuntimeError\n")
    bench.write("deploys/group_data/web.py", 'colour = "beside"\n')
    bench.deploy("own_folder", OWN_FOLDER)
    bench.write("deploys/here.txt", "put")
    bench.write("deploys/here.j2", "{{ who }}{% include 'there.j2' %}")
    bench.write("deploys/there.j2", " too")
    bench.write("deploys/parts.py", 'server.shell(name="of a module", commands=["true"])')
    bench.write("deploys/included.py", 'server.shell(name="included", commands=["true"])')
    bench.deploy("nowhere", 'files.put(name="put", src="no/such.txt", dest=str(target / "nowhere"))')
    bench.deploy(
        "only_functions", "def install():\n    server.shell(commands=['x'])\nif __name__ == '__main__':\n    install()"
    )
    bench.deploy("nothing_to_do", "def f():\n    pass\nif host.data.get('absent'):\n    f()")
    bench.deploy("globals", GLOBALS)
    bench.deploy("synced", SYNCED)
    for name, mode in {"plain": 0o444, "run": 0o555}.items():
        bench.write(f"exported/{name}", "x")
        (bench.root / "exported" / name).chmod(mode)
    bench.write("words.txt", "words")
    for name, code in WRITES.items():
        bench.deploy(name, code)
    return bench


@pytest.fixture(scope="module")
def plan(bench: Bench) -> dict[str, FoundDeploy]:
    return bench.plan()


@pytest.fixture(scope="module")
def done(bench: Bench, plan: dict[str, FoundDeploy]) -> dict[str, DeployOutcome]:
    del plan
    return bench.apply()


def names(prepared: FoundDeploy) -> list[str]:
    return [change.operation for change in prepared.changes]


def test_what_an_operation_looks_at_may_be_what_one_before_it_makes(
    bench: Bench, plan: dict[str, FoundDeploy], done: dict[str, DeployOutcome]
) -> None:
    assert names(plan["in_turn"]) == ["make", "by a fact", "by code"]
    assert done["in_turn"].error == ""
    assert {path.name for path in bench.target.glob("late*")} == {"late", "late-copy", "late-again"}


def test_a_host_is_called_and_grouped_as_in_our_inventory(plan: dict[str, FoundDeploy]) -> None:
    assert names(plan["names"]) == ["atlas atlas ['prod', 'web', '@local']"]


def test_group_data_is_read_from_the_general_to_the_special_and_below_our_own(plan: dict[str, FoundDeploy]) -> None:
    assert names(plan["group_data"]) == ["port=3 user=vars place=prod home=None colour=beside shout=ATLAS"]


def test_a_deploy_file_finds_its_files_also_from_its_own_folder(bench: Bench, done: dict[str, DeployOutcome]) -> None:
    assert (done["own_folder"].error, len(done["own_folder"].results)) == ("", 4)
    assert (bench.target / "own-put").read_text() == "put"
    assert (bench.target / "own-template").read_text() == "me too"


def test_a_file_that_is_nowhere_is_told_with_where_paths_count_from(plan: dict[str, FoundDeploy]) -> None:
    assert "No such file: " in (plan["nowhere"].error or "")
    assert "from the root of the repository" in (plan["nowhere"].error or "")


def test_a_deploy_file_that_only_defines_functions_is_told(plan: dict[str, FoundDeploy]) -> None:
    assert "deploys/only_functions.py defines install and calls nothing" in (plan["only_functions"].error or "")
    assert "at the end of the file" in (plan["only_functions"].error or "")


def test_a_deploy_file_may_find_nothing_to_do(plan: dict[str, FoundDeploy]) -> None:
    assert plan["nothing_to_do"] == FoundDeploy("nothing_to_do")


def test_what_lies_elsewhere_is_written_to_by_whatever_way(plan: dict[str, FoundDeploy]) -> None:
    assert plan["elsewhere"] == FoundDeploy("elsewhere")


@pytest.mark.parametrize("way", WRITES)
def test_a_commits_files_are_not_written_to(bench: Bench, done: dict[str, DeployOutcome], way: str) -> None:
    assert done[way].status is Status.FAILED
    assert "the commit's files are not to be written to" in done[way].error
    assert (bench.root / "words.txt").read_text() == "words"
    assert not os.path.lexists(bench.root / "made")


def test_arguments_that_every_operation_takes_do_what_they_do_in_pyinfra(
    bench: Bench, done: dict[str, DeployOutcome]
) -> None:
    assert (done["globals"].status, done["globals"].error) == (Status.DONE, "")
    told = ["b'r in /usr", "three", "bash", "from stdin", "out ['err']", "inner", "raw"]
    assert (bench.target / "log").read_text().splitlines() == told


def test_what_is_copied_without_a_mode_gets_that_which_git_gives_it(
    bench: Bench, done: dict[str, DeployOutcome]
) -> None:
    """The files of an export are read-only."""
    assert done["synced"].error == ""
    modes = {name: (bench.target / name).stat().st_mode & 0o777 for name in ("synced", "synced/plain", "run")}
    assert modes == {"synced": 0o755, "synced/plain": 0o644, "run": 0o755}

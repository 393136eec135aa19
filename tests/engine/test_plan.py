"""plan: what each deploy would change, and nothing changed by asking. One run; every test looks at one deploy."""

from __future__ import annotations

import pytest

from agent.engine.client import FoundDeploy
from tests.engine.conftest import HEADER_LINES, Bench

BULK = """
from pyinfra.api import operation
from agent.deploys.correction import Correction
from agent.deploys.correct import CorrectionCommand
from agent.domain.plan import WantedChange

@operation()
def tree(names):
    for name in names:
        path = target / name
        if not path.exists():
            change = WantedChange(f"file:{name}", "create the file", diff=f"+{name}", private=True)
            yield CorrectionCommand(Correction(change, path.write_text, name))

tree(["bulk-a", "bulk-b"])
"""


@pytest.fixture(scope="module")
def plan(shared_bench: Bench) -> dict[str, FoundDeploy]:
    bench = shared_bench
    (bench.target / "old").write_text("one\ntwo\n")
    (bench.target / "secret").write_text("hush\n")
    (bench.target / "secret").chmod(0o600)
    (bench.target / "blob").write_bytes(b"\xff\xfe" * 100_000)
    (bench.root / "blob").write_bytes(b"\xfe\xff" * 100_000)
    bench.deploy("creates", 'files.put(name="a file", src=StringIO("hello\\n"), dest=str(target / "new"))')
    bench.deploy("modifies", 'files.put(src=StringIO("one\\n2\\n"), dest=str(target / "old"))')
    bench.deploy("private", 'files.put(src=StringIO("quiet\\n"), dest=str(target / "secret"))')
    bench.deploy("binary", 'files.put(src="blob", dest=str(target / "blob"))')
    bench.deploy("in_sync", 'files.put(src=StringIO("one\\ntwo\\n"), dest=str(target / "old"))')
    bench.deploy(
        "secretive",
        "files.put(src=StringIO(host.data.password), dest=host.data.to)",
        password="hunter2",
        to=str(bench.target / "hunter2"),
    )
    bench.deploy("twice", 'for _ in range(2): server.shell(name="again", commands=["true"])')
    bench.deploy(
        "conditions",
        """
        same = files.put(name="same", src=StringIO("one\\ntwo\\n"), dest=str(target / "old"))
        other = files.put(name="other", src=StringIO("x"), dest=str(target / "other"))
        server.shell(name="after same", commands=["true"], _if=same.did_change)
        server.shell(name="after other", commands=["true"], _if=[other.did_change])
        server.shell(name="after neither", commands=["true"], _if=lambda: same.did_change() or not other.did_succeed())
        server.shell(name="after output", commands=["true"], _if=lambda: other.stdout == "x")
        """,
    )
    bench.deploy(
        "interrupted",
        """
        same = files.put(name="same", src=StringIO("one\\ntwo\\n"), dest=str(target / "old"))
        server.shell(name="restart", commands=["true"], _if=same.did_change)
        if same.changed:
            server.shell(name="restart by hand", commands=["true"])
        """,
    )
    bench.deploy("bulk", BULK)
    bench.deploy("raises", '\ndef broken():\n    raise ValueError("no such\\nthing")\nbroken()')
    bench.deploy("misspelt", "files.put(")
    bench.deploy("wrong_argument", 'files.put(sauce="x")')
    bench.deploy(
        "fails_a_fact",
        '\nfrom pyinfra.facts.server import Command\nhost.get_fact(Command, "echo cannot look >&2; exit 3")',
    )
    bench.deploy("exits", "import sys; sys.exit(4)")
    bench.write("deploys/missing_here.py", "")
    (bench.root / "deploys/missing_here.py").unlink()
    bench.deploy(
        "includes", '\nfrom pyinfra import local\nlocal.include("deploys/parts/inner.py", data={"given": "x"})'
    )
    bench.write("deploys/parts/inner.py", 'server.shell(name=f"inner {host.data.given}", commands=["true"])')
    for number in (1, 2):
        bench.deploy(f"imports_{number}", "import deploys.shared")
    bench.write("deploys/shared.py", 'server.shell(name="shared", commands=["true"])')
    bench.deploy("reads_here", 'server.shell(name=open("words.txt").read(), commands=["true"])')
    bench.write("words.txt", "words")
    bench.deploy(
        "prints",
        'print("{}"); import os; os.write(1, b"not a line of ours\\n"); server.shell(name="x", commands=["true"])',
    )
    bench.deploy("asks", 'import sys; server.shell(name=f"read {sys.stdin.read()!r}", commands=["true"])')
    bench.deploy("escapes", "")
    (bench.root / "deploys/escapes.py").unlink()
    (bench.root / "deploys/escapes.py").symlink_to(bench.work.parent / "elsewhere.py")
    (bench.work.parent / "elsewhere.py").write_text("")
    bench.deploy("large", 'server.shell(name=str(len(host.data.filler)), commands=["true"])', filler="x" * 1_000_000)
    bench.built_in("no_such_kind", "nonesuch", {})
    bench.built_in("bad_kind", "../files", {})
    bench.deploy("last", 'server.shell(name="still here", commands=["true"])')
    before = snapshot(bench)
    found = bench.plan("interrupted")
    assert snapshot(bench) == before
    return found


def snapshot(bench: Bench) -> dict[str, bytes]:
    everything = [*bench.target.rglob("*"), *bench.root.rglob("*")]
    return {str(path): path.read_bytes() for path in everything if path.is_file()}


def keys(prepared: FoundDeploy) -> list[str]:
    return [change.resource for change in prepared.changes]


def test_a_plan_changes_nothing_and_leaves_no_temporary_files(
    plan: dict[str, FoundDeploy], shared_bench: Bench
) -> None:
    assert not (shared_bench.target / "new").exists()
    assert list(shared_bench.work.iterdir()) == []


def test_every_deploy_is_answered_in_order(plan: dict[str, FoundDeploy], shared_bench: Bench) -> None:
    assert list(plan) == [deploy.name for deploy in shared_bench.deploys]


def test_a_new_file_has_a_diff_and_is_private_because_its_mode_is_not_known(plan: dict[str, FoundDeploy]) -> None:
    (change,) = plan["creates"].changes
    assert change.operation == "a file"
    assert change.diff is not None
    assert change.diff.splitlines()[2:] == ["@@ -0,0 +1 @@", "+hello"]
    assert change.private


def test_a_modified_file_has_a_unified_diff(plan: dict[str, FoundDeploy], shared_bench: Bench) -> None:
    (change,) = plan["modifies"].changes
    old = shared_bench.target / "old"
    assert change.diff == f"--- {old}\n+++ {old}\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    assert (change.lines_added, change.lines_removed) == (1, 1)
    assert not change.private


def test_the_diff_of_a_file_that_not_everybody_may_read_is_private(plan: dict[str, FoundDeploy]) -> None:
    assert [change.private for change in plan["private"].changes] == [True]


def test_a_binary_file_is_planned_without_its_content(plan: dict[str, FoundDeploy], shared_bench: Bench) -> None:
    (change,) = plan["binary"].changes
    assert change.diff == f"Binary files {shared_bench.target / 'blob'} differ\n"


def test_what_is_in_sync_has_no_changes_and_keeps_its_resource(
    plan: dict[str, FoundDeploy], shared_bench: Bench
) -> None:
    assert plan["in_sync"].changes == ()
    assert plan["in_sync"].resources == ("op:files.put#1", f"file:{shared_bench.target}/old")


def test_the_key_of_an_operation_without_a_name_holds_no_arguments(plan: dict[str, FoundDeploy]) -> None:
    (change,) = plan["secretive"].changes
    assert (change.resource, change.operation) == ("op:files.put#1", "files.put")


def test_operations_of_the_same_name_are_numbered(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["twice"]) == ["op:again#1", "op:again#2"]


def test_a_condition_is_answered_by_what_the_plan_expects(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["conditions"])[:2] == ["op:other#1", "op:after other#1"]


def test_a_condition_on_what_only_running_can_tell_counts_as_true(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["conditions"])[2:] == ["op:after output#1"]


def test_in_an_interrupted_deploy_everything_counts_as_changed(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["interrupted"]) == ["op:restart#1", "op:restart by hand#1"]


def test_each_correction_of_a_bulk_operation_is_a_change_of_its_own(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["bulk"]) == ["file:bulk-a", "file:bulk-b"]
    assert plan["bulk"].resources == ("file:bulk-a", "file:bulk-b")
    assert plan["bulk"].changes[0].diff == "+bulk-a"
    assert plan["bulk"].changes[0].private


@pytest.mark.parametrize(
    ("deploy", "line", "words"),
    [
        ("raises", 3, "ValueError: no such thing"),
        ("misspelt", 1, "SyntaxError: '(' was never closed"),
        ("wrong_argument", 1, "TypeError: "),
        ("fails_a_fact", 3, "cannot look; Error: could not load fact: server.Command"),
        ("exits", 1, "it ended the program (SystemExit: 4)"),
    ],
)
def test_what_cannot_be_prepared_says_in_one_line_where_and_why(
    plan: dict[str, FoundDeploy], deploy: str, line: int, words: str
) -> None:
    error = plan[deploy].error
    assert error is not None
    assert error.startswith(f"deploys/{deploy}.py:{HEADER_LINES + line}: {words}")
    assert "\n" not in error


def test_deploys_after_one_that_cannot_be_prepared_are_planned(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["last"]) == ["op:still here#1"]


def test_a_deploy_file_may_include_another(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["includes"]) == ["op:deploys/parts/inner.py | inner x#1"]


@pytest.mark.parametrize("deploy", ["imports_1", "imports_2"])
def test_operations_of_a_shared_module_belong_to_every_deploy_that_imports_it(
    plan: dict[str, FoundDeploy], deploy: str
) -> None:
    assert keys(plan[deploy]) == ["op:shared#1"]


def test_deploy_code_starts_in_the_config_repo(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["reads_here"]) == ["op:words#1"]


def test_a_deploy_may_have_a_lot_of_data(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["large"]) == ["op:1000000#1"]


def test_what_deploy_code_prints_is_no_message(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["prints"]) == ["op:x#1"]


def test_deploy_code_that_reads_stdin_is_at_its_end(plan: dict[str, FoundDeploy]) -> None:
    assert keys(plan["asks"]) == ["op:read ''#1"]


def test_a_deploy_file_that_leads_out_of_the_repo_is_refused(plan: dict[str, FoundDeploy]) -> None:
    assert plan["escapes"].error == "deploys/escapes.py leads out of its repository"


def test_a_kind_that_does_not_exist_is_an_error_of_that_deploy(plan: dict[str, FoundDeploy]) -> None:
    assert "agent.deploys.nonesuch" in (plan["no_such_kind"].error or "")
    assert plan["bad_kind"].error == "'../files' is not the name of a built-in deploy"

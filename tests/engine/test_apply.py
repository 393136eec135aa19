"""apply: what is allowed is carried out, in order, and told. One run for the deploys that need no run of their own."""

from __future__ import annotations

import pytest

from agent.domain.outcome import DeployOutcome, Status
from agent.engine.client import Decision, Execute, FoundDeploy, Skip
from tests.engine.conftest import Bench, everything
from tests.engine.test_plan import BULK, keys

SHELL = 'server.shell(name="{name}", commands=["{command}"])\n'

FAILING_BULK = BULK.replace("path.write_text, name", "make, path")
FAILING_BULK = (
    '\ndef make(path):\n    if path.name == "bulk-b": raise OSError("disk on fire")\n    path.write_text("")\n'
    + FAILING_BULK
)


@pytest.fixture(scope="module")
def done(shared_bench: Bench) -> dict[str, DeployOutcome]:
    bench = shared_bench
    (bench.target / "same").write_text("same\n")
    bench.deploy("writes", 'files.put(name="a file", src=StringIO("hello\\n"), dest=str(target / "new"))')
    bench.deploy(
        "fails",
        f"""
        server.shell(name="first", commands=["echo said; echo once >> {bench.target}/first"])
        server.shell(name="second", commands=["echo done >&2", "echo no such luck >&2; exit 7"])
        server.shell(name="third", commands=["touch {bench.target}/third"])
        """,
    )
    bench.deploy("fails_silently", SHELL.format(name="quiet", command="false"))
    bench.deploy(
        "fails_in_python", '\ndef call(): raise ValueError("by hand")\npython.call(name="call", function=call)'
    )
    bench.deploy(
        "fails_on_upload",
        'files.put(name="up", src=StringIO("x"), dest=str(target / "none" / "x"), create_remote_dir=False)',
    )
    bench.deploy(
        "fails_a_fact",
        """
        from pyinfra.api import operation, OperationError
        @operation()
        def picky():
            yield f"touch {target}/picky"
            if (target / "picky").exists():
                raise OperationError("not like this")
        picky(name="picky")
        """,
    )
    bench.deploy(
        "ignores",
        'server.shell(name="maybe", commands=["exit 1"], _ignore_errors=True)\n'
        + SHELL.format(name="on", command="true"),
    )
    bench.deploy(
        "conditions",
        """
        changes = files.put(name="changes", src=StringIO("x"), dest=str(target / "changes"))
        same = files.put(name="same", src=StringIO("same\\n"), dest=str(target / "same"))
        server.shell(name="after changes", commands=[f"touch {target}/after-changes"], _if=changes.did_change)
        server.shell(name="after same", commands=[f"touch {target}/after-same"], _if=same.did_change)
        """,
    )
    bench.deploy(
        "held",
        """
        a = files.put(name="held", src=StringIO("x"), dest=str(target / "held"))
        server.shell(name="after held", commands=[f"touch {target}/after-held"], _if=a.did_change)
        server.shell(name="other", commands=[f"touch {target}/other"])
        """,
    )
    bench.deploy(
        "ripples",
        """
        server.shell(name="makes a mess", commands=[f"touch {target}/mess"])
        files.file(name="no mess", path=str(target / "mess"), present=False)
        """,
    )
    bench.deploy(
        "interrupted",
        """
        same = files.put(name="same", src=StringIO("same\\n"), dest=str(target / "same"))
        server.shell(name="restart", commands=[f"touch {target}/restarted"], _if=same.did_change)
        """,
    )
    bench.deploy(
        "nests",
        """
        def call():
            files.put(name="inner", src=StringIO("x"), dest=str(target / "inner"))
            server.shell(name="inner failure", commands=["echo deep down >&2; exit 1"])
        python.call(name="outer", function=call)
        """,
    )
    bench.deploy("bulk", BULK)
    bench.deploy("failing_bulk", FAILING_BULK.replace("bulk-", "failing-"))
    bench.deploy(
        "latin", 'server.shell(name="latin", commands=["printf \'caf\\\\351\\\\n\'; head -c 200000 /dev/zero"])'
    )
    bench.deploy("chatty", 'print("noise"); server.shell(name="echo", commands=["echo heard; echo seen >&2"])')
    bench.deploy("skipped", SHELL.format(name="never", command=f"touch {bench.target}/never"))
    bench.deploy("unprepared", "raise ValueError('no')")
    bench.deploy("later", 'files.put(name="copy", src=str(target / "new"), dest=str(target / "copy"))')

    def decide(found: FoundDeploy) -> Decision:
        if found.deploy == "skipped":
            return Skip()
        allowed = everything(found)
        assert isinstance(allowed, Execute)
        return Execute(allowed.resources - {"op:held#1", "file:bulk-b"})

    return bench.apply("interrupted", decide=decide)


def results(outcome: DeployOutcome) -> list[tuple[str, bool, bool]]:
    return [(result.operation, result.succeeded, result.changed) for result in outcome.results]


def test_an_allowed_change_is_made_and_told(done: dict[str, DeployOutcome], shared_bench: Bench) -> None:
    assert (shared_bench.target / "new").read_text() == "hello\n"
    assert done["writes"].status is Status.DONE
    (result,) = done["writes"].results
    assert (result.deploy, result.resource, result.succeeded, result.changed) == ("writes", "op:a file#1", True, True)
    assert 0 < result.seconds < 30
    assert ("writes", "op:a file#1", "a file") in shared_bench.started


def test_results_come_one_by_one_while_it_runs(done: dict[str, DeployOutcome], shared_bench: Bench) -> None:
    assert shared_bench.results == [result for outcome in done.values() for result in outcome.results]


def test_a_deploy_ends_with_its_first_failure(done: dict[str, DeployOutcome], shared_bench: Bench) -> None:
    assert done["fails"].status is Status.FAILED
    assert results(done["fails"]) == [("first", True, True), ("second", False, True)]
    assert not (shared_bench.target / "third").exists()


def test_a_failure_names_what_its_command_wrote_to_stderr(done: dict[str, DeployOutcome]) -> None:
    assert done["fails"].error == "second: no such luck"
    assert done["fails"].results[-1].error == "done\nno such luck"
    assert done["fails"].results[0].output == "said"


@pytest.mark.parametrize(
    ("deploy", "error"),
    [
        ("fails_silently", "quiet: failed, and its command said nothing"),
        ("fails_in_python", "call: Unexpected error in Python callback: ValueError('by hand',)"),
        ("fails_a_fact", "picky: OperationError: not like this"),
    ],
)
def test_every_failure_has_a_reason(done: dict[str, DeployOutcome], deploy: str, error: str) -> None:
    assert (done[deploy].status, done[deploy].error) == (Status.FAILED, error)
    assert not done[deploy].results[-1].succeeded


def test_a_file_that_cannot_be_written_says_why(done: dict[str, DeployOutcome]) -> None:
    assert done["fails_on_upload"].status is Status.FAILED
    assert "No such file or directory" in done["fails_on_upload"].error


def test_operations_inside_a_python_call_run_with_it_and_its_failure_names_theirs(
    done: dict[str, DeployOutcome], shared_bench: Bench
) -> None:
    assert results(done["nests"]) == [("outer", False, False)]
    assert "deep down" in done["nests"].results[0].error
    assert (shared_bench.target / "inner").exists()


def test_an_ignored_error_is_told_and_does_not_end_the_deploy(done: dict[str, DeployOutcome]) -> None:
    assert done["ignores"].status is Status.DONE
    assert results(done["ignores"]) == [("maybe", False, False), ("on", True, True)]


def test_a_condition_holds_only_if_the_change_really_happened(
    done: dict[str, DeployOutcome], shared_bench: Bench
) -> None:
    assert results(done["conditions"]) == [("changes", True, True), ("after changes", True, True)]
    assert not (shared_bench.target / "after-same").exists()


def test_only_allowed_resources_change_and_nothing_follows_from_a_held_one(
    done: dict[str, DeployOutcome], shared_bench: Bench
) -> None:
    assert results(done["held"]) == [("other", True, True)]
    assert not (shared_bench.target / "held").exists()
    assert not (shared_bench.target / "after-held").exists()


def test_an_operation_with_nothing_to_do_is_asked_again_once_something_changed(
    done: dict[str, DeployOutcome], shared_bench: Bench
) -> None:
    assert results(done["ripples"]) == [("makes a mess", True, True), ("no mess", True, True)]
    assert not (shared_bench.target / "mess").exists()


def test_an_interrupted_deploy_runs_its_restart_though_nothing_changes(
    done: dict[str, DeployOutcome], shared_bench: Bench
) -> None:
    assert results(done["interrupted"]) == [("restart", True, True)]
    assert (shared_bench.target / "restarted").exists()


def test_of_a_bulk_operation_only_the_allowed_corrections_run(
    done: dict[str, DeployOutcome], shared_bench: Bench
) -> None:
    assert [result.resource for result in done["bulk"].results] == ["file:bulk-a"]
    assert (shared_bench.target / "bulk-a").exists()
    assert not (shared_bench.target / "bulk-b").exists()


def test_of_a_bulk_operation_that_fails_each_correction_says_how_it_went(done: dict[str, DeployOutcome]) -> None:
    outcome = done["failing_bulk"]
    assert [(result.resource, result.succeeded, result.error) for result in outcome.results] == [
        ("file:failing-a", True, ""),
        ("file:failing-b", False, "disk on fire"),
    ]
    assert outcome.error == "file:failing-b: disk on fire"


def test_output_that_is_not_utf8_neither_fails_nor_hangs(done: dict[str, DeployOutcome]) -> None:
    (result,) = done["latin"].results
    assert result.succeeded
    assert len(result.output) == 64 * 1024


def test_output_is_kept_and_what_deploy_code_prints_is_not_part_of_it(done: dict[str, DeployOutcome]) -> None:
    (result,) = done["chatty"].results
    assert sorted(result.output.split()) == ["heard", "seen"]
    assert result.error == ""


def test_a_skipped_deploy_is_held(done: dict[str, DeployOutcome], shared_bench: Bench) -> None:
    assert done["skipped"] == DeployOutcome("skipped", Status.HELD)
    assert not (shared_bench.target / "never").exists()


def test_a_deploy_that_cannot_be_prepared_failed_and_the_next_one_runs(done: dict[str, DeployOutcome]) -> None:
    assert done["unprepared"].status is Status.FAILED
    assert done["unprepared"].error.startswith("deploys/unprepared.py:")
    assert done["later"].status is Status.DONE


def test_a_deploy_is_prepared_after_the_ones_before_it_ran(done: dict[str, DeployOutcome], shared_bench: Bench) -> None:
    assert (shared_bench.target / "copy").read_text() == "hello\n"


def test_what_was_applied_is_in_sync(bench: Bench) -> None:
    bench.deploy("writes", 'files.put(src=StringIO("hello\\n"), dest=str(target / "new"), mode="644")')
    assert keys(bench.plan()["writes"]) == ["op:files.put#1"]
    bench.apply()
    assert bench.plan()["writes"].changes == ()

"""A command loads what it uses: who looks a hundred times a day pays for nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agent.cli.table import EVERYWHERE as COMMON

EVERYWHERE = [option for option in COMMON if option.startswith("--")]
HEAVY = (
    *("cryptography", "git", "jinja2", "packaging", "paramiko", "psutil", "pydantic", "pyinfra", "pyrage", "rich"),
    *("ssl", "yaml"),
)


def loaded(*modules: str) -> list[str]:
    program = f"import sys, {', '.join(modules)}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("command", ["events", "ledger", "suspend", "trigger"])
def test_a_command_that_only_reads_or_tells_the_daemon_loads_no_library_that_it_does_not_use(command: str) -> None:
    assert loaded("agent.cli.main", f"agent.cli.commands.{command}") == []


@pytest.mark.parametrize("module", ["commands.apply", "commands.cycle", "host_plan"])
def test_a_cycle_and_a_plan_begin_with_no_library(module: str) -> None:
    assert loaded("agent.cli.main", f"agent.cli.{module}") == []


@pytest.mark.parametrize("module", ["cli.commands.status", "steps.publish"])
def test_whoever_reads_no_commit_and_not_many_reports_loads_no_library_for_that(module: str) -> None:
    assert {"git", "jinja2", "pyinfra", "paramiko", "pydantic"}.isdisjoint(loaded("agent.cli.main", f"agent.{module}"))


@pytest.mark.parametrize("command", ["check", "diff", "lock", "schema", "secret", "inventory"])
def test_a_command_that_only_reads_the_config_repo_loads_nothing_for_downloads_or_other_repositories(
    command: str,
) -> None:
    used = loaded("agent.cli.main", f"agent.cli.commands.{command}")
    assert {"packaging", "paramiko", "psutil", "pyinfra", "rich", "ssl"}.isdisjoint(used)


def test_fleet_yaml_is_read_without_the_library_of_templates() -> None:
    assert {"jinja2", "ssl"}.isdisjoint(loaded("agent.inventory.fleet"))


@pytest.mark.parametrize("question", ["--help", "--version", "--no-such-option", "nosuch"])
def test_who_asks_what_there_is_loads_no_command(question: str) -> None:
    program = "import sys; from agent.cli.main import run; run(sys.argv[1:]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, question], capture_output=True, text=True, check=True)
    modules = done.stdout.splitlines()[-1].split()
    assert [name for name in modules if name.startswith("agent.cli.commands") or name in HEAVY] == []


def completed(typed: str) -> list[str]:
    """What a shell is offered for the last word of ``typed``, and a line with the names of all modules."""
    words = {"COMP_WORDS": typed, "COMP_CWORD": f"{len(typed.split(' ')) - 1}"}
    wanted = {"_HOSTWRIGHT_COMPLETE": "bash_complete", **words}
    program = "import sys; from agent.cli.main import run\ntry: run([])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=wanted)
    return done.stdout.replace("plain,", "").splitlines()


def test_the_names_of_commands_are_completed_and_no_command_is_loaded() -> None:
    *offered, modules = completed("hostwright l")
    assert offered == ["ledger", "lock"]
    assert "agent.cli.commands" not in modules


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("hostwright ledger ", ["restore", "show"]),
        ("hostwright secret s", ["set"]),
        ("hostwright check --j", ["--json"]),
        ("hostwright secret set --", ["--file", "--help", *EVERYWHERE]),
        ("hostwright identity --v", ["--verbose", "--version"]),
    ],
)
def test_commands_below_another_and_the_options_of_every_command_are_completed(typed: str, offered: list[str]) -> None:
    assert sorted(completed(typed)[:-1]) == sorted(offered)

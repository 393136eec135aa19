"""What an administrator has on a laptop: the light installation, completion, and the pre-commit hook."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from agent.cli.table import ADMIN, SECTIONS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

LIGHT = """
import sys
for name in ("psutil", "pyinfra", "regorus", "schedule", "uv"):
    sys.modules[name] = None
from agent.cli.main import run
from agent.cli.table import load_command
for name in sys.argv[1].split():
    load_command(name)
sys.exit(run(sys.argv[2:]))
"""


def light(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command where the libraries of the extra `host` are not installed."""
    argv = [sys.executable, "-c", LIGHT, " ".join(SECTIONS[ADMIN]), *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_is_left_out_in_the_test_is_what_the_extra_brings() -> None:
    host, policy = (PROJECT["optional-dependencies"][extra] for extra in ("host", "policy"))
    assert [line.partition(">")[0] for line in host] == [
        "gordon-to-regorus",
        "psutil",
        "pyinfra",
        "schedule",
        "uv",
    ]
    assert set(policy) < set(host)


def test_the_administrator_s_commands_need_no_library_of_a_host() -> None:
    done = light("--inventory", "local", "check")
    assert (done.returncode, done.stdout) == (0, "local: 1 host, fine\n"), done.stderr


def test_a_command_of_a_host_says_what_to_install() -> None:
    done = light("daemon")
    assert done.returncode == 3
    assert done.stderr == (
        "hostwright: `hostwright daemon` needs schedule, which is not installed here\n"
        "  → bootstrap.sh installs it on a host; to have it here, `pipx install './hostwright[host]'` beside a clone\n"
    )


@pytest.mark.parametrize(
    ("words", "found"), [("hostwright inv", "inventory"), ("hostwright diff --mark", "--markdown")]
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_their_options(shell: str, words: str, found: str) -> None:
    env = {
        **os.environ,
        "_HOSTWRIGHT_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": f"{words.rsplit(maxsplit=1)[-1]}" if shell == "fish" else f"{len(words.split()) - 1}",
    }
    argv = [sys.executable, "-m", "agent"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert found in done.stdout, done.stderr


def test_the_hook_runs_check_for_whatever_a_config_repo_holds() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["entry"], hook["language"], hook["pass_filenames"]) == ("hostwright check", "python", False)

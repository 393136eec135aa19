"""pyinfra is loaded without paramiko, and whoever wants paramiko finds it as it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEFORE = """
import sys
from agent.engine.loading import load_pyinfra
load_pyinfra()
from pyinfra.api.facts import SSHException
from pyinfra.operations import files, server
assert "paramiko.transport" not in sys.modules
"""
AFTER = """
import paramiko, pyinfra.api.state
assert paramiko.SSHException is SSHException and issubclass(paramiko.AuthenticationException, SSHException)
assert paramiko.ssh_exception.SSHException is SSHException
assert pyinfra.api.state.PKey is paramiko.PKey
assert sys.modules["paramiko.client"].SSHClient is paramiko.SSHClient
"""
USES = {
    "attribute": "import paramiko; paramiko.SSHClient",
    "module": "import paramiko.client; assert paramiko.client.SSHClient is paramiko.SSHClient",
    "from_the_package": "from paramiko import util, RSAKey",
    "exceptions": "from paramiko.ssh_exception import SSHException as found; assert found is SSHException",
    "connector": "import pyinfra.connectors.ssh",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_paramiko_is_there_for_who_uses_it(use: str) -> None:
    subprocess.run([sys.executable, "-c", BEFORE + use + AFTER], check=True)


def test_arguments_of_all_kinds_reach_an_operation_as_by_pyinfra_alone() -> None:
    """Defaults, from the host's data, from the configuration, from a deploy around it, and given."""
    code = """
import json
from pyinfra.api import Config, State
from agent.engine.this_host import this_host
from pyinfra.api.facts import pop_global_arguments
from pyinfra.context import ctx_config
state = State(this_host({"_sudo_user": "ann", "_env": {"A": "1"}, "name": "n"}), Config(SHELL="bash"))
(host,) = state.inventory
host.data._chdir = "/srv"
told = []
config = state.config.copy()
config.SUDO = True
ctx_config.set(config)
with host.deploy("d", {"_timeout": 3, "_if": None}, {"_su_user": "bob"}):
    told.append(pop_global_arguments(state, host, {"_env": {"B": "2"}, "_serial": True, "own": 1}))
print(json.dumps(told, sort_keys=True))
"""
    prefixes = ("", "from agent.engine.loading import load_pyinfra; load_pyinfra()")
    ours, stock = (
        subprocess.run([sys.executable, "-c", before + code], check=True, capture_output=True, text=True).stdout
        for before in reversed(prefixes)
    )
    assert ours == stock
    assert '"_su_user": "bob"' in ours

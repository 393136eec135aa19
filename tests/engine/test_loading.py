"""pyinfra is loaded without paramiko and typeguard, and whoever wants one of them finds it as it is."""

from __future__ import annotations

import json
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


TYPED = """
import sys
from typing import Optional, Union
from agent.engine.loading import load_pyinfra
load_pyinfra()
from pyinfra.api.util import raise_if_bad_type
from pyinfra.operations import files, server
for kind in (str, str | None, Optional[str], Union[int, str]):
    raise_if_bad_type("x", kind, LookupError, "")
assert {"typeguard._checkers", "unittest.mock", "asyncio"}.isdisjoint(sys.modules)
"""
TYPED_AFTER = """
import pyinfra.api.util, typeguard
assert pyinfra.api.util.check_type is typeguard.check_type
assert pyinfra.api.util.TypeCheckError is typeguard.TypeCheckError
"""
TYPED_USES = {
    "a wrong type": """
try:
    raise_if_bad_type("x", int, LookupError, "told")
except LookupError as error:
    assert "told: str is not an instance of int" in str(error), error
else:
    raise AssertionError
""",
    "types of items": "raise_if_bad_type(['a'], list[str], LookupError, '')",
    "its exception": """
from typeguard import TypeCheckError, check_type
try:
    check_type("x", list[int])
except TypeCheckError:
    pass
""",
    "an attribute": "import typeguard; typeguard.typechecked",
    "a module": "import typeguard._functions",
}


@pytest.mark.parametrize("use", TYPED_USES.values(), ids=TYPED_USES)
def test_typeguard_is_there_for_who_uses_it(use: str) -> None:
    subprocess.run([sys.executable, "-c", TYPED + use + TYPED_AFTER], check=True)


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


FACTS = """
import json
from pyinfra.api import Config, FactBase, State, operation
from pyinfra.api.connect import connect_all
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_host, ctx_state
from agent.engine.this_host import this_host

class Told(FactBase):
    def command(self, word):
        return f"echo {word} $FOO $PWD"

@operation()
def asks(word):
    yield f"echo {[host.get_fact(Told, word), host.get_fact(Told, 'b', _env={'FOO': '2'}), host.get_fact(Told, 'c')]}"

state = State(this_host({"_chdir": "/usr"}), Config(DIFF=True))
(host,) = state.inventory
connect_all(state)
state.set_stage(StateStage.Prepare)
ctx_state.set(state)
ctx_host.set(host)
for number in range(2):
    asks(word="a", _env={"FOO": str(number)}, _chdir="/etc" if number else "/srv")
told = [f"{command}" for data in state.ops[host].values() for command in data.command_generator()]
print(json.dumps([*told, host.get_fact(Told, "d")]))
"""


def test_a_fact_is_asked_with_the_arguments_of_its_operation_and_its_own() -> None:
    prefixes = ("", "from agent.engine.loading import load_pyinfra; load_pyinfra()")
    stock, ours = (
        subprocess.run([sys.executable, "-c", before + FACTS], check=True, capture_output=True, text=True).stdout
        for before in prefixes
    )
    assert ours == stock
    assert json.loads(ours) == [
        "echo ['a 0 /srv', 'b 2 /srv', 'c 0 /srv']",
        "echo ['a 1 /etc', 'b 2 /etc', 'c 1 /etc']",
        "d /usr",
    ]

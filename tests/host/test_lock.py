import os
import subprocess
import sys

import pytest

from agent.errors import LockedError
from agent.host.lock import locked


def test_a_second_cycle_is_turned_away_with_75(tmp_path):
    with locked(tmp_path / "lock"), pytest.raises(LockedError) as caught, locked(tmp_path / "lock"):
        pass
    assert caught.value.exit == 75


def test_the_lock_is_free_again_afterwards(tmp_path):
    with locked(tmp_path / "lock"):
        pass
    with locked(tmp_path / "lock") as descriptor:
        assert os.fstat(descriptor)


def test_it_is_not_free_while_an_engine_child_lives_that_inherited_it(tmp_path):
    with locked(tmp_path / "lock") as descriptor:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(descriptor,)
        )
    try:
        with pytest.raises(LockedError), locked(tmp_path / "lock"):
            pass
    finally:
        child.communicate(timeout=30)
    with locked(tmp_path / "lock", wait_s=5):
        pass

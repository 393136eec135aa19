"""What is left of pyinfra's switches of user for a process that is root, and for one that only looks."""

from __future__ import annotations

import pytest

from agent.engine.run_as import as_root, running_as
from agent.errors import DeployError


@pytest.mark.parametrize(
    "arguments",
    [
        {"_sudo": True},
        {"_sudo": True, "_sudo_user": "root"},
        {"_sudo": True, "_sudo_user": "#0", "_preserve_sudo_env": True, "_sudo_password": "x"},
        {"_su_user": "root", "_su_shell": "bash"},
        {"_doas": True},
        {"_dzdo": True, "_dzdo_user": "root"},
        {"_sudo": True, "_su_user": "root"},
        {"_sudo": False, "_sudo_user": "root", "_su_user": None},
    ],
)
def test_from_root_to_root_is_nothing(arguments: dict[str, object]) -> None:
    left = as_root({**arguments, "_chdir": "/srv"})
    assert not any(left.get(switch) for switch in ("_sudo", "_su_user", "_doas", "_dzdo"))
    assert left["_chdir"] == "/srv"


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ({"_sudo": True, "_su_user": "ann"}, {"_su_user": "ann"}),
        ({"_sudo": True, "_sudo_user": "ann"}, {"_sudo": True, "_sudo_user": "ann"}),
        (
            {"_sudo": True, "_sudo_user": "ann", "_su_user": "root"},
            {"_sudo": True, "_sudo_user": "ann", "_su_user": "root"},
        ),
    ],
)
def test_the_way_to_other_user_stays(arguments: dict[str, object], left: dict[str, object]) -> None:
    assert as_root(arguments) == left


@pytest.mark.parametrize("login", [{"_sudo": True, "_use_sudo_login": True}, {"_su_user": "root", "_use_su_login": 1}])
def test_a_login_is_a_login_shell_at_home(login: dict[str, object]) -> None:
    assert as_root({**login, "_shell_executable": "bash"}) == {"_chdir": "/root", "_shell_executable": "bash -l"}


def test_a_plan_that_would_look_as_other_user_is_told_what_to_do_first() -> None:
    make = running_as(lambda *_, **arguments: arguments, confined=True)
    assert make(None, None, "true", _sudo=True) == {}
    with pytest.raises(DeployError, match=r'^give this deploy `plan: privileged`: .*_sudo_user="ann"'):
        make(None, None, "true", _sudo=True, _sudo_user="ann")

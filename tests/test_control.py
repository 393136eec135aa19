import contextlib
import socket
import threading

import pytest

from agent.control import ControlSocket, trigger_cycle
from agent.errors import SettingsError


@pytest.fixture
def control(tmp_path):
    control = ControlSocket(tmp_path / "control.sock")
    yield control
    control.close()


def served(control, reply):
    """Answers the first caller with ``reply``, as the daemon would."""

    def serve():
        while (caller := control.accept()) is None:
            pass
        caller.answer(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_whoever_waits_is_told_how_the_cycle_ended(control, tmp_path):
    thread = served(control, {"ok": True, "exit": 7})
    assert trigger_cycle(tmp_path / "control.sock", wait=True, timeout_s=60) == {"ok": True, "exit": 7}
    thread.join(30)


def test_only_root_can_reach_the_socket(control, tmp_path):
    assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n", b'{"command": "shutdown"}\n', b"x" * 5000, b""])
def test_what_is_no_request_starts_nothing(control, tmp_path, line):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(tmp_path / "control.sock"))
        peer.sendall(line)
        peer.shutdown(socket.SHUT_WR)
        assert control.accept() is None


def test_a_peer_that_speaks_a_byte_at_a_time_is_not_waited_for(control, tmp_path, monkeypatch):
    monkeypatch.setattr("agent.control.PEER_TIMEOUT_S", 0.3)
    done = threading.Event()

    def trickle(peer):
        with contextlib.suppress(OSError):
            while not done.wait(0.05):
                peer.sendall(b" ")

    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(tmp_path / "control.sock"))
        thread = threading.Thread(target=trickle, args=(peer,), daemon=True)
        thread.start()
        assert control.accept() is None
        assert not done.is_set()
        thread.join(30)  # it was hung up on
        assert not thread.is_alive()
        done.set()


def test_where_no_daemon_answers_the_error_says_what_to_do(tmp_path):
    with pytest.raises(SettingsError) as caught:
        trigger_cycle(tmp_path / "control.sock", wait=False, timeout_s=1)
    assert (caught.value.kind, "hostwright apply" in caught.value.hint) == ("no-daemon", True)
    assert caught.value.message == f"no daemon answers on {tmp_path}/control.sock: No such file or directory"

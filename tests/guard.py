"""Tests cannot harm the machine: writes outside the folders meant for them are refused, and fail the test.

An audit hook (PEP 578) sees every file that this process opens, makes, renames or removes, and every program that
it starts, before it happens. What child processes write it does not see; they are kept off the home folder by the
environment (``conftest.py``), and what must change a real host runs on one of the lab's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

PATHS_OF_EVENT = {
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
}
"""Which arguments of an audit event name what is changed; "open" is judged by its flags."""

NOT_HERE = {
    *("apt", "apt-get", "dpkg", "dnf", "apk", "pacman"),
    *("useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "passwd", "chpasswd"),
    *("mount", "umount", "reboot", "poweroff", "shutdown", "sysctl", "crontab"),
}
"""Programs that change the machine whatever their arguments."""

ALWAYS_ALLOWED = (Path("/dev"), Path("/proc"), Path("/sys/fs/cgroup"))
"""Devices, and the kernel's switches, which the lab turns."""


class Trespass(Exception):
    """A test was about to change the machine that it runs on."""


class Guard:
    """Refuses, while ``on``, what is not below one of ``allowed``, and keeps what it refused in ``refused``."""

    def __init__(self, allowed: Iterable[Path]) -> None:
        self.on = False
        self.refused: list[str] = []
        self._allowed = tuple(f"{folder.resolve()}/" for folder in (*allowed, *ALWAYS_ALLOWED))
        self._busy = False
        sys.addaudithook(self._judge)

    def _judge(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.on or self._busy:
            return
        self._busy = True
        try:
            if event == "subprocess.Popen":
                self._judge_program(arguments)
            elif event == "open":
                path, _, flags = arguments
                if isinstance(flags, int) and flags & WRITING:
                    self._judge_path(event, path, follow=True)
            else:
                for position in PATHS_OF_EVENT.get(event, ()):
                    self._judge_path(event, arguments[position], follow=False)
        finally:
            self._busy = False

    def _judge_program(self, arguments: tuple[object, ...]) -> None:
        argv = arguments[1]
        program = argv[0] if isinstance(argv, (list, tuple)) and argv else arguments[0]
        if isinstance(program, (str, bytes, os.PathLike)) and Path(os.fsdecode(program)).name in NOT_HERE:
            self._refuse(f"run {os.fsdecode(program)}")

    def _judge_path(self, event: str, path: object, *, follow: bool) -> None:
        """Paths relative to a folder's descriptor look like relative to the working folder, which is the test's own."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        named = os.path.join(os.getcwd(), os.fsdecode(path)).rstrip("/")
        # No Path, which takes longer than the judgement
        real = os.path.realpath(named) if follow and os.path.islink(named) else _real_entry(named)
        if not f"{real}/".startswith(self._allowed) and "__pycache__" not in real.split("/"):
            self._refuse(f"{event} {real}")

    def _refuse(self, what: str) -> None:
        self.refused.append(what)
        raise Trespass(f"a test may not {what}: write below tmp_path, or use a host of the lab")


def _real_entry(path: str) -> str:
    """``path`` with no link on the way to its last name. The kernel says so in a third of the time that realpath takes,
    which looks at each name on the way."""
    folder, name = os.path.split(path)
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    except OSError:  # not there yet
        return f"{os.path.realpath(folder)}/{name}"
    try:
        return f"{os.readlink(f'/proc/self/fd/{descriptor}')}/{name}"
    finally:
        os.close(descriptor)

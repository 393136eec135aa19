"""One booted host: what a test can do to it and ask of it."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import subprocess
import tarfile
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, ClassVar, Self

import psutil

from agent.system import process
from tests.lab.disk import Disk
from tests.lab.images import JAIL, Image, overlay_script, reaching_out
from tests.lab.network import Relay
from tests.lab.removal import remove_tree

BOOT_TIMEOUT_S = 60
"""A boot takes half a second; twenty at once on two busy cores take a while."""

STOP_TIMEOUT_S = 30
RUN_TIMEOUT_S = 120
ASKED = 4
SIGRTMIN_HALT = signal.SIGRTMIN + 4
"""systemd as PID 1 takes it as: power off (systemd(1), "Signals")."""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
}


_NOT_NEEDED = ("remount-fs", "sysusers", "tmpfiles-setup-dev", "update-utmp", "update-utmp-runlevel")
"""Units of systemd that find nothing to do in a container and take a sixth of the CPU seconds of its boot."""

_NO_GENERATORS = (
    *("cryptsetup", "getty", "gpt-auto", "hibernate-resume", "integritysetup", "rc-local", "run", "system-update"),
    "veritysetup",
)
"""Generators of systemd that look for what no host of the lab has. They run at boot and at each daemon-reload, and take
a third of its CPU seconds."""

_KEEPS_TIME = ("setpriv", "--bounding-set=-sys_time", "--")
"""There is one clock for all hosts and this machine: nothing that a test runs may set it."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What a program on a host wrote, and its exit code."""

    code: int
    output: str
    error: str


class HostError(AssertionError):
    """A program on a host that should have ended well did not, or the host did not come up."""


class Host:
    """A Debian host with systemd as PID 1, on an overlay over a cached image; its state lives in ``folder``.

    Its processes are in a PID namespace inside another one whose first process is nspawn: when that one is killed,
    or the test process dies, the kernel ends all of them and drops the mount with its namespace.
    """

    killed_s: ClassVar[float] = 0.0
    """CPU seconds of all hosts that were killed: the kernel adds those of a PID namespace that ends to no process."""

    def __init__(
        self,
        name: str,
        image: Image,
        folder: Path,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        *,
        alone: bool = True,
        disk: bool = False,
    ) -> None:
        """``alone``: on a network of its own. ``disk``: on a disk of its own, which loses what was not synced when
        the power is lost."""
        self.name = name
        self.pid = 0
        """Of its systemd, as this machine counts. 0 while it is down."""
        self.boot_s = 0.0
        """How long the last boot took until systemd had started everything."""
        self._nspawn = 0
        self.folder = folder
        self.asked: deque[str] = deque(maxlen=ASKED)
        """The last commands and what came of them, for whoever wonders why a test failed."""
        self._image = image
        self._options = tuple(options)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._disk = Disk(folder) if disk else None
        self._alone = alone
        self._reached: dict[int, int] = {}
        """Ports of this machine by the host's own ports that lead there."""
        self._relays: dict[int, Relay] = {}
        upper = folder / "upper"
        (upper / "etc").mkdir(parents=True)
        (upper / "etc/hostname").write_text(f"{name}\n")
        (upper / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n")
        (upper / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        masked = upper / "etc/systemd/system-generators"
        masked.mkdir(parents=True)
        for generator in _NO_GENERATORS:
            (masked / f"systemd-{generator}-generator").symlink_to("/dev/null")
        if self._disk:
            self._disk.format(upper)

    def boot(self) -> None:
        """From power-on to a system that has started all its units. Raises HostError."""
        begun = time.monotonic()
        self._nspawn = self.pid = 0
        top = self._disk.mounted if self._disk else self.folder
        nspawn = ["systemd-nspawn", "-q", "-D", f"{top}/root", "--register=no", "--keep-unit", "--boot"]
        nspawn += ["--console=pipe", f"--machine={self.folder.name}", f"--hostname={self.name}"]
        nspawn += ["--resolv-conf=copy-host", *(["--private-network"] if self._alone else []), *self._options]
        nspawn += [f"systemd.mask=systemd-{unit}.service" for unit in _NOT_NEEDED]
        script = _own_cgroups(self.folder.name) + (self._disk.mount_script() if self._disk else "")
        script += overlay_script(self._image, top / "upper", top)
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                [*JAIL, "/bin/sh", "-euc", script, *nspawn],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )
        self._wait_until_up(begun + BOOT_TIMEOUT_S)
        self.boot_s = time.monotonic() - begun

    def boot_again(self) -> None:
        """Stops it in good order if it runs, and boots it on the state that it had."""
        self.stop()
        self.boot()

    def stop(self) -> None:
        """Shuts it down as an administrator would; what does not end in time is killed."""
        if self.running:
            assert self._process is not None
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.kill(self.pid, SIGRTMIN_HALT)
                self._process.wait(STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """Ends all of its processes at once, as if somebody pulled the plug; what was written stays."""
        if self._process is not None:
            # nspawn is the first process of the outer PID namespace; unshare waits for it, and so for all of them.
            if self.running and self._nspawn:
                Host.killed_s += _cpu_s_below(self._nspawn)
                os.kill(self._nspawn, signal.SIGKILL)
            else:
                self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            _remove_cgroups(self.folder.name)
        self._disconnect()
        self._process = None
        self.pid = 0

    def lose_power(self) -> None:
        """From one moment to the next: what its disk has not synced is lost. Only for a host with a disk."""
        assert self._disk is not None, f"{self.name} has no disk of its own"
        self._disk.cut(self._nspawn)
        self.kill()

    def freeze(self, layer: Path | None = None) -> Image:
        """Stop it for good and return what it is by now as an image: its top layer, copied to ``layer``, a new folder
        of the cache; without that the image lasts as long as the lab."""
        self.stop()
        if layer:
            subprocess.run(["cp", "-a", f"{self.folder}/upper", f"{layer}"], check=True, timeout=60)
        return (layer or self.folder / "upper", *self._image)

    def reach(self, port: int, at: int = 0) -> None:
        """Make 127.0.0.1:``port`` of this machine 127.0.0.1:``at`` (0: ``port``) of the host, until it is destroyed.
        Where that leads somewhere already, it stays so."""
        if self._alone:
            self._reached.setdefault(at or port, port)
            self._connect()

    def _connect(self) -> None:
        for at in self._reached.keys() - self._relays.keys():
            self._relays[at] = Relay(Path(f"/proc/{self.pid}/ns/net"), "127.0.0.1", self._reached[at], at)

    def _disconnect(self) -> None:
        for relay in self._relays.values():
            relay.close()
        self._relays.clear()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def run(
        self,
        command: Sequence[str] | str,
        *,
        check: bool = True,
        timeout_s: float = RUN_TIMEOUT_S,
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,
    ) -> Completed:
        """Runs argv, or a line of shell, as root with all capabilities. Raises HostError unless it ends with 0.

        It enters the host's namespaces from outside, which takes milliseconds; what a unit of the host may do
        differs, see ``unit``.
        """
        argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
        done = process.run([*self._enter(env or {}), *argv], timeout_s=timeout_s, input=input)
        completed = Completed(done.code, done.output.decode(errors="replace"), done.error.decode(errors="replace"))
        self.asked.append(f"$ {shlex.join(argv)[-600:]}\ncode: {completed.code}\n{_told(completed, 1000)}")
        if done.timed_out:
            raise HostError(f"{self.name}: not done after {timeout_s} s: {shlex.join(argv)}\n{_told(completed)}")
        if check and done.code:
            raise HostError(f"{self.name}: {shlex.join(argv)} ended with {done.code}\n{_told(completed)}")
        return completed

    def start(self, argv: Sequence[str], *, stderr: IO[str]) -> subprocess.Popen[str]:
        """Starts argv as ``run`` does, to talk to it by its stdin and stdout; it ends with the host at the latest."""
        pipe = subprocess.PIPE
        return subprocess.Popen([*self._enter({}), *argv], stdin=pipe, stdout=pipe, stderr=stderr, text=True)

    def _enter(self, env: Mapping[str, str]) -> list[str]:
        """What begins a command line that runs inside. Raises HostError while it is down."""
        if not self.running:
            raise HostError(f"{self.name} is down")
        assignments = [f"{key}={value}" for key, value in {**ENVIRONMENT, **reaching_out(), **env}.items()]
        return ["nsenter", f"--target={self.pid}", "--all", "env", "-i", "--chdir=/root", *assignments, *_KEEPS_TIME]

    def unit(
        self,
        argv: Sequence[str],
        *,
        properties: Mapping[str, str] | None = None,
        check: bool = True,
        timeout_s: float = RUN_TIMEOUT_S,
    ) -> Completed:
        """Runs argv as a transient systemd unit: with the capabilities and filters that the agent's units have."""
        settings = [f"--property={key}={value}" for key, value in (properties or {}).items()]
        wrapper = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *settings, "--", *argv]
        return self.run(wrapper, check=check, timeout_s=timeout_s)

    def push(self, source: Path, target: str) -> None:
        """Copies a file or the content of a folder to ``target``, owned by root, modes and links as they are."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(source, arcname=PurePosixPath(target).name if source.is_file() else ".", filter=_owned_by_root)
        folder = str(PurePosixPath(target).parent) if source.is_file() else target
        self.run(["mkdir", "-p", folder])
        self.run(["tar", "-C", folder, "-xpf", "-"], input=archive.getvalue())

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Writes a file with its missing folders."""
        script = 'mkdir -p "${1%/*}/" && cat > "$1" && chmod "$2" "$1"'
        self.run(["sh", "-c", script, "-", path, f"{mode:o}"], input=text.encode())

    def read(self, path: str) -> str:
        """The content of a file of at most 1 MiB. Raises HostError when there is none."""
        return self.run(["cat", path]).output

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.destroy()

    def destroy(self) -> None:
        """Ends it and forgets its state."""
        self.kill()
        if self.folder.exists():
            remove_tree(self.folder)

    @property
    def _console(self) -> Path:
        return self.folder / "console.log"

    def _wait_until_up(self, deadline: float) -> None:
        assert self._process is not None
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if not self.pid:  # each search reads the state of every process of this machine
                self._nspawn, self.pid = _find_init(self._process.pid)
                if self.pid:
                    self._connect()
            if self.pid and Path(f"/proc/{self.pid}/root/run/systemd/private").exists():
                state = self.run(["systemctl", "is-system-running", "--wait"], check=False).output.strip()
                if state == "running":
                    return
                if state == "degraded":
                    raise HostError(f"{self.name} is degraded:\n{self.run('systemctl --failed --full').output}")
            time.sleep(0.02)
        console = self._console.read_text(errors="replace")
        raise HostError(f"{self.name} did not come up:\n{console[-4000:]}")


def _find_init(pid: int) -> tuple[int, int]:
    """nspawn and the host's systemd below the process ``pid``, 0 for what is not there yet."""
    with contextlib.suppress(psutil.Error, OSError):
        for nspawn in psutil.Process(pid).children():
            for child in nspawn.children():
                status = Path(f"/proc/{child.pid}/status").read_text()
                inner = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
                if len(inner) >= 3 and inner[-1] == "1" and child.name() == "systemd":
                    return nspawn.pid, child.pid
            return nspawn.pid, 0
    return 0, 0


def _cpu_s_below(pid: int) -> float:
    """CPU seconds of all processes that ``pid`` started, and that those started and waited for."""
    spent_s = 0.0
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # one that ends meanwhile
                spent_s += sum(process.cpu_times()[:4])
    return spent_s


_HIERARCHIES = "/sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified"


def _own_cgroups(name: str) -> str:
    """Shell that moves itself into control groups of its own: nspawn would put all hosts into one, and then one
    host's KillMode=control-group would end another's processes."""
    return (
        f'for top in {_HIERARCHIES}; do if [ -e "$top/cgroup.procs" ]; then '
        f'mkdir -p "$top/hostwright-lab/{name}"; echo $$ > "$top/hostwright-lab/{name}/cgroup.procs"; fi; done; '
    )


def _remove_cgroups(name: str) -> None:
    for top in _HIERARCHIES.split():
        for folder, _, _ in os.walk(f"{top}/hostwright-lab/{name}", topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _told(completed: Completed, characters: int = 4000) -> str:
    return f"stdout: {completed.output[-characters:]}\nstderr: {completed.error[-characters:]}"

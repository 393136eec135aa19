"""Runs on a booted host, with the agent installed there: plans a deploy file that runs given lines of Python.

Reads {"looking", "lines": {name: line}} from stdin; writes {name: what it raised, or ""}. Without "lines" it plans
"code", and writes {"error": what the plan complains of, "unconfined": why it is so, "changes": what it wants}.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from agent.domain.desired import DesiredDeploy, DesiredState, Looking
from agent.engine.client import Engine

TIMEOUT_S = 100

ATTACKER = """\
import ctypes, fcntl, json, os, signal, socket, struct, subprocess
from pyinfra import host
from pyinfra.operations import server

libc = ctypes.CDLL(None, use_errno=True)

def sh(line):
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise OSError(done.stderr.strip() or f"status {done.returncode}")

def call(result, refused_only=False, child_goes=False):
    if child_goes and result == 0:
        os._exit(0)
    code = ctypes.get_errno()
    if result < 0 and not (refused_only and code != 1):
        raise OSError(code, os.strerror(code))

def hold(path, command):
    lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.fcntl(descriptor, command, lock)
    child = os.fork()
    if not child:
        wish = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found = fcntl.fcntl(os.open(path, os.O_RDONLY), fcntl.F_GETLK, wish)
        os._exit(struct.unpack("hhqqi4x", found)[0] == fcntl.F_UNLCK)
    if os.waitpid(child, 0)[1]:
        raise PermissionError("not permitted: nothing is locked")

def connect(path):
    socket.socket(socket.AF_UNIX).connect(path)

def pid_of(name):
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if open(f"/proc/{entry}/cmdline").read().startswith(name + chr(0)):
                    return int(entry)
            except OSError:
                pass
    raise AssertionError("the test has no " + name)

for name, line in host.data.lines.items():
    child_told, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            exec(line)
            os.write(tell, b"open")
        except BaseException as error:
            os.write(tell, f"{type(error).__name__}: {error}".encode()[:1500])
        os._exit(0)
    os.close(tell)
    os.waitpid(child, 0)
    said = os.read(child_told, 2000).decode()
    os.close(child_told)
    server.shell(name=json.dumps([name, "" if said == "open" else said or "it was killed"]), commands=["true"])
"""


def main() -> None:
    order = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "commit")
        (root / "deploys").mkdir(parents=True)
        (root / "deploys/evil.py").write_text(order.get("code") or ATTACKER)
        deploy = DesiredDeploy(
            "evil",
            "deploy",
            {},
            digest="",
            source="deploys/evil.py",
            data={"lines": order.get("lines", {})},
            looking=Looking(order["looking"]),
        )
        if order.get("forked"):  # as no deploy file ever is: what holds a fork has to hold this
            Engine._may_fork_itself = lambda *_: True
        engine = Engine(work=Path(folder, "work"), timeout_s=TIMEOUT_S)
        (found,) = engine.plan(DesiredState("here", "", (deploy,), ""), root, frozenset())
    if "lines" not in order:
        changes = [change.operation for change in found.changes]
        json.dump({"error": found.error or "", "unconfined": engine.unconfined, "changes": changes}, sys.stdout)
        return
    assert not engine.unconfined, engine.unconfined
    assert found.error is None, found.error
    said = (json.loads(resource.removeprefix("op:").rpartition("#")[0]) for resource in found.resources)
    json.dump(dict(said), sys.stdout)


if __name__ == "__main__":
    main()

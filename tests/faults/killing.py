"""Runs on a booted host, by its own Python: kills a cycle at some moment, looks at what is left, lets the next one run.

    killing.py random SEED COUNT            at moments drawn from SEED, until so many cycles were killed
    killing.py boundaries FROM STEP COUNT   before each STEP-th call of fsync, rename, exec and their kin, by strace
    killing.py begin NUMBER                 only has the round begun: whoever asks cuts the power, boots, and calls
    killing.py end NUMBER                   to look at what is left and to have the next cycle

Each round is a commit of its own, so that a killed cycle is one that changes files, restarts services and moves every
mark of its memory. A line of JSON for each round on stdout; the last one sums up. What is expected of a killed cycle:

- every file is as it was or as it is to be, never in between; nor is any document of the agent's memory;
- the commit trusted last is one of the two; the lock is free;
- the next cycle ends well, and every service has loaded the newest configuration: no restart is lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BARE = "/srv/config.git"
WORK = Path("/srv/work")
FOLDER = Path("/etc/lab")
VAR = Path("/var/lib/hostwright")
HOSTWRIGHT = "/usr/local/bin/hostwright"
LOCK = Path("/run/hostwright/lock")
UNIT = "hostwright-cycle.service"
DROP_IN = Path("/run/systemd/system/hostwright-cycle.service.d/lab.conf")
KEEP = Path("/run/systemd/system/multi-user.target.d/lab.conf")
"""Without a unit that names it, systemd forgets with what a unit ended."""

SMALL_FILES = 12
BIG = 64 * 1024
"""Bytes of a file that no write takes in one breath."""

CALLS = "fsync,fdatasync,syncfs,rename,renameat,renameat2,execve,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir"
PATIENCE_S = 120


def site(number: int) -> str:
    small = "\n".join(f'        {FOLDER}/small-{index}: {{content: "{number}"}}' for index in range(SMALL_FILES))
    return f"""\
- hosts: all
  deploys:
    - files:
        {FOLDER}/big: {{content: "{{{{ ('{number} ' * {BIG})[:{BIG}] }}}}"}}
{small}
    - services:
        lab-built-in.service:
          content: |
            [Service]
            ExecStart=/bin/sh -c 'cat {FOLDER}/small-0 > /run/lab-built-in; exec sleep infinity'
          running: true
          restart_on: [{FOLDER}/small-0]
    - name: own
      deploy: deploys/own.py
      with: {{number: {number}}}
"""


OWN = f"""\
import io

from pyinfra import host
from pyinfra.operations import files, systemd

unit = b"[Service]\\nExecStart=/bin/sh -c 'cat {FOLDER}/own > /run/lab-own; exec sleep infinity'\\n"
placed = files.put(name="unit", src=io.BytesIO(unit), dest="/etc/systemd/system/lab-own.service", mode="644")
systemd.daemon_reload(name="read", _if=placed.did_change)
systemd.service(name="up", service="lab-own", running=True)
changed = files.put(
    name="settings", src=io.BytesIO(str(host.data.number).encode()), dest="{FOLDER}/own", mode="644"
)
systemd.service(name="load", service="lab-own", restarted=True, _if=changed.did_change)
"""


def run(*argv: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **more)  # type: ignore[call-overload,no-any-return]


def commit(number: int) -> str:
    (WORK / "inventories/lab/site.yaml").write_text(site(number))
    (WORK / "deploys").mkdir(exist_ok=True)
    (WORK / "deploys/own.py").write_text(OWN)
    git = ("git", "-C", str(WORK), "-c", "user.name=A", "-c", "user.email=a@example.org")
    for argv in (["add", "-A"], ["commit", "-qm", f"Round {number}"], ["push", "-q", BARE, "HEAD:main"]):
        done = run(*git, *argv)
        assert done.returncode == 0, done.stderr
    return run(*git, "rev-parse", "HEAD").stdout.strip()


def contents(number: int) -> dict[str, str]:
    """Digests of the files that round ``number`` is to leave."""
    wanted = {f"{FOLDER}/small-{index}": str(number) for index in range(SMALL_FILES)}
    wanted[f"{FOLDER}/own"] = str(number)
    wanted[f"{FOLDER}/big"] = (f"{number} " * BIG)[:BIG]
    return {path: hashlib.sha256(text.encode()).hexdigest() for path, text in wanted.items()}


def found() -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.iterdir()}


def documents() -> Iterator[Path]:
    yield from VAR.glob("*.json")


def left_behind(number: int, commits: tuple[str, str], spared: str = "") -> list[str]:
    """What is wrong right after the kill; the host was in the state ``number - 1`` and on its way to ``number``.
    ``spared``: a file that may look as it likes."""
    wrong = []
    before, after = contents(number - 1), contents(number)
    there = {path: digest for path, digest in found().items() if path != spared}
    for path, digest in there.items():
        if path in after and digest not in (before.get(path), after[path]):
            wrong.append(f"{path} is neither old nor new")
    wrong += [f"{path} is gone" for path in before if path not in there and path != spared]
    for document in documents():
        try:
            json.loads(document.read_bytes())
        except ValueError as error:
            wrong.append(f"{document}: {error}")
    trusted = json.loads((VAR / "trust.json").read_bytes()).get("last")
    if trusted not in commits:
        wrong.append(f"the trust mark is {trusted}")
    with contextlib.suppress(FileNotFoundError), LOCK.open() as lock:  # it does not outlive a boot
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wrong.append("the lock is held")
    return wrong


def recovered(number: int) -> list[str]:
    """What is wrong after the next cycle, which is to make all of it good."""
    start().wait(PATIENCE_S)
    code = run("systemctl", "show", "-P", "ExecMainStatus", UNIT).stdout.strip()
    wrong = [] if code == "0" else [f"the next cycle ended with {code}: {_last_words()}"]
    there, wanted = found(), contents(number)
    wrong += [f"{path} is not new" for path, digest in wanted.items() if there.get(path) != digest]
    wrong += [f"{path} was left behind" for path in there if path not in wanted]
    wrong += [f"{path} was left behind" for path in VAR.rglob(".*.new")]
    for name in ("lab-built-in", "lab-own"):
        deadline = time.monotonic() + PATIENCE_S
        while (loaded := _loaded(name)) != str(number) and time.monotonic() < deadline:
            time.sleep(0.05)
        if loaded != str(number):
            wrong.append(f"{name} runs on configuration {loaded}, not {number}: its restart was lost")
    return wrong


def _last_words() -> str:
    return run("journalctl", "-u", UNIT, "-n", "8", "-o", "cat", "--no-pager").stdout


def _loaded(name: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/run/{name}").read_text()
    return "none"


def start(*prefix: str) -> subprocess.Popen[bytes]:
    """A cycle in its own unit, as the daemon has it started; by way of ``prefix`` where there is one. What is returned
    ends with it."""
    for drop_in in (DROP_IN, KEEP):
        drop_in.parent.mkdir(parents=True, exist_ok=True)
    KEEP.write_text(f"[Unit]\nAfter={UNIT}\n")
    DROP_IN.write_text(f"[Service]\nExecStart=\nExecStart={' '.join((*prefix, HOSTWRIGHT))} cycle\n")
    run("systemctl", "daemon-reload")
    return subprocess.Popen(["systemctl", "start", UNIT], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill() -> None:
    """Ends it and all that it started at once."""
    run("systemctl", "kill", "--signal=KILL", "--kill-whom=all", UNIT)


DRAWN_PER_KILL = 10
"""A moment is missed where the cycle ends before it: on a busy machine the one that is measured may be the longest."""


def at_random(seed: int, count: int) -> Iterator[tuple[str, float]]:
    """Moments of a cycle, whose length is measured by one that may end."""
    began = time.monotonic()
    start().wait(PATIENCE_S)
    length = time.monotonic() - began
    rng = random.Random(seed)
    for _ in range(count * DRAWN_PER_KILL):
        moment = rng.uniform(0, length)
        yield f"{moment:.3f} s of {length:.1f}", moment


BEYOND = 20
"""Cycles in a row in which no process got to such a call: none makes more of them."""


def round_at(moment: float) -> bool:
    started = start()
    time.sleep(moment)
    there = started.poll() is None
    kill()
    started.wait(PATIENCE_S)
    return there


def round_before(call: int) -> bool:
    """Kills whichever process of the cycle is about to make its ``call``-th such call, and then the rest."""
    strace = ("/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={CALLS}")
    start(*strace, "-e", f"inject={CALLS}:signal=SIGKILL:when={call}").wait(PATIENCE_S)
    return run("systemctl", "show", "-P", "Result", UNIT).stdout.strip() != "success"


def begin(number: int) -> None:
    """A cycle on its way to a commit that survives whatever comes."""
    commit(number)
    os.sync()
    start()
    tell(time.time())


def end(number: int) -> list[str]:
    """pyinfra syncs no file: what it wrote may be empty, until the next cycle sees that."""
    head, before = run("git", "-C", BARE, "log", "-2", "--format=%H", "main").stdout.split()
    return left_behind(number, (before, head), spared=f"{FOLDER}/own") + recovered(number)


def tell(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def main() -> int:
    mode, numbers = sys.argv[1], [int(argument) for argument in sys.argv[2:]]
    if mode == "begin":
        begin(*numbers)
        return 0
    if mode == "end":
        tell(end(*numbers))
        return 0
    head = run("git", "-C", BARE, "rev-parse", "main").stdout.strip()
    number, wrong, killed, unharmed = 1, [], 0, 0
    before, head = head, commit(number)
    wrong += recovered(number)
    if mode == "random":
        seed, count = numbers
        number += 1
        before, head = head, commit(number)
        moments: Iterator[tuple[str, float]] = at_random(seed, count)
    else:
        first, step, count = numbers
        moments = ((f"call {call}", call) for call in range(first, first + step * count, step))
    for told, moment in moments:
        number += 1
        before, head = head, commit(number)
        there = round_at(moment) if mode == "random" else round_before(int(moment))
        killed += there
        found_wrong = left_behind(number, (before, head))
        found_wrong += recovered(number)
        tell({"round": number, "at": told, "killed": there, "wrong": found_wrong})
        wrong += found_wrong
        unharmed = 0 if there else unharmed + 1
        if (mode == "boundaries" and unharmed == BEYOND) or (mode == "random" and killed == count):
            break
    tell({"mode": mode, "arguments": numbers, "killed": killed, "wrong": len(wrong)})
    return 1 if wrong else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.umask(0o022)
    sys.exit(main())

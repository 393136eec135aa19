"""A process that ends without taking its modules apart ends well all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """\
import sys
from agent.system.exit import end_process
{body}
end_process({status})
"""


def run(body: str, status: int = 0, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(body=body, status=status)
    return subprocess.run(
        [sys.executable, "-I", "-c", program], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )


def test_it_ends_with_the_status_and_all_that_was_written() -> None:
    done = run("print('out')\nsys.stderr.write('err')", 7)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err")


def test_what_waits_for_the_end_is_called() -> None:
    assert run("import atexit\natexit.register(print, 'over')").stdout == "over\n"


def test_threads_end_first() -> None:
    body = "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print('done'))).start()"
    assert run(body).stdout == "done\n"


def test_a_pool_that_nobody_shut_down_ends() -> None:
    body = "from concurrent.futures import ThreadPoolExecutor as Pool\npool = Pool(1)\npool.submit(print, 'done')"
    assert run(body).stdout == "done\n"


def test_modules_are_not_taken_apart() -> None:
    body = "class Held:\n    def __del__(self): print('gone')\nheld = Held()"
    assert run(body).stdout == ""


@pytest.mark.parametrize(("status", "told"), [(0, 120), (3, 3)])
def test_output_that_cannot_be_written_is_no_success(status: int, told: int) -> None:
    with Path("/dev/full").open("w") as full:
        done = run("print('out')", status, full.fileno())
    assert (done.returncode, done.stderr) == (told, "")


def test_a_reader_that_has_left_is_no_failure() -> None:
    body = "import os\nends = os.pipe()\nos.close(ends[0])\nos.dup2(ends[1], 1)\nprint('out')"
    done = run(body)
    assert (done.returncode, done.stderr) == (0, "")

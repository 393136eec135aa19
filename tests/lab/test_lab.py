"""The test bed, tested: hosts are real, apart from each other, and gone afterwards."""

from __future__ import annotations

import functools
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.lab import images
from tests.lab.host import Host, HostError
from tests.lab.images import SUITES
from tests.lab.installed import ROOT
from tests.lab.lab import Lab


@pytest.mark.parametrize("image", ["base", "ready"])
@pytest.mark.parametrize("suite", SUITES)
def test_a_host_boots_with_systemd_as_its_first_process(
    lab: Lab, suite: str, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with lab.boot(suite, image=image) as host:
        assert host.run("cat /proc/1/comm").output == "systemd\n"
        assert f"VERSION_CODENAME={suite}\n" in host.read("/etc/os-release")
        with capsys.disabled():
            sys.stdout.write(f"\n{suite} {image}: up in {host.boot_s:.2f} s ")


def test_two_hosts_have_nothing_in_common_but_the_image(lab: Lab) -> None:
    with lab.boot("bookworm") as one, lab.boot("bookworm") as other:
        assert one.run("hostname").output != other.run("hostname").output
        assert one.read("/etc/machine-id") != other.read("/etc/machine-id")
        one.write("/srv/mine", "1")
        assert other.run("ls /srv").output == ""


def test_a_unit_that_ends_takes_only_its_own_hosts_processes_with_it(lab: Lab) -> None:
    with lab.boot("bookworm") as one, lab.boot("bookworm") as other:
        for host in (one, other):
            host.run("systemd-run --quiet --unit=sleeper sleep 1000")
        one.run("systemctl kill --signal=KILL sleeper; sleep 0.2")
        assert other.run("systemctl is-active sleeper").output == "active\n"


def test_a_host_keeps_its_state_and_its_name_when_it_boots_again(lab: Lab) -> None:
    with lab.boot("bookworm", name="web01") as host:
        host.write("/etc/kept/file", "kept\n", mode=0o640)
        identity = host.read("/etc/machine-id")
        host.boot_again()
        assert host.read("/etc/kept/file") == "kept\n"
        assert host.run("stat -c %a:%U /etc/kept/file").output == "640:root\n"
        assert host.run("hostname").output == "web01\n"
        assert host.read("/etc/machine-id") == identity


def test_a_killed_host_boots_with_what_it_had_written(lab: Lab) -> None:
    with lab.boot("bookworm") as host:
        host.run("echo before > /srv/file")
        host.kill()
        assert not host.running
        with pytest.raises(HostError, match="is down"):
            host.run("true")
        host.boot()
        assert host.read("/srv/file") == "before\n"


def test_a_folder_is_pushed_with_its_modes_and_links_and_belongs_to_root(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/script").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "tree/sub/script").chmod(0o750)
    (tmp_path / "tree/link").symlink_to("sub/script")
    with lab.boot("bookworm") as host:
        host.push(tmp_path / "tree", "/srv/tree")
        host.push(tmp_path / "tree/sub/script", "/srv/renamed")
        assert host.run(["/srv/tree/link"]).output == "ran\n"
        assert host.run("stat -c %a:%U:%G /srv/tree/sub/script /srv/renamed").output == "750:root:root\n" * 2


def test_a_command_that_fails_or_hangs_says_so(lab: Lab) -> None:
    with lab.boot("bookworm") as host:
        assert host.run("exit 3", check=False).code == 3
        with pytest.raises(HostError, match="ended with 3\nstdout: out\n"):
            host.run("echo out; exit 3")
        with pytest.raises(HostError, match=r"not done after 0\.3 s"):
            host.run("sleep 100", timeout_s=0.3)


def test_units_have_less_power_than_commands_from_outside(lab: Lab) -> None:
    with lab.boot("bookworm") as host:
        capabilities = ["sh", "-c", "grep CapEff /proc/self/status"]
        inside, outside = host.unit(capabilities).output, host.run(capabilities).output
        assert int(inside.split()[1], 16) < int(outside.split()[1], 16)
        assert host.unit(["sh", "-c", "id -u"], properties={"User": "nobody"}).output == "65534\n"


def test_a_host_that_is_gone_leaves_no_process_no_mount_and_no_file(lab: Lab) -> None:
    with lab.boot("bookworm") as host:
        host.run("systemd-run --quiet sleep 1000")
        processes = psutil.Process(host.pid).children(recursive=True)
        assert len(processes) > 3
    assert not any(process.is_running() for process in processes)
    assert str(host.folder) not in Path("/proc/self/mountinfo").read_text()
    assert not host.folder.exists()
    assert not any(Path("/sys/fs/cgroup").glob(f"**/hostwright-lab/{host.folder.name}"))


def test_what_a_killed_host_cost_is_counted(lab: Lab) -> None:
    before = Host.killed_s
    with lab.boot("bookworm") as host:
        spent = psutil.Process(host.pid).cpu_times()
    assert Host.killed_s - before >= spent.user + spent.system + spent.children_user


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """The port on which this machine's loopback serves ``file``, which says "served"."""
    (folder / "file").write_text("served\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_every_port_of_a_host_is_its_own_whoever_listens_on_this_machine(lab: Lab) -> None:
    with socket.create_server(("0.0.0.0", 0)) as here, lab.boot("bookworm") as host:
        listen = f"import socket; socket.create_server(('0.0.0.0', {here.getsockname()[1]}))"
        host.run(["python3", "-c", listen])


def test_a_host_reaches_the_servers_of_this_machine_that_are_named_and_no_other(lab: Lab, tmp_path: Path) -> None:
    with serving(tmp_path) as port, lab.boot("bookworm") as host:
        fetch = ["curl", "-sS", f"http://127.0.0.1:{port}/file"]
        assert "Couldn't connect" in host.run(fetch, check=False).error
        host.reach(port)
        assert host.run(fetch).output == "served\n"
        host.boot_again()
        assert host.run(fetch).output == "served\n"


def test_a_host_can_be_cut_off_from_a_server_of_this_machine_and_come_back(lab: Lab, tmp_path: Path) -> None:
    with serving(tmp_path) as port:
        network = lab.network()
        fetch = ["curl", "-sS", f"http://{network.expose(port)}/file"]
        with lab.boot("bookworm", network=network) as host, lab.boot("bookworm", network=network) as other:
            assert host.run(fetch).output == "served\n"
            network.cut(host.name)
            # no route after three seconds, or no answer
            assert host.run([*fetch, "--max-time", "4"], check=False).code in (7, 28)
            assert other.run(fetch).output == "served\n"
            network.mend(host.name)
            assert host.run(fetch).output == "served\n"


BUILD = """
import sys
from pathlib import Path
from tests.lab.images import derived
script = "touch /begun; [ -e /flags/go ] || sleep 1000"
derived("cut", tuple(map(Path, sys.argv[2:])), script, (), f"{sys.argv[1]}:/flags")
"""


def holders(folder: Path) -> list[int]:
    """Processes of this machine in whose view something is mounted below ``folder``."""
    found = []
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        with suppress(OSError):
            if str(folder) in mounts.read_text():
                found.append(int(mounts.parent.name))
    return found


def test_an_image_build_that_is_killed_leaves_nothing_mounted_and_the_next_one_builds(lab: Lab, tmp_path: Path) -> None:
    cache, flags = tmp_path / "cache", tmp_path / "flags"
    flags.mkdir()
    build = [sys.executable, "-c", BUILD, f"{flags}", *map(str, images.base("bookworm"))]
    environment = {**os.environ, "HOSTWRIGHT_LAB": f"{cache}"}
    with subprocess.Popen(build, cwd=ROOT, env=environment) as killed:
        wait_for(lambda: any(cache.glob("cut-*.building/begun")), "the build begins")
        assert holders(cache)
        killed.send_signal(signal.SIGKILL)
    wait_for(lambda: not holders(cache), "its processes end")
    (flags / "go").touch()
    subprocess.run(build, cwd=ROOT, env=environment, check=True, timeout=120)
    assert [layer.name.endswith(".building") for layer in cache.glob("cut-*")] == [False]


def test_what_is_being_made_under_a_longer_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "CACHE", tmp_path)
    parent = (Path("parent"),)

    def make(folder: Path) -> None:
        images.prepared("host", parent, [], lambda _: None)  # as another process does it at the same time
        assert folder.is_dir()

    assert images.prepared("host-signed", parent, [], make).is_dir()


REMOVE = """
mount --bind "$1" "$2/mount"
mount -t tmpfs tmpfs "$2/other mount"
exec "$3" -c 'import sys; from pathlib import Path; from tests.lab.removal import remove_tree
remove_tree(Path(sys.argv[1]))' "$2"
"""


def test_what_is_mounted_in_a_folder_is_taken_down_and_not_removed_with_it(lab: Lab, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for path in (outside, folder / "mount", folder / "other mount"):
        path.mkdir(parents=True)
    (outside / "file").touch()
    remove = ["unshare", "--mount", "sh", "-euc", REMOVE, "-", f"{outside}", f"{folder}", sys.executable]
    subprocess.run(remove, cwd=ROOT, check=True, timeout=60)
    assert (folder.exists(), (outside / "file").exists()) == (False, True)


def wait_for(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, f"not within 120 s: {what}"
        time.sleep(0.02)


def test_the_image_agent_is_what_bootstrap_would_have_installed(lab: Lab) -> None:
    with lab.boot("bookworm", image="agent") as host:
        host.push(ROOT / "agent", "/srv/clone/agent")
        for name in ("bootstrap.sh", "pyproject.toml", "requirements.txt"):
            host.push(ROOT / name, f"/srv/clone/{name}")
        told = host.run("sh /srv/clone/bootstrap.sh --once", check=False)
        assert "is already in /opt/hostwright/versions/" in told.error


def test_no_host_can_set_the_clock_that_it_shares_with_this_machine(lab: Lab) -> None:
    with lab.boot("bookworm") as host:
        assert host.run("date -s @$(date +%s)", check=False).code == 1


def test_what_a_host_was_is_an_image_whose_folders_can_be_renamed(lab: Lab) -> None:
    before = lab.boot("bookworm")
    before.write("/srv/folder/file", "there\n")
    with lab.boot("bookworm", image=before.freeze()) as host:
        host.run(["python3", "-c", "import os; os.rename('/srv/folder', '/srv/renamed')"])
        assert host.read("/srv/renamed/file") == "there\n"
        assert host.run("ls /srv").output == "renamed\n"

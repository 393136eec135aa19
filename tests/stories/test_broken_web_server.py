"""The five ways in which the configuration of a web server goes wrong, on a real host. The check stands with the deploy
of the file, with that of the unit, or with a third one; whichever it is, the commit is taken back. So is one that
removes what the server needs, with which nothing else changes.

``tests/steps/test_reach.py`` has all fifteen; the server is small, so that each takes seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from tests.gitserver import http_server
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import Followed, at_rest, following
from tests.stories.world import World, apply, events, rest

SERVER = """\
import http.server, os, signal, socket, sys, threading

class Hangup(BaseException):
    pass

def hang_up(*_):
    raise Hangup

def read(path):
    settings = {}
    for line in open(path):
        name, value = line.split()
        settings |= read(value) if name == "include" else {name: value}
    return settings

def serve(settings):
    os.chdir(settings["root"])
    if "dies" in settings:
        threading.Timer(float(settings["dies"]), lambda: os._exit(1)).start()
    address = ("127.0.0.1", int(settings["port"]))
    with http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler) as server:
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
        server.serve_forever()

settings = read("/etc/web/web.conf")
if sys.argv[1:] == ["check"]:
    sys.exit()
signal.signal(signal.SIGHUP, hang_up)
while True:
    try:
        serve(read("/etc/web/web.conf"))
    except Hangup:
        pass
"""
"""It serves as soon as systemd has started it, or moments after a reload, however busy the machine is."""

UNIT = """\
[Service]
Type=notify
ExecStart=/usr/bin/python3 /usr/local/lib/web.py
ExecReload=/usr/bin/python3 /usr/local/lib/web.py check
ExecReload=/bin/kill -HUP $MAINPID
"""

GOOD = "port 8081\nroot /srv/www\n"
WAYS = {
    "syntax": "port 8081\nroot\n",
    "missing include": f"{GOOD}include /etc/web/none.conf\n",
    "wrong docroot": "port 8081\nroot /srv\n",
    "port taken": "port 8082\nroot /srv/www\n",
    "crash later": f"{GOOD}dies 1\n",
}
CHECK = 'http: "http://127.0.0.1:8081/page"'


def site(text: str, *, asked: str = "units", order: tuple[str, ...] = ("config", "units", "pages")) -> str:
    """``config`` writes what ``units`` reads; ``pages`` needs ``units``. ``asked``: whose check it is."""
    deploys = {
        "config": f"deploy: files, with: {{/etc/web/web.conf: {{content: {text!r}}}}}",
        "units": "deploy: services, with: {web.service: {unit: web.service, running: true, reload_on: [/etc/web]}}",
        "pages": "deploy: files, needs: [units], with: {/srv/www/page: {content: hello}}",
    }
    health = {name: f", health: [{{{CHECK}}}]" if name == asked else "" for name in deploys}
    lines = (f"    - {{name: {name}, {deploys[name]}{health[name]}}}\n" for name in order)
    return f"- hosts: all\n  deploys:\n{''.join(lines)}".replace("'", '"')


@pytest.fixture(scope="module")
def begun(lab: Lab) -> Followed:
    return following(lab, "bookworm")


@pytest.fixture(scope="module")
def world(begun: Followed, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = begun.world.copy(tmp_path_factory.mktemp("world") / "world")
    fleet = "schedule: {fetch: 1h, drift: 1h, settle: 4s}\n"
    files = {"web.service": UNIT, "inventories/lab/fleet.yaml": fleet, "inventories/lab/site.yaml": site(GOOD)}
    world.commit("A web server", files)
    return world


@pytest.fixture(scope="module")
def host(begun: Followed, world: World, lab: Lab) -> Iterator[Host]:
    with http_server(world.served) as server, at_rest(lab, begun, server) as host:
        host.run(f"mkdir /srv/www; cat > /usr/local/lib/web.py <<'END'\n{SERVER}END\n")
        host.run("systemd-run -q --unit=other python3 -m http.server --bind 127.0.0.1 8082")
        assert apply(host).code == 0
        yield host


@pytest.mark.parametrize(
    ("way", "asked", "order"),
    [
        ("syntax", "config", ("config", "units", "pages")),
        ("missing include", "pages", ("units", "config", "pages")),
        ("wrong docroot", "units", ("units", "config", "pages")),
        ("port taken", "pages", ("config", "units", "pages")),
        ("crash later", "config", ("config", "units", "pages")),
    ],
)
def test_a_commit_that_breaks_the_web_server_is_taken_back(
    world: World, host: Host, way: str, asked: str, order: tuple[str, ...]
) -> None:
    sha = world.site(site(WAYS[way], asked=asked, order=order))
    failed = ["deploy-failed"] if way in ("syntax", "missing include") else []
    assert apply(host).code == (7 if failed else 8)
    report = world.report("web1")
    assert (report["phase"], [each["kind"] for each in report["problems"]]) == ("rolled-back", [*failed, "rolled-back"])
    assert [change for change in report["changes"] if change["cause"] == "drift"] == [], "nobody drifted"
    host.run("python3 -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:8081/page\")'")
    assert host.run("cat /etc/web/web.conf").output == GOOD
    told = events(host)
    assert [each for each in told if each["kind"] == "drift-repaired"] == []
    assert [each for each in told if each["kind"] == "adopted" and sha[:12] in each["message"]] == []
    assert [each for each in told if each["kind"] == "held-not-idempotent"] == []
    done = (each for each in told if each["kind"] in ("applied", "failed"))
    reloads = [each["message"] for each in done if each.get("resource") == "unit:web.service"]
    assert "set off by file:/etc/web/web.conf of deploy config" in reloads[-1]


PIECE, DROP_IN = "/etc/web/port.conf", "/etc/systemd/system/web.service.d/where.conf"
NEEDED = {PIECE: "port 8081\n", "/srv/www/page": "hello", DROP_IN: "[Service]\nEnvironment=WEB_ROOT=/srv/www\n"}


@pytest.fixture(scope="module")
def rich(world: World, host: Host) -> Host:
    """A server that needs a drop-in, and an include and a page of deploys that name no other."""
    host.run("sed -i 's|os.chdir(settings\\[.root.\\])|os.chdir(os.environ[\"WEB_ROOT\"])|' /usr/local/lib/web.py")
    world.site(_needing(NEEDED))
    assert apply(host).code == 0
    return host


def _needing(files: Mapping[str, str]) -> str:
    drop_ins = {"where.conf": files[DROP_IN]} if DROP_IN in files else {}
    unit = f"{{unit: web.service, running: true, reload_on: [{PIECE}], drop_ins: {json.dumps(drop_ins)}}}"
    lines = ["- hosts: all", "  deploys:"]
    # The folder that the server is in stays: one that was made anew would be another.
    others = {"/etc/web/web.conf": f"root /srv/www\ninclude {PIECE}\n", "/srv/www/robots.txt": ""}
    for path, text in {**files, **others}.items():
        if path != DROP_IN:
            entry = f"{path}: {{content: {json.dumps(text)}}}"
            lines.append(f"    - {{name: part-{path.rpartition('/')[2]}, deploy: files, with: {{{entry}}}}}")
    lines.append(f"    - {{name: units, deploy: services, with: {{web.service: {unit}}}, health: [{{{CHECK}}}]}}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("gone", [PIECE, DROP_IN, "/srv/www/page"])
def test_a_commit_that_removes_what_the_web_server_needs_is_taken_back(world: World, rich: Host, gone: str) -> None:
    world.site(_needing({path: text for path, text in NEEDED.items() if path != gone}))
    assert apply(rich).code in (7, 8)
    report = world.report("web1")
    assert (report["phase"], report["problems"][-1]["kind"]) == ("rolled-back", "rolled-back")
    assert rich.run(["cat", gone]).output == NEEDED[gone]
    rich.run("python3 -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:8081/page\")'")
    told = [each["kind"] for each in events(rich) if each.get("resource") == f"file:{gone}"]
    assert told[-2:] == ["pruned", "taken-back"]


def test_who_waits_for_a_cycle_is_told_why_it_failed(world: World, host: Host) -> None:
    world.site("- hosts: [")
    host.run("systemctl start hostwright.service")
    told = host.run(["hostwright", "trigger", "--wait"], check=False)
    rest(host)
    assert (told.code, "inventories/lab/site.yaml:1" in told.error) == (6, True)

"""podman of trixie starts containers on a booted host; bookworm's is too old for quadlets and says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploys.on_host import Deploys
from tests.deploys.taking_back import Kinds
from tests.lab.installed import CONTAINER_ENVIRONMENT, CONTAINER_OPTIONS
from tests.lab.lab import Lab

pytestmark = pytest.mark.booted

IMAGE = "localhost/tiny:1"
TEXT = f"""\
[Container]
Image={IMAGE}
Exec=sleep 1000
Pull=never
Network=none
PodmanArgs=--stop-signal=KILL
[Install]
WantedBy=multi-user.target
"""
FOLDER = "/etc/containers/systemd"


@pytest.fixture(scope="module")
def podman(lab: Lab) -> Iterator[Deploys]:
    options, environment = CONTAINER_OPTIONS, CONTAINER_ENVIRONMENT
    with lab.boot("trixie", image="containers", options=options, environment=environment) as host:
        host.run(["podman", "import", "--quiet", "/opt/tiny.tar", IMAGE])
        yield Deploys(host)


@pytest.fixture
def kinds(podman: Deploys) -> Kinds:
    return Kinds(podman.host)


def running(podman: Deploys, service: str) -> bool:
    return podman.host.run(["systemctl", "is-active", "--quiet", service], check=False).code == 0


def test_a_container_comes_up_and_stays_so(podman: Deploys) -> None:
    wanted = {
        "fresh": {
            "image": IMAGE,
            "command": ["sh", "-c", "sleep 1000 & wait"],
            "env": {"GREETING": '50% of $HOME "all"'},
            "volumes": ["kept.volume:/kept"],
            "networks": ["none"],
            "pull": "never",
        },
        "kept.volume": {"content": "[Volume]\n"},
    }
    assert podman.converge("containers", wanted) == (
        "quadlet:kept.volume | create file, mode 0644, owner root:root, daemon-reload",
        "quadlet:fresh.container | create file, mode 0644, owner root:root, daemon-reload, start",
    )
    assert running(podman, "fresh")
    environment = podman.host.run("podman exec fresh /bin/busybox env").output
    assert 'GREETING=50% of $HOME "all"\n' in environment


DRIFTS = (
    ("systemctl stop drifty", "start"),
    ("podman kill systemd-drifty; while systemctl is-active -q drifty; do sleep 0.1; done", "start"),
    ("podman rm -ft0 systemd-drifty; while systemctl is-active -q drifty; do sleep 0.1; done", "start"),
    (f"echo '# x' >> {FOLDER}/drifty.container", "write content, daemon-reload, restart"),
    (f"chmod 600 {FOLDER}/drifty.container", "set mode 0644 (was 0600), daemon-reload, restart"),
    (
        f"systemctl stop drifty; rm {FOLDER}/drifty.container; systemctl daemon-reload",
        "create file, mode 0644, owner root:root, daemon-reload, start",
    ),
    (f"sleep 0.02; touch {FOLDER}/drifty.container; systemctl daemon-reload", "restart"),
)


def test_every_drift_is_found_and_repaired(podman: Deploys) -> None:
    podman.converge("containers", {"drifty": {"content": TEXT}})
    for by_hand, repair in DRIFTS:
        podman.host.run(by_hand)
        changes = podman.converge("containers", {"drifty": {"content": TEXT}})
        assert changes == (f"quadlet:drifty.container | {repair}",), by_hand
        assert running(podman, "drifty"), by_hand


def test_a_container_that_should_not_run_is_stopped(podman: Deploys) -> None:
    podman.converge("containers", {"downward": {"content": TEXT}})
    stopped = {"downward": {"content": TEXT, "running": False}}
    assert podman.converge("containers", stopped) == ("quadlet:downward.container | stop",)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("typo", "[Container]\nImage=x\nExce=y\n", "unsupported key 'Exce'"),
        ("garbled", "[Container]\nfoo\n", "line 2"),
        ("empty", "[Container]\n", "is not a quadlet that podman understands: no Image"),
        ("lonely", "[Container]\nImage=x\nVolume=no-such.volume:/x\n", "no-such.volume was not found"),
    ],
)
def test_a_quadlet_that_podman_does_not_understand_never_lands(
    podman: Deploys, name: str, text: str, complaint: str
) -> None:
    broken = {name: {"content": text}, "sibling": {"content": "[Container]\nbar\n"}}
    told = podman.apply("containers", broken)
    assert complaint in told.failed[f"quadlet:{name}.container"]
    assert podman.host.run(["test", "-e", f"{FOLDER}/{name}.container"], check=False).code != 0


def test_an_image_that_cannot_be_had_is_named_before_anything_changes(podman: Deploys) -> None:
    told = podman.apply("containers", {"nowhere": {"image": "localhost:1/no/such:1"}})
    assert "the image localhost:1/no/such:1 cannot be had" in told.failed["quadlet:nowhere.container"]
    assert podman.host.run(["test", "-e", f"{FOLDER}/nowhere.container"], check=False).code != 0


def test_a_container_that_left_git_goes_with_its_unit_and_without_its_data(podman: Deploys, kinds: Kinds) -> None:
    content = TEXT.replace("Network=none", "Network=none\nVolume=data.volume:/data")
    podman.converge("containers", {"leaving": {"content": content}, "data.volume": {"content": "[Volume]\n"}})
    keys = ("quadlet:leaving.container", "quadlet:data.volume")
    kinds.settle(*keys)
    assert [kinds.changed(key) for key in keys] == ["", ""]
    assert kinds.remove(*keys) == kinds.remove(*keys) == {}
    assert [kinds.look(key) for key in keys] == [None, None]
    assert not running(podman, "leaving")
    assert "systemd-data" in podman.host.run("podman volume ls").output


def test_an_edited_quadlet_is_a_change_and_a_stopped_container_is_not(podman: Deploys, kinds: Kinds) -> None:
    podman.converge("containers", {"edited": {"content": TEXT}})
    kinds.settle("quadlet:edited.container")
    podman.host.run("systemctl stop edited")
    assert kinds.changed("quadlet:edited.container") == ""
    podman.host.run(f"echo '# mine' >> {FOLDER}/edited.container")
    assert kinds.changed("quadlet:edited.container") == "its content changed"


def test_a_container_that_was_there_before_is_given_back(podman: Deploys, kinds: Kinds) -> None:
    podman.converge("containers", {"adopted": {"content": TEXT}})
    podman.host.run(f"chmod 640 {FOLDER}/adopted.container")
    kinds.remember("quadlet:adopted.container")
    before = kinds.look("quadlet:adopted.container")
    podman.converge("containers", {"adopted": {"content": TEXT.replace("1000", "2000"), "running": False}})
    assert kinds.restore("quadlet:adopted.container") == ""
    assert kinds.look("quadlet:adopted.container") == before
    assert running(podman, "adopted")


@pytest.mark.parametrize("name", ["../../passwd", "x.conf"])
def test_only_quadlets_are_looked_at(kinds: Kinds, name: str) -> None:
    with pytest.raises(AssertionError, match="is not the name of a quadlet"):
        kinds.look(f"quadlet:{name}")


def test_a_host_without_quadlets_says_what_it_needs(podman: Deploys) -> None:
    folder = "/usr/libexec/podman"
    podman.host.run(f"mv {folder}/quadlet {folder}/away")
    try:
        assert "came with version 4.4" in podman.plan("containers", {"web": {"image": IMAGE}}).error
    finally:
        podman.host.run(f"mv {folder}/away {folder}/quadlet")


def test_a_host_without_podman_says_so(deploys: Deploys) -> None:
    assert "no podman on this host" in deploys.plan("containers", {"web": {"image": IMAGE}}).error

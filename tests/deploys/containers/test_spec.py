from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.deploys.containers.quadlet_text import image_of, quoted, service_of
from agent.deploys.containers.spec import ContainersSpec
from agent.errors import InventoryError
from tests.deploys.commit import Commit

IMAGE = "docker.io/library/nginx@sha256:" + "a" * 64


def spec(written: Any) -> ContainersSpec:
    return ContainersSpec.model_validate(ContainersSpec.from_short(written))


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    files = {"app.container": "[Container]\nImage=x\n", "app.container.j2": "[Container]\nImage={{ image }}\n"}
    return Commit(tmp_path, files, image="y")


def quadlets(written: Any, commit: Commit) -> Any:
    return spec(written).concrete(commit).arguments["quadlets"]


def test_fields_become_a_quadlet(commit: Commit) -> None:
    written = {
        "image": IMAGE,
        "command": ["serve", "--name", "a b"],
        "ports": ["8080:80"],
        "volumes": ["/srv:/srv:ro"],
        "env": {"TZ": "UTC", "DEBUG": True, "SIZE": 3},
        "env_files": ["/etc/web.env"],
        "networks": ["host"],
        "user": "www-data",
        "pull": "newer",
        "restart": "on-failure",
    }
    assert quadlets({"web": written}, commit)["web.container"] == {
        "text": (
            "# Written by hostwright, from the inventory: what is changed here by hand does not last.\n"
            "[Unit]\nDescription=Container web\n\n"
            f'[Container]\nContainerName=web\nImage={IMAGE}\nExec=serve --name "a b"\nPublishPort=8080:80\n'
            "Volume=/srv:/srv:ro\nEnvironment=DEBUG=true\nEnvironment=SIZE=3\nEnvironment=TZ=UTC\n"
            "EnvironmentFile=/etc/web.env\nNetwork=host\nUser=www-data\nPull=newer\n\n"
            "[Service]\nRestart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n"
        ),
        "running": True,
        "restart_on": ["/etc/web.env"],
    }


@pytest.mark.parametrize(
    ("entry", "at_boot"),
    [({}, True), ({"running": False}, False), ({"enabled": False}, False), ({"running": False, "enabled": True}, True)],
)
def test_what_does_not_run_does_not_start_at_boot_unless_told(
    entry: dict[str, bool], at_boot: bool, commit: Commit
) -> None:
    assert ("[Install]" in quadlets({"web": {"image": IMAGE, **entry}}, commit)["web.container"]["text"]) is at_boot


def test_a_quadlet_comes_from_the_commit_rendered_where_it_is_a_template(commit: Commit) -> None:
    found = quadlets({"a": {"quadlet": "app.container"}, "b": {"quadlet": "app.container.j2"}}, commit)
    assert [entry["text"] for entry in found.values()] == ["[Container]\nImage=x\n", "[Container]\nImage=y\n"]


def test_only_what_does_work_runs_by_itself(commit: Commit) -> None:
    names = ("a", "b.volume", "c.network", "d.pod", "e.kube", "f.image", "g.build")
    found = quadlets({name: {"content": "x"} for name in names}, commit)
    assert [entry["running"] for entry in found.values()] == [True, None, None, True, True, None, None]
    assert quadlets({"b.volume": {"content": "x", "running": False}}, commit)["b.volume"]["running"] is False


def test_each_quadlet_is_a_resource_and_so_are_its_folders(commit: Commit) -> None:
    assert [resource.key for resource in spec({"web": {"image": IMAGE}}).concrete(commit).resources] == [
        "directory:/etc/containers/systemd",
        "directory:/etc/containers",
        "quadlet:web.container",
    ]


def test_a_later_play_adds_to_a_container() -> None:
    earlier = spec({"web": {"image": "a", "ports": ["1:1"], "env": {"A": "1", "B": "1"}, "command": ["x"]}})
    later = spec({"web.container": {"image": "b", "ports": ["2:2"], "env": {"B": "2"}, "command": ["y"]}})
    assert earlier.merged(later) == spec(
        {"web": {"image": "b", "ports": ["1:1", "2:2"], "env": {"A": "1", "B": "2"}, "command": ["y"]}}
    )


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"../web": {"image": "x"}}, "cannot be a name"),
        ({"web@": {"image": "x"}}, "cannot be a name"),
        ({"web": {"image": "x"}, "web.container": {"image": "x"}}, "twice"),
        ({"web": {"image": "x y"}}, "one word"),
        ({"web": {"image": "x", "ports": ["80\nExec=rm"]}}, "one word"),
        ({"web": {"image": "x", "env": {"A B": "1"}}}, "name of a variable"),
        ({"web": {"image": "x", "env_files": ["web.env"]}}, "absolute"),
        ({"web": {"image": "x", "imgae": "y"}}, "Extra inputs"),
    ],
)
def test_what_is_no_container_is_refused_with_a_word(written: Any, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        spec(written)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"web": {}}, "exactly one of image"),
        ({"web": {"image": "x", "content": "y"}}, "image and content is there"),
        ({"web.volume": {"image": "x"}}, r"no container.* \[Volume\]"),
        ({"web": {"content": "x", "ports": ["1:1"]}}, "beside ports"),
        ({"web": {"quadlet": "gone.container"}}, "no file gone.container"),
        ({"web": {"image": "x"}, "web.kube": {"content": "x"}}, r"both be web\.service"),
        ({"web": {"image": "x"}, "b": {"content": "[Container]\nServiceName=web\n"}}, r"both be web\.service"),
    ],
)
def test_what_contradicts_itself_after_merging_is_refused(written: Any, complaint: str, commit: Commit) -> None:
    with pytest.raises(InventoryError, match=complaint):
        quadlets(written, commit)


@pytest.mark.parametrize(
    ("written", "valid"),
    [({"web": {"image": "x"}}, True), ({"quadlets": {"web": {"image": "x"}}}, True), ({"web": {"imgae": "x"}}, False)],
)
def test_the_json_schema_knows_both_forms(written: Any, valid: bool) -> None:
    assert Draft202012Validator(ContainersSpec.model_json_schema()).is_valid(written) is valid


@pytest.mark.parametrize(
    ("name", "text", "service"),
    [
        ("web.container", "", "web.service"),
        ("data.volume", "", "data-volume.service"),
        ("a.b.network", "", "a.b-network.service"),
        ("app.pod", "", "app-pod.service"),
        ("app.kube", "", "app.service"),
        ("web.container", "[Container]\nServiceName=front\n", "front.service"),
    ],
)
def test_the_unit_of_a_quadlet_is_the_one_that_the_generator_makes(name: str, text: str, service: str) -> None:
    assert service_of(name, text) == service


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("[Container]\nImage=a\n", "a"),
        ("[Container]\nImage = a\nPull=always\n", "a"),
        ("[Container]\nImage=a\nPull=never\n", ""),
        ("[Container]\nImage=a.image\n", ""),
        ("[Container]\nRootfs=/x\n", ""),
    ],
)
def test_an_image_is_pulled_where_a_registry_may_be_asked(text: str, image: str) -> None:
    assert image_of("web.container", text) == image
    assert image_of("web.kube", text) == ""


def test_nothing_in_a_word_is_expanded() -> None:
    assert quoted("plain-1.0") == "plain-1.0"
    assert quoted('50% of $HOME "q" \\ \n') == '"50%% of $$HOME \\"q\\" \\\\ \\n"'
    assert quoted("") == '""'

from __future__ import annotations

import pytest

from tests.deploys.on_host import Deploys

pytestmark = pytest.mark.booted

HOST_IMAGE = "mirrored"


def installed(deploys: Deploys, name: str) -> bool:
    status = deploys.host.run(["dpkg-query", "-Wf", "${db:Status-Abbrev}", name], check=False).output
    return status[1:2] == "i"


def test_packages_come_and_go_in_one_run_and_stay_so(deploys: Deploys) -> None:
    assert deploys.converge("packages", ["tree", "jq"]) == ("package:tree | install tree", "package:jq | install jq")
    changes = deploys.converge("packages", {"present": ["jq", "bc"], "absent": ["tree"]})
    assert changes[0] == "package:bc | install bc"
    assert changes[1].startswith("package:tree | remove tree")
    assert (installed(deploys, "bc"), installed(deploys, "tree")) == (True, False)
    log = deploys.host.run("grep -c ^Commandline: /var/log/apt/history.log").output
    before = int(log)
    deploys.converge("packages", {"present": ["tree", "hello"], "absent": ["bc"]})
    assert int(deploys.host.run("grep -c ^Commandline: /var/log/apt/history.log").output) == before + 1, "one apt run"


def test_a_package_removed_by_hand_comes_back(deploys: Deploys) -> None:
    deploys.converge("packages", ["hello"])
    deploys.host.run("apt-get -qq -y remove hello")
    assert deploys.converge("packages", ["hello"]) == ("package:hello | install hello",)


def test_planning_changes_nothing(deploys: Deploys) -> None:
    before = deploys.host.run("cat /var/lib/dpkg/status | sha256sum; ls -la /var/lib/apt/lists").output
    deploys.plan("packages", {"present": ["cowsay"], "absent": ["hello"]})
    assert deploys.host.run("cat /var/lib/dpkg/status | sha256sum; ls -la /var/lib/apt/lists").output == before


def test_only_what_is_permitted_is_installed(deploys: Deploys) -> None:
    told = deploys.apply("packages", ["sl", "figlet"], only=["package:figlet"])
    assert told.succeeded == ("package:figlet",)
    assert (installed(deploys, "sl"), installed(deploys, "figlet")) == (False, True)


def test_a_package_that_does_not_exist_keeps_no_other_away(deploys: Deploys) -> None:
    told = deploys.apply("packages", ["toilet", "no-such-package"])
    assert told.succeeded == ("package:toilet",)
    assert "no-such-package" in told.failed["package:no-such-package"]
    assert installed(deploys, "toilet")


def test_a_name_that_apt_does_not_know_is_no_pattern(deploys: Deploys) -> None:
    told = deploys.apply("packages", ["toile."])
    assert told.failed["package:toile."] == "apt knows no package toile. (did you mean toilet?)"


def test_package_lists_that_are_gone_are_fetched(deploys: Deploys) -> None:
    deploys.host.run("rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin")
    deploys.converge("packages", ["cowsay"])


def test_a_pin_is_exact_and_another_version_gives_way(deploys: Deploys) -> None:
    version = deploys.host.run("apt-cache madison sl | awk '{print $3; exit}'").output.strip()
    deploys.converge("packages", [f"sl={version}"])
    assert deploys.plan("packages", [f"sl={version}.1"]).changes == (
        f"package:sl | install sl {version}.1 in place of {version}",
    )
    told = deploys.apply("packages", [f"sl={version}.1"])
    assert f"Version '{version}.1' for 'sl' was not found" in told.failed["package:sl"]


def test_a_hold_is_respected(deploys: Deploys) -> None:
    deploys.converge("packages", ["figlet"])
    deploys.host.run("apt-mark hold figlet")
    assert deploys.plan("packages", ["figlet"]).changes == ()
    assert "held" in deploys.apply("packages", {"absent": ["figlet"]}).failed["package:figlet"]
    assert installed(deploys, "figlet")


def test_nothing_is_removed_that_is_not_named(deploys: Deploys) -> None:
    deploys.converge("packages", ["jq"])
    told = deploys.apply("packages", {"absent": ["libjq1"]})
    assert told.failed["package:libjq1"].startswith("apt would also remove jq")
    deploys.converge("packages", {"absent": ["libjq1", "jq"]})


def test_a_virtual_package_is_there_when_another_provides_it(deploys: Deploys) -> None:
    assert deploys.converge("packages", ["awk"]) == ()


def test_what_a_killed_dpkg_left_is_finished_first(deploys: Deploys) -> None:
    deploys.converge("packages", {"absent": ["tree", "hello"]})
    deploys.host.run("cd /tmp && apt-get -qq download tree hello && dpkg --unpack tree_*.deb hello_*.deb")
    assert deploys.converge("packages", ["tree", "jq"])[0] == "package:tree | install tree, which is half installed"
    assert installed(deploys, "hello"), "also what this deploy does not name"


def test_an_edited_configuration_file_stays_and_nobody_is_asked(deploys: Deploys) -> None:
    deploys.converge("packages", ["nano"])
    deploys.host.run("echo '# mine' >> /etc/nanorc; apt-get -qq -y remove nano")
    deploys.converge("packages", ["nano"])
    assert deploys.host.read("/etc/nanorc").endswith("# mine\n")

from __future__ import annotations

import pytest

from agent.deploys.sysctl.keys import SettingLine, canonical, parsed, path_below, said_last, written


@pytest.mark.parametrize(
    ("given", "name", "path"),
    [
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.forwarding", "net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("net/ipv4/conf/eth0.1/forwarding", "net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
    ],
)
def test_a_setting_has_one_name_and_one_path(given: str, name: str, path: str) -> None:
    assert (canonical(given), path_below(canonical(given))) == (name, path)


@pytest.mark.parametrize(
    "key",
    ["", "vm", "net..x", ".net.x", "net.x.", "net.ipv4.conf.*.x", "a/../../etc/x", "net.//.x", "-net.x", "net.x y"],
)
def test_what_leads_elsewhere_or_is_a_pattern_is_no_name(key: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a kernel setting"):
        canonical(key)


FILE = """\
# Managed by Hostwright: what is changed here by hand is put back. Edit the config repo.
# net.ipv4.ip_forward was 0
net.ipv4.ip_forward = 1
-net.ipv4.ip_local_port_range = 1024 65000
"""

LINES = {
    "net.ipv4.ip_forward": SettingLine("1", was="0"),
    "net.ipv4.ip_local_port_range": SettingLine("1024 65000", optional=True),
}


def test_a_file_is_written_as_it_is_read() -> None:
    assert written(LINES) == FILE
    assert parsed(FILE) == LINES


def test_a_file_without_settings_is_empty() -> None:
    assert written({}) == ""


def test_the_notation_of_other_files_is_read() -> None:
    text = "; c\n  net/ipv4/ip_forward=1\nvm.swappiness =\t10 \nnet.ipv4.conf.*.rp_filter = 2\nnonsense\n- vm.x = 1\n"
    assert parsed(text) == {
        "net.ipv4.ip_forward": SettingLine("1"),
        "vm.swappiness": SettingLine("10"),
        "vm.x": SettingLine("1", optional=True),
    }


def test_the_last_file_that_says_it_counts() -> None:
    files = [("a", "vm.x = 1\n"), ("b", "vm.x = 2\nvm.x = 3\n"), ("c", "vm.y = 4\n")]
    assert said_last(files, "vm.x") == ("b", "3")
    assert said_last(files, "vm.z") is None

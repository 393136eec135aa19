from __future__ import annotations

import pytest

from tests.deploys.on_host import Deploys

pytestmark = pytest.mark.booted


def test_it_comes_stays_and_is_put_back(deploys: Deploys) -> None:
    (change,) = deploys.converge("motd", "hands off")
    assert change.startswith("file:/etc/motd | ")
    assert deploys.host.read("/etc/motd") == "hands off\n"
    assert deploys.plan("motd", "hands off").changes == ()
    for by_hand, repair in (
        ("echo mine > /etc/motd", "write content"),
        ("chmod 600 /etc/motd", "set mode 0644 (was 0600)"),
        ("rm /etc/motd", "create file, mode 0644, owner root:root"),
        ("ln -sf /run/motd /etc/motd", "put a file in place of a link to /run/motd, mode 0644, owner root:root"),
    ):
        deploys.host.run(by_hand)
        assert deploys.converge("motd", "hands off") == (f"file:/etc/motd | {repair}",), by_hand

"""systemd is asked about a unit file before it is written; only what is final and about the file itself is refused."""

from __future__ import annotations

import shutil

import pytest

from agent.deploys.services import unit_file
from agent.deploys.services.unit_file import require_startable
from agent.errors import DeployError

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="asks systemd-analyze")


@pytest.mark.parametrize(
    "text",
    [
        "[Service]\nExecStart=/bin/true\n",
        "[Service]\nExecStart=/opt/not/there/yet\nUser=nobody-yet\n",
        "[Unit]\nRequires=not-there.service\n[Service]\nExecStart=/bin/true\n",
        "[Service]\nExecStart=/bin/true\nOfANewerSystemd=yes\n",
    ],
)
def test_what_other_deploys_bring_or_another_systemd_knows_is_no_fault(text: str) -> None:
    assert require_startable("hostwright-test.service", text) == ""


@pytest.mark.parametrize("text", ["[Service]\nType=simple\n", "[Servic]\nExecStart=/bin/true\n", "ExecStart\n"])
def test_a_file_that_systemd_would_never_start_is_refused(text: str) -> None:
    with pytest.raises(DeployError, match=r"hostwright-test.service: Service has no ExecStart="):
        require_startable("hostwright-test.service", text)


def test_where_nobody_can_be_asked_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_file, "_FOLDERS", "/nowhere")
    assert "no systemd-analyze" in require_startable("hostwright-test.service", "[Service]\n")

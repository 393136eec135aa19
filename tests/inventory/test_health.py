"""``health:`` in site.yaml: what it is read as, and what is said where it is wrong."""

from __future__ import annotations

import pytest

from agent.errors import InventoryError
from tests.inventory.samples import Repo

HOSTS = "all: {hosts: {web1: {}}, vars: {port: 8080}}\n"


def site(health: str) -> str:
    return f"""\
- hosts: all
  deploys:
    - name: web
      deploy: files
      with: {{/srv/web: {{content: x}}}}
      health: {health}
"""


def labels(repo: Repo, *plays: str) -> list[str]:
    repo.write_all({"hosts.yaml": HOSTS, "site.yaml": "".join(plays)})
    return [check.label for deploy in repo.load().deploys("web1") for check in deploy.health]


def test_checks_are_rendered_and_named(repo: Repo) -> None:
    entries = '[{http: "http://127.0.0.1:{{ port }}/"}, {tcp: "127.0.0.1:25", name: mail}, {unit: ssh.service}]'
    assert labels(repo, site(entries)) == ["http http://127.0.0.1:8080/", "mail", "unit ssh.service"]


def test_a_later_play_adds_its_own(repo: Repo) -> None:
    again = site("[{unit: a.service}, {unit: b.service}]")
    assert labels(repo, site("[{unit: a.service}]"), again) == ["unit a.service", "unit b.service"]


@pytest.mark.parametrize(
    ("health", "says"),
    [
        ("{tcp: '127.0.0.1:25'}", "a list of checks is expected"),
        ("[tcp]", "a check is a mapping"),
        ("[{timeout: 5s}]", "exactly one of http, tcp, command"),
        ("[{tcp: 'a:1', unit: b}]", "exactly one of http, tcp, command"),
        ("[{tcp: nowhere}]", "'nowhere' is not an address"),
        ("[{http: 'ftp://x/'}]", "is not a URL"),
        ("[{tcp: 'a:1', timeot: 5s}]", "timeout"),
        ("[{tcp: 'a:1', timeout: 5m}]", "at most 60 is expected"),
        ("[{command: 'nginx -t'}]", "a list is expected, not 'nginx -t'"),
        (f"[{{command: {'x' * 61}}}]", f"a list is expected, not '{'x' * 59}…'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(repo: Repo, health: str, says: str) -> None:
    with pytest.raises(InventoryError) as refused:
        labels(repo, site(health))
    assert "site.yaml:6" in refused.value.message
    assert says in refused.value.message

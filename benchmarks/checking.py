"""`hostwright check` of large config repos, as an administrator or CI runs it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.measuring import cost
from benchmarks.results import Figure
from tests.lab import installed
from tests.lab.lab import Lab

SITE = """\
- hosts: all
  deploys:
    - packages: [git, curl, jq]
    - files:
        /etc/motd: {content: "{{ inventory_hostname }} of {{ site }}\\n"}
- hosts: web
  deploys:
    - files:
        /etc/web.conf: {source: files/web.conf}
        /etc/port: {content: "port {{ port }}\\n"}
- hosts: db
  deploys:
    - users: {accounts: {dba: {}}}
"""


def repository(hosts: int, files: int) -> Mapping[str, str]:
    """A fleet of ``hosts`` in three groups, with ``files`` that nobody names."""
    web, database = hosts * 7 // 10, hosts * 2 // 10
    groups = {"web": (0, web), "db": (web, web + database), "other": (web + database, hosts)}
    lines = [
        f"    {name}: {{hosts: {{'h[{first:05}:{last - 1:05}]': {{}}}}}}" for name, (first, last) in groups.items()
    ]
    folder = "inventories/lab"
    found = {
        f"{folder}/hosts.yaml": "\n".join(["all:", "  children:", *lines, ""]),
        f"{folder}/group_vars/all.yaml": "site: north\nport: 80\n",
        f"{folder}/group_vars/web.yaml": "port: 8080\n",
        f"{folder}/site.yaml": SITE,
        "files/web.conf": "listen 8080\n",
        f"{folder}/fleet.yaml": "schedule: {fetch: 60s}\n",
    }
    return found | {f"files/unnamed/{number}": f"file {number}\n" for number in range(files)}


SHAPES = {"check": (10_000, 0), "check, 1,000 files nobody names": (100, 1000)}
"""Hosts and files by scenario."""


def measured(lab: Lab) -> Iterator[Figure]:
    for scenario, (hosts, files) in SHAPES.items():
        with lab.boot("bookworm", image=installed.agent("bookworm")) as host:
            with tempfile.TemporaryDirectory() as folder:
                for path, text in repository(hosts, files).items():
                    (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
                    (Path(folder) / path).write_text(text)
                host.push(Path(folder), "/srv/fleet")
            found = cost(host, "hostwright --repo /srv/fleet --inventory lab check")
            print(f"{scenario}: {found.cpu:.1f} s CPU, {found.wall:.1f} s", file=sys.stderr)
            yield Figure.of(scenario, hosts, "Hostwright", [found])

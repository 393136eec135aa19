"""Attacks by whoever can push to the config repo or speaks for the Git server, one test each: through whole cycles,
each changes nothing on the host and is reported. Eve can push; Ann (an anchor) and Bob can sign.

Here: fields of the inventory, in a signed commit: a signer may be root, and still not by mistake or by template.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adversary.victim import INVENTORY, SITE, Victim, attacked_after_trust
from tests.gitserver import Author

TRAVERSALS = {
    "deploy": "{name: x, deploy: ../../evil.py}",
    "deploy from inside": "{name: x, deploy: deploys/../../evil.py}",
    "deploy absolute": "{name: x, deploy: /etc/evil.py}",
    "deploy of another repository": '{name: x, deploy: "git+ssh://git@h/r.git//../../evil.py"}',
    "on_remove": "{name: x, deploy: deploys/ok.py, on_remove: ../../evil.py}",
    "name of a deploy": "{name: ../../x, deploy: deploys/ok.py}",
    "name with a nul": '{name: "a\\0b", deploy: deploys/ok.py}',
    "sets of dotfiles": "dotfiles: {user: ann, sets: [../../etc]}",
    "sets of dotfiles absolute": "dotfiles: {user: ann, sets: [/etc]}",
    "user of dotfiles": "dotfiles: {user: ../../root, sets: [common]}",
    "path of a file": "files: {/srv/../etc/x: {content: a}}",
    "relative path of a file": "files: {../x: {content: a}}",
    "source of a file": "files: {/srv/x: {source: ../../../etc/shadow}}",
    "absolute source of a file": "files: {/srv/x: {source: /etc/shadow}}",
    "source of a tree": "files: {/srv/x: {tree: ../../etc}}",
    "tool": "tools: [../../x]",
    "unit": "services: {../../x.service: {running: true}}",
    "file of a unit": "services: {x.service: {unit: ../../../etc/shadow}}",
    "cron": 'cron: {../../x: {command: "true", schedule: "* * * * *"}}',
    "container": "containers: {../../x: {image: y}}",
    "template of motd": "motd: {template: ../../../etc/shadow}",
    "template that includes": "files: {/srv/x: {content: \"{% include '/etc/shadow' %}\"}}",
    "template that escapes": "files: {/srv/x: {content: \"{{ ''.__class__.__mro__ }}\"}}",
    "yaml that runs": "files: {/srv/x: {content: !!python/object/apply:os.system ['touch pwned']}}",
}


@pytest.mark.parametrize("entry", TRAVERSALS.values(), ids=TRAVERSALS)
def test_path_traversal_in_the_site(host: Victim, ann: Author, tmp_path: Path, entry: str) -> None:
    with attacked_after_trust(host, ("inventory",)):
        files = {SITE: f"- hosts: all\n  deploys:\n    - {entry}\n", "deploys/ok.py": "", "dotfiles/common/.x": ""}
        host.repo.commit("Traversal", files, by=ann)
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("hosts.yaml", "all: {hosts: {web1: {}, ../../web2: {}}}"),
        ("hosts.yaml", "all: {hosts: {web1: {}, ..: {}}}"),
        ("hosts.yaml", "all: {hosts: {web1: {}}, children: {../../g: {hosts: {web1: {}}}}}"),
        ("tools.yaml", "../../x: {version: '1', url: 'https://example.org/x'}"),
    ],
)
def test_path_traversal_in_names(host: Victim, ann: Author, file: str, text: str) -> None:
    with attacked_after_trust(host, ("inventory",)):
        host.repo.commit("Traversal", {f"{INVENTORY}/{file}": f"{text}\n"}, by=ann)

"""The canary: secrets, and a site that takes them by every way there is."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from agent.system import age
from tests.secrets.test_sops import encrypted
from tests.stories.world import FLEET

PATTERN = "canary-4f1d9c"
CANARY = f"{PATTERN}-'of\"web1"
SECOND = f"{PATTERN}-second"
CODED = base64.b64encode(PATTERN[:12].encode()).decode()
"""How each canary begins in base64."""

IN_CLEAR = re.compile(f"{PATTERN}|{CODED}")

LAB = "inventories/lab"
SITE = """
- hosts: all
  deploys:
    - name: open
      deploy: files
      with: {/srv/open: {content: "no secret\\n"}}
    - name: closed
      deploy: files
      with:
        /srv/site: {content: "{{ secret('all/canary') }}\\n", mode: "0600"}
        /srv/template: {template: canary.j2, mode: "0640"}
        /srv/line: {line: "a={{ secret('all/canary') }}", match: "^a="}
        /srv/block: {block: "a={{ secret('all/canary') }}\\n"}
    - name: behind
      deploy: files
      needs: [closed]
      with: {/srv/behind: {content: "behind\\n"}}
    - dotfiles: {user: root, sets: [canary]}
    - users: {ann: {password_hash: "{{ secret('all/hash') }}"}}
    - name: code
      deploy: deploys/canary.py
      with: {canary: "{{ secret('all/canary') }}"}
    - name: broken
      deploy: deploys/broken.py
      mode: observe
      with: {canary: "{{ secret('all/canary') }}"}
"""
OTHERS = """
    - name: sops
      deploy: files
      with:
        /srv/sops: {content: "{{ sealed }}\\n{{ sops('app.env', 'TOKEN') }}\\n", mode: "0600"}
    - name: provider
      deploy: files
      with:
        /srv/vault: {content: "{{ vault('kv/data/web#password') }}\\n", mode: "0600"}
"""
"""What takes secrets by another way than age files."""

CODE = """
from io import StringIO
from pyinfra import host
from pyinfra.operations import files, server

files.put(name="Put " + host.data.canary, src=StringIO(host.data.canary), dest="/srv/code", mode="600")
server.shell(name="Say it", commands=["cat /srv/code; cat /srv/code >&2"])
"""
BROKEN = "from pyinfra import host\nraise RuntimeError('with ' + host.data.canary)\n"
CRASH = "import os\nfrom pyinfra.operations import python\n\npython.call(name='Crash', function=os.abort)\n"

RULE = """\
package main

told := json.marshal(input)

warn contains "a rule was asked" if contains(told, "/srv/site")

warn contains "the canary sang" if contains(told, concat("-", ["canary", "4f1d9c"]))

warn contains "the canary sang" if contains(told, base64.encode(concat("-", ["canary", "4f1d9"])))
"""
"""It does not hold the pattern itself: hosts keep this file."""


def files(recipient: str, value: str) -> dict[str, str | bytes | None]:
    """What takes the secret ``value`` by age."""
    return {
        f"{LAB}/site.yaml": SITE,
        f"{LAB}/secrets/all/canary.age": age.encrypt(f"{value}\n".encode(), [recipient]),
        f"{LAB}/secrets/all/hash.age": age.encrypt(hashed(value).encode(), [recipient]),
        "dotfiles/canary/.canary.age": age.encrypt(value.encode(), [recipient]),
        "canary.j2": "a={{ secret('all/canary') }}\nb={{ secret('all/canary') | b64encode }}\n",
        "deploys/canary.py": CODE,
        "deploys/broken.py": BROKEN,
    }


def hashed(value: str) -> str:
    """A password hash of each ``value`` in which the pattern is found."""
    return f"$6${PATTERN}${base64.b64encode(value.encode()).decode()}"


def others(folder: Path, recipient: str, address: str, word: str) -> dict[str, str | bytes | None]:
    """What takes secrets by SOPS and from a provider at ``address``, and the rule that is asked about all of it."""
    sealed = f"sealed: {PATTERN}-{word}\n"
    return {
        f"{LAB}/site.yaml": SITE + OTHERS,
        f"{LAB}/fleet.yaml": f"{FLEET}providers: {{vault: {{address: '{address}'}}}}\n",
        f"{LAB}/group_vars/all.sops.yaml": encrypted(folder, "all.yaml", sealed, recipient=recipient),
        "app.env": encrypted(folder, "app.env", f"TOKEN={PATTERN}-{word}\n", recipient=recipient),
        "policies/rule.rego": RULE,
    }

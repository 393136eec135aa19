"""Ansible on the host itself: one play of six tasks that loop, with pipelining and without gathering facts."""

from __future__ import annotations

import json
from collections.abc import Mapping

from benchmarks.states import State
from benchmarks.tools.tool import Tool, by_pip

_PLAYBOOK = "cd /srv/ansible; /opt/ansible/bin/ansible-playbook -i localhost, site.yml"

_CONFIG = """\
[defaults]
interpreter_python = /usr/bin/python3
display_ok_hosts = false
[connection]
pipelining = true
"""

_SITE = """\
- hosts: all
  connection: local
  gather_facts: false
  vars_files: [state.json]
  tasks:
    - ansible.builtin.apt: {name: "{{ packages }}"}
    - ansible.builtin.user: {name: "{{ item }}"}
      loop: "{{ accounts }}"
    - ansible.builtin.file: {path: "{{ item }}", state: directory, owner: root, group: root, mode: "0755"}
      loop: "{{ folders }}"
    - ansible.builtin.copy:
        {dest: "{{ item.key }}", content: "{{ item.value }}", owner: root, group: root, mode: "0644"}
      loop: "{{ files | dict2items }}"
    - ansible.builtin.file: {path: "{{ item.key }}", src: "{{ item.value }}", state: link}
      loop: "{{ links | dict2items }}"
"""


def _files(state: State) -> Mapping[str, str]:
    names = ("packages", "accounts", "folders", "files", "links")
    return {
        "/srv/ansible/ansible.cfg": _CONFIG,
        "/srv/ansible/site.yml": _SITE,
        "/srv/ansible/state.json": json.dumps({name: getattr(state, name) for name in names}),
    }


ANSIBLE = Tool(
    name="Ansible",
    version="/opt/ansible/bin/ansible-playbook --version | head -n 1",
    install=f"apt-get -q update; apt-get -q install --yes python3-apt; {by_pip('ansible-core==2.19.14', 'ansible')}",
    files=_files,
    run=_PLAYBOOK,
    look=f"{_PLAYBOOK} --check",
)

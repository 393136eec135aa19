"""Keys of Ansible's plays that people bring along into site.yaml."""

from __future__ import annotations

_PROBLEM = "this is of a playbook of Ansible"
_AS_DEPLOYS = "write what they bring about as deploys; a pyinfra deploy file does what no deploy does"
OF_PLAYBOOKS = {
    **dict.fromkeys(("tasks", "roles", "pre_tasks", "post_tasks", "handlers"), (_PROBLEM, _AS_DEPLOYS)),
    **dict.fromkeys(
        ("become", "gather_facts", "connection", "remote_user", "serial", "strategy"),
        (_PROBLEM, "leave it out: the agent is root, on the host itself"),
    ),
    **dict.fromkeys(("vars", "vars_files"), (_PROBLEM, "put variables into group_vars/ or host_vars/")),
}
"""By key: problem and remedy."""

"""Names of Ansible that templates here do not have: by kind and name, the reason and what to write instead.

A template that uses one of them gets exactly this as a complaint, and docs/coming-from/ansible-names.md shows it.
Tests hold that each name of ansible-core is either here or works.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NoReturn

from jinja2 import TemplateError

from agent.domain.fault import Fault

_Names = Mapping[str, Fault]

_TASKS: Final = "it asks for the result of a task, and values have no tasks before them"
_DID_CHANGE: Final = "in a deploy file: operation.did_change(); for services: restart_on or reload_on"
_MACHINE: Final = "it looks at the machine that renders, and each host renders for itself"
_WRITE_DOWN: Final = "write down what it would find"
_COLLECTION: Final = "it comes with a collection of Ansible, which the agent does not carry"
_LOOP: Final = "it belongs to the loop of a task"
_ROLES: Final = "there are no roles"
_PATHS: Final = "write a path: it counts from the root of the repository"
_RUN: Final = "it belongs to one run of ansible-playbook, and hosts run by themselves"
_PLAY: Final = "it belongs to a play that runs on many hosts at once, and each host runs alone"
_NO_FILES: Final = "templates read no files but by lookup('file', 'path')"
_VALUES: Final = "write the value into group_vars or host_vars"


def _each(names: str, problem: str, remedy: str) -> dict[str, Fault]:
    return dict.fromkeys(names.split(), Fault(problem, remedy))


FILTERS: Final[_Names] = {
    **_each("expanduser expandvars realpath", _MACHINE, _WRITE_DOWN),
    **_each(
        "fileglob", _MACHINE, "write down what it would find; `dotfiles` and `files` with source: take whole folders"
    ),
    **_each(
        "unvault",
        "secrets are age here, not Ansible Vault",
        "`hostwright secret import` in the config repo, then {{ secret('name') }}",
    ),
    **_each(
        "vault", "each call gives another text", "`hostwright secret set` in the config repo, then {{ secret('name') }}"
    ),
    **_each("json_query", _COLLECTION, "use selectattr, rejectattr and map(attribute='…')"),
    **_each("dict", _COLLECTION, "use dict(pairs), or items2dict"),
    **_each("dict_kv", _COLLECTION, "write a mapping: {{ {key: value} }}"),
    **_each("counter", _COLLECTION, "use groupby, and length of each group"),
    **_each("from_csv from_ini", _COLLECTION, "write the values as YAML"),
    **_each("to_ini", _COLLECTION, "write the text with a loop over the items, or `files` with lines:"),
    **_each("groupby_as_dict", _COLLECTION, "use groupby | items2dict(key_name=0, value_name=1)"),
    **_each("keep_keys remove_keys", _COLLECTION, "use dict2items | selectattr('key', 'in', names) | items2dict"),
    **_each("replace_keys", _COLLECTION, "make the mapping anew with dict2items and items2dict"),
    **_each("lists_union lists_intersect lists_difference", _COLLECTION, "use union, intersect or difference"),
    **_each("lists_symmetric_difference", _COLLECTION, "use symmetric_difference"),
    **_each("lists_mergeby", _COLLECTION, "give the lists as mappings by that key, and use combine"),
    **_each("random_mac", "each call gives another text", _WRITE_DOWN),
    **_each("version_sort", _COLLECTION, "use sort where the versions have equal widths, or write them in order"),
    **_each("jc", _COLLECTION, "write the values down; a deploy file may ask the host"),
    **_each("get_path index_of to_paths consolidate fact_diff", _COLLECTION, "use extract, map and selectattr"),
    **_each("from_xml to_xml", _COLLECTION, "write the text as a template"),
    **_each("validate", _COLLECTION, "`hostwright check` in the config repo judges what deploys are given"),
    **_each("cli_parse parse_cli parse_xml", _COLLECTION, "write down what the device would say"),
    **_each(
        "ipsubnet ip4_hex ipcut next_nth_usable previous_nth_usable network_in_network network_in_usable"
        " reduce_on_network slaac usable_range",
        "of ansible.utils the agent has ipaddr ipv4 ipv6 ipwrap ipmath nthhost cidr_merge hwaddr macaddr",
        "use ipaddr and ipmath: {{ net | ipaddr(5) }}, {{ address | ipmath(1) }}",
    ),
    **_each(
        "openssl_csr_info openssl_privatekey_info x509_certificate_info split_pem gpg_fingerprint",
        _COLLECTION,
        "look at the file in a deploy file; `health` has a check of certificates",
    ),
}

TESTS: Final[_Names] = {
    **_each(
        "change changed failed failure finished reachable skip skipped started succeeded success successful timedout"
        " unreachable",
        _TASKS,
        _DID_CHANGE,
    ),
    **_each(
        "directory exists file is_dir is_file is_link is_mount is_same_file link link_exists mount same_file",
        _MACHINE,
        f"{_WRITE_DOWN}; `command` has creates: and unless:, a deploy file may look",
    ),
    **_each(
        "vault_encrypted vaulted_file",
        "secrets are age here, not Ansible Vault",
        "`hostwright secret import` in the config repo takes Vault files and values",
    ),
}

LOOKUPS: Final[_Names] = {
    **_each("config", "it asks for Ansible's settings", _VALUES),
    **_each("csvfile ini lines", _NO_FILES, _VALUES),
    **_each("dict", "a filter does the same", "use mapping | dict2items"),
    **_each("env", _MACHINE, _VALUES),
    **_each("fileglob", _NO_FILES, "`dotfiles` and `files` with source: take whole folders"),
    **_each("first_found", _NO_FILES, "set the path in group_vars: the most specific group wins"),
    **_each("indexed_items", "a filter does the same", "use range(items | length) | zip(items)"),
    **_each("inventory_hostnames", "a variable does the same", "use groups['name'], with union or difference"),
    **_each("items", "a filter does the same", "use items | flatten(levels=1)"),
    **_each("list", "it gives back what it is given", "use the list itself"),
    **_each("nested", "a filter does the same", "use a | product(b)"),
    **_each(
        "password",
        "it makes a file on the controller",
        "`hostwright secret set NAME` in the config repo, then {{ secret('name') }}",
    ),
    **_each("pipe url", _MACHINE, _WRITE_DOWN),
    **_each("random_choice", _MACHINE, "use list | random(seed=inventory_hostname)"),
    **_each("sequence", "a function does the same", "use range(first, last + 1) | map('string') | list"),
    **_each("subelements", "a filter does the same", "use list | subelements('key')"),
    **_each("template", _NO_FILES, "give the path as template: of `files`"),
    **_each("together", "a filter does the same", "use a | zip(b)"),
    **_each(
        "unvault",
        "secrets are age here, not Ansible Vault",
        "`hostwright secret import` in the config repo, then {{ secret('name') }}",
    ),
    **_each("varnames", "hostvars does the same", "use hostvars[inventory_hostname] | select('match', pattern) | list"),
    **_each("vars", "hostvars does the same", "use hostvars[inventory_hostname]['name'], with | default(…) at need"),
    **_each("hashi_vault vault_read vault_kv1_get vault_kv2_get", _COLLECTION, "{{ secret('name') }}, or sops()"),
    **_each("passwordstore onepassword bitwarden lastpass keyring", _COLLECTION, "{{ secret('name') }}, or sops()"),
    **_each("sops", "a function does the same", "use sops('path', 'key')"),
    **_each("dig", _MACHINE, _WRITE_DOWN),
}

VARIABLES: Final[_Names] = {
    **_each("item", _LOOP, "use {% for %}, or map over the list"),
    **_each("ansible_loop ansible_loop_var ansible_index_var", _LOOP, "use {% for %}: it has loop.index, loop.last …"),
    **_each(
        "ansible_role_name ansible_role_names ansible_parent_role_names ansible_parent_role_paths"
        " ansible_dependent_role_names ansible_play_role_names role_name role_names role_path role_uuid",
        _ROLES,
        _PATHS,
    ),
    **_each("ansible_collection_name", _ROLES, _VALUES),
    **_each("ansible_search_path", "Ansible looks for files in several folders", _PATHS),
    **_each("ansible_check_mode", _RUN, "`hostwright plan` on a host shows what would change, with the same values"),
    **_each("ansible_diff_mode ansible_verbosity ansible_forks ansible_async_path", _RUN, "leave it out"),
    **_each("ansible_run_tags ansible_skip_tags", _RUN, "split deploys by name, and let plays name their hosts"),
    **_each("ansible_limit", _RUN, "`suspend` in fleet.yaml, or `mode: observe`, keeps hosts as they are"),
    **_each("ansible_version", "Ansible is not what renders", "leave the condition out"),
    **_each(
        "ansible_config_file ansible_inventory_sources ansible_playbook_python inventory_file",
        "it is a path on the controller",
        "inventory_dir is the folder of the inventory in the repository",
    ),
    **_each(
        "ansible_play_batch ansible_play_hosts ansible_play_hosts_all play_hosts",
        _PLAY,
        "use groups['name']; windows and suspensions of fleet.yaml keep hosts apart",
    ),
    **_each("ansible_play_name", _PLAY, "write the name down"),
    **_each(
        "ansible_facts ansible_local", "facts are not gathered", "set a variable, or look at the host in a deploy file"
    ),
    **_each(
        "omit", "it leaves out an argument of a task", "leave the key out, or set the default itself: | default(0)"
    ),
    **_each("vars", "hostvars does the same", "use hostvars[inventory_hostname]['name']"),
}

FACTS: Final = Fault("facts are not gathered", "set a variable, or look at the host in a deploy file")

_FACT: Final = re.compile(
    r"ansible_(all_ipv|apparmor$|architecture$|bios_|board_|chassis_|cmdline$|date_time$|default_ipv|device|distribution"
    r"|dns$|domain$|ec2_|effective_|env$|fibre_|fips$|flags$|form_factor$|fqdn$|gather_subset$|hostname$|hostnqn$|interfaces$"
    r"|is_chroot$|iscsi_|kernel|lsb$|lvm$|loadavg$|locally_|machine|mem(free|ory|total)|module_setup$|mounts$|nodename$"
    r"|os_family$|pkg_mgr$|proc_cmdline$|processor|product_|python$|python_version$|real_|selinux|service_mgr$"
    r"|ssh_host_key|swap|system|uptime|user_(dir|gecos|gid|id|shell|uid)$|userspace_|virtualization)"
)
"""Names of the facts that ansible.builtin.setup gathers, apart from those of network devices. Variables of connections
(``ansible_host``) are not among them: where one is not set, a default counts, as in Ansible."""


def variable(name: str) -> Fault | None:
    """The reason why there is no variable ``name``, and what to write instead; None where there may be one."""
    return VARIABLES.get(name) or (FACTS if _FACT.match(name) else None)


class NotHere(Mapping[str, NoReturn]):
    """The variables that Ansible sets and the agent does not. Each raises TemplateError: if it were undefined, a
    template could use a default and silently give another value than in Ansible."""

    def __getitem__(self, name: str) -> NoReturn:
        fault = variable(name)
        if fault is None or name in _UNSET_THERE:
            raise KeyError(name)
        raise TemplateError(f'there is no variable "{name}" here: {fault}')

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name not in _UNSET_THERE and variable(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


NOT_HERE: Final = NotHere()

_UNSET_THERE: Final = frozenset(("item", "omit", "role_name", "role_names", "role_path", "role_uuid", "vars"))
"""Variables that are undefined in Ansible too, outside of loops and roles, or whose value fails when it is used."""


def refusals(kind: str, names: _Names) -> dict[str, Callable[..., NoReturn]]:
    """A function for each of ``names`` that raises its TemplateError. ``kind``: filter or test."""
    return {name: _refusing(f'there is no {kind} "{name}" here: {fault}') for name, fault in names.items()}


def _refusing(complaint: str) -> Callable[..., NoReturn]:
    def refused(*_: object, **__: object) -> NoReturn:
        raise TemplateError(complaint)

    return refused


def refuse_lookup(name: object = "", *_: object, **__: object) -> NoReturn:
    """Raise TemplateError, which says why there is no ``lookup(name, …)`` and what to write instead."""
    unknown = Fault(_MACHINE, _VALUES)
    fault = LOOKUPS.get(f"{name}".rpartition(".")[2], unknown)
    raise TemplateError(f"there is no lookup({name!r}) here: {fault}")

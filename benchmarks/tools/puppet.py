"""Puppet without a server: one manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from benchmarks.states import State
from benchmarks.tools.tool import APT, Tool


def _manifest(state: State) -> Iterator[str]:
    yield "File { owner => 'root', group => 'root' }"
    yield from (f"package {{ '{name}': ensure => installed }}" for name in state.packages)
    yield from (f"user {{ '{name}': ensure => present, managehome => true }}" for name in state.accounts)
    yield from (f"file {{ '{path}': ensure => directory, mode => '0755' }}" for path in state.folders)
    for path, text in state.files.items():
        content = json.dumps(text)  # Puppet's quoted strings know the same escapes
        yield f"file {{ '{path}': ensure => file, mode => '0644', content => {content} }}"
    yield from (f"file {{ '{path}': ensure => link, target => '{target}' }}" for path, target in state.links.items())


def _files(state: State) -> Mapping[str, str]:
    return {"/srv/puppet/site.pp": "".join(f"{line}\n" for line in _manifest(state))}


PUPPET = Tool(
    name="Puppet",
    version="puppet --version",
    install=f"{APT} puppet-agent; apt-get clean; systemctl disable puppet.service",
    files=_files,
    run="puppet apply /srv/puppet/site.pp",
    look="puppet apply --noop /srv/puppet/site.pp",
)

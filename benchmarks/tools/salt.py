"""Salt without a master: one SLS file with a state for each resource."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.states import State
from benchmarks.tools.tool import APT, Tool, by_pip

_CALL = "/opt/salt/bin/salt-call --local --retcode-passthrough --state-verbose=False --log-level=warning state.apply"


def _sls(state: State) -> Iterator[str]:
    owned = [{"user": "root"}, {"group": "root"}]
    yield _state("packages", "pkg.installed", [{"pkgs": state.packages}])
    yield from (_state(f"account {name}", "user.present", [{"name": name}]) for name in state.accounts)
    yield from (_state(path, "file.directory", [*owned, {"mode": "0755"}]) for path in state.folders)
    for path, text in state.files.items():
        yield _state(path, "file.managed", [*owned, {"mode": "0644"}, {"contents": text}])
    yield from (_state(path, "file.symlink", [{"target": target}]) for path, target in state.links.items())


def _state(key: str, function: str, arguments: Sequence[Mapping[str, object]]) -> str:
    return f"{json.dumps(key)}: {json.dumps({function: arguments})}\n"


def _files(state: State) -> Mapping[str, str]:
    return {
        "/etc/salt/minion": "file_client: local\nfile_roots: {base: [/srv/salt]}\n",
        "/srv/salt/top.sls": "base: {'*': [state]}\n",
        "/srv/salt/state.sls": "".join(_sls(state)),
    }


SALT = Tool(
    name="Salt",
    version="/opt/salt/bin/salt-call --version",
    install=f"{APT} gcc libc6-dev python3-dev; {by_pip('salt==3008.2', 'salt')}",  # one of its parts is only there as C
    files=_files,
    run=_CALL,
    look=f"{_CALL} test=True",
)

"""CFEngine without a hub: one bundle, with the bodies of its standard library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.states import State
from benchmarks.tools.tool import APT, Tool

_LIBRARY = "/var/lib/cfengine3/masterfiles/lib"


def _policy(state: State) -> Iterator[str]:
    inputs = ", ".join(f'"{_LIBRARY}/{name}.cf"' for name in ("common", "paths", "files", "packages"))
    yield f'body common control {{ bundlesequence => {{ "state" }}; inputs => {{ {inputs} }}; }}'
    yield "bundle agent state {"
    yield "packages:"
    yield from (f'"{name}" package_policy => "add", package_method => apt_get;' for name in state.packages)
    yield "users:"
    yield from (f'"{name}" policy => "present", home_dir => "/home/{name}";' for name in state.accounts)
    yield "files:"
    yield from (f'"{path}/." create => "true", perms => mog("755", "root", "root");' for path in state.folders)
    for path, text in state.files.items():
        content = text.replace("\n", "$(const.n)")
        yield f'"{path}" create => "true", perms => mog("644", "root", "root"), content => "{content}";'
    yield from (f'"{path}" link_from => ln_s("{target}");' for path, target in state.links.items())
    yield "}"


def _files(state: State) -> Mapping[str, str]:
    return {"/srv/cfengine/state.cf": "".join(f"{line}\n" for line in _policy(state))}


CFENGINE = Tool(
    name="CFEngine",
    version="cf-agent --version",
    install=f"{APT} cfengine3; apt-get clean; systemctl disable cfengine3.service $(cd /lib/systemd/system; echo cf-*)",
    files=_files,
    run="chmod 600 /srv/cfengine/state.cf; cf-agent --no-lock --inform --file /srv/cfengine/state.cf",
    look="chmod 600 /srv/cfengine/state.cf; cf-agent --no-lock --dry-run --file /srv/cfengine/state.cf",
)

"""What each deploy can give a host, as rows: what Git says, what may drift, and what is left when Git says no more.

A new deploy is a new row, with names of its own: all rows of a host live at the same time. Of each kind of resource one
is created, and where it makes sense one was there before (released when it leaves Git) and one is changed by hand
before it leaves (orphaned).
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.domain.pins import Asset, ToolPin
from agent.inventory.lock import Lock, lock_text
from tests.lab.images import SUITES
from tests.lab.installed import CONTAINER_ENVIRONMENT, CONTAINER_OPTIONS


@dataclass(frozen=True, slots=True)
class Place:
    """The kind of host that a row needs: an image of the lab, and how it is booted."""

    name: str
    image: str = "agent"
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)


ALONE = Place("with a network of its own")
MIRRORED = Place("with an apt repository of its own", image="mirrored")
PODMAN = Place("with podman", image="containers", options=CONTAINER_OPTIONS, environment=CONTAINER_ENVIRONMENT)


@dataclass(frozen=True, slots=True)
class Row:
    """``wanted`` is the entry of a play as YAML; ``keys`` what it must change on a host made ready by ``before``.

    ``drifts``: a command that spoils something, and the key that must be found. The more of them spoil different
    resources, the fewer rounds it takes. ``there`` holds while it is wanted,
    ``gone`` after it has left Git; ``by_hand`` is done just before that. ``fates`` says what becomes of which key.
    """

    name: str
    wanted: str
    keys: tuple[str, ...]
    there: str
    gone: str
    fates: Mapping[str, str]
    drifts: tuple[tuple[str, str], ...]
    before: str = ""
    by_hand: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    place: Place = ALONE
    suites: tuple[str, ...] = SUITES

    @property
    def rounds(self) -> list[dict[str, str]]:
        """The drifts, as many at once as spoil different resources: commands by key."""
        rounds: list[dict[str, str]] = []
        for command, key in self.drifts:
            free = next((commands for commands in rounds if key not in commands), None)
            if free is None:
                rounds.append({key: command})
            else:
                free[key] = command
        return rounds

    @property
    def play(self) -> str:
        return f"- hosts: all\n  deploys:\n{textwrap.indent(textwrap.dedent(self.wanted).strip(), '    ')}\n"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJQ5wwxnBMTjOoL6HH2zFbGzbiE1Ekz3Tn5BAGmIVWtq"
"""Of nobody."""

FILES = Row(
    name="files",
    before="mkdir /srv/f; echo theirs > /srv/f/adopted; printf 'first\\nlast\\n' | tee /srv/f/listed > /srv/f/edited",
    wanted="""
        - files:
            /srv/f/new: {content: "ours\\n", mode: "0640"}
            /srv/f/newer: {content: "ours\\n", mode: "0640"}
            /srv/f/adopted: {content: "ours\\n"}
            /srv/f/changed: {content: "ours\\n"}
            /srv/f/link: {link: /srv/f/new}
            /srv/f/folder: {directory: true, mode: "0750"}
            /srv/f/kept: {directory: true}
            /srv/f/edited: {block: "in between\\n"}
            /srv/f/listed: {line: ours}
    """,
    keys=(
        *("file:/srv/f/new", "file:/srv/f/newer", "file:/srv/f/adopted", "file:/srv/f/changed", "link:/srv/f/link"),
        *("directory:/srv/f/folder", "directory:/srv/f/kept", "block:/srv/f/edited#managed", "line:/srv/f/listed#ours"),
    ),
    there="""
        [ "$(cat /srv/f/new /srv/f/newer /srv/f/adopted | xargs)" = 'ours ours ours' ]
        [ "$(stat -c %a:%U /srv/f/new /srv/f/newer /srv/f/folder | xargs)" = '640:root 640:root 750:root' ]
        [ "$(readlink /srv/f/link)" = /srv/f/new ]
        grep -q 'in between' /srv/f/edited
        [ "$(cat /srv/f/listed | xargs)" = 'first last ours' ]
    """,
    drifts=(
        ("echo more >> /srv/f/new", "file:/srv/f/new"),
        ("chmod 0666 /srv/f/new", "file:/srv/f/new"),
        ("chown 1:1 /srv/f/newer", "file:/srv/f/newer"),
        ("rm /srv/f/newer", "file:/srv/f/newer"),
        ("rm /srv/f/new; ln -s /etc/passwd /srv/f/new", "file:/srv/f/new"),
        ("ln -sfn /etc /srv/f/link", "link:/srv/f/link"),
        ("rmdir /srv/f/folder", "directory:/srv/f/folder"),
        ("sed -i '/in between/d' /srv/f/edited", "block:/srv/f/edited#managed"),
        ("sed -i /ours/d /srv/f/listed", "line:/srv/f/listed#ours"),
    ),
    by_hand="echo more >> /srv/f/changed; touch /srv/f/kept/theirs",
    gone="""
        [ "$(ls /srv/f | xargs)" = 'adopted changed edited kept listed' ]
        [ "$(cat /srv/f/edited)" = "$(printf 'first\\nlast')" ]
        cmp /srv/f/edited /srv/f/listed
    """,
    fates={
        "file:/srv/f/new": "gone",
        "file:/srv/f/newer": "gone",
        "link:/srv/f/link": "gone",
        "directory:/srv/f/folder": "gone",
        "block:/srv/f/edited#managed": "gone",
        "line:/srv/f/listed#ours": "gone",
        "file:/srv/f/adopted": "released",
        "file:/srv/f/changed": "orphaned",
        "directory:/srv/f/kept": "orphaned",
    },
)

USERS = Row(
    name="users",
    before="useradd -m -s /bin/sh adopted",
    wanted="""
        - users:
            ann: {uid: 1501, shell: /bin/bash, groups: [crew], sudo: true, keys: ["KEY ann@lab"]}
            bea: {shell: /bin/bash, groups: [crew], sudo: true, keys: ["KEY bea@lab"]}
            adopted: {shell: /bin/bash}
            groups: {crew: {gid: 1500}}
    """.replace("KEY", KEY),
    keys=("user:ann", "user:bea", "user:adopted", "group:crew"),
    there="""
        [ "$(getent passwd ann | cut -d: -f3,7)" = 1501:/bin/bash ]
        [ "$(getent group crew | cut -d: -f3)" = 1500 ]
        for name in ann bea; do
            [ "$(id -Gn $name | tr ' ' '\\n' | grep -c '^crew$')" = 1 ]
            [ -s /home/$name/.ssh/authorized_keys ] && [ -s /etc/sudoers.d/hostwright-$name ]
        done
    """,
    drifts=(
        ("usermod -s /bin/sh ann", "user:ann"),
        ("gpasswd -d bea crew", "user:bea"),
        ("rm /home/ann/.ssh/authorized_keys", "user:ann"),
        ("rm /etc/sudoers.d/hostwright-bea", "user:bea"),
        ("userdel ann", "user:ann"),
        ("groupmod -g 1599 crew", "group:crew"),
    ),
    gone="""
        ! getent passwd ann && ! getent passwd bea && ! getent group crew
        [ ! -e /etc/sudoers.d/hostwright-ann ] && [ ! -e /etc/sudoers.d/hostwright-bea ]
        [ -d /home/ann ] && [ "$(getent passwd adopted | cut -d: -f7)" = /bin/bash ]
    """,
    fates={"user:ann": "gone", "user:bea": "gone", "group:crew": "gone", "user:adopted": "released"},
)

SERVICES = Row(
    name="services",
    before="""
        printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/theirs.service
        systemctl daemon-reload
    """,
    wanted="""
        - services:
            lab.service:
              content: |
                [Service]
                ExecStart=/bin/sleep infinity
                [Install]
                WantedBy=multi-user.target
              running: true
              enabled: true
            lab.timer:
              content: |
                [Timer]
                OnCalendar=yearly
                [Install]
                WantedBy=timers.target
              running: true
              enabled: true
            theirs: {running: true}
    """,
    keys=("unit:lab.service", "unit:lab.timer", "unit:theirs.service"),
    there="""
        [ "$(systemctl is-active lab.service lab.timer theirs | xargs)" = 'active active active' ]
        [ "$(systemctl is-enabled lab.service lab.timer | xargs)" = 'enabled enabled' ]
    """,
    drifts=(
        ("systemctl stop lab.service", "unit:lab.service"),
        ("systemctl disable --quiet lab.service", "unit:lab.service"),
        ("systemctl stop lab.timer", "unit:lab.timer"),
        ("echo '# mine' >> /etc/systemd/system/lab.service", "unit:lab.service"),
        ("rm /etc/systemd/system/lab.timer", "unit:lab.timer"),
        ("systemctl stop theirs", "unit:theirs.service"),
    ),
    gone="""
        [ ! -e /etc/systemd/system/lab.service ] && [ ! -e /etc/systemd/system/lab.timer ]
        [ "$(systemctl is-active lab.service lab.timer theirs | xargs)" = 'inactive inactive active' ]
        [ -z "$(find /etc/systemd/system -name 'lab.*')" ]
    """,
    fates={"unit:lab.service": "gone", "unit:lab.timer": "gone", "unit:theirs.service": "released"},
)

PACKAGES = Row(
    name="packages",
    place=MIRRORED,
    before="apt-get update -q > /dev/null; apt-get install -qy --no-install-recommends hello > /dev/null",
    wanted="""
        - packages: {present: [hello, tree, moreutils], held: [tree], recommends: false}
    """,
    keys=("package:tree", "package:moreutils"),
    there='dpkg -s tree moreutils hello > /dev/null && [ "$(apt-mark showhold)" = tree ]',
    drifts=(
        ("apt-get remove -qy moreutils > /dev/null", "package:moreutils"),
        ("apt-mark unhold tree > /dev/null", "package:tree"),
    ),
    gone="""
        ! dpkg -s tree 2> /dev/null && ! dpkg -s moreutils 2> /dev/null && dpkg -s hello > /dev/null
        [ -z "$(apt-get -s autoremove | grep ^Remv)" ]
    """,
    fates={"package:tree": "gone", "package:moreutils": "gone"},
)

DOTFILES = Row(
    name="dotfiles",
    before="useradd -m -s /bin/sh bob; echo theirs > /home/bob/.profile; chown bob: /home/bob/.profile",
    files={
        "dotfiles/life/.bashrc": "alias ll='ls -l'\n",
        "dotfiles/life/.profile": "umask 027\n",
        "dotfiles/life/.vimrc.j2": '" {{ greeting }}\n',
        "dotfiles/life/.ssh/config": "Host *\n  ControlMaster auto\n",
        "dotfiles/life/.config/tool/one": "1\n",
    },
    wanted="""
        - dotfiles: {user: bob, sets: [life]}
    """,
    keys=("file:~bob/.bashrc", "file:~bob/.profile", "file:~bob/.vimrc", "file:~bob/.ssh/config"),
    there="""
        cd /home/bob
        [ "$(stat -c %U:%a .vimrc .ssh .ssh/config | xargs)" = 'bob:644 bob:700 bob:600' ]
        grep -q hello .vimrc && grep -q ll .bashrc && grep -q 027 .profile && [ -f .config/tool/one ]
    """,
    drifts=(
        ("echo more >> /home/bob/.bashrc", "file:~bob/.bashrc"),
        ("rm /home/bob/.vimrc", "file:~bob/.vimrc"),
        ("chmod 0644 /home/bob/.ssh/config", "file:~bob/.ssh/config"),
        ("chown root /home/bob/.bashrc", "file:~bob/.bashrc"),
        ("rm -r /home/bob/.config", "file:~bob/.config/tool/one"),
    ),
    by_hand="echo mine >> /home/bob/.vimrc",
    gone="""
        cd /home/bob
        [ ! -e .config ] && [ ! -e .ssh ] && grep -q mine .vimrc && grep -q 027 .profile
    """,
    fates={
        "file:~bob/.ssh/config": "gone",
        "directory:~bob/.ssh": "gone",
        "file:~bob/.config/tool/one": "gone",
        "file:~bob/.profile": "released",
        "file:~bob/.vimrc": "orphaned",
    },
)

SYSCTL = Row(
    name="sysctl",
    before='[ "$(sysctl -n net.ipv4.ip_forward)" = 0 ]',
    wanted="""
        - sysctl: {net.ipv4.ip_forward: 1}
    """,
    keys=("sysctl:net.ipv4.ip_forward",),
    there="""
        [ "$(sysctl -n net.ipv4.ip_forward)" = 1 ]
        grep -q '^net.ipv4.ip_forward *= *1' /etc/sysctl.d/90-hostwright.conf
    """,
    drifts=(
        ("sysctl -qw net.ipv4.ip_forward=0", "sysctl:net.ipv4.ip_forward"),
        ("sed -i '/^net.ipv4/d' /etc/sysctl.d/90-hostwright.conf", "sysctl:net.ipv4.ip_forward"),
    ),
    gone='[ ! -e /etc/sysctl.d/90-hostwright.conf ] && [ "$(sysctl -n net.ipv4.ip_forward)" = 0 ]',
    fates={"sysctl:net.ipv4.ip_forward": "gone"},
)

TIMEZONE = Row(
    name="timezone",
    before="ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime",
    wanted="""
        - timezone: Europe/Berlin
    """,
    keys=("timezone:host",),
    there='[ "$(date -d 2026-07-01T12:00Z +%H:%M)" = 14:00 ] && [ "$(cat /etc/timezone)" = Europe/Berlin ]',
    drifts=(
        ("ln -sf ../usr/share/zoneinfo/Etc/UTC /etc/localtime", "timezone:host"),
        ("rm /etc/localtime /etc/timezone", "timezone:host"),
        ("echo Etc/UTC > /etc/timezone", "timezone:host"),
    ),
    gone="[ $(readlink /etc/localtime) = /usr/share/zoneinfo/Europe/Berlin ]",
    fates={"timezone:host": "released"},
)

ENTRY = "hosts:/etc/hosts#2001:db8::12"

HOSTS = Row(
    name="hosts",
    before="echo '192.0.2.11 theirs # rack 7' >> /etc/hosts; sed 's/theirs/db2/' /etc/hosts > /srv/hosts",
    wanted="""
        - hosts: {192.0.2.10: [db1.lab, db1], 192.0.2.11: db2, 2001:db8::12: db3}
    """,
    keys=("hosts:/etc/hosts#192.0.2.10", "hosts:/etc/hosts#192.0.2.11", ENTRY),
    there='[ "$(getent hosts db1 db2 db3 | xargs)" = "192.0.2.10 db1.lab db1 192.0.2.11 db2 2001:db8::12 db3" ]',
    drifts=(
        ("echo 192.0.2.10 evil >> /etc/hosts", "hosts:/etc/hosts#192.0.2.10"),
        ("sed -i 's/^2001:db8::12 .*/2001:DB8:0::12 evil/' /etc/hosts", ENTRY),
    ),
    by_hand="sed -i 's/ db3$/ db3 mine/' /etc/hosts",
    gone='grep -q mine /etc/hosts && [ "$(grep -v mine /etc/hosts)" = "$(cat /srv/hosts)" ]',
    fates={"hosts:/etc/hosts#192.0.2.10": "gone", "hosts:/etc/hosts#192.0.2.11": "released", ENTRY: "orphaned"},
)

CRON = Row(
    name="cron",
    place=MIRRORED,
    before="apt-get install -qy --no-install-recommends cron > /dev/null",
    wanted="""
        - cron:
            tidy: {command: "/bin/true --on=$(date +%F)", schedule: "15 3 * * *", env: {MAILTO: ""}}
            other: {command: /bin/true, schedule: "@daily", user: nobody}
    """,
    keys=("cron:tidy", "cron:other"),
    there='[ "$(stat -c %a:%U /etc/cron.d/hostwright-tidy)" = 644:root ] && [ -s /etc/cron.d/hostwright-other ]',
    drifts=(
        ("echo '# mine' >> /etc/cron.d/hostwright-tidy", "cron:tidy"),
        ("chmod 0666 /etc/cron.d/hostwright-tidy", "cron:tidy"),
        ("rm /etc/cron.d/hostwright-tidy", "cron:tidy"),
    ),
    by_hand="echo '# mine' >> /etc/cron.d/hostwright-other",
    gone="[ ! -e /etc/cron.d/hostwright-tidy ] && grep -q mine /etc/cron.d/hostwright-other",
    fates={"cron:tidy": "gone", "cron:other": "orphaned"},
)

MOTD = Row(
    name="motd",
    before="echo theirs > /etc/motd",
    wanted="""
        - motd
    """,
    keys=("file:/etc/motd",),
    there="grep -qi hostwright /etc/motd",
    drifts=(("echo mine > /etc/motd", "file:/etc/motd"), ("rm /etc/motd", "file:/etc/motd")),
    gone="grep -qi hostwright /etc/motd",
    fates={"file:/etc/motd": "released"},
)

COMMAND = Row(
    name="command",
    wanted="""
        - command:
            key: {run: [touch, /srv/made], creates: /srv/made}
            once: {shell: "echo ran >> /srv/ran"}
    """,
    keys=("command:key", "command:once"),
    there='[ -e /srv/made ] && [ "$(cat /srv/ran)" = ran ]',
    drifts=(("rm /srv/made", "command:key"),),
    gone='[ -e /srv/made ] && [ "$(cat /srv/ran)" = ran ]',
    fates={},
)
"""What a command did is the command's; nobody knows how to take it back."""

SSH = Row(
    name="ssh",
    before="systemctl enable --now --quiet ssh",
    wanted="""
        - ssh:
            settings: {MaxAuthTries: 3, PermitRootLogin: prohibit-password}
            known_hosts: {git.example.org: ["KEY"]}
    """.replace("KEY", KEY),
    keys=("file:/etc/ssh/sshd_config.d/00-hostwright.conf", "block:/etc/ssh/ssh_known_hosts#ssh"),
    there="sshd -T | grep -q '^maxauthtries 3$' && ssh-keygen -F git.example.org -f /etc/ssh/ssh_known_hosts",
    drifts=(
        (
            "sed -i s/3/9/ /etc/ssh/sshd_config.d/00-hostwright.conf",
            "file:/etc/ssh/sshd_config.d/00-hostwright.conf",
        ),
        ("sed -i /git.example.org/d /etc/ssh/ssh_known_hosts", "block:/etc/ssh/ssh_known_hosts#ssh"),
    ),
    gone="""
        sshd -T | grep -q '^maxauthtries 6$'
        ! ssh-keygen -F git.example.org -f /etc/ssh/ssh_known_hosts
        systemctl is-active --quiet ssh
    """,
    fates={"file:/etc/ssh/sshd_config.d/00-hostwright.conf": "gone", "block:/etc/ssh/ssh_known_hosts#ssh": "gone"},
)

CONTAINERS = Row(
    name="containers",
    place=PODMAN,
    suites=("trixie",),
    before="podman import --quiet /opt/tiny.tar localhost/tiny:1",
    wanted="""
        - containers:
            pod.container:
              content: |
                [Container]
                Image=localhost/tiny:1
                Exec=sleep 1000
                Pull=never
                Network=none
                PodmanArgs=--stop-signal=KILL
                [Install]
                WantedBy=multi-user.target
    """,
    keys=("quadlet:pod.container",),
    there="systemctl is-active --quiet pod.service",
    drifts=(
        ("systemctl stop pod", "quadlet:pod.container"),
        ("echo '# mine' >> /etc/containers/systemd/pod.container", "quadlet:pod.container"),
        ("rm /etc/containers/systemd/pod.container", "quadlet:pod.container"),
    ),
    gone="""
        [ ! -e /etc/containers/systemd/pod.container ] && [ "$(systemctl is-active pod)" = inactive ]
        [ -z "$(podman ps -q)" ]
    """,
    fates={"quadlet:pod.container": "gone"},
)
"""bookworm's podman is too old for quadlets, and the deploy says so (tests/deploys/containers)."""

PROGRAM = "#!/bin/sh\necho hello\n"


def tool(name: str) -> ToolPin:
    asset = Asset(f"file:///srv/tools/{name}", hashlib.sha256(PROGRAM.encode()).hexdigest(), len(PROGRAM))
    return ToolPin(name, "1", {name: name}, {"linux-x86_64": asset, "linux-aarch64": asset})


TOOLS = Row(
    name="tools",
    before="mkdir -p /srv/tools; printf '#!/bin/sh\\necho hello\\n' | tee /srv/tools/greet > /srv/tools/wave",
    files={
        "inventories/lab/tools.yaml": "".join(
            f"""\
{name}:
  version: "1"
  url: "file:///srv/tools/{name}"
  platforms: {{linux-x86_64: {{}}, linux-aarch64: {{}}}}
  bin: [{name}]
"""
            for name in ("greet", "wave")
        ),
        "inventories/lab/lock.yaml": lock_text(Lock({name: tool(name) for name in ("greet", "wave")})),
    },
    wanted="""
        - tools: [greet, wave]
    """,
    keys=("tool:greet", "tool:wave"),
    there='[ "$(greet) $(wave)" = "hello hello" ]',
    drifts=(
        ("rm /usr/local/bin/greet", "tool:greet"),
        ("ln -sf /bin/false /usr/local/bin/wave", "tool:wave"),
        ("echo false >> /opt/hostwright/tools/wave/1/wave", "tool:wave"),
        ("chmod 0777 /opt/hostwright/tools/greet/1/greet", "tool:greet"),
        ("rm -r /opt/hostwright/tools/greet", "tool:greet"),
    ),
    gone="""
        for name in greet wave; do
            [ ! -e /usr/local/bin/$name ] && [ ! -L /usr/local/bin/$name ] && [ ! -e /opt/hostwright/tools/$name ]
        done
    """,
    fates={"tool:greet": "gone", "tool:wave": "gone"},
)

ROWS = (
    FILES,
    USERS,
    PACKAGES,
    SERVICES,
    CRON,
    DOTFILES,
    SYSCTL,
    CONTAINERS,
    COMMAND,
    TOOLS,
    MOTD,
    SSH,
    TIMEZONE,
    HOSTS,
)
"""Their suites take turns, and those with an apt repository are on bookworm: the rows of a run live on two hosts."""

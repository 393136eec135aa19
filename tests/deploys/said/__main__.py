"""``python -m tests.deploys.said`` has real tools refuse things on a booted host, and keeps what they said beside this
file: a command line, an exit status, then stdout and stderr as they came."""

from __future__ import annotations

from pathlib import Path

from tests.lab.host import Host
from tests.lab.installed import CONTAINER_ENVIRONMENT, CONTAINER_OPTIONS
from tests.lab.lab import Lab

HERE = Path(__file__).parent
APT = "apt-get --quiet --yes --option=Dpkg::Use-Pty=0"

PREPARE = (HERE / "prepare.sh").read_text()

CASES = {
    "systemctl-init-script": "systemctl enable old.service",
    "systemctl-start-fails": "systemctl start broken.service",
    "systemctl-no-such-unit": "systemctl enable nosuch.service",
    "systemctl-alias": "systemctl enable other.service",
    "systemctl-mask-over-file": "systemctl mask down.service",
    "systemctl-bad-unit": "systemctl start bad.service",
    "systemctl-missing-dependency": "systemctl start dep.service",
    "dpkg-postinst": f"{APT} install hw-post",
    "dpkg-postinst-silent": f"dpkg --purge hw-post >/dev/null 2>&1; {APT} install hw-silent",
    "dpkg-preinst": f"dpkg --purge hw-silent >/dev/null 2>&1; {APT} install hw-pre",
    "dpkg-prerm": f"{APT} remove hw-stays",
    "dpkg-sudo": f"{APT} remove sudo",
    "dpkg-clash": f"{APT} install hw-second",
    "apt-pinned": f"{APT} install hw-pinned",
    "apt-virtual": f"{APT} install hw-many",
    "apt-no-such-package": f"{APT} install hw-nowhere",
    "apt-no-such-version": f"{APT} install hw-one=9",
    "apt-unmet": f"{APT} install hw-needs",
    "apt-label": "cd /srv/repo && sed -i s/Before/After/ Release && apt-get --quiet update",
    "apt-unreachable": "echo 'deb http://127.0.0.1:9 stable main' > /etc/apt/sources.list; "
    "apt-get --quiet --option=APT::Update::Error-Mode=any update",
    "useradd-uid": "useradd --uid=0 bob",
    "useradd-group": "useradd --groups=nosuch bob",
    "useradd-name": "useradd --home-dir=relative bob",
    "usermod-busy": "usermod --uid=4242 busy",
    "userdel-busy": "userdel -- busy",
    "userdel-nobody": "userdel -- nosuch",
    "groupadd-gid": "groupadd --gid=0 team",
    "groupdel-primary": "groupdel -- ann",
    "gpasswd-not-in": "gpasswd --delete=ann -- crew",
    "chpasswd": "echo nosuch:x | chpasswd --encrypted",
    "visudo": "echo 'kim ALL=(ALL NOPASSWD ALL' | visudo -c -f -",
}

PODMAN = {
    "podman-unreachable": "podman pull --quiet 127.0.0.1:9/shop:1",
    "podman-short-name": "podman pull --quiet shop",
}


def keep(host: Host, name: str, command: str) -> None:
    prefix = "export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8; "
    script = f"{{ {prefix}{command}; }} >/tmp/stdout 2>/tmp/stderr </dev/null; echo $?"
    code = host.run(["bash", "-c", script], check=False).output.strip()
    told = f"$ {command}\nexit {code}\n--- stdout\n{host.read('/tmp/stdout')}--- stderr\n{host.read('/tmp/stderr')}"
    (HERE / f"{name}.txt").write_text(told)


def main() -> None:
    with Lab() as lab:
        with lab.boot("bookworm", image="agent") as host:
            host.run(["bash", "-c", PREPARE])
            for name, command in CASES.items():
                keep(host, name, command)
        with lab.boot(
            "trixie", image="containers", options=CONTAINER_OPTIONS, environment=CONTAINER_ENVIRONMENT
        ) as host:
            for name, command in PODMAN.items():
                keep(host, name, command)


if __name__ == "__main__":
    main()

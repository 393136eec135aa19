"""The repositories of docs/coming-from, before and after: both make the same of a host."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.inventory.load import load
from agent.system import age
from agent.system.folder import FolderTree
from benchmarks.tools.ansible import ANSIBLE
from benchmarks.tools.puppet import PUPPET
from benchmarks.tools.salt import SALT
from benchmarks.tools.tool import SUITE, Tool
from tests.inventory.samples import checked
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.world import World, apply

PAGES = Path(__file__).parents[2] / "docs" / "coming-from"
LAB = "inventories/lab"
PASSWORD = "lab\n"
"""Of the vault in ansible/before."""

LOOK = """
for path in {paths}; do
  stat -c '%N %F %a %U:%G' "$path"
  [ -L "$path" ] || [ ! -f "$path" ] || sha256sum "$path"
done
getent passwd ann bob | cut -d: -f1,5,6,7
systemctl is-enabled app.service
systemctl is-active app.service
"""

OF_THE_APPLICATION = ("/etc/app", "/etc/app/app.conf", "/etc/systemd/system/app.service")

RUNS = {
    "ansible": (
        ANSIBLE,
        PAGES / "ansible" / "before",
        "echo lab > /root/vault.pass; cd /srv/before; /opt/ansible/bin/ansible-playbook -i inventory/hosts.ini site.yml"
        " -l web1 -c local --vault-password-file /root/vault.pass -e ansible_python_interpreter=/usr/bin/python3",
    ),
    "puppet": (
        PUPPET,
        PAGES / "puppet-or-salt" / "puppet",
        "cd /srv/before; export FACTER_role=web;"
        " puppet apply --certname web1 --hiera_config hiera.yaml --modulepath modules site.pp",
    ),
    "salt": (
        SALT,
        PAGES / "puppet-or-salt" / "salt",
        "mkdir -p /etc/salt; cp /srv/before/minion /etc/salt/; ln -s /srv/before /srv/salt; "
        "/opt/salt/bin/salt-call --local --retcode-passthrough state.apply",
    ),
}


def look(host: Host, *paths: str) -> str:
    seen = host.run(LOOK.format(paths=" ".join((*OF_THE_APPLICATION, *paths))), check=False).output
    assert seen.endswith("enabled\nactive\n")
    return seen


def peer(lab: Lab, name: str, *paths: str) -> str:
    """What the tool makes of a host by its repository."""
    tool, folder, command = RUNS[name]
    assert isinstance(tool, Tool)
    with lab.boot(SUITE, image=tool.image_of(), name="web1") as host:
        host.push(folder, "/srv/before")
        host.run(command)
        return look(host, *paths)


def adopt(world: World, host: Host, folder: Path, **more: str | bytes) -> None:
    """Makes ``host`` what the config repo in ``folder`` says. ``more``: further files by path."""
    files: dict[str, str | bytes | None] = {
        f"{file.relative_to(folder)}": file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }
    hosts_files = {f"{LAB}/hosts.yaml", f"{LAB}/fleet.yaml"} - files.keys()
    world.commit("Come over", {**dict.fromkeys(hosts_files), **files, **more})
    done = apply(host)
    assert done.code == 0, done.output + done.error


@pytest.mark.parametrize("page", ["ansible", "homes", "puppet-or-salt"])
def test_the_config_repo_of_each_page_passes_check(page: str, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(PAGES / page / "after", repo)
    if page == "ansible":  # what `secret import` makes, for people and hosts that are not in the example
        secret = repo / LAB / "secrets" / "web" / "app_password.age"
        secret.parent.mkdir(parents=True)
        secret.write_bytes(age.encrypt(b"a secret", [age.recipient_of(age.generate())]))
    assert checked(load(FolderTree(repo), "lab")) == ()


@pytest.mark.long
def test_ansible_and_its_config_repo_make_the_same(lab: Lab, world: World, host: Host, tmp_path: Path) -> None:
    """The secret comes out of the vault by the command that the page shows."""
    lines = host.run(["hostwright", "identity"]).output.splitlines()[:2]
    password = tmp_path / "vault.pass"
    password.write_text(PASSWORD)
    desk = tmp_path / "desk"
    shutil.copytree(PAGES / "ansible" / "after", desk)
    (desk / LAB / "identities").mkdir()
    (desk / LAB / "identities" / "web1.pub").write_text("\n".join(lines) + "\n")
    (desk / LAB / "admins").write_text(f"{age.recipient_of(age.generate())} ann@example.org\n")
    vault = PAGES / "ansible" / "before" / "inventory" / "group_vars" / "web.yml"
    command = [sys.executable, "-m", "agent", "--inventory", "lab", "secret", "import", "--into", "web"]
    subprocess.run([*command, "--password-file", password, vault], cwd=desk, check=True, timeout=60)
    adopt(world, host, desk)
    paths = ("/etc/motd", "/etc/security/limits.conf", "/home/ann", "/home/bob")
    assert look(host, *paths) == peer(lab, "ansible", *paths)


@pytest.mark.long
@pytest.mark.parametrize("name", ["puppet", "salt"])
def test_puppet_and_salt_and_their_config_repo_make_the_same(lab: Lab, world: World, host: Host, name: str) -> None:
    adopt(world, host, PAGES / "puppet-or-salt" / "after")
    assert look(host, "/etc/app/current") == peer(lab, name, "/etc/app/current")


HOME = {
    ".bashrc": ("644", "export EDITOR=vim\nexport EMAIL=ann@example.org\n"),
    ".bash_profile": ("link", ".bashrc"),
    ".config/git/config": ("644", "[init]\n\tdefaultBranch = main\n"),
    ".ssh/config": ("600", "Host *.example.org\n  User ann\n"),
    ".local/bin/hello": ("755", "#!/bin/sh\necho hello\n"),
}
"""What chezmoi's source names and this host's values mean: chezmoi itself is in no registry."""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("stow") is None, reason="needs stow")
def test_a_home_is_what_chezmoi_s_names_say_and_what_stow_makes(world: World, host: Host, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    stow = ["stow", "--dir", PAGES / "homes" / "stow", "--target", home, "--dotfiles", "--no-folding", "tmux", "vim"]
    subprocess.run(stow, check=True, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": f"{home}"}, timeout=60)
    adopt(world, host, PAGES / "homes" / "after")
    for path, (mode, text) in HOME.items():
        place = f"/home/ann/{path}"
        assert host.run(["readlink", place] if mode == "link" else ["cat", place]).output == text + "\n" * (
            mode == "link"
        )
        assert mode == "link" or host.run(["stat", "-c", "%a %U", place]).output == f"{mode} ann\n"
    for link in home.iterdir():
        assert link.is_symlink()
        host.run(["test", "-L", f"/home/ann/{link.name}"])
        assert host.read(f"/home/ann/{link.name}") == link.read_text()

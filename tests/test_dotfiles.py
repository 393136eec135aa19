"""The dotfiles of this repository, read by the programs that they are for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from jinja2 import Environment, StrictUndefined

DOTFILES = Path(__file__).parents[1] / "dotfiles"
COMMON = DOTFILES / "common"
DESKTOP = DOTFILES / "desktop"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with the common set, as the deploy would leave it."""
    folder = tmp_path / "home"
    shutil.copytree(COMMON, folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("SHELL", "/bin/sh")
    for name in ("GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME", "PROMPT_COMMAND", "PS1"):
        monkeypatch.delenv(name, raising=False)
    return folder


def ask(*argv: str, code: int = 0) -> str:
    """What a program says on stdout; it must end with ``code`` and complain about nothing."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    noise = ("cannot set terminal process group", "no job control in this shell", "Pseudo-terminal will not be")
    complaints = [line for line in done.stderr.splitlines() if not any(part in line for part in noise)]
    assert (done.returncode, complaints) == (code, []), done.stdout
    return done.stdout


@pytest.mark.parametrize("name", [".bashrc", ".bash_profile"])
def test_bash_files_are_correct_bash(name: str) -> None:
    ask("bash", "-n", str(COMMON / name))


def test_an_interactive_bash_starts_quietly_and_keeps_secrets_out_of_its_history(home: Path) -> None:
    assert ask("bash", "-ic", 'echo "$HISTCONTROL"') == "ignoreboth:erasedups\n"


def test_a_login_shell_gets_the_environment_and_what_interactive_shells_get(home: Path) -> None:
    (home / ".local/bin").mkdir(parents=True)
    path, pager, alias = ask("bash", "-lic", 'echo "$PATH"; echo "$PAGER"; alias ll').splitlines()
    assert path.split(":")[0] == f"{home}/.local/bin"
    assert (pager, alias) == ("less", "alias ll='ls -lh'")


def test_a_command_over_ssh_sees_nothing_of_the_interactive_settings(home: Path) -> None:
    assert ask("bash", "-c", ". ~/.bashrc; alias; echo ${HISTTIMEFORMAT:-none}") == "none\n"


def test_reading_bashrc_twice_changes_nothing(home: Path) -> None:
    once, twice = ask("bash", "-ic", 'echo "$PROMPT_COMMAND|$PS1"; . ~/.bashrc; echo "$PROMPT_COMMAND|$PS1"').split(
        "\n"
    )[:2]
    assert once == twice


def test_the_prompt_shows_the_branch_and_the_exit_code(home: Path, tmp_path: Path) -> None:
    ask("git", "init", "-q", "-b", "topic", str(tmp_path / "repo"))
    script = f'cd {tmp_path}/repo; (exit 3); echo "${{PS1@P}}"'
    assert "[3] " in ask("env", "NO_COLOR=1", "bash", "-ic", script)
    assert ask("env", "NO_COLOR=1", "bash", "-ic", script).endswith(
        " (topic) # \n" if os.geteuid() == 0 else " (topic) $ \n"
    )


def test_a_machines_own_bashrc_comes_last_and_wins(home: Path) -> None:
    (home / ".bashrc.local").write_text("HISTSIZE=1\n")
    assert ask("bash", "-ic", 'echo "$HISTSIZE"') == "1\n"


def test_readline_takes_every_line_of_the_starter() -> None:
    inputrc = DOTFILES / "starter/.inputrc"
    assert "set completion-ignore-case on" in ask("env", f"INPUTRC={inputrc}", "bash", "-ic", "bind -v")


def test_readline_takes_every_line_of_inputrc(home: Path) -> None:
    assert "set show-all-if-ambiguous on" in ask("env", f"INPUTRC={home}/.inputrc", "bash", "-ic", "bind -v")


def test_git_reads_its_settings_and_the_machines_own_win(home: Path, tmp_path: Path) -> None:
    (home / ".gitconfig.local").write_text("[pull]\n\tff = true\n")
    listed = ask("git", "-C", str(tmp_path), "config", "--global", "--includes", "--list").splitlines()
    assert "init.defaultbranch=main" in listed
    assert listed.index("pull.ff=only") < listed.index("pull.ff=true")


def test_git_works_with_the_settings_and_ignores_what_editors_leave(home: Path, tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    ask("git", "init", "-q", repo)
    (tmp_path / "repo/notes.swp").write_text("")
    (tmp_path / "repo/kept").write_text("")
    assert ask("git", "-C", repo, "st") == "## No commits yet on main\n?? kept\n"
    ask("git", "-C", repo, "lg", "--all")


@needs("tmux")
def test_tmux_starts_with_the_settings(home: Path) -> None:
    tmux = ("tmux", "-S", str(home / "socket"))
    try:
        ask(*tmux, "-f", str(home / ".tmux.conf"), "new-session", "-d", "sleep 60")
        assert ask(*tmux, "show", "-gv", "history-limit") == "50000\n"
        assert ask(*tmux, "source-file", str(home / ".tmux.conf")) == ""
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


@needs("vim")
def test_vim_reads_its_settings_without_an_error(home: Path) -> None:
    found = home / "found"
    ask(
        "vim",
        "-N",
        "-u",
        str(home / ".vimrc"),
        "-es",
        "-c",
        f"redir! > {found} | set expandtab? modeline? | redir END | qa!",
    )
    assert found.read_text().split() == ["expandtab", "nomodeline"]


@needs("vim")
def test_vim_keeps_nothing_of_a_secret(home: Path) -> None:
    secret, found = home / "db.key", home / "found"
    secret.write_text("secret")
    show = f"redir! > {found} | set swapfile? | redir END | qa!"
    ask("vim", "-N", "-u", str(home / ".vimrc"), "-es", str(secret), "-c", show)
    assert found.read_text().split() == ["noswapfile"]


@needs("ssh")
def test_ssh_reads_its_settings_and_a_machines_own_come_first(home: Path, tmp_path: Path) -> None:
    listed = ask("ssh", "-G", "-F", str(COMMON / ".ssh/config"), "example.org").splitlines()
    assert {"stricthostkeychecking ask", "forwardagent no", "serveraliveinterval 30"} <= set(listed)
    own = tmp_path / "config"
    own.write_text("Host *\n  ForwardAgent yes\n" + (COMMON / ".ssh/config").read_text())
    assert "forwardagent yes" in ask("ssh", "-G", "-F", str(own), "example.org").splitlines()


@needs("ssh")
def test_multiplexing_is_for_desktops_only() -> None:
    assert "controlmaster false" in ask("ssh", "-G", "-F", str(COMMON / ".ssh/config"), "example.org")
    multiplexing = DESKTOP / ".ssh/config.d/50-multiplexing.conf"
    assert "controlmaster auto" in ask("ssh", "-G", "-F", str(multiplexing), "example.org")


def test_fonts_are_well_formed() -> None:
    assert ElementTree.parse(DESKTOP / ".config/fontconfig/fonts.conf").getroot().tag == "fontconfig"


def test_the_git_identity_is_rendered_from_the_inventory(tmp_path: Path) -> None:
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(
        (DESKTOP / ".gitconfig.local.j2").read_text()
    )
    (tmp_path / "local").write_text(template.render(git_name="Ann", git_email="ann@example.org"))
    listed = ask("git", "config", "--file", str(tmp_path / "local"), "--list").splitlines()
    assert {"user.name=Ann", "user.email=ann@example.org", "gpg.format=ssh", "commit.gpgsign=true"} <= set(listed)


ENVIRONMENT_GENERATOR = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")


@pytest.mark.skipif(not ENVIRONMENT_GENERATOR.exists(), reason="systemd has no generator of user environments here")
def test_systemd_reads_the_environment_of_a_desktop(home: Path) -> None:
    shutil.copytree(DESKTOP, home, dirs_exist_ok=True)
    told = ask("env", "-u", "XDG_CONFIG_HOME", "PATH=/usr/bin", str(ENVIRONMENT_GENERATOR)).splitlines()
    assert {f"PATH={home}/.local/bin:/usr/bin", "MOZ_ENABLE_WAYLAND=1"} <= {
        line.replace("$'", "").strip("'") for line in told
    }

"""Of the environment only what says who this is and how this machine reaches others gets to what we start."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from agent.system.process import passed_on

_NAMES = """
    UV_CONFIG_FILE UV_PYTHON UV_CACHE_DIR PIP_CONFIG_FILE PIP_TARGET PYTHONINSPECT PYTHONUSERBASE PYTHONSTARTUP
    PYTHONPATH PYTHONHOME PYTHONBREAKPOINT GCONV_PATH LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT PERL5LIB PERL5OPT RUBYOPT
    NODE_OPTIONS BASH_ENV ENV SHELLOPTS IFS CDPATH GIT_DIR GIT_SSH_COMMAND GIT_CONFIG_COUNT GIT_EXEC_PATH SSH_ASKPASS
    APT_CONFIG DPKG_ROOT DPKG_ADMINDIR DEBIAN_FRONTEND DEBCONF_DB_OVERRIDE TAR_OPTIONS GZIP GREP_OPTIONS LS_COLORS
    LOCPATH PYINFRA_YES NOTIFY_SOCKET SYSTEMD_PAGER EDITOR TMPDIR XDG_CONFIG_HOME HOSTALIASES RES_OPTIONS
    MALLOC_CHECK_
"""
HARMFUL = _NAMES.split()
NEEDED = ["PATH", "HOME", "TZ", "http_proxy", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE"]


def test_what_changes_how_programs_behave_is_not_passed_on() -> None:
    given = dict.fromkeys([*HARMFUL, *NEEDED], "x")
    assert sorted(passed_on(given)) == sorted(NEEDED)


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root is the command started anew")
def test_the_command_ends_though_python_is_told_to_stay() -> None:
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "PYTHONINSPECT": "1", "PYTHONSTARTUP": "/no/such"}
    try:
        argv = [sys.executable, "-m", "agent", "--version"]
        done = subprocess.run(argv, stdin=theirs, capture_output=True, timeout=30, env=environment, check=False)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")

#!/bin/sh
# The agent's way back, run by its units from /opt/hostwright/rescue:
#
#   rescue.sh build     builds the environment anew if its Python does not run any more (hostwright-rescue.service)
#   rescue.sh revert    switches back to the version before the one on trial (hostwright-revert.service)
#
# POSIX sh, for there may be no Python. The version that was installed, or has shown that it is well, put it there.

set -eu

OPT=/opt/hostwright
RUN=/run/hostwright
VAR=/var/lib/hostwright
LOG=/var/log/hostwright-bootstrap.log
LOCK=/run/hostwright-bootstrap.lock
FAILED=$RUN/rescue.failed
AGAIN_MIN=10
CYCLE_ENDS_S=1500
CYCLE_LASTS_S=1800
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

EXIT_HOST=3 EXIT_LOCKED=75

say() { printf '%s\n' "$*" >&2; }

die() {
    say "rescue: $2"
    exit "$1"
}

# --- Build --------------------------------------------------------------------------------------------------------

runs() { "$OPT/current/bin/python" -I -c 'import agent' 2>/dev/null; }

# The wheel of pip that a Python carries for its environments; fails where it is no Python for the agent.
FIND_PIP='import glob, os, sys, sysconfig, venv
assert sys.version_info >= (3, 11)
folders = sysconfig.get_config_var("WHEEL_PKG_DIR") or "", os.path.dirname(os.__file__) + "/ensurepip/_bundled"
print([wheel for folder in folders for wheel in glob.glob(f"{folder}/pip-*.whl")][0])'

# Sets $python.
find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        python=$(command -v "$python") || continue
        ! "$python" -I -c "$FIND_PIP" >/dev/null 2>&1 || return 0
    done
    return 1
}

# Where version 0.1.0 was installed first, which did not write down how: sets $install and $pythons.
find_manager() {
    for manager in apt-get dnf apk pacman zypper ''; do
        [ -z "$manager" ] || ! command -v "$manager" >/dev/null || break
    done
    case $manager in
    apt-get)
        install='env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -y --no-install-recommends install'
        pythons='python3-venv python3.13-venv python3.12-venv python3.11-venv'
        ;;
    dnf) install='dnf -q -y install' pythons='python3 python3.13 python3.12 python3.11' ;;
    apk) install='apk add --no-progress' pythons=python3 ;;
    pacman) install='pacman -S --noconfirm --needed' pythons=python ;;
    zypper) install='zypper --non-interactive install' pythons='python313 python312 python311 python3' ;;
    esac
}

# An upgrade may leave a Python without its venv behind.
install_python() {
    proxy=$(sed -n 's/^proxy //p' "$kept/sources")
    [ -z "$proxy" ] || export http_proxy="$proxy" https_proxy="$proxy"
    install=$(sed -n 's/^install //p' "$kept/sources")
    pythons=$(sed -n 's/^pythons //p' "$kept/sources")
    [ -n "$install" ] || find_manager
    for name in $pythons; do
        $install "$name" </dev/null >>"$LOG" 2>&1 || :
        ! find_python || return 0
    done
    die "$EXIT_HOST" "no Python 3.11 or newer with venv: install one (log: $LOG)"
}

# Called before each start of the daemon and of a cycle: where all is well, that costs the start of one Python.
build() {
    ! runs || exit 0
    [ -L "$OPT/current" ] || die "$EXIT_HOST" "there is no $OPT/current: run bootstrap.sh"
    if [ -n "$(find "$FAILED" -mmin "-$AGAIN_MIN" 2>/dev/null)" ]; then
        die "$EXIT_HOST" "the agent's environment is broken, and it was tried a short while ago: see $LOG, or run \
bootstrap.sh by hand; tried every $AGAIN_MIN minutes"
    fi
    mkdir -p "$RUN"
    : >"$FAILED"
    kept=$OPT/rescue/$(basename "$(readlink "$OPT/current")")
    [ -f "$kept/sources" ] ||
        die "$EXIT_HOST" "the agent's Python does not run, and nothing was kept to build another: run bootstrap.sh again"
    say "the agent's Python does not run any more: building the environment anew"
    # A cycle that is at work, upgrading this very machine perhaps, has the old one open.
    exec 8>>"$RUN/lock" 9>"$LOCK"
    if command -v flock >/dev/null; then
        flock -w "$CYCLE_ENDS_S" 8 || die "$EXIT_LOCKED" "a cycle does not end: see systemctl status hostwright-cycle"
        flock -n 9 || die "$EXIT_LOCKED" "a bootstrap is running: tried again when it has ended"
    fi
    # Some systems let others write to /var/log.
    [ -z "$(find "$LOG" \( ! -user 0 -o ! -type f \) 2>/dev/null)" ] ||
        die "$EXIT_HOST" "$LOG is no file of root's: find out who made it, then move it away"
    : >>"$LOG" && chmod 600 "$LOG"
    find_python || install_python
    "$python" -I "$OPT/rescue/environment.py" "$kept" "$kept/sources" </dev/null >>"$LOG" ||
        die "$EXIT_HOST" "$(tail -n 1 "$LOG"): see $LOG, or run bootstrap.sh by hand"
    rm -rf "$OPT/versions/"*.old
    runs || die "$EXIT_HOST" "the new environment does not run either: see $LOG"
    rm -f "$FAILED"
    "$OPT/current/bin/python" -I -c 'import platform; print(platform.python_version())' >"$VAR/rescued.new"
    mv "$VAR/rescued.new" "$VAR/rescued" # the next cycle tells of it
    say "the agent runs on Python $(cat "$VAR/rescued") now"
    # A daemon that was running has what is gone in its memory.
    [ ! -d /run/systemd/system ] ||
        systemctl -q --no-block try-restart hostwright.service hostwright-webhook.service || :
}

# --- Revert -------------------------------------------------------------------------------------------------------

# Needs nothing but links: neither a Python, nor room on the disk, nor what is on trial. It can be cut off anywhere, and
# run again. A cycle that is at work is waited for, whoever began it: it may be in the middle of an apply, and it may
# keep the version yet; one that lasts is asked to end.
revert() {
    [ -L "$OPT/previous" ] || exit 0
    systemctl -q stop hostwright.service || :
    mkdir -p "$RUN"
    exec 8>>"$RUN/lock"
    if ! cycle_ends; then
        say "a cycle does not end; tried again in a while"
        code=$EXIT_LOCKED
    else
        switch_back && code=0 || code=$?
    fi
    ! systemctl -q is-enabled hostwright.service || systemctl -q --no-block start hostwright.service || code=$EXIT_HOST
    systemctl -q --no-block try-restart hostwright-webhook.service || :
    exit "$code"
}

# Within its time, or when it is asked to: it then finishes the operation it is in.
cycle_ends() {
    ! command -v flock >/dev/null || flock -w "$CYCLE_LASTS_S" 8 || {
        systemctl -q stop hostwright-cycle.service || :
        flock -w "$CYCLE_ENDS_S" 8
    }
}

switch_back() {
    [ -L "$OPT/previous" ] || return 0 # it was kept
    from=$(readlink "$OPT/current") && to=$(readlink "$OPT/previous") || return
    [ -x "$OPT/$to/bin/hostwright" ] || {
        say "there is no $OPT/$to to go back to"
        return "$EXIT_HOST"
    }
    if [ "$from" != "$to" ]; then
        say "agent ${from##*/} did not report well in its time: switching back to ${to##*/}"
        # The mark for the version gone back to; without it that one tries again.
        rm -f "$OPT/reverted"
        ln -s "$from" "$OPT/reverted" || :
        rm -f "$OPT/current.new" && ln -s "$to" "$OPT/current.new" && mv -T "$OPT/current.new" "$OPT/current" || return
        sync
    fi
    "$OPT/current/bin/hostwright" internal units || : # the other one had put its own in their place
}

umask 022
cd /
case ${1-} in
build | revert) "$1" ;;
*) die 2 "usage: rescue.sh build | revert" ;;
esac

#!/bin/sh
# Turns a bare Linux machine into one that is what Git says, and keeps it so.
#
# This script does only what must happen before Python of ours can run: it finds the package manager, installs
# what is missing, and builds /opt/hostwright/versions/<version>. `hostwright setup` does the rest. A copy stays in
# /opt/hostwright/rescue: when an upgrade of the distribution takes the environment's Python away, it builds another.
# POSIX sh: dash, bash and busybox sh run it. All of it is functions, so that a half-loaded pipe does nothing.

set -eu

VERSION=0.1.0 # of the agent; a test keeps it equal to agent/__init__.py

OPT=/opt/hostwright
ETC=/etc/hostwright
VAR=/var/lib/hostwright
RUN=/run/hostwright
UNITS=/etc/systemd/system
COMMAND=/usr/local/bin/hostwright
LOG=/var/log/hostwright-bootstrap.log
LOCK=/run/hostwright-bootstrap.lock
RESCUE=$OPT/rescue
RESCUE_FAILED=$RUN/rescue.failed
RESCUE_AGAIN_MIN=10
CYCLE_ENDS_S=1500
CYCLE_LASTS_S=1800
# What was on the machine before the first of our packages, then "+name" for each that was asked for. It survives a
# try that fails, so that the next one knows what was ours, and not a reboot: by then others may have installed some.
PACKAGES=/run/hostwright-bootstrap.packages

# An environment takes 110 MB; while it is built, the downloads lie beside it.
NEEDED_KB=256000
# Unattended upgrades hold dpkg's lock for minutes on a machine that has just booted.
PACKAGE_LOCK_S=120

# How package managers, pip, uv and git say it.
NO_NETWORK='could not resolve|resolving|name resolution|dns error|unreachable|timed? ?out|connection (refused|reset)'
NO_NETWORK="$NO_NETWORK|no route|failed to (fetch|connect)|(could not|unable to) connect|new connection"

EXIT_USAGE=2 EXIT_HOST=3 EXIT_SOURCE=4 EXIT_TRUST=5 EXIT_INVENTORY=6 EXIT_PLANNED=10 EXIT_LOCKED=75

usage() {
    cat <<'HELP'
Usage: bootstrap.sh [OPTIONS]
       curl -fsSL URL/bootstrap.sh | sh -s -- --repo URL [OPTIONS]

Turns this machine into what a config repository says it is, and keeps it so.

Without options it uses the clone that it lies in: copies it to the root-owned
/var/lib/hostwright/origin.git, which becomes the remote, and applies inventories/local.
Run again, it changes only what differs. Options given before are remembered.

What this machine follows
  --repo URL             config repository: https, ssh, git@host:path, or a root-owned path
  --branch NAME          branch to follow (default: the clone's own, or main)
  --inventory NAME       folder below inventories/ (default: local, or the only one there is)
  --host NAME            this machine's name in the inventory (default: its host name, exactly,
                         else localhost if the inventory has such a host)
  --status-repo URL      where reports go (default: branch status of the config repository)

Whom it trusts
  --trust signed|unsigned   whether commits must be signed (default: signed; unsigned only
                            where the remote is this machine's own origin.git)
  --trusted-signers FILE    who may sign, in OpenSSH's allowed_signers format; needed with signed
  --min-commit SHA          the first commit must be this one or descend from it
  --known-hosts FILE        host keys of the ssh remotes (default: those that you or root know)

How it gets there
  --wheelhouse DIR       install Python packages from this folder, without network:
                         pip download --require-hashes --only-binary :all: -r requirements.txt -d DIR
  --index URL            package index to use instead of the default one
  --proxy URL            HTTP proxy for packages and for https remotes
  --ca FILE              certificates (PEM) to trust for https

What to do
  --plan                 install the agent, show what it would change, start nothing
  --once                 converge once, install no service
  --uninstall            give the machine back as it was, and take the agent away
  --rescue               build the agent's environment anew if its Python is gone; its units ask for
                         this by themselves
  --update FILE          build the environment of the agent that this lock names, beside the current
                         one; the agent asks for this by itself
  --revert               switch back to the agent that was there before the one on trial; a timer
                         asks for this by itself
  --verbose, -v          with --plan: show new files whole
  --version, --help      print and exit

The agent itself comes from the clone that this script lies in. Piped, there is none; then it comes
from the config repository if that holds the agent (agent/, requirements.txt), otherwise from the
--index or --wheelhouse you name, as hostwright==<version of this script>. It is never taken by name
from a public index that nobody named.

Exit codes: 0 fine, 2 usage, 3 this machine, 4 source or network, 5 trust, 6 inventory, 7 a deploy
failed, 10 changes wanted (--plan), 75 locked. More in docs/operations.md.
HELP
}

# --- Talk ---------------------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }

# die CODE WHAT HINT: the one line that every failure ends in.
die() {
    printf 'bootstrap: %s: %s\n' "$2" "$3" >&2
    exit "$1"
}

# quiet COMMAND…: runs it; what it says goes to the log, and to $work/said for explain.
quiet() {
    printf '\n$ %s\n' "$*" >>"$LOG"
    "$@" </dev/null >"$work/said" 2>&1 && quiet_code=0 || quiet_code=$?
    cat "$work/said" >>"$LOG"
    return "$quiet_code"
}

said() { grep -qiE -e "$1" "$work/said"; }

# explain WHAT HINT: ends with the reason, if what the last quiet command said names a usual one, else with HINT.
explain() {
    if said 'no space left|not enough (free )?(disk )?space|disk quota'; then
        die "$EXIT_HOST" "$1: the disk is full" "free some space below /opt, /usr and /var, then run this again"
    elif said 'could not get lock|unable to (acquire|lock)|database is locked|is locked by|waiting for (cache )?lock'; then
        die "$EXIT_LOCKED" "$1: another package manager is at work" "wait until it has ended, then run this again"
    elif said 'hash mismatch|hashes? (do|does) not match|do not match the hashes'; then
        die "$EXIT_SOURCE" "$1: a download is not what requirements.txt locks" "do not use it; see $LOG"
    elif said 'certificate|self.signed|unknownissuer'; then
        die "$EXIT_SOURCE" "$1: a TLS certificate is not trusted" "name your authority with --ca FILE (log: $LOG)"
    elif said "$NO_NETWORK"; then
        die "$EXIT_SOURCE" "$1: no network" "check DNS and route, or use --proxy, --index or --wheelhouse (log: $LOG)"
    fi
    die "${3:-$EXIT_HOST}" "$1" "$2"
}

# --- Arguments ----------------------------------------------------------------------------------------------------

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --*=*)
            option=${1%%=*}
            value=${1#*=}
            shift
            set -- "$option" "$value" "$@"
            given=joined
            ;;
        *) given=apart ;;
        esac
        case $1 in
        --repo | --branch | --inventory | --host | --status-repo | --trust | --trusted-signers | --min-commit | \
            --known-hosts | --wheelhouse | --index | --proxy | --ca | --update)
            [ $# -ge 2 ] || die "$EXIT_USAGE" "$1 needs a value" "see --help"
            remember "$1" "$2"
            [ "$1" != --update ] || choose_action "$1"
            shift 2
            ;;
        --plan | --once | --uninstall | --rescue | --revert | --version | --help | -h)
            [ "$given" = apart ] || die "$EXIT_USAGE" "$1 takes no value" "write it without ="
            case $1 in
            --help | -h) usage && exit 0 ;;
            --version) printf 'hostwright %s\n' "$VERSION" && exit 0 ;;
            esac
            choose_action "$1"
            shift
            ;;
        --verbose | -v)
            [ "$given" = apart ] || die "$EXIT_USAGE" "$1 takes no value" "write it without ="
            verbose=--verbose
            shift
            ;;
        *) die "$EXIT_USAGE" "unknown argument '$1'" "see --help" ;;
        esac
    done
}

choose_action() {
    [ -z "$action" ] || die "$EXIT_USAGE" "$action and $1 exclude each other" "give one of them"
    action=$1
}

# remember OPTION VALUE: checked as far as it can be without the repository.
remember() {
    case $2 in
    '') die "$EXIT_USAGE" "$1 is empty" "give it a value, or leave it out" ;;
    -*) die "$EXIT_USAGE" "$1 cannot be '$2'" "a value does not begin with a dash" ;;
    *[![:print:]]*) die "$EXIT_USAGE" "$1 holds a control character" "write it as one plain line" ;;
    esac
    case $1 in
    --repo)
        remote "$1" "$2"
        repo=$2
        ;;
    --branch) branch=$2 ;;
    --inventory) inventory=$2 ;;
    --host) host=$2 ;;
    --status-repo)
        remote "$1" "$2"
        status_repo=$2
        ;;
    --trust)
        case $2 in
        signed | unsigned) trust=$2 ;;
        *) die "$EXIT_USAGE" "--trust cannot be '$2'" "write signed or unsigned" ;;
        esac
        ;;
    --min-commit)
        case $2 in
        *[!0-9a-f]*) die "$EXIT_USAGE" "--min-commit '$2' is no commit" "give all 40 hex digits" ;;
        esac
        [ ${#2} -eq 40 ] || die "$EXIT_USAGE" "--min-commit '$2' is no full commit" "give all 40 hex digits"
        min_commit=$2
        ;;
    --trusted-signers) trusted_signers=$(readable "$1" "$2") ;;
    --known-hosts) known_hosts=$(readable "$1" "$2") ;;
    --ca) ca=$(readable "$1" "$2") ;;
    --update) requirements=$(readable "$1" "$2") ;;
    --wheelhouse)
        [ -d "$2" ] || die "$EXIT_USAGE" "--wheelhouse $2 is no folder" "name the folder that holds the wheels"
        wheelhouse=$(absolute "$2")
        ;;
    --index)
        url "$1" "$2"
        index=$2
        ;;
    --proxy)
        url "$1" "$2"
        proxy=$2
        ;;
    esac
}

readable() {
    { [ -f "$2" ] && [ -r "$2" ]; } || die "$EXIT_USAGE" "$1 $2 cannot be read" "name a file that exists"
    absolute "$2"
}

absolute() {
    case $1 in
    /*) printf '%s' "$1" ;;
    *) printf '%s/%s' "$(pwd -P)" "$1" ;;
    esac
}

url() {
    case $2 in
    *' '*) ;;
    https://?* | http://?*) return ;;
    file:///?*) [ "$1" = --index ] && return ;;
    esac
    die "$EXIT_USAGE" "$1 '$2' is no URL" "write it like https://name/path"
}

# The forms that the agent follows too (agent/system/remote.py).
remote() {
    case $2 in
    *' '* | *::*) ;;
    https://?* | http://?* | ssh://?* | file:///?* | /*) return ;;
    *://*) ;;
    *?:?*) return ;;
    esac
    die "$EXIT_USAGE" "$1 cannot be '$(masked "$2")'" "write https://…, ssh://…, git@host:path or an absolute path"
}

# The folder that this script lies in, if that is a clone with the agent; nothing when the script is piped.
find_clone() {
    case $0 in
    */bootstrap.sh) clone=${0%/*} ;;
    bootstrap.sh) clone=. ;;
    *) return 0 ;;
    esac
    clone=$(CDPATH='' cd -- "$clone" && pwd -P)
    [ -f "$clone/agent/__init__.py" ] || clone=
}

# What can be told to be wrong before anything is touched.
check_arguments() {
    if [ -z "$clone$repo" ] && [ ! -f "$ETC/agent.yaml" ]; then
        die "$EXIT_USAGE" "there is no clone beside this script" "say which config repository to follow: --repo URL"
    fi
    [ -n "$trusted_signers$repo" ] || [ "$trust" != signed ] || [ -f "$ETC/trusted_signers" ] ||
        die "$EXIT_USAGE" "--trust signed needs to know whom to trust" "add --trusted-signers FILE"
    if [ -n "$repo" ] && [ "$trust" != unsigned ] && [ -z "$trusted_signers" ] && [ ! -f "$ETC/trusted_signers" ] &&
        [ ! -f "$ETC/agent.yaml" ]; then
        die "$EXIT_USAGE" "$(masked "$repo") is trusted by its signatures" \
            "add --trusted-signers FILE, or say --trust unsigned"
    fi
    if [ -n "$clone" ] && [ -z "$repo$branch" ]; then check_names "$clone"; fi
}

# check_names FOLDER: the inventory is there, and this machine may be one of its hosts. Without a reader of YAML only this
# is certain: a name that stands nowhere in the hosts files, and in none of their ranges, is no host.
check_names() {
    [ -d "$1/inventories" ] || return 0
    found=$(cd "$1/inventories" && printf '%s\n' */ | tr -d /)
    chosen=$inventory
    if [ -z "$chosen" ]; then
        [ ! -f "$ETC/agent.yaml" ] || return 0 # it is remembered there
        if [ -d "$1/inventories/local" ]; then
            chosen=local
        elif [ "$(printf '%s\n' "$found" | wc -l)" -eq 1 ]; then
            chosen=$found
        else
            die "$EXIT_INVENTORY" "it is not said which inventory this host is in" "name one with --inventory: $(listed)"
        fi
    fi
    [ -d "$1/inventories/$chosen" ] ||
        die "$EXIT_INVENTORY" "there is no inventory $chosen" "name one with --inventory: $(listed)"
    names=$host
    if [ -z "$names" ]; then
        [ ! -f "$ETC/agent.yaml" ] || return 0
        names=$(printf '%s\n' "$(uname -n | cut -d . -f 1)" localhost)
    fi
    set -- "$1/inventories/$chosen/hosts"*
    [ -f "$1" ] || return 0
    ! grep -qF -e "$names" -e "\\" -- "$@" || return 0 # a name may be written with escapes
    ranges=$(grep -ohE '[A-Za-z0-9._-]*(\[[^]]*:[^]]*\][A-Za-z0-9._-]*)+' -- "$@" |
        sed 's/\./\\./g; s/\[[^]]*\]/[0-9A-Za-z]+/g') || :
    [ -z "$ranges" ] || ! printf '%s\n' "$names" | grep -qxE -e "$ranges" || return 0
    die "$EXIT_INVENTORY" "inventories/$chosen does not know a host ${host:-$(uname -n)}" \
        "add it there, or say which host this is with --host NAME"
}

listed() { printf '%s' "${found:-there is none}" | tr '\n' ' '; }

# URLs may hold a password.
masked() { printf '%s' "$1" | sed 's,//[^/@]*@,//***@,'; }

check_machine() {
    [ "$(uname -s)" = Linux ] || die "$EXIT_HOST" "this is $(uname -s)" "the agent runs on Linux"
    [ "$(id -u)" -eq 0 ] || die "$EXIT_HOST" "this needs root" "run it with sudo, or as root"
}

# Nobody but root may have put anything in our places, nor be able to put another thing there.
check_places() {
    for place in "$OPT" "$ETC" "$VAR" "$RUN" "$UNITS"; do
        check_way "$place" -020
        if [ -e "$place" ] && [ ! -d "$place" ]; then die "$EXIT_HOST" "$place is no folder" "move it away"; fi
    done
    check_way "${COMMAND%/*}" -002 # Debian lets the group staff write there
    for place in "$OPT" "$ETC" "$VAR" "$RUN" "$COMMAND" "$UNITS"/hostwright*; do
        # An environment of a former version holds a lock of uv's that all may write to.
        check_found "$(find "$place" ! -name .lock \( ! -user 0 -o \( -type f -o -type d \) \
            \( -perm -020 -o -perm -002 \) \) 2>/dev/null)"
    done
    for place in "$LOG" "$LOCK" "$PACKAGES"; do
        check_found "$(find "$place" \( ! -user 0 -o ! -type f \) 2>/dev/null)"
    done
}

# check_way PATH WRITABLE: each folder and link on the way to PATH is root's, and nobody else may write to it.
check_way() {
    (
        set -f
        IFS=/
        way=
        for part in ${1#/}; do
            way=$way/$part
            [ -e "$way" ] || [ -L "$way" ] || exit 0
            check_found "$(find "$way" -prune ! -user 0)"
            if [ -L "$way" ]; then
                target=$(readlink "$way")
                [ "${target#/}" != "$target" ] || target=${way%/*}/$target
                check_way "$target" "$2"
                way=$(readlink -f "$way")
            else
                # In a sticky folder nobody renames what is not theirs.
                check_found "$(find "$way" -prune ! -perm -1000 \( -perm -002 -o -perm "$2" \))"
            fi
        done
    ) || exit
}

# check_found PATHS: ends with the first, if there is one.
check_found() {
    [ -n "$1" ] || return 0
    first=$(printf '%s\n' "$1" | head -n 1)
    # shellcheck disable=SC2012 # find cannot say it everywhere
    die "$EXIT_HOST" "$first can be changed by others than root ($(ls -ld "$first" | awk '{ print $1 ", " $3 ":" $4 }'))" \
        "find out who made it; then move it away, or: chown root:root and chmod go-w"
}

# --- Packages -----------------------------------------------------------------------------------------------------

find_manager() {
    for manager in apt-get dnf apk pacman zypper; do
        if command -v "$manager" >/dev/null; then return; fi
    done
    manager=
}

# One line per manager: git, ssh client, certificates, then the names of Python to try, the best first.
package_names() {
    case $manager in
    apt-get) names='git openssh-client ca-certificates' pythons='python3-venv python3.13-venv python3.12-venv python3.11-venv' ;;
    dnf) names='git-core openssh-clients ca-certificates' pythons='python3 python3.13 python3.12 python3.11' ;;
    apk) names='git openssh-client ca-certificates' pythons='python3' ;;
    pacman) names='git openssh ca-certificates' pythons='python' ;;
    zypper) names='git-core openssh-clients ca-certificates' pythons='python313 python312 python311 python3' ;;
    esac
}

refresh_packages() {
    case $manager in
    apt-get) quiet apt-get -q -o DPkg::Lock::Timeout="$PACKAGE_LOCK_S" update ;;
    apk) quiet apk update ;;
    *) ;; # the others refresh when they install
    esac
}

# The names of all packages; with their architecture where it is not the machine's own.
list_packages() {
    case $manager in
    apt-get)
        dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Architecture}\n' |
            awk -F '|' -v own="$(dpkg --print-architecture)" \
                '$1 !~ /^.[nc]/ { print $3 == own || $3 == "all" ? $2 : $2 ":" $3 }'
        ;;
    dnf | zypper) rpm -qa --qf '%{NAME}\n' ;;
    apk) apk info -q ;;
    pacman) pacman -Qq ;;
    esac
}

note_packages() {
    if [ ! -s "$PACKAGES" ]; then
        list_packages >"$PACKAGES.new"
        chmod 600 "$PACKAGES.new"
        mv "$PACKAGES.new" "$PACKAGES"
    fi
    printf '+%s\n' "$@" >>"$PACKAGES"
}

add_packages() {
    note_packages "$@"
    case $manager in
    apt-get)
        quiet env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -y --no-install-recommends \
            -o DPkg::Lock::Timeout="$PACKAGE_LOCK_S" -o Dpkg::Use-Pty=0 install "$@"
        ;;
    dnf) quiet dnf -q -y --setopt=install_weak_deps=False install "$@" ;;
    apk) quiet apk add --no-progress "$@" ;;
    pacman) quiet pacman -Sy --noconfirm --needed "$@" ;; # a bare machine has no package lists yet
    zypper) quiet zypper --non-interactive install --no-recommends "$@" ;;
    esac
}

# The agent's Python: 3.11 or newer, able to make environments. Sets $python.
find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        python=$(command -v "$python") || continue
        if "$python" -I -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return 0
        fi
    done
    python=
    return 1
}

has_certificates() {
    for bundle in ${ca:+"$ca"} /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
        /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
        if [ -s "$bundle" ]; then return 0; fi
    done
    bundle=
    return 1
}

install_packages() {
    missing=
    command -v git >/dev/null || missing="git"
    if ! command -v ssh >/dev/null || ! command -v ssh-keygen >/dev/null; then missing="$missing ssh"; fi
    has_certificates || missing="$missing certificates"
    find_python || missing="$missing Python"
    [ -n "$missing" ] || return 0
    find_manager
    [ -n "$manager" ] || die "$EXIT_HOST" "missing: $missing, and no apt, dnf, apk, pacman or zypper to get it with" \
        "install git, an ssh client and Python 3.11 or newer with venv, then run this again"
    package_names
    # shellcheck disable=SC2086 # lists of plain names, split on purpose
    set -- $names
    wanted=
    case " $missing " in *' git '*) wanted=$1 ;; esac
    case " $missing " in *' ssh '*) wanted="$wanted $2" ;; esac
    case " $missing " in *' certificates '*) wanted="$wanted $3" ;; esac
    first=
    case " $missing " in *' Python '*) first=${pythons%% *} ;; esac
    say "installing $wanted $first ($manager)"
    refresh_packages || : # one broken repository of many is no reason to stop; the next command tells
    # shellcheck disable=SC2086
    add_packages $wanted $first || explain "$manager could not install$wanted${first:+ $first}" "see $LOG"
    for name in $pythons; do
        if find_python; then break; fi
        [ "$name" = "$first" ] || add_packages "$name" || :
    done
    find_python || die "$EXIT_HOST" "no Python 3.11 or newer with venv, and $manager offers none" \
        "install one as python3.11 or newer, then run this again"
    has_certificates || :
}

# --- Where the agent comes from -----------------------------------------------------------------------------------

# Sets $agent (what to install), $requirements (its lock) and $version.
find_agent() {
    if [ -n "$clone" ]; then
        agent=$clone
    else
        clone_config_repo
        agent=$work/source
        { [ -f "$agent/agent/__init__.py" ] && [ -f "$agent/requirements.txt" ]; } || fetch_wheel
    fi
    if [ -d "$agent" ]; then
        requirements=$agent/requirements.txt
        version=$(sed -n 's/^__version__ = "\([0-9][0-9A-Za-z.+]*\)"$/\1/p' "$agent/agent/__init__.py")
        digest=$(cd "$agent" && find agent pyproject.toml requirements.txt -type f ! -name '*.pyc' -exec sha256sum {} + |
            LC_ALL=C sort | sha256sum)
    fi
    [ -n "$version" ] || die "$EXIT_SOURCE" "$agent/agent/__init__.py names no version" "get a fresh clone"
    [ -s "$requirements" ] || die "$EXIT_SOURCE" "$requirements is missing or empty" "get a fresh clone"
}

clone_config_repo() {
    [ -n "$repo" ] || die "$EXIT_USAGE" "there is no clone beside this script" "say where the agent is: --repo URL"
    say "fetching $(masked "$repo")"
    set -- ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=20
    if [ -n "$known_hosts" ]; then
        cp -- "$known_hosts" "$work/known_hosts" # a name without a space or quote in it
        set -- "$@" -o UserKnownHostsFile="$work/known_hosts"
    fi
    quiet env GIT_TERMINAL_PROMPT=0 GIT_SSH_COMMAND="$*" git clone -q --single-branch --branch "${branch:-main}" \
        -- "$repo" "$work/source" || {
        if said 'remote branch .* not found'; then
            die "$EXIT_SOURCE" "$(masked "$repo") has no branch ${branch:-main}" "name the right one with --branch"
        elif said 'host key verification failed'; then
            die "$EXIT_TRUST" "the host key of $(masked "$repo") is not known" "give it with --known-hosts FILE"
        fi
        explain "$(masked "$repo") cannot be cloned: $(tail -n 1 "$work/said")" "check the URL and your access" "$EXIT_SOURCE"
    }
    [ "$trust" = unsigned ] || check_signature
    check_names "$work/source"
}

# Code of this commit is about to run as root, before the agent can judge it: the tip must be signed by one of ours.
check_signature() {
    [ -n "$trusted_signers" ] || trusted_signers=$ETC/trusted_signers
    quiet git -C "$work/source" -c gpg.program=false -c gpg.ssh.allowedSignersFile="$trusted_signers" verify-commit HEAD ||
        die "$EXIT_TRUST" "the newest commit of $(masked "$repo") is not signed by anybody in $trusted_signers" \
            "sign it, or correct --trusted-signers"
    [ -z "$min_commit" ] || quiet git -C "$work/source" merge-base --is-ancestor "$min_commit" HEAD ||
        die "$EXIT_TRUST" "$(masked "$repo") does not contain the commit $min_commit" "this is not the history you expect"
}

# A config repository without the agent: the wheel, from where the administrator said. Its lock lies inside.
fetch_wheel() {
    [ -n "$index$wheelhouse" ] || die "$EXIT_SOURCE" "$(masked "$repo") does not hold the agent" \
        "run bootstrap.sh from a clone of Hostwright with --repo, or name an --index or --wheelhouse that has it"
    version=$VERSION
    pip download --no-deps --dest "$work/wheel" "hostwright==$version" ||
        explain "hostwright $version cannot be downloaded" "see $LOG" "$EXIT_SOURCE"
    agent=$(echo "$work/wheel/"hostwright-*.whl)
    quiet "$python" -I -m zipfile -e "$agent" "$work/unpacked"
    requirements=$work/unpacked/hostwright-$version.dist-info/extra_metadata/requirements.txt
    digest=$(sha256sum <"$agent")
}

# pip straight from the wheel that every Python carries for ensurepip: an environment without pip is made in a
# twentieth of a second, one with pip takes two and a half.
pip() {
    pip_wheel=$("$python" -I -c '
import ensurepip, pathlib, sysconfig
folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), pathlib.Path(ensurepip.__file__).parent / "_bundled"]
print(next(wheel for folder in folders if folder for wheel in pathlib.Path(folder).glob("pip-*.whl")))') ||
        die "$EXIT_HOST" "$python carries no pip" "install your distribution's package of Python's venv"
    command=$1
    shift
    set -- "$command" --no-cache-dir --no-input --only-binary :all: --disable-pip-version-check "$@"
    [ -z "$wheelhouse" ] || set -- "$@" --no-index --find-links "$wheelhouse"
    [ -z "$index" ] || set -- "$@" --index-url "$index"
    quiet "${environment_python:-$python}" -I "$pip_wheel/pip" "$@"
}

# --- The environment ----------------------------------------------------------------------------------------------

is_complete() {
    [ -f "$environment/.complete" ] && [ "$(cat "$environment/.complete")" = "$digest" ] &&
        "$environment/bin/hostwright" --version >/dev/null 2>&1
}

check_space() {
    for folder in /opt /usr /var; do
        free=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print $4 }')
        [ -z "$free" ] || [ "$free" -ge "$NEEDED_KB" ] ||
            die "$EXIT_HOST" "the disk of $folder is almost full" "it needs $((NEEDED_KB / 1000)) MB, free some and run this again"
    done
}

# Environments cannot be moved, so it is built where it stays. What tells a whole one from one that was killed half
# way is the mark, written last. One of the same version with other content waits aside, to be put back on failure.
make_environment() {
    environment=$OPT/versions/$version
    if is_complete; then
        say "agent $version is already in $environment"
        return
    fi
    say "installing agent $version in $environment"
    check_space
    mkdir -p "$OPT/versions"
    if [ -f "$environment/.complete" ]; then
        rm -rf "$environment.old"
        mv "$environment" "$environment.old"
    fi
    building=$environment
    rm -rf "$environment"
    quiet "$python" -I -m venv --without-pip "$environment" || explain "no environment in $environment" "see $LOG"
    environment_python=$environment/bin/python
    sed -n '/^uv==/,/[^\\]$/p' "$requirements" >"$work/uv.txt"
    pip install --no-compile --no-deps --require-hashes -r "$work/uv.txt" ||
        explain "uv cannot be installed" "see $LOG" "$EXIT_SOURCE"
    # A lock that holds the agent itself brings it too; else it comes behind what it needs.
    [ -n "$agent" ] || compile=--compile-bytecode
    uv --only-binary :all: --require-hashes ${compile:+"$compile"} -r "$requirements" ||
        explain "the agent's dependencies cannot be installed" "see $LOG" "$EXIT_SOURCE"
    [ -z "$agent" ] || uv --no-build-isolation --compile-bytecode "$agent" ||
        explain "the agent cannot be installed" "see $LOG"
    rm -rf "$environment/.cache"
    # Also compiles what the daemon imports: it may not write there itself.
    quiet "$environment_python" -I -c 'import agent.cli.main, agent.daemon' || explain "the agent does not start" "see $LOG"
    # uv makes its lock writable to all.
    find "$environment" ! -type l -exec chmod go-w {} +
    sync -f "$environment" 2>/dev/null || sync
    printf '%s\n' "$digest" >"$environment/.complete"
    renewed=yes
}

uv() {
    set -- pip install --python "$environment_python" --no-config --no-deps "$@"
    [ -z "$wheelhouse" ] || set -- "$@" --no-index --find-links "$wheelhouse"
    [ -z "$index" ] || set -- "$@" --index-url "$index"
    # The cache beside what is installed: on one file system, files are linked and not copied.
    quiet env UV_CACHE_DIR="$environment/.cache" UV_NO_PROGRESS=1 "$environment/bin/uv" "$@"
}

# Much that can stand in the environment changes what Python, pip, uv, git, ssh, apt, dpkg and its scripts do: only who
# runs this, and how this machine reaches others, is passed on.
clean_environment() {
    for variable in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
        case $variable in
        HOME | USER | LOGNAME | SUDO_USER | TERM | TMPDIR | TZ | LANG | LC_ALL | NO_COLOR | SSH_AUTH_SOCK) ;;
        http_proxy | https_proxy | ftp_proxy | all_proxy | no_proxy | HTTP_PROXY | HTTPS_PROXY | ALL_PROXY | NO_PROXY) ;;
        SSL_CERT_FILE | SSL_CERT_DIR | SSL_CLIENT_CERT | PIP_CERT | PIP_INDEX_URL | PIP_EXTRA_INDEX_URL) ;;
        PIP_FIND_LINKS | PIP_NO_INDEX | PIP_TRUSTED_HOST | PIP_DEFAULT_TIMEOUT | UV_HTTP_TIMEOUT) ;;
        UV_DEFAULT_INDEX | UV_INDEX | UV_INDEX_URL | UV_EXTRA_INDEX_URL | UV_FIND_LINKS | UV_NO_INDEX | UV_INSECURE_HOST) ;;
        IFS) unset IFS ;;
        *)
            # Some of a shell's own cannot be unset; what has the name of a variable of ours keeps its value here.
            ! (unset "$variable") 2>/dev/null || eval "value=\${$variable-}; unset $variable; $variable=\$value"
            ;;
        esac
    done
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin # no Python out of somebody's home
    export PATH
}

use_proxy_and_certificates() {
    if [ -n "$proxy" ]; then
        export http_proxy="$proxy" https_proxy="$proxy" HTTP_PROXY="$proxy" HTTPS_PROXY="$proxy"
    fi
    if [ -n "$ca" ]; then
        export SSL_CERT_FILE="$ca" PIP_CERT="$ca" GIT_SSL_CAINFO="$ca" CURL_CA_BUNDLE="$ca"
    elif [ -n "$bundle" ]; then
        # uv and pip bring certificates of their own; those of the machine know the company's authority.
        export SSL_CERT_FILE="${SSL_CERT_FILE:-$bundle}" PIP_CERT="${PIP_CERT:-$bundle}"
    fi
}

# --- Rescue --------------------------------------------------------------------------------------------------------

# What it takes to build this environment again, for another Python too, in a folder of its version: the agent, its
# lock, and where packages come from, a line each. Root's alone: an index may be named with a password. The script
# beside them is of the version that was installed or has shown that it is well.
keep_for_rescue() {
    mkdir -p "$work/rescue"
    if [ -z "$agent" ]; then
        cp "$requirements" "$work/rescue/requirements.txt"
        for script in "$environment"/lib/python3*/site-packages/hostwright-*.dist-info/extra_metadata/bootstrap.sh; do
            cp "$script" "$work/rescue/"
        done
    elif [ -d "$agent" ]; then
        for name in agent pyproject.toml requirements.txt README.md LICENSE bootstrap.sh; do
            [ ! -e "$agent/$name" ] || cp -R "$agent/$name" "$work/rescue/"
        done
        find "$work/rescue" -name __pycache__ -prune -exec rm -rf {} +
    else
        cp "$agent" "$requirements" "${requirements%/*}/bootstrap.sh" "$work/rescue/"
    fi
    [ -f "$work/rescue/bootstrap.sh" ] || [ ! -f "$0" ] || cp "$0" "$work/rescue/bootstrap.sh"
    printf '%s\n' "index $index" "wheelhouse $wheelhouse" "proxy $proxy" "ca $ca" >"$work/rescue/sources"
    (umask 077 && mkdir -p "$RESCUE")
    kept=$RESCUE/$version
    if ! diff -r "$work/rescue" "$kept" >/dev/null 2>&1; then
        rm -rf "$kept.new" "$kept.old"
        (umask 077 && mkdir -p "$kept.new")
        cp -R "$work/rescue/." "$kept.new"
        chmod 700 "$kept.new"
        [ ! -d "$kept" ] || mv "$kept" "$kept.old"
        mv "$kept.new" "$kept"
        rm -rf "$kept.old"
    fi
    [ "$action" = --update ] || cmp -s "$kept/bootstrap.sh" "$RESCUE/bootstrap.sh" || {
        cp "$kept/bootstrap.sh" "$RESCUE/bootstrap.sh.new"
        mv "$RESCUE/bootstrap.sh.new" "$RESCUE/bootstrap.sh"
    }
}

# What keep_for_rescue kept of the current version: sets $agent, $requirements, $version, $digest and where packages
# come from. The agent stays empty where its lock holds it.
find_kept() {
    version=$(readlink "$OPT/current")
    version=${version##*/}
    kept=$RESCUE/$version
    if [ -d "$kept/agent" ]; then
        clone=$kept
        find_agent
        clone=
    else
        requirements=$kept/requirements.txt
        agent=$(echo "$kept/"hostwright-*.whl)
        [ -f "$agent" ] || agent=
        digest=$(sha256sum <"${agent:-$requirements}")
    fi
    find_sources
}

find_sources() {
    while read -r key value; do
        case $key in
        index) index=$value ;;
        wheelhouse) wheelhouse=$value ;;
        proxy) proxy=$value ;;
        ca) ca=$value ;;
        esac
    done <"$kept/sources"
    [ ! -f "$ETC/ca.pem" ] || ca=$ETC/ca.pem # setup took a copy; the one that was named may be gone
}

runs() { "$OPT/current/bin/python" -I -c 'import agent' 2>/dev/null; }

# Called before each start of the daemon and of a cycle: what is well costs the start of one Python.
check_rescue() {
    ! runs || exit 0
    [ -L "$OPT/current" ] || die "$EXIT_HOST" "there is no $OPT/current" "run bootstrap.sh"
    if [ -n "$(find "$RESCUE_FAILED" -mmin "-$RESCUE_AGAIN_MIN" 2>/dev/null)" ]; then
        die "$EXIT_HOST" "the agent's environment is broken, and it was tried a short while ago" \
            "$(cat "$RESCUE_FAILED"); tried every $RESCUE_AGAIN_MIN minutes"
    fi
    mkdir -p "$RUN"
    echo "see $LOG, or run bootstrap.sh by hand" >"$RESCUE_FAILED"
    [ -d "$RESCUE/$(basename "$(readlink "$OPT/current")")" ] ||
        die "$EXIT_HOST" "the agent's Python does not run, and nothing was kept to build another" \
        "run bootstrap.sh again"
    say "the agent's Python does not run any more: building the environment anew"
    # A cycle that is at work, upgrading this very machine perhaps, has the old one open.
    exec 8>>"$RUN/lock"
    ! command -v flock >/dev/null || flock -w "$CYCLE_ENDS_S" 8 ||
        die "$EXIT_LOCKED" "a cycle does not end" "look at systemctl status hostwright-cycle"
}

rescued() {
    settled=yes
    runs || die "$EXIT_HOST" "the new environment does not run either" "see $LOG"
    rm -f "$RESCUE_FAILED"
    "$OPT/current/bin/python" -I -c 'import platform; print(platform.python_version())' >"$VAR/rescued.new"
    mv "$VAR/rescued.new" "$VAR/rescued" # the next cycle tells of it
    say "the agent runs on Python $(cat "$VAR/rescued") now"
    # A daemon that was running has what is gone in its memory.
    [ ! -d /run/systemd/system ] ||
        systemctl -q --no-block try-restart hostwright.service hostwright-webhook.service || :
    exit 0
}

# --- Other versions ------------------------------------------------------------------------------------------------

# What the agent wants to become, from where the current one came.
find_update() {
    kept=$RESCUE/$(basename "$(readlink "$OPT/current")")
    [ -f "$kept/sources" ] || die "$EXIT_HOST" "it is not known where the agent came from" "run bootstrap.sh again"
    find_sources
    agent=
    version=$(sed -n 's/^hostwright==\([0-9][0-9A-Za-z.+!]*\).*/\1/p' "$requirements")
    [ -n "$version" ] || die "$EXIT_SOURCE" "$requirements names no version of the agent" "lock it: hostwright lock"
    digest=$(sha256sum <"$requirements")
    version=$version-$(printf '%s' "$digest" | cut -c 1-8)
}

updated() {
    keep_for_rescue
    settled=yes
    exit 0
}

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

# --- The whole ----------------------------------------------------------------------------------------------------

# Nothing half done stays: an environment that nothing points at goes again, one that was replaced comes back.
# shellcheck disable=SC2317 # run by the trap
clean_up() {
    code=$?
    trap - EXIT
    trap '' HUP INT TERM
    if [ -n "$setup" ]; then
        kill -TERM "$setup" 2>/dev/null || :
        wait "$setup" || :
        # What the first cycle did stays, and with it what can give it back.
        [ "$(readlink "$OPT/current")" != "versions/$version" ] || settled=yes
    fi
    if [ -n "$building" ]; then
        if [ "$settled" = yes ]; then
            rm -rf "$building.old"
        else
            rm -rf "$building"
            if [ -d "$building.old" ]; then mv "$building.old" "$building"; fi
        fi
        if [ ! -e "$OPT/current" ] && [ ! -L "$OPT/current" ]; then rm -rf "$RESCUE" "$RESCUE".*; fi
        rmdir "$OPT/versions" "$OPT" 2>/dev/null || :
    fi
    [ -z "$work" ] || rm -rf "$work"
    if [ -n "$interrupted" ] && [ "$settled" = yes ]; then
        say "bootstrap: interrupted by SIG$interrupted: run this again to go on, or --uninstall to give the machine back"
    elif [ -n "$interrupted" ]; then
        say "bootstrap: interrupted by SIG$interrupted, what was written is taken back: run this again to begin anew"
    fi
    exit "$code"
}

hand_over() {
    set -- ${verbose:+"$verbose"} setup
    [ -z "$clone" ] || set -- "$@" --source "$clone"
    [ -z "$repo" ] || set -- "$@" --repo "$repo"
    [ -z "$branch" ] || set -- "$@" --branch "$branch"
    [ -z "$inventory" ] || set -- "$@" --inventory "$inventory"
    [ -z "$host" ] || set -- "$@" --host "$host"
    [ -z "$status_repo" ] || set -- "$@" --status-repo "$status_repo"
    [ -z "$trust" ] || set -- "$@" --trust "$trust"
    [ -z "$trusted_signers" ] || set -- "$@" --trusted-signers "$trusted_signers"
    [ -z "$min_commit" ] || set -- "$@" --min-commit "$min_commit"
    [ -z "$known_hosts" ] || set -- "$@" --known-hosts "$known_hosts"
    [ -z "$proxy" ] || set -- "$@" --proxy "$proxy"
    [ -z "$ca" ] || set -- "$@" --ca "$ca"
    [ -z "$action" ] || set -- "$@" "$action"
    [ -z "$renewed" ] || set -- "$@" --renewed
    [ ! -s "$PACKAGES" ] || set -- "$@" --packages-before "$PACKAGES"
    # In the background, or a signal would be heard only when it has ended.
    "$environment/bin/hostwright" "$@" </dev/null &
    setup=$!
    wait "$setup" && setup_code=0 || setup_code=$?
    setup=
    if [ "$setup_code" -eq 0 ] || { [ "$action" = --plan ] && [ "$setup_code" -eq "$EXIT_PLANNED" ]; } ||
        [ "$(readlink "$OPT/current")" = "versions/$version" ]; then
        settled=yes
    fi
    if [ "$settled" = yes ] && [ "$action" != --plan ]; then rm -f "$PACKAGES"; fi
    exit "$setup_code"
}

uninstall() {
    if "$OPT/current/bin/hostwright" --version >/dev/null 2>&1; then
        exec "$OPT/current/bin/hostwright" uninstall
    fi
    if [ ! -e "$OPT" ] && [ ! -e "$ETC" ] && [ ! -e "$VAR" ]; then
        say "there is no agent on this machine"
        exit 0
    fi
    # Killed half way through an installation, after --plan, or with a Python that is gone: without the agent's help.
    for unit in hostwright-revert.timer hostwright-revert.service hostwright-webhook.service \
        hostwright.service hostwright-cycle.service hostwright-rescue.service; do
        if [ -e "$UNITS/$unit" ]; then
            systemctl -q stop "$unit" || die "$EXIT_HOST" "$unit does not stop" "look at systemctl status $unit"
            systemctl -q disable "$unit" || :
            rm -f "$UNITS/$unit"
        fi
    done
    if [ "$(readlink "$COMMAND")" = "$OPT/current/bin/hostwright" ]; then rm -f "$COMMAND"; fi
    rm -rf "$OPT" "$ETC" "$VAR" "$RUN" "$LOG" "$PACKAGES" || die "$EXIT_HOST" "not everything could be removed" "see above"
    say "the agent is gone; what it configured, and the packages it needed, stay as they are"
    exit 0
}

main() {
    action='' verbose='' repo='' branch='' inventory='' host='' status_repo='' trust='' trusted_signers='' min_commit=''
    known_hosts='' wheelhouse='' index='' proxy='' ca=''
    clone='' work='' building='' settled='' renewed='' bundle='' environment_python='' version=''
    requirements='' compile='' setup='' interrupted=''
    umask 022
    parse "$@"
    find_clone
    case $action in
    --uninstall | --rescue | --update | --revert) ;;
    *) check_arguments ;;
    esac
    check_machine
    clean_environment
    [ "$action" != --uninstall ] || { check_places && uninstall; }
    [ "$action" != --rescue ] || check_rescue
    [ "$action" != --revert ] || revert
    cd /
    check_places
    trap clean_up EXIT
    trap 'interrupted=HUP; exit 129' HUP
    trap 'interrupted=INT; exit 130' INT
    trap 'interrupted=TERM; exit 143' TERM
    work=$(mktemp -d)
    : >>"$LOG" && chmod 600 "$LOG"
    exec 9>"$LOCK"
    if command -v flock >/dev/null; then
        flock -n 9 || die "$EXIT_LOCKED" "another bootstrap is running" "wait until it has ended"
    fi
    case $action in
    --rescue) find_kept ;;
    --update) find_update ;;
    esac
    has_certificates || :
    use_proxy_and_certificates
    install_packages
    use_proxy_and_certificates
    case $action in
    --rescue | --update) ;;
    *) find_agent ;;
    esac
    make_environment
    case $action in
    --rescue) rescued ;;
    --update) updated ;;
    esac
    keep_for_rescue
    hand_over
}

main "$@"

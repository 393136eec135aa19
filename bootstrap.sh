#!/bin/sh
# Turns a bare Linux machine into one that is what Git says, and keeps it so.
#
# This script does only what must happen before Python of ours can run: it installs what is missing, fetches the agent
# and has its agent/host/environment.py build /opt/hostwright/versions/<version>. `hostwright setup` does the rest.
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
# What was on the machine before the first of our packages, then "+name" for each that was asked for. It survives a
# try that fails, so that the next one knows what was ours, and not a reboot: by then others may have installed some.
PACKAGES=/run/hostwright-bootstrap.packages

# Unattended upgrades hold dpkg's lock for minutes on a machine that has just booted.
PACKAGE_LOCK_S=120

# How package managers, pip, uv and git say it.
NO_NETWORK='could not resolve|resolving|name resolution|dns error|unreachable|timed? ?out|connection (refused|reset)'
NO_NETWORK="$NO_NETWORK|no route|failed to (fetch|connect)|(could not|unable to) connect|new connection"

# Prints the wheel of pip that a Python carries for its environments; fails where it is no Python for the agent.
FIND_PIP='import glob, os, sys, sysconfig, venv
assert sys.version_info >= (3, 11)
folders = sysconfig.get_config_var("WHEEL_PKG_DIR") or "", os.path.dirname(os.__file__) + "/ensurepip/_bundled"
print([wheel for folder in folders for wheel in glob.glob(f"{folder}/pip-*.whl")][0])'

NEWLINE='
' RETURN=$(printf '\r')

ENCODE='percent-encode what cannot stand in a URL: / in a password as %2F, # as %23, ? as %3F, a blank as %20'

MAKE_WRITABLE='let it be a place that root can write to, with room (df -h, df -i, mount), then run this again'

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
  --code-file FILE          the one-time code by which an administrator admits this machine without
                            comparing fingerprints; root's own file, which nobody else can read

How it gets there
  --wheelhouse DIR       install Python packages from this folder, without network:
                         pip download --require-hashes --only-binary :all: -r requirements.txt -d DIR
  --index URL            package index to use instead of the default one
  --proxy URL            HTTP proxy for packages and for https remotes
  --ca FILE              certificates (PEM) to trust for https
  --options FILE         more options, one a line (--repo=URL), from a root-owned file or, for -, from stdin,
                         which ends with a line --end: all users see the arguments of a program, also a
                         password that is in a URL

What to do
  --plan                 install the agent, show what it would change, start nothing
  --once                 converge once, install no service
  --uninstall            give the machine back as it was, and take the agent away
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
    printf 'bootstrap: %s%s: %s\n' "$at" "$2" "$3" >&2
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
            --known-hosts | --code-file | --wheelhouse | --index | --proxy | --ca)
            [ $# -ge 2 ] || die "$EXIT_USAGE" "$1 needs a value" "see --help"
            remember "$1" "$2"
            shift 2
            ;;
        --options)
            [ $# -ge 2 ] || die "$EXIT_USAGE" "$1 needs a value" "see --help"
            read_options "$2"
            shift 2
            ;;
        --plan | --once | --uninstall | --version | --help | -h)
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
        *) die "$EXIT_USAGE" "unknown argument '$(masked "$1")'" "see --help" ;;
        esac
    done
}

# wrong OPTION VALUE HINT: refuses the value. One from --options is not shown: it goes to a journal.
wrong() {
    [ -z "$at" ] || die "$EXIT_USAGE" "$1 has a wrong value" "$3"
    die "$EXIT_USAGE" "$1 cannot be '$(masked "$2")'" "$3"
}

# read_options FILE: each of its lines is an argument. A stream ends with --end: it may have been cut off.
read_options() {
    [ -z "$options" ] || die "$EXIT_USAGE" "--options is given twice" "write all into one file"
    options=$1
    if [ "$options" = - ]; then
        case $- in
        *s*) die "$EXIT_USAGE" "--options - finds this script itself on stdin" "name a file, or save the script first" ;;
        esac
        lines=$(tr '\000' '\001' && echo .) # a shell drops NUL, and newlines at the end
    else
        readable --options "$options" >/dev/null
        [ "$(id -u)" -ne 0 ] || check_way "$(absolute "$options")" -020
        lines=$(tr '\000' '\001' <"$options" && echo .)
    fi
    lines=${lines%.}
    number=0 end=''
    while [ -n "$lines" ]; do
        number=$((number + 1))
        at="line $number of --options: "
        [ -z "$end" ] || die "$EXIT_USAGE" "it stands behind --end" "write --end last"
        case $lines in
        *"$NEWLINE"*) ;;
        *) die "$EXIT_USAGE" "the end of the line is missing" "end each line with a newline: something may have been cut off" ;;
        esac
        line=${lines%%"$NEWLINE"*}
        lines=${lines#*"$NEWLINE"}
        case $line in
        --end) end=yes && continue ;;
        *"$RETURN") die "$EXIT_USAGE" "it ends with a carriage return" "write Unix line ends" ;;
        esac
        case ${line%%=*} in
        --*[!a-z-]* | [!-]* | -[!-]* | '') die "$EXIT_USAGE" "it is no option" "write --name=value, nothing before it" ;;
        esac
        parse "$line"
    done
    at=''
    [ "$number" -gt 0 ] || die "$EXIT_USAGE" "--options $options is empty" "write each option as a line --name=value"
    [ "$options" != - ] || [ -n "$end" ] ||
        die "$EXIT_USAGE" "--options - ends without a line --end" "send all options again, and --end last"
}

choose_action() {
    [ -z "$action" ] || die "$EXIT_USAGE" "$action and $1 exclude each other" "give one of them"
    action=$1
}

# remember OPTION VALUE: checked as far as it can be without the repository.
remember() {
    case $2 in
    '') die "$EXIT_USAGE" "$1 is empty" "give it a value, or leave it out" ;;
    -*) wrong "$1" "$2" "a value does not begin with a dash" ;;
    *[[:cntrl:]]*) die "$EXIT_USAGE" "$1 holds a control character" "write it as one plain line" ;;
    esac
    value=$2
    case $1 in
    --repo | --status-repo) remote "$1" "$2" ;;
    --trust) [ "$2" = signed ] || [ "$2" = unsigned ] || wrong "$1" "$2" "write signed or unsigned" ;;
    --min-commit)
        case $2 in
        *[!0-9a-f]*) wrong "$1" "$2" "give all 40 hex digits of a commit" ;;
        esac
        [ ${#2} -eq 40 ] || wrong "$1" "$2" "give all 40 hex digits of a commit"
        ;;
    --trusted-signers | --known-hosts | --code-file | --ca) value=$(readable "$1" "$2") ;;
    --wheelhouse)
        [ -d "$2" ] || wrong "$1" "$2" "name the folder that holds the wheels"
        value=$(absolute "$2")
        ;;
    --index | --proxy) url "$1" "$2" ;;
    esac
    eval "$(printf '%s' "${1#--}" | tr - _)=\$value"
}

readable() {
    { [ -f "$2" ] && [ -r "$2" ]; } || wrong "$1" "$2" "name a file that exists and can be read"
    absolute "$2"
}

absolute() {
    case $1 in
    /*) printf '%s' "$1" ;;
    *) printf '%s/%s' "$(pwd -P)" "$1" ;;
    esac
}

url() {
    case $1:$2 in
    *:https://?* | *:http://?* | --index:file:///?*) plain "$1" "$2" ;;
    *) wrong "$1" "$2" "write it like https://name/path" ;;
    esac
}

# plain OPTION URL: refuses one that is read otherwise than it is meant: a password ends at / # ? and blanks.
plain() {
    authority=${2#*://}
    authority=${authority%%/*}
    port=${authority##*@}
    case ${2#"${2%%[#?]*}"}${port##*]} in
    [#?]*@* | *:*[!0-9]*) wrong "$1" "$2" "$ENCODE" ;;
    esac
    [ -z "$(printf '%s' "$2" | LC_ALL=C tr -d '\041\043-\176')" ] || wrong "$1" "$2" "$ENCODE"
}

# The forms of agent/system/remote.py, and a test holds both together. `name:password@host` is none, though ssh would
# try; nor is a password with a raw / or @, for its end would be taken for a path.
remote() {
    hint='write https://…, ssh://…, git@host:path or an absolute path'
    authority=${2#*://}
    authority=${authority%%[/?#]*}
    case $2 in
    *' '*) ;;
    /*://* | file://*://* | //*) ;;
    /* | file:///?* | file://localhost/?*) return ;;
    http://* | https://* | ssh://*)
        [ ${#authority} -gt 2000 ] || ! fits "$2" || return 0
        case $2 in
        https://"$authority"* | http://"$authority"*) hint='its host or port is none: write https://host/path' ;;
        esac
        ;;
    http:* | https:* | ssh:* | file:*) ;;
    *) ! fits "$2" || return 0 ;;
    esac
    case $2 in
    ssh://*:*@*) hint='ssh takes no password in a URL: leave it out, and use a key' ;;
    http://*@* | https://*@*) hint="$ENCODE, and @ as %40, also in a path" ;;
    esac
    wrong "$1" "$2" "$hint"
}

fits() {
    a_login='[!$-.0->@-Z\^-~]*@'
    a_user='[A-Za-z0-9_][A-Za-z0-9_.+-]*@'
    a_host='([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])'
    a_port=':0*([1-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])'
    a_server="$a_host((/.*|[?#][^@]*)?|$a_port(/@?[^@]*(@[^/]*/?)?|[?#][^@]*)?)"
    printf '%s\n' "$1" | LC_ALL=C grep -qxE \
        -e "https?://$a_login$a_host($a_port)?([/?#][^@]*)?" -e "(https?|ssh)://$a_server" \
        -e "ssh://$a_user$a_host($a_port)?(/.*|[?#][^@]*)?" \
        -e "$a_user$a_host:[^:].*" -e "$a_host:(/([^/].*)?|[^:@/][^@/]*(/.*)?)"
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
        die "$EXIT_USAGE" "$(shown_repo) is trusted by its signatures" \
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

# URLs may hold a password, with an @ or / in it; so may what was meant to be one.
masked() { printf '%s' "$1" | sed -e 's,//[^/]*@,//***@,' -e t -e 's,//.*:.*@,//***@,' -e t -e 's,^[^@]*:.*@,***@,'; }

# The remote as the agent shows it: its form is known, so that an @ in its path is no end of a password.
shown_repo() { printf '%s' "$repo" | sed 's,^\(https\{0\,1\}://\)[^/?#]*@,\1***@,'; }

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
        # uv makes locks that all may write to: one in an environment of a former version, and, where a build was cut
        # off, more of them in its cache, which nobody else can enter.
        check_found "$(find "$place" -name .cache -type d -user 0 -perm 0700 -prune -o ! -name .lock \
            \( ! -user 0 -o \( -type f -o -type d \) \( -perm -020 -o -perm -002 \) \) -print 2>/dev/null)"
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

# What this machine has: sets $manager, how it is asked, the $names of git, an ssh client and certificates there, and the
# names of Python to try, the best first.
find_manager() {
    for manager in apt-get dnf apk pacman zypper ''; do
        [ -z "$manager" ] || ! command -v "$manager" >/dev/null || break
    done
    names='git openssh-client ca-certificates' pythons='' python_packages='' refresh=:
    case $manager in
    apt-get)
        pythons='python3-venv python3.13-venv python3.12-venv python3.11-venv'
        python_packages='python3 python3-pip-whl' # of python3-venv what is needed
        set -- apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout="$PACKAGE_LOCK_S" -o Dpkg::Use-Pty=0
        install="env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l $* install"
        # Long descriptions of packages take a third of an update. Where there are none, they can wait for the next one.
        ls /var/lib/apt/lists/*_i18n_* >/dev/null 2>&1 || set -- "$@" -o Acquire::Languages=none
        refresh="$* update"
        ;;
    dnf)
        names='git-core openssh-clients ca-certificates' pythons='python3 python3.13 python3.12 python3.11'
        install='dnf -q -y --setopt=install_weak_deps=False install' # it refreshes when it installs
        ;;
    apk) pythons=python3 install='apk add --no-progress' refresh='apk update' ;;
    pacman)
        names='git openssh ca-certificates' pythons=python
        install='pacman -Sy --noconfirm --needed' # a bare machine has no package lists yet
        ;;
    zypper)
        names='git-core openssh-clients ca-certificates' pythons='python313 python312 python311 python3'
        install='zypper --non-interactive install --no-recommends'
        ;;
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
    # shellcheck disable=SC2086 # words, split on purpose
    quiet $install "$@"
}

# Add packages in the background; packages_are_there waits for them.
add_packages_meanwhile() {
    note_packages "$@"
    printf '\n$ %s\n' "$install $*" >>"$LOG"
    # shellcheck disable=SC2086 # words, split on purpose
    $install "$@" </dev/null >"$work/meanwhile" 2>&1 &
    adding=$!
}

# Waits until the package manager has ended, which is not cut off. Returns its exit code; what it said is in the log.
added() {
    [ -n "$adding" ] || return 0
    wait "$adding" && adding_code=0 || adding_code=$?
    cat "$work/meanwhile" >>"$LOG"
    adding=
    return "$adding_code"
}

packages_are_there() {
    added || {
        mv "$work/meanwhile" "$work/said"
        explain "$manager could not install $later" "see $LOG"
    }
}

# The agent's Python: 3.11 or newer, able to make environments, with the wheel of pip. Sets $python and $pip.
find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        python=$(command -v "$python") || continue
        ! pip=$("$python" -I -c "$FIND_PIP" 2>/dev/null) || return 0
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
    find_manager
    # shellcheck disable=SC2086 # lists of plain names, split on purpose
    set -- $names
    missing='' now='' later=''
    command -v git >/dev/null || missing="git" later=$1
    if ! command -v ssh >/dev/null || ! command -v ssh-keygen >/dev/null; then
        missing="$missing ssh" later="$later $2"
    fi
    has_certificates || missing="$missing certificates" now=$3
    find_python || missing="$missing Python" now="$now ${python_packages:-${pythons%% *}}"
    [ -n "$missing" ] || return 0
    [ -n "$manager" ] || die "$EXIT_HOST" "missing: $missing, and no apt, dnf, apk, pacman or zypper to get it with" \
        "install git, an ssh client and Python 3.11 or newer with venv, then run this again"
    # shellcheck disable=SC2086
    set -- $now $later
    say "installing $* ($manager)"
    # shellcheck disable=SC2086
    quiet $refresh || : # one broken repository of many is no reason to stop; the next command tells
    [ -n "$clone" ] || now="$now $later" later='' # without a clone there is nothing to build before there is git
    # shellcheck disable=SC2086
    set -- $now
    [ $# -eq 0 ] || add_packages "$@" || explain "$manager could not install $*" "see $LOG"
    for name in $pythons; do
        if find_python; then break; fi
        add_packages "$name" || :
    done
    find_python || die "$EXIT_HOST" "no Python 3.11 or newer with venv, and $manager offers none" \
        "install one as python3.11 or newer, then run this again"
    has_certificates || :
    # shellcheck disable=SC2086
    [ -z "$later" ] || add_packages_meanwhile $later
}

# --- Where the agent comes from -----------------------------------------------------------------------------------

# Sets $source, which holds the agent (the clone, the config repository or a wheel), and $builder in it.
find_agent() {
    source=$clone
    if [ -z "$source" ]; then
        clone_config_repo
        source=$work/source
        { [ -f "$source/agent/__init__.py" ] && [ -f "$source/requirements.txt" ]; } || fetch_wheel
    fi
    builder=$source
    [ -d "$builder" ] || builder=$work/unpacked
    builder=$builder/agent/host/environment.py
    [ -f "$builder" ] || die "$EXIT_SOURCE" "the agent there is older than this script" "use the bootstrap.sh beside it"
}

clone_config_repo() {
    [ -n "$repo" ] || die "$EXIT_USAGE" "there is no clone beside this script" "say where the agent is: --repo URL"
    say "fetching $(shown_repo)"
    set -- ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=20
    if [ -n "$known_hosts" ]; then
        cp -- "$known_hosts" "$work/known_hosts" # a name without a space or quote in it
        set -- "$@" -o UserKnownHostsFile="$work/known_hosts"
    fi
    [ ! -f "$ETC/deploy_key" ] || set -- "$@" -i "$ETC/deploy_key" -o IdentitiesOnly=yes
    keep_password
    quiet env GIT_TERMINAL_PROMPT=0 GIT_SSH_COMMAND="$*" git -c credential.helper= \
        -c credential.helper="store --file '$work/credentials'" clone -q --single-branch --branch "${branch:-main}" \
        -- "$address" "$work/source" || {
        if said 'remote branch .* not found'; then
            die "$EXIT_SOURCE" "$(shown_repo) has no branch ${branch:-main}" "name the right one with --branch"
        elif said 'host key verification failed'; then
            die "$EXIT_TRUST" "the host key of $(shown_repo) is not known" "give it with --known-hosts FILE"
        fi
        explain "$(shown_repo) cannot be cloned: $(told_by_git)" "check the URL and your access" "$EXIT_SOURCE"
    }
    [ "$trust" = unsigned ] || check_signature
    check_names "$work/source"
}

# Sets $address, which is $repo without user and password; git finds those in $work/credentials.
keep_password() {
    address=$(printf '%s' "$repo" | sed 's,^\(https\{0\,1\}://\)[^/?#]*@,\1,')
    [ "$address" = "$repo" ] || printf '%s\n' "$repo" | sed -e 's,^\([a-z]*://[^/]*\).*,\1,' -e ':again' \
        -e 's,//\(.*\)@\(.*@\),//\1%40\2,' -e 't again' -e 's,//\([^:@]*\)@,//\1:@,' >"$work/credentials"
}

# The server's refusal, else what git calls fatal: behind that git gives advice in several lines.
told_by_git() {
    grep -m 1 -i -e denied "$work/said" || grep -m 1 '^fatal:' "$work/said" || tail -n 1 "$work/said"
}

# Code of this commit is about to run as root, before the agent can judge it: the tip must be signed by one of ours.
check_signature() {
    [ -n "$trusted_signers" ] || trusted_signers=$ETC/trusted_signers
    quiet git -C "$work/source" -c gpg.program=false -c gpg.ssh.allowedSignersFile="$trusted_signers" verify-commit HEAD ||
        die "$EXIT_TRUST" "the newest commit of $(shown_repo) is not signed by anybody in $trusted_signers" \
            "sign it, or correct --trusted-signers"
    [ -z "$min_commit" ] || quiet git -C "$work/source" merge-base --is-ancestor "$min_commit" HEAD ||
        die "$EXIT_TRUST" "$(shown_repo) does not contain the commit $min_commit" "this is not the history you expect"
}

# A config repository without the agent: the wheel, from where the administrator said.
fetch_wheel() {
    [ -n "$index$wheelhouse" ] || die "$EXIT_SOURCE" "$(shown_repo) does not hold the agent" \
        "run bootstrap.sh from a clone of Hostwright with --repo, or name an --index or --wheelhouse that has it"
    set -- --no-cache-dir --no-input --only-binary :all: --no-deps --dest "$work/wheel"
    [ -z "$wheelhouse" ] || set -- "$@" --no-index --find-links "$wheelhouse"
    (
        [ -z "$index" ] || export PIP_INDEX_URL="$index" # it may hold a password
        quiet "$python" -I "$pip/pip" download "$@" "hostwright==$VERSION"
    ) ||
        explain "hostwright $VERSION cannot be downloaded" "see $LOG" "$EXIT_SOURCE"
    source=$(echo "$work/wheel/"hostwright-*.whl)
    quiet "$python" -I -m zipfile -e "$source" "$work/unpacked"
}

# The builder tells of itself on stderr; of what it calls in the log. Sets $version.
make_environment() {
    printf '%s\n' "index $index" "wheelhouse $wheelhouse" "proxy $proxy" "ca $ca" \
        "install $install" "pythons $pythons" >"$work/sources"
    "$python" -I "$builder" "$source" "$work/sources" later </dev/null >"$work/said" && code=0 || code=$?
    cat "$work/said" >>"$LOG"
    told=$(tail -n 1 "$work/said")
    [ "$code" -eq 0 ] || explain "${told%%: *}" "${told#*: } (log: $LOG)" "$code"
    version=${told#* }
    environment=$OPT/versions/$version
    if [ "$told" = "built $version" ]; then
        building=$environment
        renewed=yes
        # It lasts about as long as the first cycle, which waits for packages most of the time.
        nice "$environment/bin/python" -I -m agent.host.bytecode </dev/null >/dev/null 2>&1 &
        compiling=$!
    fi
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

# --- The whole ----------------------------------------------------------------------------------------------------

# Nothing half done stays: an environment that nothing points at goes again, one that was replaced comes back.
# shellcheck disable=SC2317 # run by the trap
clean_up() {
    code=$?
    trap - EXIT
    trap '' HUP INT TERM
    [ -z "$setup" ] || kill -TERM "$setup" 2>/dev/null || :
    exec 7>&- 8>&- # setup ends without options where the signal came before its number was noted
    added || :
    if [ -n "$setup" ]; then
        wait "$setup" 2>/dev/null || : # or the shell says that it was terminated
        ! begun || settled=yes
    fi
    [ "$settled" = yes ] || kill "$compiling" 2>/dev/null || :
    wait 2>/dev/null || : # for all of them, whether their numbers were noted or not
    if [ -n "$building" ]; then
        if [ "$settled" = yes ]; then
            rm -rf "$building.old"
        else
            rm -rf "$building"
            if [ -d "$building.old" ]; then mv "$building.old" "$building"; fi
        fi
        if [ ! -e "$OPT/current" ] && [ ! -L "$OPT/current" ]; then rm -rf "$RESCUE" "$RESCUE".*; fi
    fi
    rmdir "$OPT/versions" "$OPT" 2>/dev/null || :
    [ -z "$work" ] || rm -rf "$work"
    if [ -n "$interrupted" ] && [ "$settled" = yes ]; then
        say "bootstrap: interrupted by SIG$interrupted: run this again to go on, or --uninstall to give the machine back"
    elif [ -n "$interrupted" ]; then
        say "bootstrap: interrupted by SIG$interrupted, what was written is taken back: run this again to begin anew"
    fi
    exit "$code"
}

told_options() {
    for name in repo branch inventory host status_repo trust trusted_signers min_commit known_hosts code_file proxy ca; do
        eval "value=\$$name"
        [ -z "$value" ] || printf '%s\n' "--$(printf '%s' "$name" | tr _ -)=$value"
    done
    printf '%s\n' --end # or setup could not tell a whole stream from one that was cut off
}

# Whether setup may have begun. What the first cycle did stays, and with it what can give it back. A run before this one
# may have set the link: it proves nothing before setup has its options.
begun() { [ -n "$sent" ] && [ "$(readlink "$OPT/current")" = "versions/$version" ]; }

# setup loads what it needs while packages are still being installed: it begins when it has read its last option.
hand_over() {
    set -- ${verbose:+"$verbose"} setup --options -
    [ -z "$clone" ] || set -- "$@" --source "$clone"
    [ -z "$action" ] || set -- "$@" "$action"
    [ -z "$renewed" ] || set -- "$@" --renewed
    [ ! -s "$PACKAGES" ] || set -- "$@" --packages-before "$PACKAGES"
    mkfifo -m 600 "$work/told" || die "$EXIT_HOST" "no pipe can be made in $work" "$MAKE_WRITABLE"
    exec 8<>"$work/told"
    # In the background, or a signal would be heard only when it has ended.
    "$environment/bin/hostwright" "$@" <"$work/told" 8>&- &
    setup=$!
    packages_are_there
    exec 7>"$work/told" 8>&- # from here on only setup reads it: where it has ended, nothing waits for it
    sent=yes
    (told_options >&7) 2>/dev/null || sent=''
    exec 7>&-
    wait "$setup" && setup_code=0 || setup_code=$?
    setup=
    if begun || [ "$setup_code" -eq 0 ] || { [ "$action" = --plan ] && [ "$setup_code" -eq "$EXIT_PLANNED" ]; }; then
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

# open_files: makes the folder, the log and the lock of this run. Each file is tried in a subshell: a redirection that
# fails would end this shell.
open_files() {
    work=$(mktemp -d) || die "$EXIT_HOST" "no folder can be made in ${TMPDIR:-/tmp}" "$MAKE_WRITABLE"
    for file in "$LOG" "$LOCK"; do
        (: >>"$file") || die "$EXIT_HOST" "$file cannot be written" "$MAKE_WRITABLE"
    done
    chmod 600 "$LOG"
    exec 9>"$LOCK"
}

# shellcheck disable=SC2034 # hand_over passes the options on by name
main() {
    at='' action='' verbose='' repo='' branch='' inventory='' host='' status_repo='' trust='' trusted_signers='' min_commit=''
    known_hosts='' code_file='' wheelhouse='' index='' proxy='' ca='' options=''
    clone='' work='' building='' settled='' renewed='' bundle='' version='' setup='' interrupted='' install='' adding=''
    compiling='' sent=''
    umask 022
    parse "$@"
    find_clone
    [ "$action" = --uninstall ] || check_arguments
    check_machine
    clean_environment
    [ "$action" != --uninstall ] || { check_places && uninstall; }
    cd /
    check_places
    trap clean_up EXIT
    trap 'interrupted=HUP; exit 129' HUP
    trap 'interrupted=INT; exit 130' INT
    trap 'interrupted=TERM; exit 143' TERM
    open_files
    if command -v flock >/dev/null; then
        flock -n 9 || {
            say "waiting for another bootstrap.sh, or an uninstall, to end"
            flock -w "$PACKAGE_LOCK_S" 9 || die "$EXIT_LOCKED" "another bootstrap is running" "wait until it has ended"
        }
    fi
    has_certificates || :
    use_proxy_and_certificates
    install_packages
    use_proxy_and_certificates
    find_agent
    make_environment
    hand_over
}

main "$@"

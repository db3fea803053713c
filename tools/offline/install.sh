#!/bin/sh
# Installs kpr-sender from this folder, without internet: sh install.sh --help
#
# Into PREFIX/VERSION-..., a virtual environment of its own, which PREFIX/current leads to once all of it is in place:
# a run that is under way keeps its own version, and what fails leaves the earlier one as it is.
set -eu
umask 022  # whoever installs with 077: the service's user must be able to read the package

version='@VERSION@'
glibc='@GLIBC@'
pythons='@PYTHONS@'

unset PYTHONPATH PYTHONHOME PYTHONSTARTUP || :
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
case "${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}" in
nb* | nn* | no*) norwegian=yes ;;
*) norwegian= ;;
esac

say() { # Norwegian, English
    if [ "$norwegian" ]; then printf '%s\n' "$1"; else printf '%s\n' "$2"; fi
}

refuse() {
    say "$1" "$2" >&2
    exit 1
}

usage() {
    say "Bruk: sh install.sh [--prefix MAPPE] [--python PROGRAM] [--without-extras]
  --prefix MAPPE     hvor det legges; /opt/kpr-sender for root, ellers ~/.local/share/kpr-sender
  --python PROGRAM   en Python ($pythons); ellers den første som finnes
  --without-extras   bare det som trengs for å sende" \
        "Usage: sh install.sh [--prefix FOLDER] [--python PROGRAM] [--without-extras]
  --prefix FOLDER    where it goes; /opt/kpr-sender for root, else ~/.local/share/kpr-sender
  --python PROGRAM   a Python ($pythons); else the first that is found
  --without-extras   only what sending needs"
}

if [ "$(id -u)" = 0 ]; then prefix=/opt/kpr-sender; else prefix=${XDG_DATA_HOME:-$HOME/.local/share}/kpr-sender; fi
python=
requirements='requirements-all.txt'
while [ $# -gt 0 ]; do
    case $1 in
    --prefix=* | --python=*) option=${1%%=*} value=${1#*=} && shift && set -- "$option" "$value" "$@" && continue ;;
    --prefix) [ "${2:-}" ] && prefix=$2 && shift ;;
    --python) [ "${2:-}" ] && python=$2 && shift ;;
    --without-extras) requirements=requirements.txt ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && exit 64 ;;
    esac || { usage >&2 && exit 64; }
    shift
done
case $prefix in
/*) ;;
*) prefix=$(pwd)/$prefix ;;
esac

# What this Python is and runs on: version, implementation, processor, bits, C library, and whether it has a global lock.
facts() {
    "$1" -I -c '
import os, platform, struct, sys, sysconfig
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or "?"
except (AttributeError, OSError, ValueError):
    libc = "?"
free = "free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "locked"
number = "%d.%d" % sys.version_info[:2]
print(number, sys.implementation.name, platform.system(), platform.machine(), struct.calcsize("P") * 8, free, libc)
' 2>/dev/null
}

supported() {
    case " $pythons " in *" $1 "*) return 0 ;; esac
    return 1
}

found=
if [ "$python" ]; then set -- "$python"; else set -- python3 python3.14 python3.13 python3.12 python3.11; fi
for candidate in "$@"; do
    command -v -- "$candidate" >/dev/null 2>&1 || continue
    known=$(facts "$candidate") || continue
    found="$found $candidate (${known%% *})"
    if supported "${known%% *}"; then
        python=$(command -v -- "$candidate")
        case $python in /*) ;; *) python=$(pwd)/$python ;; esac
        break
    fi
    known=
done
if [ -z "${known:-}" ]; then
    refuse "Trenger Python (CPython) $pythons; fant${found:- ingen}. Debian og Ubuntu: apt install python3; RHEL: dnf install python3.12. En annen: --python PROGRAM." \
        "Needs Python (CPython) $pythons; found${found:- none}. Debian and Ubuntu: apt install python3; RHEL: dnf install python3.12. Another one: --python PROGRAM."
fi
# shellcheck disable=SC2086  # words
set -- $known
number=$1 implementation=$2 system=$3 machine=$4 bits=$5 threads=$6
shift 6
libc=$*

[ "$implementation" = cpython ] || refuse "$python er $implementation; trenger CPython." "$python is $implementation; needs CPython."
[ "$threads" = locked ] || refuse "$python er uten global lås (free-threaded); trenger den vanlige." \
    "$python is a free-threaded build; needs the ordinary one."
[ "$system" = Linux ] || refuse "Dette er $system; arkivet er for Linux." "This is $system; the archive is for Linux."
[ "$machine $bits" = "x86_64 64" ] || refuse "Prosessoren er $machine ($bits bit); arkivet er for x86_64." \
    "The processor is $machine ($bits bits); the archive is for x86_64."
case $libc in
"glibc "*) ;;
*) refuse "C-biblioteket er ikke glibc (musl?); trenger glibc $glibc eller nyere." \
    "The C library is not glibc (musl?); needs glibc $glibc or newer." ;;
esac
oldest=$(printf '%s\n%s\n' "$glibc" "${libc#glibc }" | sort -V | head -n 1)
[ "$oldest" = "$glibc" ] || refuse "C-biblioteket er $libc; trenger glibc $glibc eller nyere." \
    "The C library is $libc; needs glibc $glibc or newer."

cd -- "$here"
sha256sum --check --quiet --strict SHA256SUMS || refuse \
    "Arkivet er ikke som det ble laget: pakk det ut på nytt, eller hent det på nytt. Ingenting er installert." \
    "The archive is not as it was made: unpack it again, or fetch it again. Nothing is installed."

if [ -e "$prefix/pyvenv.cfg" ]; then
    refuse "I $prefix ligger et virtuelt miljø som pip har laget. Velg en annen --prefix, eller flytt det." \
        "In $prefix lies a virtual environment that pip was used in. Choose another --prefix, or move it away."
fi
sum=$(sha256sum SHA256SUMS | cut -c 1-8)
name=$version-$sum-python$number
[ "$requirements" = requirements-all.txt ] || name=$name-without-extras
made=$prefix/$name
mkdir -p -- "$prefix/bin" || refuse "Kan ikke skrive i $prefix: velg en annen --prefix, eller kjør som root." \
    "Cannot write to $prefix: choose another --prefix, or run as root."

if [ ! -e "$made/complete" ]; then
    say "Installerer kpr-sender $version med Python $number i $made" "Installing kpr-sender $version with Python $number in $made"
    trap 'rm -rf -- "$made"' EXIT
    trap 'exit 130' INT TERM HUP
    rm -rf -- "$made"
    "$python" -I -m venv --without-pip -- "$made"
    # pip from its wheel: a bare Python has none. Nothing of the machine's pip configuration counts.
    set -- "$here"/wheels/pip-*.whl
    PIP_CONFIG_FILE=/dev/null "$made/bin/python" -I "$1/pip" --isolated install --quiet \
        --no-index --find-links "$here/wheels" --only-binary :all: --require-hashes --no-cache-dir \
        --disable-pip-version-check --no-warn-script-location --root-user-action ignore -r "$requirements"
    "$made/bin/kpr-send" --version >/dev/null
    touch "$made/complete"
    trap - EXIT INT TERM HUP
fi
ln -sfn -- "$name" "$prefix/current.new"
mv -Tf -- "$prefix/current.new" "$prefix/current"
ln -sfn -- ../current/bin/kpr-send "$prefix/bin/kpr-send"

# A service's user must be able to reach it, and its Python: every folder on the way down.
closed=$("$made/bin/python" -I -c '
import os, sys
for path in sys.argv[1], sys.executable:
    path = os.path.realpath(path)
    while path != "/" and os.getuid() == 0:
        if not os.stat(path).st_mode & 0o001:
            print(path)
        path = os.path.dirname(path)
' "$prefix/current" | sort -u)
if [ "$closed" ]; then
    say "Andre brukere slipper ikke inn hit, og kan derfor ikke kjøre det: $closed" \
        "Other users cannot enter these folders, and so cannot run it: $closed"
fi
command=$prefix/bin/kpr-send
say "Ferdig. Prøv det, uten oppsett og uten nett:
  $command demo
Så, som den brukeren som skal kjøre det:
  $command init
På kommandolinjen uten sti: ln -s $command /usr/local/bin/kpr-send" \
    "Done. Try it, without configuration and without a network:
  $command demo
Then, as the user who is to run it:
  $command init
On the command line without its path: ln -s $command /usr/local/bin/kpr-send"

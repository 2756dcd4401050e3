#!/usr/bin/env bash
# Finds what the tests need beside Go: a redis-server, a C compiler for the race
# detector, promtool for the alert rules, dpkg for the package. Looks on PATH; else installs by apt as root; else unpacks packages
# into .cache, touching nothing else; else says what will be skipped and why.
#
# Prints shell assignments for `eval`; all other words go to standard error.
# SLUICE_REQUIRE names what must not be skipped, e.g. "redis-server race".
set -euo pipefail
cd "$(dirname "$0")/../.."

cache=$PWD/.cache
unpacked=$cache/debs
require=" ${SLUICE_REQUIRE:-} "
missing=0

say() { echo "setup: $*" >&2; }

for name in $require; do
  case $name in
    redis-server | race | promtool | dpkg) ;;
    *) say "SLUICE_REQUIRE: unknown name \"$name\"; known are redis-server, race, promtool and dpkg" && exit 2 ;;
  esac
done

# refresh_lists DIR_OPTIONS...: reads the package lists once per run.
lists_fresh=0
refresh_lists() {
  [[ $lists_fresh == 1 ]] && return 0
  apt-get "$@" -qq update >/dev/null 2>&1 && lists_fresh=1
}

# install_as_root PACKAGE...: the ordinary way, where it is allowed.
install_as_root() {
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  say "installing $* with apt"
  refresh_lists || return 1
  # RUNLEVEL=1 keeps a package from starting its service.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends "$@" >/dev/null 2>&1
}

# unpack PACKAGE...: downloads the packages, and those they need and this
# machine lacks, and unpacks them under .cache/debs. Installs and starts nothing.
unpack() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  say "unpacking $* into .cache/debs"
  mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial" "$unpacked"
  local options=(-o "Dir::State::Lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt"
    -o "Dir::Cache::archives=$cache/apt/archives" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
  refresh_lists "${options[@]}" || return 1
  local wanted # shellcheck disable=SC2086 # one word per package, here and below
  wanted=$(apt-get "${options[@]}" -s install --no-install-recommends "$@" 2>/dev/null |
    awk '$1 == "Inst" { print $2 }') || return 1
  wanted=$(printf '%s\n' $wanted "$@" | sort -u)
  (cd "$cache/apt/archives" && apt-get "${options[@]}" -qq download $wanted >/dev/null 2>&1) || return 1
  local deb
  for deb in "$cache"/apt/archives/*.deb; do
    dpkg-deb -x "$deb" "$unpacked" || return 1
  done
  rm -f "$cache"/apt/archives/*.deb
}

# library_path prints where the unpacked packages keep their libraries.
library_path() {
  local triplet
  triplet=$(cd "$unpacked/usr/lib" 2>/dev/null && ls -d ./*-linux-gnu* 2>/dev/null | head -n 1 || true)
  # Not lib/: there lies the C library, and the loader here has its own.
  echo "$unpacked/usr/lib/${triplet#./}"
}

# redis_runs PATH: whether this server starts here at all.
redis_runs() { [[ -x $1 ]] && LD_LIBRARY_PATH=${2:-${LD_LIBRARY_PATH:-}} "$1" --version >/dev/null 2>&1; }

find_redis() {
  redis=$(command -v redis-server || true)
  [[ -n $redis ]] && redis_runs "$redis" && return 0
  local wrapper=$cache/bin/redis-server
  if redis_runs "$wrapper"; then redis=$wrapper && return 0; fi
  if install_as_root redis-server; then
    redis=$(command -v redis-server || true)
    [[ -n $redis ]] && redis_runs "$redis" && return 0
  fi
  if unpack redis-server && redis_runs "$unpacked/usr/bin/redis-server" "$(library_path)"; then
    mkdir -p "$cache/bin"
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' \
      "$(library_path)" "$unpacked/usr/bin/redis-server" >"$wrapper"
    chmod +x "$wrapper"
    redis=$wrapper
    return 0
  fi
  redis=
  return 1
}

# promtool_runs PATH: whether this promtool starts here.
promtool_runs() { [[ -x $1 ]] && "$1" --version >/dev/null 2>&1; }

# find_promtool: it comes with the package of Prometheus.
find_promtool() {
  promtool=$(command -v promtool || true)
  [[ -n $promtool ]] && promtool_runs "$promtool" && return 0
  if install_as_root prometheus; then
    promtool=$(command -v promtool || true)
    [[ -n $promtool ]] && promtool_runs "$promtool" && return 0
  fi
  promtool=$unpacked/usr/bin/promtool
  promtool_runs "$promtool" && return 0
  unpack prometheus && promtool_runs "$promtool" && return 0
  promtool=
  return 1
}

# compiles COMMAND: whether this compiler builds and links what cgo needs.
compiles() {
  local dir
  dir=$(mktemp -d)
  printf '#include <pthread.h>\n#include <stdlib.h>\nint main(void) { return pthread_self() == 0; }\n' >"$dir/probe.c"
  local ok=1
  if "$1" -pthread -o "$dir/probe" "$dir/probe.c" >/dev/null 2>&1 && "$dir/probe"; then ok=0; fi
  rm -rf "$dir"
  return $ok
}

find_compiler() {
  local name
  for name in "${CC:-}" "$(go env CC)" gcc clang cc "$cache/bin/cc"; do
    [[ -n $name ]] && command -v "$name" >/dev/null && compiles "$name" && compiler=$name && return 0
  done
  if install_as_root gcc libc6-dev && compiles gcc; then compiler=gcc && return 0; fi
  if unpack gcc libc6-dev libc6 libgcc-s1; then
    local wrapper=$cache/bin/cc
    mkdir -p "$cache/bin"
    # The unpacked tree is its own root; its programs need its libraries.
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s" PATH="%s:$PATH"\nexec "%s" --sysroot="%s" "$@"\n' \
      "$(library_path)" "$unpacked/usr/bin" "$unpacked/usr/bin/gcc" "$unpacked" >"$wrapper"
    chmod +x "$wrapper"
    if compiles "$wrapper"; then compiler=$wrapper && return 0; fi
    rm -f "$wrapper"
  fi
  compiler=
  return 1
}

# skipped NAME WHAT: tells what the run goes without, or that it must not.
skipped() {
  if [[ $require == *" $1 "* ]]; then
    say "required but not found: $1 ($2)"
    missing=1
  else
    say "SKIPPED: $2; $1 is neither on PATH nor installable here"
  fi
}

command -v go >/dev/null || { say "Go is not on PATH" && exit 1; }

redis= compiler= race= promtool=
find_redis || skipped redis-server "tests against a real Redis"
find_promtool || skipped promtool "tests of the alert rules"
command -v dpkg-deb >/dev/null && command -v dpkg >/dev/null || skipped dpkg "tests of the Debian package"
if find_compiler; then
  race=-race
else
  skipped race "the race detector, which needs a C compiler"
fi
[[ $missing == 0 ]] || exit 1

say "redis-server: ${redis:-none}; promtool: ${promtool:-none}; race detector: ${compiler:-off}"
printf 'export SLUICE_REDIS_SERVER=%q SLUICE_PROMTOOL=%q SLUICE_RACE=%q SLUICE_REQUIRE=%q\n' \
  "$redis" "$promtool" "$race" "${SLUICE_REQUIRE:-}"
if [[ -n $compiler ]]; then
  printf 'export CGO_ENABLED=1 CC=%q\n' "$compiler"
fi

#!/usr/bin/env bash
# Turns what `git describe` says into a Debian version that sorts by time:
#   v1.2.3 → 1.2.3, v1.2.3-rc1 → 1.2.3~rc1, v1.2.3-4-gabc-dirty → 1.2.3+4.gabc.dirty,
#   abc (no tag) → 0.0.0+SECONDS.gabc, with the commit's time as $2.
set -euo pipefail
described=${1:?describe} seconds=${2:-0}
if [[ $described =~ ^v[0-9] ]]; then
  version=$(sed -E 's/^v//; s/-(rc|beta|alpha)/~\1/; s/-/+/; s/-/./g' <<<"$described")
else
  version=0.0.0+$seconds.g$(tr - . <<<"$described")
fi
[[ $version =~ ^[0-9][A-Za-z0-9.+~]*$ ]] || { echo "debversion: \"$described\" makes no Debian version" >&2 && exit 1; }
echo "$version"

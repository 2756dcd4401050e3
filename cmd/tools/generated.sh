#!/usr/bin/env bash
# Generates the Go code of the protos in a place of its own, then either brings
# the tree up to date (write) or says how the tree differs (check).
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=${1:?usage: generated.sh write|check}
fresh=.cache/generated
rm -rf "$fresh"
mkdir -p "$fresh"
.bin/buf generate --template api/buf.gen.yaml --output "$fresh"

files() { (cd "$1" && find api/sluice -name '*.pb.go' | sort); }
changed=0
while read -r file; do
  if [[ ! -e $fresh/$file ]]; then
    changed=1
    if [[ $mode == write ]]; then rm "$file"; else echo "$file: no proto generates it" >&2; fi
  elif ! cmp -s "$fresh/$file" "$file"; then
    changed=1
    if [[ $mode == write ]]; then
      install -D -m 644 "$fresh/$file" "$file"
    elif [[ -e $file ]]; then
      diff -u "$file" "$fresh/$file" | head -n 20 >&2 || true
    else
      echo "$file: missing" >&2
    fi
  fi
done < <({ files .; files "$fresh"; } | sort -u)

if [[ $mode == check && $changed == 1 ]]; then
  echo "generated code is out of date: run 'make generate' and commit the result" >&2
  exit 1
fi

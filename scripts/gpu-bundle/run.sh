#!/bin/sh
# Runs what this bundle holds with its own Node; without arguments it says what there is.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
PATH="$here/bin:$PATH" exec "$here/bin/node" "$here/run.mjs" "$@"

#!/usr/bin/env bash
# Writes what cosmic-ray needs to judge one module of tests/mutation/modules: its settings and the list of changes, which of a
# module with a database is a sample. Run by `make mutation` in its copy of the repository.
set -euo pipefail
module=$1 sample=$2 run=${1//\//.}
read -r _ kind tests <<<"$(grep "^$module " tests/mutation/modules)" || { echo "tests/mutation/modules does not name $module"; exit 1; }
sed "s|MODULE|$module|; s|TESTS|$tests|" "tests/mutation/$kind.toml" >"$run.toml"
cosmic-ray init "$run.toml" "$run.sqlite"
cr-filter-operators "$run.sqlite" "$run.toml"
[ "$kind" = pure ] || python tests/mutation/draw_sample.py "$run.sqlite" "$sample"

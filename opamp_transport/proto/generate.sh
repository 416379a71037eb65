#!/bin/sh
# Generates the *_pb2 modules from our .proto files. Run from the project root.
#   opamp_transport/proto/generate.sh           rewrites the checked-in code
#   opamp_transport/proto/generate.sh --check   fails with a diff when the checked-in code is not what protoc makes
# PYTHON names an interpreter that has grpcio-tools.
set -eu

python="${PYTHON:-python}"
package=opamp_transport/proto

case "${1:-}" in
    "") out=. ;;
    --check)
        out=$(mktemp -d)
        trap 'rm -rf "$out"' EXIT
        ;;
    *)
        echo "usage: $0 [--check]" >&2
        exit 2
        ;;
esac

"$python" -m grpc_tools.protoc --proto_path=. --python_out="$out" --pyi_out="$out" \
    "$package/anyvalue.proto" "$package/opamp.proto"

if [ "$out" != . ]; then
    stale=0
    for file in anyvalue_pb2.py anyvalue_pb2.pyi opamp_pb2.py opamp_pb2.pyi; do
        diff -u "$package/$file" "$out/$package/$file" || stale=1
    done
    if [ "$stale" = 1 ]; then
        echo "The generated code is stale: run $0 and commit the result." >&2
        exit 1
    fi
fi

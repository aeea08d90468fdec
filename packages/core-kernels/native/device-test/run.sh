#!/usr/bin/env bash
# Builds the native library with its CUDA kernels and runs the device tests beside this script.
#
#   run.sh [golden-folder] [test-name...]
#
# Needs nvcc and g++ and nothing but native/ and this folder. Every *.cc here is a test program, run with the golden
# folder as its argument; names after the folder select some. Environment: ARCH (90a), JOBS (nproc), BUILD (./build),
# RUNNER (a command before each program, such as compute-sanitizer), TIMEOUT (120 seconds a program), NO_RUN=1.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
native=$(cd "$here/.." && pwd)
for tool in nvcc g++ ar; do
  command -v "$tool" >/dev/null || PATH="$PATH:/usr/local/cuda/bin"
  command -v "$tool" >/dev/null || { echo "run.sh: $tool not found" >&2; exit 2; }
done

golden=${1:-}
[ -n "$golden" ] && shift
[ -z "$golden" ] || golden=$(cd "$golden" && pwd) || exit 2
arch=${ARCH:-90a}
jobs=${JOBS:-$(nproc)}
build=${BUILD:-$here/build}
mkdir -p "$build/objects" "$build/logs" "$build/bin"

export native build arch
compile() {  # source: one file of native/ to an object; the log is kept
  local source=$1 name object log
  name=${source#"$native"/}
  name=${name//\//.}
  object=$build/objects/$name.o
  log=$build/logs/$name.log
  if [ -f "$object" ] && [ "$object" -nt "$source" ] && [ "$object" -nt "$build/headers" ]; then return 0; fi
  local includes=(-I "$native/include" -I "$native/runtime" -I "$native" -I "$native/cuda/runtime")
  local host="-fPIC,-ffp-contract=off,-fno-math-errno,-Wall,-Wextra"
  case $source in
    *.cu) set -- -gencode "arch=compute_$arch,code=sm_$arch" -fmad=false --expt-relaxed-constexpr -Xcompiler "$host" ;;
    *_avx2.cc) set -- -Xcompiler "$host,-mavx2,-mfma,-mf16c" ;;
    *) set -- -Xcompiler "$host" ;;
  esac
  if ! nvcc -c -std=c++20 -O3 "$@" -DQUTLASS_VERSION='"0.0.0"' "${includes[@]}" "$source" -o "$object.new" \
    >"$log" 2>&1; then
    rm -f "$object" "$object.new"
    return 0  # reported below, after the others
  fi
  mv "$object.new" "$object"
}
export -f compile

# Objects older than the newest header are compiled again.
newest=$(find "$native" \( -name '*.h' -o -name '*.cuh' \) -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2-)
touch -r "$newest" "$build/headers"
# The CUDA files take longest, the largest first.
mapfile -t sources < <(
  find "$native/cuda" -name '*.cu' -printf '%s %p\n' | sort -rn | cut -d' ' -f2-
  find "$native" -name '*.cc' ! -path "$native/node/*" ! -path "$native/runtime/cuda_absent.cc" | sort
)
started=$SECONDS
printf '%s\0' "${sources[@]}" | xargs -0 -P "$jobs" -I{} bash -c 'compile "$1"' compile {}

objects=()
failed=()
for source in "${sources[@]}"; do
  name=${source#"$native"/}
  name=${name//\//.}
  if [ -f "$build/objects/$name.o" ]; then
    objects+=("$build/objects/$name.o")
  else
    failed+=("$name")
  fi
done
echo "compiled ${#objects[@]} of ${#sources[@]} files for sm_$arch in $((SECONDS - started)) s with $jobs jobs"
for name in ${failed[@]+"${failed[@]}"}; do
  echo "---- COMPILE ERROR ${name}"
  grep -nE -A4 'error|fatal' "$build/logs/$name.log" | head -60 || head -60 "$build/logs/$name.log"
done
[ ${#failed[@]} -eq 0 ] || exit 1
rm -f "$build/libqutlass.a"
ar rcs "$build/libqutlass.a" "${objects[@]}" || exit 1

tests=("$@")
if [ ${#tests[@]} -eq 0 ]; then
  for source in "$here"/*.cc; do tests+=("$(basename "$source" .cc)"); done
fi
link() {
  nvcc -std=c++20 -O2 -cudart static -Xcompiler -Wall,-Wextra -I "$native/include" "$here/$1.cc" "$build/libqutlass.a" \
    -lpthread -ldl -lrt -o "$build/bin/$1" >"$build/logs/$1.link.log" 2>&1 || rm -f "$build/bin/$1"
}
export here
export -f link
printf '%s\0' "${tests[@]}" | xargs -0 -P "$jobs" -I{} bash -c 'link "$1"' link {}

status=0
summary=()
for test in "${tests[@]}"; do
  if [ ! -x "$build/bin/$test" ]; then
    echo "---- LINK ERROR $test"
    grep -E 'error|undefined|fatal' "$build/logs/$test.link.log" | sort | uniq -c | sort -rn | head -40
    summary+=("$test: not built")
    status=1
    continue
  fi
  [ -z "${NO_RUN:-}" ] || continue
  echo "==== $test"
  began=$SECONDS
  # shellcheck disable=SC2086
  timeout -k 5 "${TIMEOUT:-120}" ${RUNNER:-} "$build/bin/$test" ${golden:+"$golden"}
  result=$?
  case $result in
    0) summary+=("$test: ok, $((SECONDS - began)) s") ;;
    124 | 137) summary+=("$test: TIMED OUT after $((SECONDS - began)) s") ;;
    *) summary+=("$test: FAILED with exit status $result, $((SECONDS - began)) s") ;;
  esac
  [ $result -eq 0 ] || status=1
done
printf '%s\n' "==== summary" ${summary[@]+"${summary[@]}"}
exit $status

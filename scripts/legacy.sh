#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# legacy.sh: remap_file_pages() without the flag that the series adds does what it does
# on the base kernel. The same program prints a table of calls on both, each with its
# error, with what every page is afterwards and what may be done there; the tables have
# to be the same, line by line.
#
# The base kernel is that of "make bench" (CONFIG=perf) and is built if it is missing,
# which takes some four minutes on two cores; the patched one is that of the tests, or
# what CONFIG= says. Tables: build/legacy/{base,patched}.txt.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

CONFIG=${CONFIG:-debug}
PROGRAM=vma_nonuniform_calls
NAME="legacy: remap_file_pages()"
DIR=$BUILD/legacy
LEAST=700			# lines; fewer than that are not all of it
LIMIT=600			# seconds for one table

# table TREE CONFIG FILE
table()
{
	local rc=0

	"$SCRIPTS/vm.sh" run --tree "$1" --config "$2" --timeout "$LIMIT" -- \
		"./$PROGRAM" --legacy-table >"$3" || rc=$?
	((rc == 0)) || die "$PROGRAM on the $1 kernel failed (exit $rc)." \
			   "What it printed is in $3:" "$(tail -n 3 "$3")"
	(($(wc -l <"$3") >= LEAST)) ||
		die "$PROGRAM on the $1 kernel printed less than $LEAST lines." "They are in $3."
}

start=$SECONDS
unset ARCH TREE			# both trees, and x86-64: UML has no base kernel here
if [[ ! -x $BUILD/out/linux-selftests/mm/$PROGRAM ]]; then
	verdict SKIP "$NAME" '' "the series has no $PROGRAM"
	exit 0
fi
TREE=base CONFIG=perf "$SCRIPTS/kernel.sh" kernel
lend "$PROGRAM"
mkdir -p "$DIR"
table base perf "$DIR/base.txt"
table linux "$CONFIG" "$DIR/patched.txt"

if diff -u "$DIR/base.txt" "$DIR/patched.txt" >"$DIR/diff"; then
	verdict PASS "$NAME" $((SECONDS - start)) \
		"$(wc -l <"$DIR/base.txt") calls as on the base kernel"
else
	verdict FAIL "$NAME" $((SECONDS - start)) \
		"$(grep -c '^+[^+]' "$DIR/diff" || true) calls differ, see $DIR/diff"
	sed -n '1,40s/^/    | /p' "$DIR/diff"
	exit 1
fi

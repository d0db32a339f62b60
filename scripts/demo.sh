#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh [--build]: boot the patched debug kernel and show what the series does
#
# Last comes what only a comparison shows: the same program maps the pages of a guest
# on the base kernel and on the patched one, both without debug options, and counts
# mappings and instructions. With --build, as "make demo" says it, these two kernels
# are built if they are missing, some eight minutes on two cores; without it, as
# "make" says it, that part is then left out. "make bench" builds them as well.
#
# The demonstration itself is scripts/vm/demo. Environment: as for vm.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

EXAMPLE=vma_nonuniform_example
PAGES=70000			# more than the mappings that a process may have
DIR=$BUILD/demo

build=0
for arg; do
	case $arg in
	--build) build=1 ;;
	*) die "demo.sh: '$arg' is not known." "See $0 --help." ;;
	esac
done

# count TREE: what the example says on the perf kernel of TREE, into $DIR. A nanosecond
# is an instruction there. A kernel that does not have the call ends it with 4.
count()
{
	local rc=0

	"$SCRIPTS/vm.sh" run --tree "$1" --config perf --icount --smp 1 --timeout 900 -- \
		"./$EXAMPLE" "$PAGES" >"$DIR/$1.txt" || rc=$?
	((rc == 0 || rc == 4)) ||
		die "$EXAMPLE on the $1 kernel failed (exit $rc)." \
		    "What it printed is in $DIR/$1.txt:" "$(tail -n 3 "$DIR/$1.txt")"
}

# table: both, side by side
table()
{
	awk -v pages="$PAGES" '
		FNR == 1 { kernel++ }
		/ pages in .* mappings, / {
			call = $1
			sub(/:$/, "", call)
			mapped[call, kernel] = $2
			vmas[call, kernel] = $5
			cost[call, kernel] = $7
		}
		/: page [0-9]+: / {
			call = $1
			sub(/:$/, "", call)
			error = $0
			sub(/^.*: page [0-9]+: /, "", error)
			stopped[call, kernel] = error
		}
		function row(what, a, b) {
			printf "%-36s %24s %24s\n", what, a == "" ? "-" : a, b == "" ? "-" : b
		}
		function rows(call, label) {
			row(label ", pages mapped", mapped[call, 1], mapped[call, 2])
			row("    mappings that makes", vmas[call, 1], vmas[call, 2])
			row("    instructions for each page", cost[call, 1], cost[call, 2])
			if (stopped[call, 1] stopped[call, 2] != "")
				row("    then", stopped[call, 1], stopped[call, 2])
		}
		END {
			printf "%d pages of a guest, each with an offset and a protection\n", pages
			row("", "base", "patched")
			rows("mmap", "mmap()")
			rows("remap_file_pages", "remap_file_pages()")
		}' "$DIR/base.txt" "$DIR/linux.txt"
}

side_by_side()
{
	local tree missing=0

	for tree in base linux; do
		[[ -f $BUILD/out/$tree-x86_64-perf/image ]] || missing=1
	done
	if ((missing && !build)); then
		info "'make demo' compares that with the base kernel. It builds two kernels first."
		return
	fi
	for tree in base linux; do
		TREE=$tree CONFIG=perf ARCH=x86_64 "$SCRIPTS/kernel.sh" kernel
	done
	lend "$EXAMPLE"
	mkdir -p "$DIR"
	step "The same program on the base kernel and on the patched one"
	count base
	count linux
	table
}

step "Booting the patched kernel for a demonstration"
"$SCRIPTS/vm.sh" run --timeout 900 -- sh -c "$(cat "$SCRIPTS/vm/demo")" ||
	die "the demonstration failed (exit $?)." \
	    "The console is in $LOGS/; 'make vm-test' says more."
echo
side_by_side
echo
info "More: make test (everything), make shell (look around), make help"

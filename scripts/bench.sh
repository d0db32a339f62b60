#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh [--twice] [OPERATION...]: what operations on mappings cost, on the
# base and on the patched kernel of the perf configuration. Both run the same
# program, vma_bench, in QEMU with -icount: one CPU executes one instruction per
# nanosecond, so that the figures, nanoseconds per operation, are guest
# instructions and the same on every machine.
#
# --twice measures everything a second time and fails unless both times agree
# to 0.5 %. --list names the operations; all of them are measured by default.
#
# Prints a table, with "-" for what a kernel does not have, and leaves
# build/bench/{base,patched}.txt and table.csv. Builds what is missing.
# Environment: TIMEOUT_SCALE=N for a slow host (see vm.sh).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

TOLERANCE=0.5			# percent between two measurements
LIMIT=900			# seconds for one; an idle host needs 30
DIR=$BUILD/bench
PROGRAM=$BUILD/out/linux-selftests/mm/vma_bench

twice=0 list=0 operations=()
for arg; do
	case $arg in
	--twice) twice=1 ;;
	--list) list=1 ;;
	-*) die "bench.sh: '$arg' is not known." "See $0 --help." ;;
	*) operations+=("$arg") ;;
	esac
done

# build: both kernels, and for both the program of the patched tree, which is
# the only one that has it
build()
{
	local tree base=$BUILD/out/base-selftests/mm/vma_bench

	for tree in base linux; do
		TREE=$tree CONFIG=perf ARCH=x86_64 "$SCRIPTS/kernel.sh" kernel selftests
	done
	[[ -x $PROGRAM ]] ||
		die "$PROGRAM was not built." \
		    "The series adds it: is $LINUX the patched tree? 'make tree' makes it so."
	cmp -s "$PROGRAM" "$base" || install -m 755 "$PROGRAM" "$base"
}

# measure TREE FILE: all operations on the kernel of TREE, one "name value" per line
measure()
{
	local rc=0 start=$SECONDS strange label=${1/linux/patched}

	"$SCRIPTS/vm.sh" run --tree "$1" --config perf --icount --smp 1 \
		--timeout "$LIMIT" -- ./vma_bench "${operations[@]}" \
		>"$2.new" || rc=$?
	case $rc in
	0) ;;
	124) die "vma_bench on the $label kernel took longer than $LIMIT s." \
		 "On a slow host, try TIMEOUT_SCALE=5." ;;
	*) die "vma_bench on the $label kernel failed (exit $rc):" \
	       "$(tail -n 3 "$2.new")" "What it printed is in $2.new." ;;
	esac
	strange=$(grep -m 3 -vE '^[a-z0-9-]+ ([0-9]+\.[0-9]|-)$' "$2.new" || true)
	[[ -s $2.new && -z $strange ]] ||
		die "vma_bench on the $label kernel printed something that is no figure:" \
		    "${strange:-(nothing at all)}" "All of it is in $2.new."
	mv "$2.new" "$2"
	info "${label}: $(wc -l <"$2") operations measured in $((SECONDS - start)) s"
}

# compare FILE FILE: fails, and says where, if two measurements disagree
compare()
{
	awk -v most="$TOLERANCE" '
		NR == FNR { first[$1] = $2; next }
		$2 != "-" {
			off = (first[$1] - $2) / $2 * 100
			if (off < 0)
				off = -off
			if (off > worst)
				worst = off
			if (off > most) {
				printf "    | %-22s %12.1f %12.1f   %.2f %%\n", $1, first[$1], $2, off
				bad = 1
			}
		}
		END {
			printf "    the two agree to %.2f %%\n", worst
			exit bad
		}' "$1" "$2"
}

if ((list)); then
	[[ -x $PROGRAM ]] || TREE=linux "$SCRIPTS/kernel.sh" selftests >&2
	exec "$PROGRAM" --list
fi

build
# Rather now than after a boot.
((${#operations[@]} == 0)) || {
	known=$("$PROGRAM" --list | awk '{ print $1 }')
	for name in "${operations[@]}"; do
		grep -qxF -- "$name" <<<"$known" ||
			die "there is no operation '$name'." "Known:" "$known"
	done
}

mkdir -p "$DIR"
agree=1
for pair in base:base linux:patched; do
	tree=${pair%:*} file=$DIR/${pair#*:}.txt
	step "benchmark on the ${pair#*:} kernel"
	measure "$tree" "$file"
	((twice)) || continue
	measure "$tree" "$DIR/again.txt"
	compare "$file" "$DIR/again.txt" || agree=0
	rm -f "$DIR/again.txt"
done

step "instructions per operation"
echo "operation,base,patched,ratio" >"$DIR/table.csv"
awk -v OFS=, '
	NR == FNR { base[$1] = $2; next }
	{
		ratio = base[$1] == "-" ? "-" : sprintf("%.4f", $2 / base[$1])
		print $1, base[$1], $2, ratio
	}
' "$DIR/base.txt" "$DIR/patched.txt" >>"$DIR/table.csv"
awk -F, '{ printf "%-22s %12s %12s %8s\n", $1, $2, $3, NR == 1 || $4 == "-" ? $4 : sprintf("%.3f", $4) }' \
	"$DIR/table.csv"
info "$DIR/table.csv"

((agree)) ||
	die "two measurements of the same kernel differ by more than $TOLERANCE %." \
	    "The operations are listed above. QEMU must run without KVM and with one CPU."

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh - what operations on mappings cost, on the base and on the patched kernel
#
# usage: [T="OPERATION..."] bench.sh [--twice|--table|--list] [OPERATION...]
#
#	--twice	measures a second time, and fails unless both times agree to 0.5 %
#	--table	measures nothing: the table of what was measured before
#	--list	names the operations; all of them are measured by default
#
# Both kernels are of the perf configuration and run the same program, vma_bench, in QEMU
# with -icount: one CPU executes one instruction per nanosecond, so that the figures,
# nanoseconds per operation, are guest instructions and the same on every machine.
# Those named "slab" are bytes. What is reclaimed goes to a swap device in memory.
#
# Prints a table, with "-" for what a kernel does not have, and leaves
# build/bench/{base,patched}.txt and table.{txt,csv,svg}. Fails if something costs
# more than scripts/bench.bounds allows. Builds what is missing.
# Environment: TIMEOUT_SCALE=N for a slow host (see vm.sh).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

TOLERANCE=0.5			# percent between two measurements
LIMIT=1800			# seconds for one; an idle host needs 300
DIR=$BUILD/bench
BOUNDS=$SCRIPTS/bench.bounds
PROGRAM=$BUILD/out/linux-selftests/mm/vma_bench

twice=0 list=0 measure=1 operations=()
for arg in "$@" ${T:-}; do
	case $arg in
	--twice) twice=1 ;;
	--list) list=1 ;;
	--table) measure=0 ;;
	-*) die "bench.sh: '$arg' is not known." "See $0 --help." ;;
	*) operations+=("$arg") ;;
	esac
done

# build: both kernels, and for both the program of the patched tree, which is
# the only one that has it
build()
{
	local tree

	for tree in base linux; do
		TREE=$tree CONFIG=perf ARCH=x86_64 "$SCRIPTS/kernel.sh" kernel selftests
	done
	lend vma_bench
}

# In the guest. The ext4 is in memory: no disk and no interrupt has a part in the
# figures, and nothing is written while they are taken.
# shellcheck disable=SC2016 # for the shell of the guest
GUEST='set -e
image=/tmp/ext4.img dir=/mnt/ext4
dd if=/dev/zero of=$image bs=1M count=0 seek=16 2>/dev/null
mkfs.ext4 -q -E lazy_itable_init=0 $image
mkdir -p $dir
losetup /dev/loop0 $image
mount -t ext4 -o noatime /dev/loop0 $dir
dd if=/dev/zero of=$dir/file bs=4096 count=2 2>/dev/null
sync
# Without zram nothing is reclaimed, and "-" is printed for that.
[ ! -b /dev/zram0 ] || {
	echo 64M >/sys/block/zram0/disksize && mkswap /dev/zram0 && swapon /dev/zram0
} >/dev/null
VMA_BENCH_EXT4=$dir/file exec ./vma_bench "$@"'

# measure TREE FILE: all operations on the kernel of TREE, one "name value" per line
measure()
{
	local rc=0 start=$SECONDS strange label=${1/linux/patched}

	"$SCRIPTS/vm.sh" run --tree "$1" --config perf --icount --smp 1 \
		--timeout "$LIMIT" -- sh -c "$GUEST" bench "${operations[@]}" \
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

# table: base.txt, patched.txt and the bounds as CSV. "of" is what the ratio is to,
# and "over" whether the bound is passed.
table()
{
	awk -v OFS=, '
		/^#/ || NF == 0 { next }
		FILENAME == ARGV[1] { bound[$1] = $2; of[$1] = $3; next }
		FILENAME == ARGV[2] { base[$1] = $2; next }
		{ order[++n] = $1; patched[$1] = $2 }
		END {
			print "operation", "base", "patched", "ratio", "bound", "of", "over"
			for (i = 1; i <= n; i++) {
				name = order[i]
				if (!(name in bound)) {
					print name " has no line in " ARGV[1] >"/dev/stderr"
					exit 1
				}
				to = bound[name] == "-" ? "base" : of[name]
				if (to == "base")
					by = base[name]
				else if (to == "absolute")
					by = 1
				else
					by = to in patched ? patched[to] : "-"
				got = patched[name] == "-" || by == "" || by == "-" ? 0 : patched[name] / by
				over = bound[name] != "-" && got > bound[name] + 0 ? "over" : ""
				b = base[name] == "" ? "-" : base[name]
				ratio = b == "-" || patched[name] == "-" ? "-" : sprintf("%.4f", patched[name] / b)
				print name, b, patched[name], ratio, bound[name], bound[name] == "-" ? "-" : to, over
			}
		}' "$BOUNDS" "$DIR/base.txt" "$DIR/patched.txt"
}

# as_text: the CSV, for people
as_text()
{
	awk -F, '{
		bound = $5
		if (NR > 1 && $6 != "base" && $6 != "-" && $6 != "absolute")
			bound = $5 " " $6
		if (NR != 1 && $7 == "over")
			bound = bound "  OVER"
		printf "%-22s %12s %12s %8s  %s\n", $1, $2, $3,
			NR == 1 || $4 == "-" ? $4 : sprintf("%.3f", $4), bound
	}' "$DIR/table.csv"
}

# plot: how each ratio to the base lies to 1, and to its bound
plot()
{
	local rows

	# Position, ratio, name, bound; the first operation on top.
	rows=$(awk -F, 'NR > 1 && $4 != "-" { l[++n] = $4 " " $1 " " ($6 == "base" ? $5 : "NaN") }
		END { for (i = 1; i <= n; i++) print n - i, l[i] }' "$DIR/table.csv")
	[[ -n $rows ]] || return 0
	gnuplot <<-EOP
	set terminal svg size 760,$((90 + 22 * $(wc -l <<<"$rows"))) font "sans-serif,12" background "white"
	set output "$DIR/table.svg"
	set title "Cost on the patched kernel, relative to the base"
	set grid xtics
	set ytics nomirror
	set yrange [-0.7:$(wc -l <<<"$rows") - 0.3]
	set offsets graph 0.05, graph 0.05, 0, 0
	set arrow from 1, graph 0 to 1, graph 1 nohead lc "black"
	set style fill solid 0.7 noborder
	set key bottom right
	\$rows << EOD
	$rows
	EOD
	plot \$rows using (\$2 < 1 ? \$2 : 1):1:(\$2 < 1 ? \$2 : 1):(\$2 < 1 ? 1 : \$2):(\$1-0.3):(\$1+0.3):ytic(3) \
		with boxxyerror lc "#4477aa" title "ratio", \
	     \$rows using 4:1:(0):(0.4) with vectors nohead lc "#cc3311" lw 2 notitle, \
	     \$rows using 4:1:(0):(-0.4) with vectors nohead lc "#cc3311" lw 2 title "bound"
	EOP
}

need gnuplot gnuplot-nox

if ((list)); then
	[[ -x $PROGRAM ]] || TREE=linux "$SCRIPTS/kernel.sh" selftests >&2
	exec "$PROGRAM" --list
fi

agree=1
mkdir -p "$DIR"
if ((measure)); then
	build
	# Rather now than after a boot.
	known=$("$PROGRAM" --list | awk '{ print $1 }')
	for name in "${operations[@]}"; do
		grep -qxF -- "$name" <<<"$known" ||
			die "there is no operation '$name'." "Known:" "$known"
	done
	for name in $known; do
		grep -qE "^${name}[[:space:]]" "$BOUNDS" ||
			die "the operation $name has no bound." "Write one into $BOUNDS."
	done

	for pair in base:base linux:patched; do
		tree=${pair%:*} file=$DIR/${pair#*:}.txt
		step "benchmark on the ${pair#*:} kernel"
		measure "$tree" "$file"
		((twice)) || continue
		measure "$tree" "$DIR/again.txt"
		compare "$file" "$DIR/again.txt" || agree=0
		rm -f "$DIR/again.txt"
	done
fi
[[ -f $DIR/base.txt && -f $DIR/patched.txt ]] ||
	die "nothing was measured yet." "Measure with: make bench"

step "instructions per operation"
table >"$DIR/table.csv.new" || die "there is no table."
mv "$DIR/table.csv.new" "$DIR/table.csv"
as_text | tee "$DIR/table.txt"
plot
info "$DIR/table.txt, .csv, .svg"

((agree)) ||
	die "two measurements of the same kernel differ by more than $TOLERANCE %." \
	    "The operations are listed above. QEMU must run without KVM and with one CPU."
over=$(awk -F, 'NR > 1 && $7 == "over" {
	if ($6 == "base")
		printf "%s: %s times what the base takes, the bound is %s\n", $1, $4, $5
	else if ($6 == "absolute")
		printf "%s: %s, the bound is %s\n", $1, $3, $5
	else
		printf "%s: %s, the bound is %s times %s\n", $1, $3, $5, $6
}' "$DIR/table.csv")
[[ -z $over ]] ||
	die "$(wc -l <<<"$over") of the operations cost more than ${BOUNDS##*/} allows:" \
	    "${over//$'\n'/$'\n       '}"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh - which of the lines that the series adds to the kernel are executed
#
# usage: [T="TEST..."] coverage.sh [--harness|--report]
#
# By the user-space harness (gcov) and by the kselftests in QEMU (CONFIG_GCOV_KERNEL, the
# kernel CONFIG=gcov: the debug kernel that counts). A line counts if either runs it.
# T= names the tests that run in the VM; by default all of the series, and those
# of scripts/vm/regression.list that need no sysctl.
#
#	--harness	only the harness; what the VM has counted before stays
#	--report	measure nothing, read what was counted
#
# Prints a line for each file that is not executed as a whole, and the sum. All lines
# that are not executed, with their reasons out of scripts/coverage.reasons, are in
# build/coverage/not-run; those of files that neither kernel nor harness builds, which
# are not in the sum, in build/coverage/not-built. Fails if less than 95 % are
# executed, or if a line is not and no reason is given.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

LEAST=95			# percent
LIMIT=7200			# seconds for all tests in the VM
DIR=$BUILD/coverage
REASONS=$SCRIPTS/coverage.reasons
OUT=$BUILD/out/linux-x86_64-gcov

only_known "--harness --report" "$@"
harness=1 vm=1
case ${1:-} in
--harness) vm='' ;;
--report) harness='' vm='' ;;
esac
need_linux
need gcov gcc
mkdir -p "$DIR" "$LOGS"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/coverage.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# added_lines: "file<TAB>line<TAB>text" of what the series adds to the kernel's C code.
# Tests and examples are no part of that.
added_lines()
{
	git_linux diff -U0 --no-color --no-renames base HEAD -- '*.c' '*.h' \
		':!tools' ':!samples' ':!lib/test_*' | awk '
		/^\+\+\+ / { file = substr($2, 3); next }
		/^@@ / { split($3, at, ","); line = substr(at[1], 2) + 0; next }
		/^\+/ { printf "%s\t%d\t%s\n", file, line++, substr($0, 2) }'
}

# counted BY DIR: gcov's text on standard input as "BY file line ran|not". The compiler
# ran in DIR.
counted()
{
	awk -F: -v by="$1" -v dir="$2" -v top="$LINUX/" '
		$2 + 0 == 0 && $3 == "Source" {
			file = $4 ~ /^\// ? $4 : dir "/" $4
			while (sub(/\/\.\//, "/", file) || sub(/\/[^\/]+\/\.\.\//, "/", file))
				;
			if (index(file, top) == 1)
				file = substr(file, length(top) + 1)
			next
		}
		$2 + 0 > 0 && $1 !~ /-$/ {
			print by "\t" file "\t" $2 + 0 "\t" ($1 ~ /[#=]+$/ ? "not" : "ran")
		}'
}

harness()
{
	"$SCRIPTS/vma.sh" coverage
	cat "$LINUX"/tools/testing/vma/coverage/*.gcov | counted harness "$LINUX/tools/testing/vma" | sort -u >"$DIR/harness"
}

# tests: "SECONDS COMMAND" for each
tests()
{
	local limit options command path name

	for path in "$BUILD/out/linux-selftests/mm"/vma_*; do
		name=${path##*/}
		[[ -x $path && $name != *.sh && $name != *_bench && $name != *_run ]] || continue
		echo "3600 ./$name"
	done
	while read -r limit options command; do
		[[ $limit =~ ^[0-9]+$ && $options != *=* && $command == ./* && $command != ./vma_* ]] || continue
		echo "$limit $command"
	done <"$SCRIPTS/vm/regression.list"
}

# in_vm: boots the counting kernel, runs the tests, takes what gcov has counted
in_vm()
{
	local wanted=() line name disks=() type image PATH=$PATH:/usr/sbin:/sbin rc=0

	CONFIG=gcov "$SCRIPTS/kernel.sh"
	while read -r line; do
		name=${line#* ./}
		[[ -z ${T:-} || " $T " == *" ${name%% *} "* ]] || continue
		wanted+=("$line")
	done < <(tests)
	((${#wanted[@]})) || die "there is no test ${T:-}."
	# What vma_fs looks for; see there.
	for type in ext4 xfs btrfs; do
		image=$scratch/$type.img
		truncate -s 512M "$image"
		case $type in
		ext4) mkfs.ext4 -q -L vma_fs "$image" ;;
		xfs) mkfs.xfs -q -L vma_fs "$image" ;;
		btrfs) mkfs.btrfs -q -L vma_fs "$image" ;;
		esac >"$LOGS/coverage-disks.log" 2>&1 || die "mkfs.$type failed; see $LOGS/coverage-disks.log."
		disks+=(--disk "$image")
	done
	step "${#wanted[@]} tests in the VM, counting lines"
	"$SCRIPTS/vm.sh" run --config gcov --timeout "$LIMIT" "${disks[@]}" -- \
		sh -c "$(cat "$SCRIPTS/vm/coverage")" coverage "$OUT" "${wanted[@]}" |
		tee "$scratch/output" | sed -n 's/^test /    exit status /p; /^not ok/s/^/    | /p' || rc=$?
	grep -qx end "$scratch/output" ||
		die "the VM has not handed over what it counted (exit $rc)." \
		    "$(tail -n 3 "$scratch/output")" "The console is in $LOGS/."
	rm -rf "$scratch/gcda"
	mkdir -p "$scratch/gcda"
	sed '1,/^gcov$/d; /^end$/d' "$scratch/output" | base64 -d | tar -x -z -C "$scratch/gcda"
	find "$OUT" -name '*.gcno' | while read -r line; do
		name=${line#"$OUT/"}
		mkdir -p "$scratch/gcda/${name%/*}"
		cp "$line" "$scratch/gcda/$name"
		# An object that never ran, a module say, has no counters, but has lines.
		(cd "$scratch" && gcov -t "gcda/$name" 2>/dev/null) || true
	done | counted vm "$OUT" | sort -u >"$DIR/vm.new"
	[[ -s $DIR/vm.new ]] || die "gcov makes nothing of what the VM has counted."
	mv "$DIR/vm.new" "$DIR/vm"
}

# join: build/coverage/lines: "file line state text", state being harness, vm, both,
# not, none (no code on that line) or unbuilt (in a file that nothing has compiled)
join()
{
	touch "$DIR/harness" "$DIR/vm"
	added_lines >"$scratch/added"
	awk -F'\t' -v OFS='\t' '
		FILENAME != ARGV[3] {
			built[$2]
			at = $2 SUBSEP $3
			code[at]
			if ($4 == "ran")
				ran[at, $1]
			next
		}
		{
			at = $1 SUBSEP $2
			h = (at SUBSEP "harness") in ran
			v = (at SUBSEP "vm") in ran
			text = $0
			sub(/^[^\t]*\t[^\t]*\t[ \t]*/, "", text)
			state = at in code ? (h && v ? "both" : h ? "harness" : v ? "vm" : "not") : "none"
			# Nobody has said which lines are code.
			if (!($1 in built) && $1 ~ /\.c$/ && text !~ /^(\/?\*|\/\/|#|[{}]?;?$)/)
				state = "unbuilt"
			print $1, $2, state, text
		}' "$DIR/harness" "$DIR/vm" "$scratch/added" >"$DIR/lines"
}

# reasons STATE: the lines of that state, each with its reason, or "?"
reasons()
{
	awk -F'\t' -v want="$1" -v file="$REASONS" '
		function regex(glob) {
			gsub(/[.+^$()[\]{}|\\]/, "\\\\&", glob)
			gsub(/\*/, ".*", glob)
			gsub(/\?/, ".", glob)
			return "^" glob "$"
		}
		BEGIN {
			while ((getline line <file) > 0) {
				if (line ~ /^#/ || split(line, w, /[ \t]*::[ \t]*/) != 3)
					continue
				glob[++n] = regex(w[1]); text[n] = w[2]; why[n] = w[3]
			}
		}
		$3 == want {
			reason = "?"
			for (i = n; i; i--)
				if ($1 ~ glob[i] && (text[i] == "*" || index($0, text[i])))
					reason = why[i]
			printf "%s:%d: %s  [%s]\n", $1, $2, $4, reason
		}' "$DIR/lines"
}

[[ -z $harness ]] || harness
[[ -z $vm ]] || in_vm
[[ -s $DIR/harness || -s $DIR/vm ]] ||
	die "nothing was counted yet." "Say: make coverage"
[[ -s $DIR/vm ]] || warn "the VM has not counted anything yet: the harness alone"
join
reasons not >"$DIR/not-run"
reasons unbuilt >"$DIR/not-built"

step "Lines of code that the series adds"
rc=0
awk -F'\t' -v least="$LEAST" -v notrun="$DIR/not-run" '
	BEGIN {
		while ((getline line <notrun) > 0)
			if (line ~ /\[\?\]$/) {
				split(line, w, ":")
				unexplained[w[1]]++
				open++
			}
		printf "%-36s %6s %8s %6s %9s %7s\n", "", "lines", "harness", "VM", "executed", "no word"
	}
	$3 == "none" { next }
	$3 == "unbuilt" { if (!($1 in u)) files++; u[$1]; unbuilt++; next }
	{
		if (!($1 in all))
			order[++n] = $1
		all[$1]++; sum++
		if ($3 == "harness" || $3 == "both") { h[$1]++; hs++ }
		if ($3 == "vm" || $3 == "both") { v[$1]++; vs++ }
		if ($3 != "not") { e[$1]++; es++ }
	}
	END {
		for (i = 1; i <= n; i++) {
			f = order[i]
			if (e[f] == all[f]) {
				whole++
				continue
			}
			printf "%-36s %6d %8d %6d %7.1f %% %7d\n", f, all[f], h[f], v[f], 100 * e[f] / all[f], unexplained[f]
		}
		printf "%-36s\n", whole + 0 " files as a whole"
		printf "%-36s %6d %8d %6d %7.1f %% %7d\n", "all", sum, hs, vs, sum ? 100 * es / sum : 0, open
		if (unbuilt)
			printf "not built: %d lines of %d files\n", unbuilt, files
		exit !sum || 100 * es / sum < least || open
	}' "$DIR/lines" || rc=1
info "$DIR/not-run, not-built"
open=$(cat "$DIR/not-run" "$DIR/not-built" | grep -c '\[?\]$' || true)
((rc == 0 && open == 0)) ||
	die "less than $LEAST % are executed, or lines are not and nothing says why ($open)." \
	    "Write a test, or the reason into $REASONS."

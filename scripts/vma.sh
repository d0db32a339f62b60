#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vma.sh - the VMA code in user space (tools/testing/vma)
#
# usage: vma.sh [VERB]
#
#	vma.sh test		build it, run all tests or those that T= names, one
#				line for each
#	vma.sh soak MINUTES	random operations, for so long, with new seeds
#	vma.sh coverage		which lines of the kernel's files the tests run
#
# KTREE=dir is the kernel tree to use instead of build/linux. SEED= makes the
# random tests do the same again. What the tests say is in build/logs/vma.log.

set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage_if_asked "$@"

KTREE=${KTREE:-$LINUX}
VMA=$KTREE/tools/testing/vma
LOG=$LOGS/vma.log

build()
{
	[[ -f $VMA/vma.c ]] ||
		die "there is no tools/testing/vma in $KTREE." \
		    "Run 'make tree' first, or set KTREE= to a 6.12 kernel tree."
	need gcc gcc
	need make make
	echo '#include <urcu/uatomic.h>' | gcc -E -x c - >/dev/null 2>&1 ||
		die "liburcu is missing." \
		    "Install it with: apt-get install liburcu-dev"
	run_logged "building tools/testing/vma" "$LOGS/vma-build.log" \
		make -C "$VMA" -j"$JOBS"
}

# KTAP on stdin: a verdict line for each test, and after one that failed, what
# it said. Fails if a test failed, or if there were fewer than were announced.
verdicts()
{
	local line said='' planned=-1 seen=0 failed=0 bad name note secs
	local result='^(not )?ok [0-9]+ ([^ ]+)( # (.*))?$'

	while IFS= read -r line; do
		if [[ $line =~ ^1\.\.([0-9]+)$ ]]; then
			planned=${BASH_REMATCH[1]}
		elif [[ $line == '# Totals:'* ]]; then
			continue
		elif [[ $line == '# '* ]]; then
			said+="     | ${line#\# }"$'\n'
		elif [[ $line =~ $result ]]; then
			seen=$((seen + 1))
			bad=${BASH_REMATCH[1]} name=vma/${BASH_REMATCH[2]}
			note=${BASH_REMATCH[4]} secs=''
			[[ $note =~ ^[0-9]+' ms'$ ]] &&
				secs=$(awk "BEGIN { printf \"%.1f\", ${note% ms} / 1000 }")
			if [[ -n $bad ]]; then
				failed=$((failed + 1))
				verdict FAIL "$name" "$secs"
				printf '%s' "$said"
			elif [[ $note == SKIP* ]]; then
				verdict SKIP "$name" '' "${note#SKIP }"
			else
				verdict PASS "$name" "$secs"
			fi
			said=''
		fi
	done
	if ((seen != planned)); then
		verdict FAIL vma/all '' "$seen of $planned tests have reported"
		failed=$((failed + 1))
	fi
	((failed == 0))
}

run_tests()
{
	mkdir -p "$LOGS"
	# Whether it failed is for the verdicts to say; the log has all of it.
	(cd "$VMA"; ./vma "$@" 2>&1; true) | tee "$LOG" | verdicts
}

case ${1:-test} in
test)
	build
	step "Testing the VMA code in user space"
	# shellcheck disable=SC2086 # T may hold several names
	run_tests ${T:-} || die "the VMA code fails its tests." \
			 "All that they said is in $LOG."
	;;
soak)
	[[ ${2:-} =~ ^[1-9][0-9]*$ ]] ||
		die "for how long?" "Say the minutes: vma.sh soak 10"
	build
	step "Random operations for $2 minutes"
	run_tests --soak "$2" random ||
		die "a random sequence has failed." \
		    "It is above, and in $LOG; with its SEED= it fails again."
	grep -h '^# .* operations' "$LOG" | sed 's/^# /    /'
	;;
coverage)
	build
	need gcov gcc
	step "Lines of the VMA code that the tests run"
	run_logged "building and running with gcov" "$LOGS/vma-coverage.log" \
		make -C "$VMA" -j"$JOBS" coverage
	grep ' lines of ' "$LOGS/vma-coverage.log" | sed 's|\.\./||g; s/^/    /'
	info "not run: $VMA/coverage/not-run"
	;;
*)
	die "unknown verb '$1'." "See: vma.sh --help"
	;;
esac

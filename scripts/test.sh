#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test.sh - run every test there is, or those that need no VM
#
# usage: test.sh [check]
#
#   lint       see lint.sh
#   harness    the VMA code in user space, see vma.sh
#   kselftests in QEMU with the debug kernel, see vm.sh; not with "check"
#   those of others once more, with reservations that they inherit; not with "check"
#   old calls on the base kernel and on the patched one, see legacy.sh; not with "check"
#   kselftests under User-Mode Linux; not with "check"
#
# What can go wrong does not stop the rest. The last line counts what really
# ran: N passed, N failed, N skipped.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

only_check=
[[ ${1:-} == check ]] && only_check=1
unset T ARCH CONFIG TREE		# everything, of the patched tree

started=$SECONDS
results=$LOGS/results.log
mkdir -p "$LOGS"
: >"$results"
strip_colour='s/\x1b\[[0-9;]*m//g'

# stage TITLE COMMAND...: its verdict lines count. A stage that fails without a
# FAIL line has not done its work, which is a failure of its own.
stage()
{
	local title=$1 rc=0 start=$SECONDS log=$LOGS/stage.log
	shift

	step "$title"
	FORCE_COLOUR=${BOLD:+1} "$@" 2>&1 |
		sed -u "/^[0-9]* passed, [0-9]* failed, [0-9]* skipped$/d" |
		tee "$log" || rc=$?
	if ((rc)) && ! sed "$strip_colour" "$log" | grep -aq "^FAIL"; then
		verdict FAIL "$title" $((SECONDS - start)) "stopped with exit status $rc" |
			tee -a "$log"
	fi
	sed "$strip_colour" "$log" >>"$results"
}

# build_ahead: the kernels of the last stages, with the CPU time that VMs leave. These
# stages go on from there, and tell what is wrong if it could not be done.
build_ahead()
{
	# shellcheck disable=SC2016 # for that shell
	setsid nice -n 19 bash -c '
		TREE=base CONFIG=perf "$0/kernel.sh" kernel
		ARCH=um "$0/kernel.sh"' "$SCRIPTS" >"$LOGS/ahead.log" 2>&1 &
	# shellcheck disable=SC2064 # the group of this process, whatever comes later
	trap "kill -- -$! 2>/dev/null || true" EXIT
}

if [[ -z $only_check ]]; then
	"$SCRIPTS/tools.sh"
	"$SCRIPTS/tree.sh" --base
fi
stage "Lint" "$SCRIPTS/lint.sh"
stage "User-space harness" "$SCRIPTS/vma.sh" test
if [[ -z $only_check ]]; then
	stage "Debug kernel" "$SCRIPTS/kernel.sh"
	build_ahead
	stage "kselftests in QEMU" "$SCRIPTS/vm.sh" test
	stage "kselftests that inherit reservations" env RESERVED=1 "$SCRIPTS/vm.sh" test
	wait || true
	stage "remap_file_pages() as it was" "$SCRIPTS/legacy.sh"
	stage "User-Mode Linux" env ARCH=um "$SCRIPTS/kernel.sh"
	stage "kselftests under User-Mode Linux" env ARCH=um "$SCRIPTS/vm.sh" test
fi

step "Results after $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
grep -a '^FAIL' "$results" || true
count_verdicts "$results"
! grep -aq '^FAIL' "$results"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm.sh test [T='NAME...']: boot the kernel in QEMU and run the series' own
# kselftests (selftests/mm/vma_*) and those of scripts/vm/regression.list, or
# the ones named. One result line each; what the kernel says while a test runs
# fails it, unless the test announced it with "vma-expect: TEXT" in /dev/kmsg.
# The console goes to build/logs/vm-<arch>-<config>[-reserved].log, with V=1 also to
# the terminal. T may hold shell patterns.
#
# vm.sh soak MINUTES: everything that can happen to nonuniform mappings, at the same
# time, for so long: vma_nonuniform_soak, which "test" runs for one minute. SEED=N has
# it do the same again, as far as threads do.
#
# vm.sh run [--smp N] [--mem M] [--nodes N] [--icount] [--timeout S] [--append ARGS]
#	[--tree base|linux] [--config perf|debug] [--disk IMG]... -- COMMAND...
# Boot, run one command, print what it prints, return its exit status; 124 if
# it takes longer than S seconds (default 600), 125 if the guest does not come
# up. With --icount on one CPU one nanosecond is one guest instruction.
#
# vm.sh shell: boot with a shell on this terminal (Ctrl-a x kills the VM).
# vm.sh selftest: run tests that go wrong on purpose (scripts/vm/detection.list) and
# check the verdicts. Needs the debug kernel.
#
# vm.sh probe: say whether KVM or emulation (TCG) is used.
#
# Environment: TREE, CONFIG, ARCH as for kernel.sh; ACCEL=kvm|tcg instead of
# probing; TIMEOUT_SCALE=N multiplies every time limit (default 1); V=1;
# RESERVED=1 runs the tests of the list, and only these, with address-space
# reservations that they inherit; NODES=N runs tests with so many NUMA nodes (default
# 2, so that pages can be moved; one where the kernel knows no more).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

TREE=${TREE:-linux} CONFIG=${CONFIG:-debug} ARCH=${ARCH:-x86_64}
SCALE=${TIMEOUT_SCALE:-1}
RESERVED=${RESERVED:-} SOAK=''
[[ $SCALE =~ ^[1-9][0-9]*$ ]] || die "TIMEOUT_SCALE=$SCALE is not a whole number."
LIST=$SCRIPTS/vm/regression.list

# Seconds. An idle host boots the debug kernel in 15 s, a very busy one in 200.
BOOT_LIMIT=$((600 * SCALE))
OWN_LIMIT=$((1800 * SCALE))	# those of the series walk through every allocation
GRACE=$((60 * SCALE))		# for the guest to act on a test's own limit
LEAK_LIMIT=$((300 * SCALE))
VM_LIMIT=$((5400 * SCALE))

SMP=2 MEM=2G APPEND='' ICOUNT=0 DISKS=() TEST_NODES=${NODES:-2} NODES=1
[[ $TEST_NODES =~ ^[1-8]$ ]] || die "NODES=$TEST_NODES is not a number from 1 to 8."
VM='' WORK=''

cleanup()
{
	trap - EXIT INT TERM
	stop_vm
	[[ -z $WORK ]] || rm -rf "$WORK"
}

# stop_vm: no process of the VM survives this. UML is several processes, so the
# VM has a process group of its own.
stop_vm()
{
	[[ -n $VM ]] || return 0
	kill -KILL -- "-$VM" 2>/dev/null || kill -KILL "$VM" 2>/dev/null || true
	wait "$VM" 2>/dev/null || true
	VM=''
}

work_dir()
{
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/vma-vm.XXXXXX")
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# select_kernel: the kernel and the initramfs of TREE, ARCH, CONFIG
select_kernel()
{
	OUT=$BUILD/out/$TREE-$ARCH-$CONFIG
	KERNEL=$OUT/image
	[[ -f $KERNEL ]] ||
		die "there is no kernel in $OUT." \
		    "Build it with: make kernel TREE=$TREE ARCH=$ARCH CONFIG=$CONFIG"
	[[ $ARCH == um ]] || need qemu-system-x86_64 qemu-system-x86
	TREE=$TREE CONFIG=$CONFIG ARCH=$ARCH "$SCRIPTS/initramfs.sh" >&2
}

# quote WORD: for a shell in the guest
quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# make_job MODE: the second archive from what is in $WORK/job
make_job()
{
	mkdir -p "$WORK/job"
	echo "$1" >"$WORK/job/mode"
	(cd "$WORK" && find job | cpio --quiet -o -H newc) >"$WORK/job.cpio"
	cat "$OUT/initramfs.cpio" "$WORK/job.cpio" >"$WORK/initrd"
}

# numa_nodes: memory and CPUs divided among NODES, behind what is in the array "vm".
# Each CPU is a socket: CPUs of one share a cache, and cannot be of several nodes.
numa_nodes()
{
	local node cpu cpus size

	((NODES > 1)) || return 0
	size=$(($(numfmt --from=iec "$MEM") / NODES))
	for ((node = 0; node < NODES; node++)); do
		cpus=''
		for ((cpu = node; cpu < SMP; cpu += NODES)); do
			cpus+=,cpus=$cpu
		done
		vm+=(-object "memory-backend-ram,id=ram$node,size=$size"
			-numa "node,nodeid=$node,memdev=ram$node$cpus")
	done
}

# command_line ACCELERATOR: sets the array "vm". The console is descriptor 1,
# the output of "run" descriptor 5.
command_line()
{
	local accel=$1 i args

	# A panic or an oops ends the VM: what runs after it proves nothing.
	# Emulation is slow, so the kernel's watchdogs are patient.
	args="printk.devkmsg=on ignore_loglevel panic=-1 oops=panic nokaslr"
	args+=" kasan_multi_shot $APPEND"
	if [[ $ARCH == um ]]; then
		vm=("$KERNEL" mem="$MEM" initrd="$WORK/initrd" "con0=null,fd:1"
			"con1=null,fd:5" con=null ssl=null console=tty0)
		for ((i = 0; i < ${#DISKS[@]}; i++)); do
			vm+=("ubd$i=${DISKS[i]}")
		done
		# shellcheck disable=SC2206 # these are words
		vm+=($args)
		return
	fi
	# On a busy host the check of the timer can miss its ticks and panic.
	args+=" no_timer_check tsc=reliable"
	args+=" console=ttyS0,115200 reboot=t sysctl.kernel.watchdog_thresh=60"
	args+=" workqueue.watchdog_thresh=120"
	vm=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot
		-m "$MEM" -kernel "$KERNEL" -initrd "$WORK/initrd" -append "$args")
	if ((ICOUNT)); then
		# What is measured repeats better on "pc", above all fork.
		vm+=(-machine pc -accel "tcg,thread=single" -icount "shift=0,sleep=off"
			-smp 1 -cpu max)
	else
		# Not "pc": its ACPI method for interrupt routing (_PRT) is a loop of 128
		# passes, run once for each PCI device. In an emulated debug kernel that
		# outlasts the 30 s that ACPICA gives a loop, and a disk without its
		# interrupt never answers.
		vm+=(-machine q35 -smp "$SMP,sockets=$SMP")
		numa_nodes
		case $accel in
		kvm) vm+=(-accel kvm -cpu host) ;;
		*) vm+=(-accel tcg -cpu max) ;;
		esac
	fi
	for ((i = 0; i < ${#DISKS[@]}; i++)); do
		vm+=(-drive "if=none,id=disk$i,format=raw,file=${DISKS[i]}"
			-device "virtio-blk-pci,drive=disk$i")
	done
}

# start_vm ACCELERATOR: in the background; its console is descriptor 4 here
start_vm()
{
	local vm=()

	command_line "$1"
	[[ $ARCH == um ]] || vm+=(-chardev "stdio,id=console,signal=off"
		-serial "chardev:console"
		-chardev "file,id=output,path=/dev/fd/5" -serial "chardev:output")
	rm -f "$WORK/console"
	mkfifo "$WORK/console"
	[[ -e $WORK/output ]] || : >"$WORK/output"
	# The VM dies with this script, however that ends.
	setsid setpriv --pdeathsig KILL "${vm[@]}" \
		</dev/null >"$WORK/console" 2>"$WORK/stderr" 5>"$WORK/output" &
	VM=$!
	exec 4<"$WORK/console"
}

# next_line: sets "line" to the next line of the console. Returns 1 when the VM
# has ended, 2 when nothing complete came within a second.
PART=''
next_line()
{
	local rc=0

	IFS= read -r -t 1 -u 4 line || rc=$?
	if ((rc > 128)); then
		PART+=$line
		return 2
	fi
	line=$PART${line%$'\r'} PART=''
	((rc == 0)) || [[ -n $line ]] || return 1
	printf '%s\n' "$line" >&3
	[[ ${V:-0} != 1 ]] || printf '    %s\n' "$line"
	text=$line
	[[ $line =~ ^\[\ *[0-9]+\.[0-9]+\](\[[^]]*\])?\ (.*)$ ]] && text=${BASH_REMATCH[2]}
	return 0
}

# The first lines of what a kernel says when something is wrong.
SPLAT='^(WARNING: |BUG: |.*kernel BUG at |BUG at |Oops: |.*general protection fault|KASAN: |'
SPLAT+='UBSAN: |INFO: (task .* blocked|possible|trying to register|rcu)|'
SPLAT+='rcu: (INFO: .*stall|.*kthread starved)|.*watchdog: BUG|.*: bad (pmd|pud|p4d|pgd|pte)|'
SPLAT+='Kernel panic|kmemleak: (Cannot (insert|allocate a kmemleak)|Found|Unable|Kernel memory leak detector disabled)|'
SPLAT+='.*Bad swap|swap_free: |refcount_t: |list_(add|del) corruption|'
SPLAT+='.*nobody cared|DEBUG_LOCKS|\[ BUG: |.*ODEBUG: |.*stack guard page|'
SPLAT+='Out of memory: Killed|VFS: Busy inodes|.*Internal error)'

# probe: sets "accel". /dev/kvm may be there and hang every guest, so that only
# a boot tells; the answer holds until this machine boots again.
probe()
{
	local cache=$BUILD/vm-accel boot limit=$((30 * SCALE)) start line text rc

	boot=$(cat /proc/sys/kernel/random/boot_id)
	if [[ -n ${ACCEL:-} ]]; then
		[[ $ACCEL == kvm || $ACCEL == tcg ]] ||
			die "ACCEL=$ACCEL is not known." "Use ACCEL=kvm or ACCEL=tcg."
		accel=$ACCEL why="ACCEL is set"
		return
	fi
	if [[ $ARCH == um ]]; then
		accel=um why="ARCH=um needs neither"
		return
	fi
	if [[ ! -w /dev/kvm ]]; then
		accel=tcg why="there is no /dev/kvm that this user can write"
		return
	fi
	if [[ -f $cache && $(head -n 1 "$cache") == "$boot" ]]; then
		accel=$(sed -n 2p "$cache") why=$(sed -n 3p "$cache")
		return
	fi
	info "trying a boot with KVM (at most $limit s)" >&2
	mkdir -p "$LOGS"
	exec 3>"$LOGS/vm-probe.log"
	echo true >"$WORK/job/command"
	echo ttyS1 >"$WORK/job/output"
	make_job run
	start_vm kvm
	start=$SECONDS
	accel=tcg why="a guest under KVM did not come up within $limit s"
	while ((SECONDS - start < limit)); do
		rc=0
		next_line || rc=$?
		((rc != 2)) || continue
		if ((rc == 1)); then
			why="QEMU with KVM ended: $(tail -n 1 "$WORK/stderr")"
			break
		fi
		if [[ $text == 'vma-vm: exit 0' ]]; then
			accel=kvm why="a guest under KVM booted in $((SECONDS - start)) s"
			break
		fi
	done
	stop_vm
	printf '%s\n' "$boot" "$accel" "$why" >"$cache"
}

# ---------------------------------------------------------------- vm.sh test

# State of the running test; begin_test() and end_test() frame it.
NAME='' SPLATS=() OUTPUT=() EXPECT=() SINCE=() WRONG=()
REPORT=() HEAD='' INSIDE=0 CUT=0 LATE=0
SELFTEST=0 BOOT_FAILURES=0
declare -A WANT=() WORD=() JUDGED=()

begin_test()
{
	NAME=$1 OUTPUT=() EXPECT=() SINCE=() WRONG=() LATE=0
	OKS=0 NOT_OKS=0 SKIPS=0 XFAILS=0 PLAN='' SKIP_REASON='' LAST_NOT_OK=''
}

# close_report: the kernel's report is complete; is it one that was announced?
close_report()
{
	local i

	((INSIDE)) || return 0
	INSIDE=0 CUT=0
	for i in "${!EXPECT[@]}"; do
		if [[ $HEAD == *"${EXPECT[i]}"* ]]; then
			unset "EXPECT[$i]"
			return
		fi
	done
	SPLATS+=("$(printf '%s\n' "${REPORT[@]}")")
	HEADS+=("${HEAD##*$'\n'}")
}

# kernel_says TEXT: collects reports. The head of one that starts with "cut
# here" is everything up to the line that says what it is.
kernel_says()
{
	if [[ $1 == *'[ cut here ]'* ]]; then
		close_report
		INSIDE=1 CUT=1 HEAD='' REPORT=()
		return
	fi
	if ((CUT)); then
		HEAD+=${HEAD:+$'\n'}$1
		REPORT+=("$1")
		[[ ! $1 =~ ^(WARNING: |BUG: |UBSAN: |Oops: |.*kernel BUG at) && ${#REPORT[@]} -lt 40 ]] ||
			CUT=0
		return
	fi
	if [[ $1 =~ $SPLAT ]]; then
		# An oops or a panic belongs to the report that it ends.
		if ((!INSIDE)) || [[ $1 == 'WARNING: '* || $1 == 'BUG: '* || $1 == INFO:* ]]; then
			close_report
			INSIDE=1 HEAD=$1 REPORT=()
		fi
	fi
	((INSIDE)) || return 0
	REPORT+=("$1")
	case $1 in
	*'[ end trace'*) close_report ;;
	*'</TASK>'*) [[ $HEAD == *KASAN* || ${REPORT[0]} != "$HEAD" ]] || close_report ;;
	'====='*) ((${#REPORT[@]} < 3)) || [[ $HEAD != *KASAN* ]] || close_report ;;
	esac
	((${#REPORT[@]} < 150)) || close_report
}

# test_says TEXT: a line that the test printed, KTAP or not
test_says()
{
	OUTPUT+=("$1")
	((${#OUTPUT[@]} <= 400)) || OUTPUT=("${OUTPUT[@]:200}")
	# Of a test of many cases, what those said that failed
	SINCE+=("$1")
	((${#SINCE[@]} <= 40)) || SINCE=("${SINCE[@]:20}")
	[[ $1 != 'ok '* ]] || SINCE=()
	if [[ $1 =~ ^ok\ [0-9]+ ]]; then
		if [[ $1 =~ \#\ *SKIP\ *(.*)$ ]]; then
			SKIPS=$((SKIPS + 1)) SKIP_REASON=${BASH_REMATCH[1]:-$1}
		else
			OKS=$((OKS + 1))
		fi
	elif [[ $1 =~ ^not\ ok\ [0-9]+.*\#\ *(TODO|XFAIL) ]]; then
		XFAILS=$((XFAILS + 1))
	elif [[ $1 =~ ^not\ ok\ [0-9]+ ]]; then
		NOT_OKS=$((NOT_OKS + 1)) LAST_NOT_OK=$1
		((${#WRONG[@]} > 100)) || WRONG+=("${SINCE[@]}")
		SINCE=()
	elif [[ $1 =~ ^1\.\.([0-9]+)(.*)$ ]]; then
		PLAN=${BASH_REMATCH[1]}
		[[ ! ${BASH_REMATCH[2]} =~ SKIP\ *(.*)$ ]] || SKIP_REASON=${BASH_REMATCH[1]}
	elif [[ $1 =~ \#\ *SKIP\ +(.*)$ ]]; then
		SKIP_REASON=${BASH_REMATCH[1]}
	fi
}

# seconds MILLISECONDS
seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }

# judge VERDICT NAME SECONDS REASON: of the runner itself: is this what a test that
# goes wrong on purpose must get?
judge()
{
	local want=${WANT[$2]:-none} word=${WORD[$2]:-}

	JUDGED[$2]=1
	if [[ $1 == "$want" && ( $word == - || $4 == *"$word"* ) ]]; then
		verdict PASS "$2" "$3" "$1, $4"
		PASSED=$((PASSED + 1))
	else
		verdict FAIL "$2" "$3" "it got $1 ($4), not $want ($word)"
		printf '    | %s\n' "${SPLATS[@]}" "${OUTPUT[@]}" | head -n 40
		FAILED=$((FAILED + 1))
	fi
}

# report VERDICT NAME SECONDS REASON: the line, and what is needed to understand
# a failure
report()
{
	local splat

	if ((SELFTEST)); then
		judge "$@"
		SPLATS=() HEADS=()
		return
	fi
	verdict "$@"
	case $1 in
	PASS) PASSED=$((PASSED + 1)) ;;
	SKIP) SKIPPED=$((SKIPPED + 1)) ;;
	FAIL)
		FAILED=$((FAILED + 1))
		for splat in "${SPLATS[@]}"; do
			head -n 70 <<<"$splat" | sed 's/^/    | /'
			echo '    |'
		done
		if ((${#WRONG[@]})); then
			printf '    | %s\n' "${WRONG[@]}"
		elif ((${#OUTPUT[@]} && ! ${#SPLATS[@]})); then
			printf '    | %s\n' "${OUTPUT[@]: -25}"
		fi
		;;
	esac
	SPLATS=() HEADS=() WRONG=()
}

# end_test STATUS MILLISECONDS
end_test()
{
	local status=$1 secs plain=0 leaks

	close_report
	secs=$(seconds "$2")
	[[ $NAME == kmemleak || ,${OPTIONS[NUMBER]}, != *,plain,* ]] || plain=1

	if ((${#SPLATS[@]})); then
		report FAIL "$NAME" "$secs" "kernel: ${HEADS[0]}"
	elif [[ $NAME == kmemleak ]]; then
		leaks=$(printf '%s\n' "${OUTPUT[@]}" | grep -c '^unreferenced object' || true)
		if ((status == 0)); then
			report PASS "$NAME" "$secs" "no leak"
		else
			OUTPUT=("${OUTPUT[@]:0:60}")
			report FAIL "$NAME" "$secs" "$leaks blocks of memory were lost"
		fi
	elif ((LATE)); then
		report FAIL "$NAME" "$secs" "time limit of ${LIMITS[NUMBER]} s"
	elif ((status == 4)); then
		if [[ -n $SKIP_REASON ]]; then
			report SKIP "$NAME" "$secs" "$SKIP_REASON"
		else
			report FAIL "$NAME" "$secs" "skipped without saying why"
		fi
	elif ((status > 128)); then
		report FAIL "$NAME" "$secs" "killed by signal $((status - 128))"
	elif ((status)); then
		report FAIL "$NAME" "$secs" \
			"exit status $status${LAST_NOT_OK:+; $LAST_NOT_OK}"
	elif ((NOT_OKS)); then
		report FAIL "$NAME" "$secs" "$LAST_NOT_OK (yet exit status 0)"
	elif [[ $PLAN == 0 ]] || ((OKS == 0 && SKIPS)); then
		report SKIP "$NAME" "$secs" "${SKIP_REASON:-no reason given}"
	elif ((OKS == 0 && !plain)); then
		report FAIL "$NAME" "$secs" "it ended without a result (no KTAP line)"
	elif [[ -n $PLAN ]] && ((OKS + SKIPS + XFAILS < PLAN && !plain)); then
		report FAIL "$NAME" "$secs" "$((OKS + SKIPS + XFAILS)) results, $PLAN were planned"
	elif ((plain)); then
		report PASS "$NAME" "$secs" ''
	else
		report PASS "$NAME" "$secs" "$OKS ok$( ((!SKIPS)) || echo ", $SKIPS skipped ($SKIP_REASON)")"
	fi
	NAME=''
}

# outside WHERE: a report that came while no test ran
outside()
{
	close_report
	((${#SPLATS[@]})) || return 0
	OUTPUT=()
	report FAIL "$1" '' "kernel: ${HEADS[0]}"
}

# read_list: the tests to run, into TESTS (display names), LIMITS, OPTIONS and
# COMMANDS; NUMBER indexes all four
read_list()
{
	local limit options command word rest path name reason wanted pattern
	local -A own=() left_out=()

	TESTS=() LIMITS=() OPTIONS=() COMMANDS=()
	while read -r limit options command; do
		case $limit in
		''|'#'*) continue ;;
		-) left_out[$options]=$command; continue ;;
		-um) [[ $ARCH != um ]] || left_out[$options]=$command; continue ;;
		-reserved) [[ -z $RESERVED ]] || left_out[$options]=$command; continue ;;
		+um)
			[[ $ARCH == um ]] || continue
			read -r limit options command <<<"$options $command"
			;;
		esac
		word=${command#*./} word=${word%% *}
		[[ -z ${left_out[$word]+x} ]] || continue
		own[$word]=1
		TESTS+=("${RESERVED:+reserved: }${command#./}") LIMITS+=($((limit * SCALE)))
		OPTIONS+=("$options") COMMANDS+=("$command")
	done <"$LIST"
	for path in "$BUILD/out/$TREE-selftests/mm"/vma_*; do
		name=$(basename "$path")
		[[ -z $RESERVED && -x $path && $name != *.sh && $name != *_bench && $name != *_run &&
			-z ${own[$name]+x} && -z ${left_out[$name]+x} ]] || continue
		TESTS+=("$name") LIMITS+=("$OWN_LIMIT") OPTIONS+=(-) COMMANDS+=("./$name")
	done

	wanted=()
	for pattern in ${T:-}; do
		rest=0
		for NUMBER in "${!TESTS[@]}"; do
			word=${COMMANDS[NUMBER]#*./} word=${word%% *}
			# shellcheck disable=SC2053 # it is a pattern
			[[ $word == $pattern || ${TESTS[NUMBER]} == $pattern ]] || continue
			wanted+=("$NUMBER") rest=1
		done
		((rest)) && continue
		reason=${left_out[$pattern]:-}
		[[ -z $reason ]] || die "$pattern is left out: $reason"
		die "there is no test $pattern." \
		    "Known: $(printf '%s\n' "${COMMANDS[@]}" | sed 's/.*\.\///; s/ .*//' | sort -u | xargs)"
	done
	[[ -n ${T:-} ]] || wanted=("${!TESTS[@]}")
	mapfile -t PENDING < <(printf '%s\n' "${wanted[@]}" | sort -nu)
	if [[ -z ${T:-} ]]; then
		for name in "${!left_out[@]}"; do
			grep -qE "^-(um|reserved) +$name " "$LIST" || continue
			verdict SKIP "$name" '' "${left_out[$name]}"
			SKIPPED=$((SKIPPED + 1))
		done
	fi
}

# how_it_ended STATUS: after the end of the console: what became of the VM's process
how_it_ended()
{
	local said

	(($1 <= 128)) || { echo "somebody killed the VM (signal $(($1 - 128)))"; return; }
	said=$(tail -n 1 "$WORK/stderr")
	echo "the VM ended without warning${said:+: $said}"
}

# um_cannot: this host is one on which User-Mode Linux 6.12 does not start, with the
# series or without: it has room for 2696 bytes of the registers of a process, and
# the host takes all of them or none (CPUs with AMX have 11008).
UM_CANNOT="UML 6.12 cannot run on this host: its CPU has more registers than UML has room for"
um_cannot()
{
	[[ $ARCH == um ]] && grep -qa 'userspace - ptrace set fp regs failed' "$LOG"
}

# boot_tests: one VM with the pending tests. Takes what was run from PENDING.
boot_tests()
{
	local number options deadline began=$SECONDS up=0 rc line text what rest recent=()

	mkdir -p "$WORK/job"
	for number in "${PENDING[@]}"; do
		# What has no "=" is for end_test(), not for the guest.
		options=$(tr , '\n' <<<"${OPTIONS[number]}" | grep "=" | paste -sd, || true)
		printf '%s\t%s\t%s\t%s\n' "$number" "${LIMITS[number]}" \
			"${options:--}" "${RESERVED:+./vma_reserv_run }${COMMANDS[number]}"
	done >"$WORK/job/tests"
	make_job test
	make_disks
	start_vm "$accel"
	deadline=$((SECONDS + BOOT_LIMIT))
	NAME='' NUMBER='' INSIDE=0 CUT=0 PART=''

	while :; do
		rc=0
		next_line || rc=$?
		if ((SECONDS > deadline || SECONDS - STARTED > VM_LIMIT)); then
			stop_vm
			OUTPUT=("${recent[@]}") WRONG=()
			what="the VM hangs: not a word from it within the time limit"
			break
		fi
		((rc != 2)) || continue
		if ((rc == 1)); then
			rc=0
			wait "$VM" 2>/dev/null || rc=$?
			VM=''
			what=$(how_it_ended "$rc")
			OUTPUT=("${recent[@]}") WRONG=()
			break
		fi
		recent+=("$line")
		((${#recent[@]} <= 60)) || recent=("${recent[@]:40}")
		case $text in
		'| '*) test_says "${text#| }"; continue ;;
		'|') continue ;;
		'vma-expect: '*) EXPECT+=("${text#vma-expect: }"); continue ;;
		'vma-vm: '*) ;;
		*) kernel_says "$text"; continue ;;
		esac
		close_report
		read -r what rest <<<"${text#vma-vm: }"
		case $what in
		up)
			up=1
			BOOT_FAILURES=0
			outside boot
			info "booted in $((SECONDS - began)) s ($accel)"
			deadline=$((SECONDS + GRACE))
			;;
		begin)
			outside "between tests"
			read -r NUMBER rest <<<"$rest"
			if [[ $NUMBER == kmemleak ]]; then
				begin_test kmemleak
				deadline=$((SECONDS + LEAK_LIMIT))
			else
				begin_test "${TESTS[NUMBER]}"
				deadline=$((SECONDS + LIMITS[NUMBER] + GRACE))
			fi
			;;
		late) LATE=1 ;;
		end)
			read -r NUMBER status rest <<<"$rest"
			end_test "$status" "$rest"
			done_with "$NUMBER"
			deadline=$((SECONDS + GRACE))
			;;
		unreliable)
			info "lockdep has switched itself off: a new VM for the rest"
			;;
		'done')
			what=''
			outside "after the tests"
			stop_vm_gently
			break
			;;
		esac
	done
	exec 4<&-
	[[ -n $what ]] || return 0

	# The VM died or was killed.
	close_report
	if ((!up)) && um_cannot; then
		for number in "${PENDING[@]}"; do
			SPLATS=() OUTPUT=()
			report SKIP "${TESTS[number]}" '' "$UM_CANNOT"
		done
		PENDING=()
		return
	fi
	if ((!up && BOOT_FAILURES++ == 0)); then
		warn "the guest did not come up: ${HEADS[0]:-$what}"
		SPLATS=() HEADS=() OUTPUT=()
		info "trying once more"
		return
	fi
	if ((!up)); then
		report FAIL boot '' "${HEADS[0]:-$what}"
		for number in "${PENDING[@]}"; do
			SPLATS=() OUTPUT=()
			report FAIL "${TESTS[number]}" '' "not run: the guest did not come up"
		done
		PENDING=()
	elif [[ -n $NAME ]]; then
		if ((${#SPLATS[@]})); then
			report FAIL "$NAME" '' "the kernel died: ${HEADS[0]}"
		else
			report FAIL "$NAME" '' "$what"
		fi
		done_with "$NUMBER"
	else
		report FAIL "between tests" '' "${HEADS[0]:-$what}"
		# Something must go, or this could go on for ever.
		PENDING=("${PENDING[@]:1}")
	fi
	((${#PENDING[@]} == 0)) || info "a new VM for the rest"
}

# stop_vm_gently: it was told to switch itself off
stop_vm_gently()
{
	local line text start=$SECONDS rc

	while ((SECONDS - start < GRACE)); do
		rc=0
		next_line || rc=$?
		((rc != 1)) || break
	done
	stop_vm
}

# done_with NUMBER: take it from PENDING
done_with()
{
	local number left=()

	for number in "${PENDING[@]}"; do
		[[ $number == "$1" ]] || left+=("$number")
	done
	PENDING=("${left[@]}")
}

# make_disks: a disk with each file system that the kernel has, for the tests that mount
# them; the label is that of the first of these. They are made anew for each VM: a VM
# that dies may leave anything on them.
WANT_DISKS='/vma_(fs|nonuniform|nonuniform_soak)$'
make_disks()
{
	local number type image PATH=$PATH:/usr/sbin:/sbin

	DISKS=()
	for number in "${PENDING[@]}"; do
		[[ ! ${COMMANDS[number]} =~ $WANT_DISKS ]] || break
		number=''
	done
	[[ -n $number ]] || return 0
	for type in ext4 xfs btrfs; do
		grep -q "^CONFIG_${type^^}_FS=y" "$OUT/.config" || continue
		need "mkfs.$type" "$(sed -nE "s/^([^ ]+)  # mkfs\.$type.*/\1/p" "$SCRIPTS/packages.list")"
		image=$WORK/$type.img
		rm -f "$image"
		truncate -s 512M "$image"
		"mkfs.$type" -q -L vma_fs "$image" </dev/null >"$WORK/mkfs" 2>&1 ||
			die "mkfs.$type failed:" "$(cat "$WORK/mkfs")"
		DISKS+=("$image")
	done
}

# run_pending: VM after VM until nothing is pending; prints the totals
run_pending()
{
	local accel why

	PASSED=0 FAILED=0 STARTED=$SECONDS HEADS=()
	((${#PENDING[@]})) || die "there is nothing to run."
	mkdir -p "$LOGS"
	probe
	# Only now: what was probed was a VM with one node.
	! grep -q '^CONFIG_ACPI_NUMA=y' "$OUT/.config" || NODES=$TEST_NODES
	LOG=$LOGS/vm-$ARCH-$CONFIG${RESERVED:+-reserved}${SOAK:+-soak}.log
	exec 3>"$LOG"
	step "$1: ${#PENDING[@]} tests, $TREE, $ARCH, $CONFIG, $accel ($why)"
	info "console: $LOG"
	while ((${#PENDING[@]})); do
		boot_tests
		((SECONDS - STARTED <= VM_LIMIT)) || break
	done
	for NUMBER in "${PENDING[@]}"; do
		report FAIL "${TESTS[NUMBER]}" '' "not run: the VM's time limit of $VM_LIMIT s"
	done
}

vm_test()
{
	SKIPPED=0
	read_list
	run_pending kselftests
	printf '%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
	((FAILED == 0))
}

# vm_soak MINUTES: one test, with a time limit of its own
vm_soak()
{
	local program=vma_nonuniform_soak

	[[ ${1:-} =~ ^([1-9][0-9]?|1[0-7][0-9]|180)$ ]] ||
		die "for how long?" "Say the minutes, 180 at most: vm.sh soak 10"
	[[ -x $BUILD/out/$TREE-selftests/mm/$program ]] ||
		die "there is no test $program." "Does the series of $TREE have nonuniform mappings?"
	SKIPPED=0 SOAK=1
	TESTS=("$program $1 min") OPTIONS=(-) PENDING=(0)
	COMMANDS=("env VMA_SOAK_SECONDS=$(($1 * 60)) ${SEED:+VMA_SOAK_SEED=$SEED }./$program")
	# To start and end takes time as well, and is not counted.
	LIMITS=($(($1 * 60 + 900 * SCALE)))
	VM_LIMIT=$((VM_LIMIT + LIMITS[0]))
	run_pending "soak for $1 min"
	printf '%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
	((FAILED == 0))
}

vm_selftest()
{
	local name want limit word command

	SELFTEST=1 SKIPPED=0 GRACE=15
	TESTS=() LIMITS=() OPTIONS=() COMMANDS=()
	while read -r name want limit word command; do
		[[ -n $name && $name != '#'* ]] || continue
		[[ -z ${T:-} || " $T " == *" $name "* ]] || continue
		WANT[$name]=$want WORD[$name]=${word//_/ }
		TESTS+=("$name") LIMITS+=("$limit") OPTIONS+=(-)
		COMMANDS+=("sh -c $(quote "$command")")
	done <"$SCRIPTS/vm/detection.list"
	# The leak is not noticed while its test runs, but at the end.
	WANT[kmemleak]=PASS WORD[kmemleak]='no leak'
	[[ -z ${WANT[leak]:-} ]] || WANT[kmemleak]=FAIL WORD[kmemleak]='lost'
	PENDING=("${!TESTS[@]}")
	run_pending "the runner itself"
	for name in "${TESTS[@]}" kmemleak; do
		[[ -z ${JUDGED[$name]:-} ]] || continue
		verdict FAIL "$name" '' "no verdict at all"
		FAILED=$((FAILED + 1))
	done
	printf '%d passed, %d failed, 0 skipped\n' "$PASSED" "$FAILED"
	((FAILED == 0))
}

# ----------------------------------------------------------------- vm.sh run

vm_run()
{
	local timeout=600 accel why word command='' reader deadline status=''
	local line text rc up=0 recent=() said=0

	while (($#)); do
		case $1 in
		--smp) SMP=$2 ;;
		--mem) MEM=$2 ;;
		--nodes) NODES=$2 ;;
		--timeout) timeout=$2 ;;
		--append) APPEND+=" $2" ;;
		--tree) TREE=$2 ;;
		--config) CONFIG=$2 ;;
		--disk)
			[[ -f $2 ]] || die "--disk $2: there is no such file."
			DISKS+=("$(realpath "$2")")
			;;
		--icount) ICOUNT=1; shift; continue ;;
		--) shift; break ;;
		*) die "vm.sh run: '$1' is not known." "See $0 --help." ;;
		esac
		(($# > 1)) || die "vm.sh run: $1 needs a value."
		shift 2
	done
	(($#)) || die "vm.sh run: no command." "Put it behind --."
	[[ $timeout =~ ^[1-9][0-9]*$ ]] || die "--timeout $timeout is not a number."
	[[ $NODES =~ ^[1-8]$ ]] || die "--nodes $NODES is not a number from 1 to 8."
	((!ICOUNT)) || [[ $ARCH == x86_64 ]] || die "--icount is for ARCH=x86_64."
	for word; do
		command+=" $(quote "$word")"
	done

	select_kernel
	mkdir -p "$WORK/job" "$LOGS"
	if ((ICOUNT)); then
		accel=tcg
	else
		probe
	fi
	echo "exec$command" >"$WORK/job/command"
	case $ARCH in
	um) echo tty1 ;;
	*) echo ttyS1 ;;
	esac >"$WORK/job/output"
	make_job run
	exec 3>"$LOGS/vm-run-$TREE-$ARCH-$CONFIG.log"
	rm -f "$WORK/output"
	mkfifo "$WORK/output"
	cat "$WORK/output" &
	reader=$!
	start_vm "$accel"
	deadline=$((SECONDS + BOOT_LIMIT))

	while :; do
		rc=0
		next_line || rc=$?
		((rc != 1)) || break
		if ((SECONDS > deadline)); then
			stop_vm
			if [[ -n $status ]]; then
				break
			elif ((up)); then
				wait "$reader"
				warn "the command took longer than $((timeout * SCALE)) s"
				exit 124
			fi
			break
		fi
		((rc == 0)) || continue
		recent+=("$line")
		((${#recent[@]} <= 40)) || recent=("${recent[@]:20}")
		case $text in
		'vma-vm: up '*) up=1 deadline=$((SECONDS + timeout * SCALE)) ;;
		'vma-vm: exit '*) status=${text##* } deadline=$((SECONDS + GRACE)) ;;
		*)
			[[ $text =~ $SPLAT ]] && ((said++ < 3)) &&
				warn "the guest kernel says: $text"
			;;
		esac
	done
	stop_vm
	wait "$reader"
	[[ -z $status ]] || exit "$status"
	((${#recent[@]} == 0)) || printf '    | %s\n' "${recent[@]: -15}" >&2
	[[ ! -s $WORK/stderr ]] || sed 's/^/    | /' "$WORK/stderr" >&2
	if ((up)); then
		warn "the VM ended before the command did"
	else
		warn "the guest did not come up"
	fi
	exit 125
}

# --------------------------------------------------------------- vm.sh shell

vm_shell()
{
	local accel why vm=()

	select_kernel
	mkdir -p "$WORK/job"
	probe
	make_job shell
	step "booting $TREE, $ARCH, $CONFIG, $accel"
	command_line "$accel"
	if [[ $ARCH == um ]]; then
		# fd:0 and fd:1 are this terminal.
		vm=("${vm[@]/con0=null,fd:1/con0=fd:0,fd:1}")
		vm=("${vm[@]/con1=null,fd:5/con1=null}")
	else
		info "Ctrl-a x kills the VM"
		vm+=(-chardev "stdio,id=console,mux=on,signal=off" -serial "chardev:console"
			-mon "chardev=console,mode=readline")
	fi
	# In the foreground: it owns the terminal, Ctrl-C is for the guest.
	"${vm[@]}"
}

verb=${1:-}
[[ -n $verb ]] || die "vm.sh: which verb: test, soak, selftest, run, shell or probe?" "See $0 --help."
shift
work_dir
mkdir -p "$WORK/job"
case $verb in
test|selftest)
	for word; do
		[[ $word == T=* ]] || die "vm.sh $verb: '$word' is not known." "See $0 --help."
		T=${word#T=}
	done
	select_kernel
	"vm_$verb"
	;;
soak)
	select_kernel
	vm_soak "${1:-}"
	;;
run) vm_run "$@" ;;
shell) vm_shell ;;
probe)
	select_kernel
	probe
	echo "$accel: $why"
	;;
*) die "vm.sh: '$verb' is not known." "See $0 --help." ;;
esac

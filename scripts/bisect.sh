#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bisect.sh - every commit of the series builds, is clean and passes the harness
#
# usage: [T="STEP..."] bisect.sh [--summary] [COMMIT...]
#
# The steps, at each commit (default: all from the base on):
#
#	debug, perf	x86-64: the objects of mm/ fs/ kernel/ arch/x86/mm/ lib/ in the
#			configurations of scripts/config, warnings as errors
#	um		User-Mode Linux: the objects of mm/ fs/ kernel/ lib/
#	nommu		the same without an MMU: riscv, nommu_virt_defconfig; skipped if
#			there is no riscv64-linux-gnu-gcc
#	sparse		sparse on the files that the commit changes says nothing that
#			the commit before does not say
#	harness		the VMA code in user space, all of its tests
#
# One line per commit. What has passed is remembered in build/bisect.state by the
# commit's tree, the configuration and the compiler, so that it can be interrupted
# and started again, and after a rebase repeats what changed. --summary builds
# nothing and prints the lines of what is known. What a step said is in
# build/logs/bisect/.
# shellcheck disable=SC2317 # functions are called by name
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

need_linux
need ccache ccache
need sparse sparse
tree=$BUILD/bisect
state=$BUILD/bisect.state
logs=$LOGS/bisect
cross=riscv64-linux-gnu-
unset ARCH CONFIG TREE
mkdir -p "$logs"
touch "$state"

steps=(debug perf um nommu sparse harness)
declare -A arch=([debug]=x86 [perf]=x86 [um]=um [nommu]=riscv)
declare -A compiler=([debug]=gcc [perf]=gcc [um]=gcc [nommu]=${cross}gcc)
declare -A fragments=([debug]="common.config debug.config" [perf]="common.config perf.config"
	[um]=um.config [nommu]='')

summary='' commits=()
for arg; do
	case $arg in
	--summary) summary=1 ;;
	-*) die "bisect.sh: '$arg' is not known." "See $0 --help." ;;
	*) commits+=("$arg") ;;
	esac
done
wanted=()
for name in ${T:-"${steps[@]}"}; do
	[[ " ${steps[*]} " == *" $name "* ]] ||
		die "there is no step '$name'." "There are: ${steps[*]}"
	wanted+=("$name")
done
unset T
missing=
command -v "${cross}gcc" >/dev/null || missing=nommu

# kmake STEP ARGUMENT...: make in the output directory of that step
kmake()
{
	local step=$1
	shift

	make -s -C "$tree" O="$BUILD/out/bisect-$step" -j"$JOBS" ARCH="${arch[$step]}" \
		CC="ccache ${compiler[$step]}" HOSTCC="ccache gcc" \
		CROSS_COMPILE="$([[ $step != nommu ]] || echo $cross)" "$@"
}

# build STEP COMMIT: the objects. Configured again where the commit changes a Kconfig.
build()
{
	local step=$1 out=$BUILD/out/bisect-$1 id dirs=(mm/ fs/ kernel/ lib/)
	local files

	mkdir -p "$out"
	read -ra files <<<"${fragments[$step]}"
	id=$(git_linux ls-tree -r "$2" | grep -E 'Kconfig|defconfig' | cat - \
		"${files[@]/#/$SCRIPTS/config/}" "${BASH_SOURCE[0]}" | sha256sum)
	if [[ ! -f $out/.config || $id != "$(cat "$out/configured" 2>/dev/null)" ]]; then
		rm -f "$out/configured"
		if ((${#files[@]})); then
			cat "${files[@]/#/$SCRIPTS/config/}" <(echo CONFIG_WERROR=y) >"$out/fragments"
			kmake "$step" KCONFIG_ALLCONFIG="$out/fragments" allnoconfig || return
		else
			kmake "$step" nommu_virt_defconfig || return
			"$tree/scripts/config" --file "$out/.config" -e WERROR
			kmake "$step" olddefconfig || return
		fi
		echo "$id" >"$out/configured"
	fi
	[[ ${arch[$step]} != x86 ]] || dirs+=(arch/x86/mm/)
	kmake "$step" "${dirs[@]}"
}

# sparse_says FILE...: of the C files, as far as that configuration has them
sparse_says()
{
	local file objects=()

	for file; do
		[[ ! -f $BUILD/out/bisect-perf/${file%.c}.o ]] || objects+=("${file%.c}.o")
	done
	((${#objects[@]})) || return 0
	# Builds nothing that is built, and runs sparse on what is asked for.
	kmake perf -k C=2 CF=-Wsparse-error=no "${objects[@]}" 2>&1 | without_lines
}

# step_sparse COMMIT: what is new, compared with what is said at its parent
step_sparse()
{
	local files

	mapfile -t files < <(git_linux diff-tree -r --no-commit-id --name-only --diff-filter=AM "$1" -- \
		mm fs kernel lib arch/x86/mm | grep '\.c$')
	((${#files[@]})) || return 0
	build perf "$1" || return
	sparse_says "${files[@]}" >"$logs/sparse.new"
	if [[ -s $logs/sparse.new ]]; then
		git -C "$tree" checkout -q --detach "$1^"
		build perf "$1^" && sparse_says "${files[@]}" >"$logs/sparse.old"
		git -C "$tree" checkout -q --detach "$1"
		[[ -z $(comm -13 "$logs/sparse.old" "$logs/sparse.new" | tee /dev/stderr) ]]
	fi
}

step_harness()
{
	git -C "$tree" clean -fdxq tools/testing
	KTREE=$tree "$SCRIPTS/vma.sh" test
}

# run_step STEP COMMIT
run_step()
{
	case $1 in
	sparse|harness) "step_$1" "$2" ;;
	*) build "$1" "$2" ;;
	esac
}

# known KEY STEP: seconds that it took, if it has passed
known() { awk -v k="$1" -v s="$2" '$1 == k && $2 == s { t = $3 } END { if (t != "") print t; else exit 1 }' "$state"; }

# A configuration that changes, or a compiler, is another experiment.
setup=$(cat "$SCRIPTS"/config/*.config <(gcc --version; "${cross}gcc" --version 2>&1 || true) |
	sha256sum | cut -c1-12)
((${#commits[@]})) || mapfile -t commits < <(git_linux rev-list --reverse base..series)

step "${#commits[@]} commits: ${wanted[*]}"
[[ -z $missing || " ${wanted[*]} " != *" nommu "* ]] ||
	info "nommu: skipped, ${cross}gcc is missing (apt-get install gcc-riscv64-linux-gnu)"
if [[ -z $summary && ! -e $tree/.git ]]; then
	need_space "$BUILD" 12
	git_linux worktree prune
	git_linux worktree add -q --detach "$tree" base
fi

started=$SECONDS failed=0 done=0 unknown=0
trap 'info "interrupted; started again it goes on with this commit" >&2; exit 130' INT TERM
for commit in "${commits[@]}"; do
	commit=$(git_linux rev-parse --verify -q "$commit^{commit}") ||
		die "there is no such commit in build/linux."
	key=$(git_linux rev-parse "$commit^{tree}")-$setup
	start=$SECONDS bad='' line='' took=0
	for name in "${wanted[@]}"; do
		if [[ $name == "$missing" ]]; then
			line+=" $name:-"
			continue
		fi
		if secs=$(known "$key" "$name"); then
			line+=" $name:${secs}s" took=$((took + secs))
			continue
		elif [[ -n $summary ]]; then
			line+=" $name:?" unknown=$((unknown + 1))
			continue
		fi
		[[ $(git -C "$tree" rev-parse HEAD) == "$commit" ]] ||
			git -C "$tree" checkout -q --detach --force "$commit"
		begun=$SECONDS
		[[ ! -t 1 ]] || printf '\r\e[K    %d/%d %s: %s' $((done + 1)) "${#commits[@]}" "${commit:0:12}" "$name"
		if run_step "$name" "$commit" >"$logs/$name.log" 2>&1 </dev/null; then
			echo "$key $name $((SECONDS - begun))" >>"$state"
			line+=" $name:$((SECONDS - begun))s"
		else
			mv "$logs/$name.log" "$logs/${commit:0:12}-$name.log"
			line+=" $name:FAILED" bad+=" $logs/${commit:0:12}-$name.log"
		fi
		took=$((took + SECONDS - begun))
	done
	[[ ! -t 1 ]] || printf '\r\e[K'
	done=$((done + 1))
	subject=$(git_linux log -1 --format=%s "$commit")
	if [[ -n $bad ]]; then
		verdict FAIL "${subject:0:44}" "$took" "$line"
		for log in $bad; do
			grep -m 5 -E 'error:|warning:|^FAIL|\*\*\*' "$log" | sed 's/^/    | /' || true
			info "all of it: $log"
		done
		failed=$((failed + 1))
	elif [[ $line == *'?'* ]]; then
		verdict SKIP "${subject:0:44}" "$took" "$line"
	else
		verdict PASS "${subject:0:44}" "$took" "$line"
	fi
done
info "$done commits, $failed failed$( ((!unknown)) || echo ", $unknown steps not run yet"), $(((SECONDS - started) / 60)) min"
((failed == 0))

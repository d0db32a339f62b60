#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bisect.sh - every commit of the series builds, and passes the user-space harness
#
# usage: bisect.sh [COMMIT...]
#
# At each commit (default: all from the base on) the objects that the series
# touches are built for x86-64 (defconfig with DEBUG_VM), for UML and for a
# machine without an MMU (riscv nommu_virt_defconfig, if there is a
# riscv64-linux-gnu-gcc), with warnings as errors, and the harness is built and
# run. One line per commit; the tree it uses is a worktree of its own.
# shellcheck disable=SC2317 # functions are called by name
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

need git git
[[ -d $LINUX/.git ]] || die "there is no build/linux." "Make it with: make tree"
tree=$BUILD/bisect
log=$LOGS/bisect.log
cross=riscv64-linux-gnu-
mkdir -p "$LOGS"
: >"$log"

git_linux() { git -C "$LINUX" "$@"; }

# kmake ARCH ARGUMENT...: make in the output directory of that architecture
kmake()
{
	local arch=$1
	shift

	make -s -C "$tree" O="$BUILD/out/bisect-$arch" -j"$JOBS" CC="ccache ${compiler[$arch]}" \
		ARCH="$arch" "$@"
}
declare -A compiler=([x86]=gcc [um]=gcc [riscv]=${cross}gcc)
declare -A defconfig=([x86]=defconfig [um]=defconfig [riscv]=nommu_virt_defconfig)

# build ARCH: the objects of the series, as far as that architecture has them
build()
{
	local arch=$1 out=$BUILD/out/bisect-$1 object wanted=()

	mkdir -p "$out"
	if [[ ! -f $out/.config ]]; then
		kmake "$arch" "${defconfig[$arch]}"
		[[ $arch != x86 ]] || "$tree/scripts/config" --file "$out/.config" -e DEBUG_VM
		"$tree/scripts/config" --file "$out/.config" -e WERROR
		kmake "$arch" olddefconfig
	fi
	for object in "${objects[@]}"; do
		# Without an MMU there is no mm/vma.c, nor what belongs to it.
		[[ $arch == riscv && $object == mm/* ]] || wanted+=("$object")
	done
	[[ $arch != riscv ]] || wanted+=(mm/)
	kmake "$arch" "${wanted[@]}"
}

# try NAME COMMAND...: a word for the line of this commit
try()
{
	local name=$1
	shift

	if "$@" >>"$log" 2>&1; then
		line+=" $name:ok"
	else
		line+=" $name:FAILED"
		bad=1
	fi
}

harness()
{
	KTREE=$tree "$SCRIPTS/vma.sh" test
}

mapfile -t objects < <(git_linux diff --name-only --diff-filter=AM base series -- '*.c' |
	grep -E '^(mm|fs|kernel|lib|ipc)/' | sed 's/c$/o/')
commits=("$@")
((${#commits[@]})) || mapfile -t commits < <(git_linux rev-list --reverse base..series)

step "Building and testing ${#commits[@]} commits"
[[ -e $tree/.git ]] || {
	git_linux worktree prune
	git_linux worktree add -q --detach "$tree" base
}
archs=(x86 um)
if command -v "${cross}gcc" >/dev/null; then
	archs+=(riscv)
else
	info "without an MMU: skipped, ${cross}gcc is missing (apt-get install gcc-riscv64-linux-gnu)"
fi

failed=0
for commit in "${commits[@]}"; do
	git -C "$tree" checkout -q --detach "$(git_linux rev-parse "$commit")"
	git -C "$tree" clean -fdxq tools/testing
	start=$SECONDS bad='' line=''
	for arch in "${archs[@]}"; do
		try "$arch" build "$arch"
	done
	try harness harness
	subject=$(git -C "$tree" log -1 --format=%s)
	if [[ -z $bad ]]; then
		verdict PASS "${subject:0:60}" $((SECONDS - start)) "$line"
	else
		verdict FAIL "${subject:0:60}" $((SECONDS - start)) "$line"
		failed=1
	fi
done
((failed == 0)) || info "the log: $log"
exit "$failed"

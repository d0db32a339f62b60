#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kernel.sh - build a kernel, and the mm kselftests of the same tree as static programs
#
# usage: kernel.sh [kernel] [selftests]	(both, when none is named)
#
# Environment:
#	TREE=linux|base		the patched tree (default) or the pristine one
#	CONFIG=debug|perf|gcov	which fragments of scripts/config/ (default debug); gcov is
#				debug that counts the lines of the series, see coverage.sh
#	ARCH=x86_64|um		default x86_64; um has one configuration, debug
#	JOBS=N			default: one per CPU
#
# The results are build/out/<tree>-<arch>-<config>/image (a link to the image)
# and build/out/<tree>-selftests/mm. Only what changed is built again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

TREE=${TREE:-linux} CONFIG=${CONFIG:-debug} ARCH=${ARCH:-x86_64}
[[ $TREE == linux || $TREE == base ]] ||
	die "TREE=$TREE is not known." "Use TREE=linux (patched) or TREE=base."
case $ARCH-$CONFIG in
x86_64-debug|x86_64-perf) fragments=(common.config "$CONFIG.config") image=arch/x86/boot/bzImage ;;
x86_64-gcov) fragments=(common.config debug.config gcov.config) image=arch/x86/boot/bzImage ;;
um-debug) fragments=(um.config) image=linux ;;
um-*) die "ARCH=um has no CONFIG=$CONFIG." "Use CONFIG=debug, or ARCH=x86_64." ;;
*)
	die "ARCH=$ARCH with CONFIG=$CONFIG is not known." \
	    "Use ARCH=x86_64 or um, CONFIG=debug, perf or gcov." ;;
esac

src=$BUILD/$TREE
out=$BUILD/out/$TREE-$ARCH-$CONFIG
tests=$BUILD/out/$TREE-selftests
log=$LOGS/kernel-$TREE-$ARCH-$CONFIG.log

# An array, not a function: run_logged must be able to end make itself. ARCH
# reaches make from here only: the kernel has its own name for x86-64.
kmake=(make -C "$src" O="$out" ARCH="${ARCH/x86_64/x86}"
	CC="ccache gcc" HOSTCC="ccache gcc" -j"$JOBS")
# What the series touches is counted, nothing else: of files of the same name only the one
# in its directory, which make asks when it comes to the object ($(obj)).
if [[ $CONFIG == gcov ]]; then
	mapfile -t counted < <(git_linux diff --name-only --diff-filter=AM base HEAD -- '*.c' |
		grep -E '^(mm|fs|kernel|lib|ipc|drivers|arch)/' | awk '
		{
			dir = name = $0
			sub(/\/[^\/]*$/, "", dir)
			sub(/.*\//, "", name)
			sub(/\.c$/, "", name)
			dirs[name] = dirs[name] " " dir
		}
		END {
			for (name in dirs)
				printf "GCOV_PROFILE_%s.o=$(if $(filter%s,$(obj)),y)\n", name, dirs[name]
		}' | sort)
	kmake+=("${counted[@]}")
fi
# -static goes through EXTRA_CFLAGS because some rules there link without LDFLAGS.
stest=(make -C "$src/tools/testing/selftests/mm" ARCH=x86_64 CC=gcc
	OUTPUT="$tests/mm" KHDR_INCLUDES="-isystem $tests/usr/include"
	EXTRA_CFLAGS=-static -j"$JOBS")

# added: the symbols that the series brings, which the base cannot have
added()
{
	[[ $TREE == base && -d $LINUX/.git ]] || return 0
	git -C "$LINUX" diff base HEAD -- '*Kconfig*' |
		sed -nE 's/^\+(menu)?config ([A-Z0-9_]+)$/CONFIG_\2/p'
}

# wanted: the symbols of the fragments, one per line, the last word on each
wanted()
{
	awk 'NR == FNR { drop[$1]; next }
	     /^CONFIG_/ { split($0, a, "="); want[a[1]] = $0 }
	     /^# CONFIG_.* is not set$/ { want[$2] = $0 }
	     END { for (s in want) if (!(s in drop)) print want[s] }' \
		<(added; echo) "${fragments[@]/#/$SCRIPTS/config/}" | sort
}

# configured: .config is there and newer than what it was made of
configured()
{
	local files=("${fragments[@]/#/$SCRIPTS/config/}")

	[[ -f $out/.config && -f $out/.configured ]] || return 1
	[[ $(wanted) == "$(cat "$out/fragments")" ]] || return 1
	[[ -z $(find "${files[@]}" "$src" -name '.git' -prune -o \
		\( -name 'Kconfig*' -o -name '*.config' \) \
		-newer "$out/.configured" -print -quit) ]]
}

configure()
{
	local lost=() line symbol

	wanted >"$out/fragments"
	run_logged "configuring" "$LOGS/config-$TREE-$ARCH-$CONFIG.log" \
		"${kmake[@]}" KCONFIG_ALLCONFIG="$out/fragments" allnoconfig

	while IFS= read -r line; do
		if [[ $line == '#'* ]]; then
			symbol=${line#\# } symbol=${symbol%% *}
			grep -q "^$symbol=" "$out/.config" || continue
		else
			grep -qxF "$line" "$out/.config" && continue
		fi
		lost+=("$line")
	done <"$out/fragments"
	((${#lost[@]} == 0)) ||
		die "the configuration lost what ${fragments[*]} asked for:" \
		    "${lost[@]}" \
		    "Its dependencies are not met, or $src does not have it."
	touch "$out/.configured"
}

build_kernel()
{
	local targets=("$(basename "$image")") start=$SECONDS

	step "kernel: $TREE $(kernel_version "$src"), $ARCH, $CONFIG"
	need_space "$out" 4
	mkdir -p "$out"
	exec 9>"$out/.lock"
	flock -n 9 || { info "waiting for another build in $out"; flock 9; }

	configured || configure
	grep -q '^CONFIG_MODULES=y' "$out/.config" && targets+=(modules)
	run_logged "building" "$log" "${kmake[@]}" "${targets[@]}" ||
		die "the kernel does not build." "The first errors:" \
		    "$(grep -m 3 -E 'error:|undefined reference|: not found|\*\*\*' "$log" || true)"
	if [[ -f $out/modules.order && -s $out/modules.order ]]; then
		"${kmake[@]}" INSTALL_MOD_PATH="$out/root" INSTALL_MOD_STRIP=1 \
			modules_install >>"$log" 2>&1 ||
			die "modules_install failed; see $log."
	fi
	ln -sfn "$image" "$out/image"
	exec 9>&-

	if grep -q 'warning:' "$log"; then
		warn "the compiler warned:"
		grep -A 3 'warning:' "$log" | sed 's/^/    | /' >&2
	fi
	info "$out/image ($(du -Lh "$out/image" | cut -f 1), $((SECONDS - start))s)"
}

# expected: the programs that the Makefile would build, base names only
expected()
{
	# shellcheck disable=SC2016 # for make, not for the shell
	"${stest[@]}" --no-print-directory -s --eval \
		'print-expected:;@echo $(notdir $(TEST_GEN_FILES) $(TEST_GEN_PROGS))' \
		print-expected 2>/dev/null | tail -n 1 | tr ' ' '\n' | sort -u
}

build_selftests()
{
	local dir=$src/tools/testing/selftests/mm slog=$LOGS/selftests-$TREE.log
	local name reason built=0 absent=0 have=0 known=0

	step "kselftests: mm of $TREE, static"
	need_space "$tests" 1
	mkdir -p "$tests/mm"
	exec 9>"$tests/.lock"
	flock -n 9 || { info "waiting for another build in $tests"; flock 9; }

	# The Makefile asks once whether liburing is there and never again.
	[[ -f /usr/include/liburing.h ]] && have=1
	grep -qs HAVE_LIBURING "$dir/local_config.h" && known=1
	((have == known)) || rm -f "$dir"/local_config.{h,mk}

	run_logged "exporting headers" "$LOGS/headers-$TREE.log" \
		make -C "$src" O="$tests" ARCH=x86 -j"$JOBS" headers

	# What cannot be linked statically must not keep the rest from being
	# built; it is named below, so the exit status adds nothing.
	run_logged "building kselftests" "$slog" \
		"${stest[@]}" -i all
	cp -p "$dir"/*.sh "$tests/mm/"

	: >"$tests/not-built"
	while IFS= read -r name; do
		[[ -n $name ]] || continue
		if [[ -x $tests/mm/$name ]]; then
			built=$((built + 1))
			continue
		fi
		absent=$((absent + 1))
		reason=$(grep -m 1 -E "^${name}\.c:.*error|${name}[^ ]*: .*(undefined|cannot find)|cannot find.*${name}" "$slog" ||
			 grep -m 1 -E "$name.*(Error|error)" "$slog" ||
			 echo "the Makefile has no rule that builds it here")
		echo "$name  $reason" >>"$tests/not-built"
		# Upstream's may be broken in a stable release; the series' own may not.
		[[ $name != vma_* ]] ||
			die "$name does not build: $reason" "The whole log: $slog"
		warn "$name is not built: $reason"
	done < <(expected)
	((built)) || die "no kselftest was built." "See $slog."
	exec 9>&-
	info "$tests/mm: $built programs, $absent could not be built"
}

need ccache ccache
need flex flex
need bison bison
need bc bc
# "make kernel V=1" of this repository must not become V=1 of theirs.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES V
[[ -n $(kernel_version "$src" || true) ]] ||
	die "$src is not a kernel tree." "'make tree' prepares it."
export KBUILD_BUILD_USER=vma KBUILD_BUILD_HOST=build
# Relative paths, which ccache makes of what is below it, would show up in every
# warning as "at ../../linux/mm/vma.c".
unset CCACHE_BASEDIR
# One date for all builds: ccache and a comparison of two images need it.
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'

for what in "${@:-all}"; do
	case $what in
	kernel) build_kernel ;;
	selftests) build_selftests ;;
	all) build_kernel; build_selftests ;;
	*) die "kernel.sh: '$what' is not known." "See $0 --help." ;;
	esac
done

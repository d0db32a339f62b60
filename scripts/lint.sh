#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# lint.sh - prove that the series and the repository are in order
#
# One line per check. Of checkpatch and sparse only what the base does not say
# already counts: lines that a patch moves keep their style.
#
#   series       patches/ and the mirrored folders are what build/linux says, and
#                no file that the series adds is edited by a second patch
#   quilt        the series applies with quilt at fuzz 0
#   changelog    every patch has a subject of at most 75 characters, a changelog
#                and a sign-off; no line of the cover letter is longer, either
#   checkpatch   checkpatch.pl --strict on every patch
#   sparse       sparse on the objects that the series touches
#   docs         the documents build and their examples compile, see docs.sh
#   scripts      shellcheck on the scripts
#   spdx         every file has an SPDX line
# shellcheck disable=SC2317 # the checks are called by name
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

need quilt quilt
need sparse sparse
need shellcheck shellcheck
need_linux
unset ARCH		# sparse looks at x86-64, whatever the tests run on

scratch=$(mktemp -d "${TMPDIR:-/tmp}/lint.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
failed=0

# check NAME FUNCTION: PASS if it prints nothing and succeeds
check()
{
	local start=$SECONDS rc=0

	("$2") >"$scratch/out" 2>&1 || rc=$?
	if [[ $rc == 0 && ! -s $scratch/out ]]; then
		verdict PASS "lint: $1" $((SECONDS - start))
	else
		verdict FAIL "lint: $1" $((SECONDS - start))
		sed 's/^/    | /' "$scratch/out"
		failed=1
	fi
}

check_series()
{
	local file

	"$SCRIPTS/refresh.sh" --check
	while read -r file; do
		[[ $(git_linux rev-list --count base..HEAD -- "$file") == 1 ]] ||
			echo "$file is added by one patch and edited by another"
	done < <(git_linux diff --name-only --no-renames --diff-filter=A base HEAD -- \
		"${MIRRORED[@]}")
}

# check_quilt: on a copy of the files that the series touches
check_quilt()
{
	local patch

	mkdir "$scratch/quilt"
	touched | while read -r patch; do
		git_linux cat-file -e "base:$patch" 2>/dev/null || continue
		mkdir -p "$scratch/quilt/$(dirname "$patch")"
		git_linux show "base:$patch" >"$scratch/quilt/$patch"
	done
	cd "$scratch/quilt"
	QUILT_PATCHES=$PATCHES quilt --quiltrc /dev/null push -a -q --fuzz=0 \
		>"$scratch/quilt.log" 2>&1 || { cat "$scratch/quilt.log"; return 1; }
	# An offset means that the base has moved under the patch.
	grep -E '\(offset -?[0-9]+ lines?\)' "$scratch/quilt.log" && return 1
	git_linux diff --name-only --diff-filter=AM base HEAD | while read -r patch; do
		git_linux show "HEAD:$patch" | cmp -s - "$patch" ||
			echo "$patch is not what build/linux has"
	done
}

check_changelog()
{
	local patch info

	for patch in $(series); do
		info=$(git mailinfo -b "$scratch/msg" "$scratch/diff" <"$PATCHES/$patch")
		info=$(sed -n 's/^Subject: //p' <<<"$info")
		((${#info} <= 75)) || echo "$patch: the subject has ${#info} characters"
		grep -q '^Signed-off-by: .*@' "$scratch/msg" || echo "$patch: no sign-off"
		(($(grep -cv '^Signed-off-by\|^$' "$scratch/msg") >= 3)) ||
			echo "$patch: no changelog to speak of"
		! grep -i '\<this patch\>' "$scratch/msg" || echo "$patch: says 'this patch'"
	done
	awk 'length > 75 { print "cover-letter:" NR ": the line has " length " characters" }' \
		"$PATCHES/cover-letter"
}

# line_is_old PATCH LINE: the line of the patch file was in the base before, or
# is moved by the same patch
line_is_old()
{
	local text

	text=$(sed -n "${2}p" "$1")
	[[ $text == +* ]] || return 1
	text=${text#+}
	[[ -n $text ]] || return 1
	grep -qxF -e "-$text" "$1" && return
	sed -nE 's,^--- a/([^\t]*).*,\1,p' "$1" | while read -r file; do
		git_linux show "base:$file" 2>/dev/null
	done | grep -xF -e "$text" >/dev/null	# all of it: -q would break the pipe
}

# MAINTAINERS is not ours to change. What is converted everywhere is converted in
# what is obsolete, too, and without an MMU mmap() has always said -ENOSYS.
ignored=FILE_PATH_CHANGES,OBSOLETE,ENOSYS

# said_of PATCH: what checkpatch says of it, "line<TAB>complaint", remembered as
# long as neither of the two changes
said_of()
{
	local memory

	memory=$BUILD/out/checkpatch/$(cat "$PATCHES/$1" "$LINUX/scripts/checkpatch.pl" \
		"$SCRIPTS/lint.sh" | sha256sum | cut -c1-24)
	if [[ ! -f $memory ]]; then
		mkdir -p "${memory%/*}"
		(cd "$LINUX" && scripts/checkpatch.pl --strict --no-summary --show-types \
			--ignore "$ignored" "$PATCHES/$1") >"$scratch/checkpatch" 2>&1 || true
		# A complaint is followed by the line of the patch that it is about,
		# unless it is about no line in particular, like a missing sign-off.
		awk -v tools="$accepted_in_tools" '
			/^(ERROR|WARNING|CHECK):/ {
				kind = $0
				getline
				line = $0 ~ /^#[0-9]+:/ ? $0 : 0
				sub(/^#/, "", line)
				sub(/:.*/, "", line)
				if ($0 ~ /FILE: tools\/testing\// && kind ~ tools)
					next
				# The way in which a trace event is written.
				if ($0 ~ /FILE: include\/trace\// && kind ~ /:(PARENTHESIS_ALIGNMENT|OPEN_ENDED_LINE):/)
					next
				# The way in which xfs writes a function.
				if ($0 ~ /FILE: fs\/xfs\// && kind ~ /:OPEN_ENDED_LINE:/)
					next
				print line "\t" kind
			}' "$scratch/checkpatch" >"$memory.new"
		mv "$memory.new" "$memory"
	fi
	cat "$memory"
}

# The harness imitates the kernel in user space: its typedefs, BUG_ON() and the
# shape of its macros are the kernel's own.
accepted_in_tools=':(NEW_TYPEDEFS|AVOID_BUG|MACRO_ARG_REUSE|MACRO_ARG_PRECEDENCE|DATA_RACE):'

# check_checkpatch: every patch, but not what it says of old lines
check_checkpatch()
{
	local patch line kind

	for patch in $(series); do
		said_of "$patch" | while IFS=$'\t' read -r line kind; do
			((line)) && line_is_old "$PATCHES/$patch" "$line" ||
				printf '%s:%s: %s\n' "$patch" "$line" "$kind"
		done
	done
}

# sparse_of TREE OBJECT...: what sparse says of the objects of the series, without lines
sparse_of()
{
	local tree=$1 out=$BUILD/out/sparse-${1##*/}
	shift

	mkdir -p "$out"
	if [[ ! -f $out/.config ]]; then
		make -s -C "$tree" O="$out" x86_64_defconfig
	fi
	# Each time: the series may have brought new symbols.
	"$tree/scripts/config" --file "$out/.config" -e DEBUG_VM -e TRANSPARENT_HUGEPAGE \
		-e USERFAULTFD -e VMA_RESERVATIONS -e NONUNIFORM_MAPPINGS
	make -s -C "$tree" O="$out" olddefconfig
	make -s -C "$tree" O="$out" -j"$JOBS" CC='ccache gcc' prepare modules_prepare
	# Touching nothing but running sparse on what is asked for.
	make -s -k -C "$tree" O="$out" -j"$JOBS" CC='ccache gcc' C=2 CF=-Wsparse-error=no \
		"$@" 2>&1 | without_lines
}

check_sparse()
{
	local old=() all=() file cache

	while read -r file; do
		all+=("${file%.c}.o")
		! git_linux cat-file -e "base:$file" 2>/dev/null || old+=("${file%.c}.o")
	done < <(git_linux diff --name-only --diff-filter=AM base HEAD -- '*.c' |
		grep -E '^(mm|fs|kernel|lib|ipc|arch/x86)/')
	((${#all[@]})) || return 0
	# The base does not change while its commit and the objects are the same.
	cache=$BUILD/out/sparse-base/said-$(git_linux rev-parse base | cat - <(echo "${old[@]}") | sha256sum | cut -c1-16)
	if [[ ! -f $cache ]]; then
		sparse_of "$BUILD/base" "${old[@]}" >"$scratch/sparse.base"
		mv "$scratch/sparse.base" "$cache"
	fi
	sparse_of "$LINUX" "${all[@]}" >"$scratch/sparse.linux"
	comm -13 "$cache" "$scratch/sparse.linux"
}

check_docs() { "$SCRIPTS/docs.sh" --check; }

check_scripts()
{
	(cd "$TOP" && git ls-files -co --exclude-standard -- scripts .ci |
		xargs -d '\n' grep -lE '^#!/bin/(ba)?sh|shellcheck shell=' |
		xargs -d '\n' shellcheck -x)
}

check_spdx()
{
	(cd "$TOP" && git ls-files -co --exclude-standard |
		grep -vE '^(patches/.*\.patch|patches/.*/cover-letter|COPYING)$' |
		xargs -d '\n' grep -L 'SPDX-License-Identifier' |
		sed 's/$/ has no SPDX line/')
}

checks=(series quilt changelog checkpatch sparse docs scripts spdx)
for name in "${@:-${checks[@]}}"; do
	declare -F "check_$name" >/dev/null ||
		die "there is no check '$name'." "There are: ${checks[*]}"
	check "$name" "check_$name"
done
exit "$failed"

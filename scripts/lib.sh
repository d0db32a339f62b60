# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script shares: where things are, how to speak to the user, how to
# run a long step. Source it right after "set -euo pipefail":
#
#	source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSION=6.12
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$TOP/build}
# shellcheck disable=SC2034 # for the scripts that source this file
{
	SCRIPTS=$TOP/scripts
	PATCHES=$TOP/patches/v$VERSION
	MIRRORED=(tools/testing/vma tools/testing/selftests/mm Documentation)
	LINUX=$BUILD/linux		# git: the base, then one commit per patch
	LOGS=$BUILD/logs
}
JOBS=${JOBS:-$(nproc)}

DIED=

# make hands down every variable that it knows, empty ones too: an empty ARCH in
# the environment is an architecture without a name to the kernel's Makefile.
for name in KDIR TARBALL T ARCH CONFIG TREE ACCEL V SEED MINUTES TIMEOUT_SCALE RESERVED NODES DRIFT; do
	[[ -n ${!name:-} ]] || unset "$name"
done
unset name
unset MAKEFLAGS MFLAGS MAKELEVEL	# the kernel's make is not part of ours

export LC_ALL=C
# The same object built twice, or in two trees, is compiled once.
export CCACHE_DIR=${CCACHE_DIR:-$BUILD/ccache}
export CCACHE_BASEDIR=$BUILD CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-10G}

if [[ -z ${NO_COLOR:-} && ( -t 1 || -n ${FORCE_COLOUR:-} ) ]]; then
	BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
	BOLD='' RED='' GREEN='' YELLOW='' PLAIN=''
fi

# step MESSAGE: a headline for what comes next
step() { printf '%s==>%s %s\n' "$BOLD" "$PLAIN" "$*"; }

# info MESSAGE: a detail below a headline
info() { printf '    %s\n' "$*"; }

warn() { printf '%swarning:%s %s\n' "$YELLOW" "$PLAIN" "$*" >&2; }

# die MESSAGE [ADVICE]...: says what went wrong, then what to do about it
# shellcheck disable=SC2034 # DIED is for an exit trap: a word has been said
die()
{
	DIED=1
	printf '%serror:%s %s\n' "$RED" "$PLAIN" "$1" >&2
	shift
	(($# == 0)) || printf '       %s\n' "$@" >&2
	exit 1
}

# verdict PASS|FAIL|SKIP NAME [SECONDS [REASON]]: one aligned result line.
# Every test of every kind reports through this; count_verdicts counts them.
verdict()
{
	local colour=$GREEN

	[[ $1 == FAIL ]] && colour=$RED
	[[ $1 == SKIP ]] && colour=$YELLOW
	printf '%s%-4s%s %-44s %6s  %s\n' "$colour" "$1" "$PLAIN" "$2" \
		"${3:+${3}s}" "${4:-}" | sed 's/ *$//'
}

# count_verdicts FILE: "N passed, N failed, N skipped" of the verdict lines in it
count_verdicts()
{
	sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
		/^PASS / { p++ } /^FAIL / { f++ } /^SKIP / { s++ }
		END { printf "%d passed, %d failed, %d skipped\n", p, f, s }'
}

# usage_if_asked "$@": prints the script's own head comment for --help
usage_if_asked()
{
	local arg

	for arg; do
		[[ $arg == -h || $arg == --help ]] || continue
		awk 'NR > 1 && !/^#/ { exit }
		     NR > 1 && !/SPDX/ { sub(/^# ?/, ""); print }' "$0" |
			sed '/./,$!d'
		exit 0
	done
}

# only_known "KNOWN..." "$@": what is mistyped must not do what was not meant
only_known()
{
	local known=" $1 " arg
	shift

	for arg; do
		[[ $known == *" $arg "* ]] ||
			die "${0##*/}: '$arg' is not known." "See $0 --help."
	done
}

# need TOOL PACKAGE: the tool is there, or the user learns how to get it
need()
{
	command -v "$1" >/dev/null ||
		die "'$1' is missing." "Install it with: apt-get install $2"
}

# need_space DIR GIB: fail now rather than in the middle of a build
need_space()
{
	local free

	mkdir -p "$1"
	free=$(df --output=avail -B1G "$1" | tail -n 1 | tr -d ' ')
	((free >= $2)) ||
		die "only ${free} GiB free on the disk of $1, $2 GiB are needed." \
		    "Free some space, or set BUILD= to a directory on another disk."
}

# run_logged LABEL LOG COMMAND...: a long step. Its output goes to LOG; the
# terminal shows that it lives, and the end of the log if it fails.
run_logged()
{
	local label=$1 log=$2 start=$SECONDS pid rc=0 tick=0
	shift 2

	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 &
	pid=$!
	trap 'kill -- "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; exit 130' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		if [[ -t 1 ]]; then
			printf '\r    %s: %ds, %d lines of log ' "$label" \
				$((SECONDS - start)) "$(wc -l <"$log")"
		elif ((++tick % 120 == 0)); then
			info "$label: $((SECONDS - start))s, $(wc -l <"$log") lines of log"
		fi
		sleep 0.5
	done
	wait "$pid" || rc=$?
	trap - INT TERM
	[[ -t 1 ]] && printf '\r\e[K'
	if ((rc)); then
		tail -n 25 "$log" | sed 's/^/    | /' >&2
		printf '%serror:%s %s failed (exit %d); the whole log: %s\n' \
			"$RED" "$PLAIN" "$label" "$rc" "$log" >&2
		return "$rc"
	fi
	info "$label: done in $((SECONDS - start))s"
}

# kernel_version DIR: prints "6.12.117", or fails if DIR is no kernel tree
kernel_version()
{
	[[ -f $1/Makefile && -f $1/Kbuild && -d $1/mm ]] || return 1
	awk -F' *= *' '/^VERSION/ { v = $2 } /^PATCHLEVEL/ { p = $2 }
		/^SUBLEVEL/ { s = $2; print v "." p "." s; exit }' "$1/Makefile"
}

# series: the patches, one path below $PATCHES per line, in order
series() { sed '/^#/d; /^ *$/d' "$PATCHES/series"; }

# series_id: a line that changes when a patch does, or the order of them
series_id()
{
	(cd "$PATCHES" && { sha256sum series && series | xargs -r sha256sum; }) | sha256sum
}

# git_linux ARGUMENT...: in build/linux, whatever the user has configured
git_linux() { git -C "$LINUX" -c core.quotePath=false -c diff.mnemonicPrefix=false "$@"; }

# need_linux: there is a build/linux
need_linux()
{
	need git git
	[[ -d $LINUX/.git ]] || die "there is no build/linux." "Make it with: make tree"
}

# without_lines: of what a compiler or sparse says the complaints, without the numbers of
# the lines, which move
without_lines()
{
	grep -E '(warning|error):' |
		sed -E 's/:[0-9]+(:[0-9]+)?:/:/; s|^.*/(mm\|fs\|kernel\|lib\|include\|ipc\|arch)/|\1/|
			s/(__UNIQUE_ID_\w*_)[0-9]+/\1/g' |
		sort -u || true
}

# touched: the files that the series touches, those that it adds too
touched()
{
	local patch

	for patch in $(series); do
		sed -nE 's,^(---|\+\+\+) [ab]/([^\t]*).*,\2,p' "$PATCHES/$patch"
	done | sort -u
}

# commit_patch REPOSITORY PATCH PARENT [TOPIC]: prints the commit that the patch
# makes upon PARENT, which GIT_INDEX_FILE, an index of the caller's own, has
# checked out. TOPIC becomes a trailer, which tells "make refresh" where the patch
# belongs. What git says of a patch that does not apply goes to standard error.
commit_patch()
(
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/commit.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	info=$(git mailinfo -b "$scratch/msg" "$scratch/diff" <"$2") || exit
	git -C "$1" apply --cached --whitespace=nowarn "$scratch/diff" || exit
	{
		sed -n 's/^Subject: //p' <<<"$info"
		echo
		cat "$scratch/msg"
	} >"$scratch/text"
	[[ -z ${4:-} ]] ||
		git -C "$1" interpret-trailers --in-place --trailer "Topic: $4" "$scratch/text"
	GIT_AUTHOR_NAME=$(sed -n 's/^Author: //p' <<<"$info") \
	GIT_AUTHOR_EMAIL=$(sed -n 's/^Email: //p' <<<"$info") \
		git -C "$1" commit-tree -p "$3" -F "$scratch/text" "$(git -C "$1" write-tree)"
)

# lend PROGRAM...: tests that only the patched tree has, to the guest of the base kernel
lend()
{
	local name from to=$BUILD/out/base-selftests/mm

	mkdir -p "$to"
	for name; do
		from=$BUILD/out/linux-selftests/mm/$name
		[[ -x $from ]] ||
			die "$from was not built." \
			    "The series adds it: is $LINUX the patched tree? 'make tree' makes it so."
		cmp -s "$from" "$to/$name" || install -m 755 "$from" "$to/$name"
	done
}

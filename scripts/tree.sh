#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# tree.sh - make build/linux: Linux 6.12 with one commit per patch of the series
#
# usage: tree.sh [--base]
#
#   --base     also make build/base, a checkout of the same base without patches
#
# The source is the Debian package linux-source-6.12, or
#   KDIR=dir       a tree: its committed state if it is a git repository
#   TARBALL=file   a tarball of a tree
#
# The first commit of build/linux is the pristine source (tag "base"), every
# patch of patches/v6.12/series is one commit on top of it (branch "series").
# Running it again brings build/linux up to date with the source and the
# patches. Work in build/linux that "make refresh" has not written back yet is
# never thrown away: then it stops and says so.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"
only_known "--base" "$@"

want_base=
[[ ${1:-} == --base ]] && want_base=1

need git git
need xz xz-utils

# Where commits come from is not what they are: the same patches on the same
# base always get the same hashes.
export GIT_COMMITTER_DATE='2000-01-01T00:00:00Z'
export GIT_AUTHOR_DATE=$GIT_COMMITTER_DATE
GIT_COMMITTER_NAME=$(git -C "$TOP" config user.name || echo series)
GIT_COMMITTER_EMAIL=$(git -C "$TOP" config user.email || echo series@localhost)
export GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
export GIT_AUTHOR_NAME=$GIT_COMMITTER_NAME GIT_AUTHOR_EMAIL=$GIT_COMMITTER_EMAIL

# check_version DIR NAME: refuses what is not a tree of the right version
check_version()
{
	local found

	found=$(kernel_version "$1") || die "$2 is not a Linux source tree."
	[[ $found == "$VERSION".* ]] ||
		die "$2 is Linux $found; the series is for $VERSION."
}

# source_id: one line that changes when the source does
source_id()
{
	if [[ -n ${KDIR:-} ]]; then
		if [[ -e $KDIR/.git ]]; then
			git -C "$KDIR" rev-parse HEAD
		else
			kernel_version "$KDIR"
		fi
	else
		stat -c '%n %s %Y' "$tarball"
	fi
}

# find_source: checks KDIR or TARBALL, or finds Debian's package
find_source()
{
	local dirty

	if [[ -n ${KDIR:-} ]]; then
		[[ -d $KDIR ]] || die "KDIR=$KDIR is not a directory."
		KDIR=$(cd "$KDIR" && pwd)
		check_version "$KDIR" "KDIR=$KDIR"
		[[ -e $KDIR/.git ]] || return 0
		dirty=$(git -C "$KDIR" status --porcelain --untracked-files=no | head -n 3)
		[[ -z $dirty ]] ||
			die "KDIR=$KDIR has local changes, among them:" "$dirty" \
			    "Commit or stash them."
		return 0
	fi

	tarball=${TARBALL:-/usr/src/linux-source-$VERSION.tar.xz}
	if [[ -z ${TARBALL:-} && ! -f $tarball ]]; then
		((EUID == 0)) ||
			die "the kernel source is missing." \
			    "Run: sudo apt-get install linux-source-$VERSION" \
			    "or give TARBALL=file or KDIR=directory."
		run_logged "apt-get install linux-source-$VERSION" \
			"$LOGS/apt-source.log" apt-get install -q -y \
			--no-install-recommends "linux-source-$VERSION" ||
			die "linux-source-$VERSION could not be installed." \
			    "Without a network give TARBALL=file or KDIR=directory."
	fi
	[[ -f $tarball || -n ${TARBALL:-} ]] ||
		die "linux-source-$VERSION is installed, but $tarball is gone." \
		    "Bring it back with: apt-get install --reinstall linux-source-$VERSION"
	[[ -f $tarball ]] || die "TARBALL=$tarball is not a file."
}

# unpack DIR: the source, without build products or the git of somebody else
unpack()
{
	if [[ -z ${KDIR:-} ]]; then
		tar -xf "$tarball" -C "$1" --strip-components=1
	elif [[ -e $KDIR/.git ]]; then
		git -C "$KDIR" archive HEAD | tar -x -C "$1"
	else
		tar -c -C "$KDIR" --exclude='*.o' --exclude='*.cmd' --exclude='*.ko' \
			--exclude=./.config --exclude=./.git --exclude=./.pc . |
			tar -x -C "$1"
	fi
}

# make_base: build/linux with the base as its one commit, all or nothing
make_base()
{
	local tmp=$BUILD/linux.new version

	need_space "$BUILD" 4
	rm -rf "$tmp"
	mkdir -p "$tmp"
	run_logged "unpacking" "$LOGS/unpack.log" unpack "$tmp" ||
		die "${tarball:-$KDIR} could not be unpacked."
	check_version "$tmp" "${tarball:-$KDIR}"
	version=$(kernel_version "$tmp")
	# Debian adds a rule for its packaging that hides every new file from git.
	sed -i '/^\/\*$/d' "$tmp/.gitignore"

	git -C "$tmp" init -q -b series
	git -C "$tmp" config gc.auto 0
	git -C "$tmp" config user.name "$GIT_COMMITTER_NAME"
	git -C "$tmp" config user.email "$GIT_COMMITTER_EMAIL"
	run_logged "committing the base" "$LOGS/base.log" \
		git -C "$tmp" add -A -f .
	git -C "$tmp" commit -q -m "Linux $version"
	git -C "$tmp" tag base
	git -C "$tmp" update-ref refs/series/applied HEAD
	source_id >"$tmp/.git/series-source"
	rm -rf "$LINUX" "$BUILD/base"
	mv "$tmp" "$LINUX"
	info "base: Linux $version"
}

# refuse_local_work: stop rather than lose something
refuse_local_work()
{
	local dirty

	dirty=$(git_linux status --porcelain | head -n 3)
	[[ -z $dirty ]] ||
		die "build/linux has changes that are not committed:" "$dirty" \
		    "Commit them there and run 'make refresh', or throw them away with" \
		    "git -C build/linux stash -u"
	[[ $(git_linux rev-parse HEAD) == "$(git_linux rev-parse refs/series/applied)" ]] ||
		die "build/linux has commits that are not in patches/." \
		    "Write them back with 'make refresh', or throw them away with" \
		    "git -C build/linux reset --hard refs/series/applied"
}

# apply_series: builds the commits aside, then moves build/linux there, so that
# an interrupt leaves what was, and only files that differ get a new date
apply_series()
{
	local patch n=0 total commit next
	local -x GIT_INDEX_FILE=$LINUX/.git/index.apply

	total=$(series | wc -l)
	# An index is enough: nothing is checked out.
	rm -f "$GIT_INDEX_FILE"{,.lock}
	git_linux read-tree base
	commit=$(git_linux rev-parse base)
	for patch in $(series); do
		n=$((n + 1))
		[[ -t 1 ]] && printf '\r\e[K    %d/%d %s' $n "$total" "$patch"
		next=$(commit_patch "$LINUX" "$PATCHES/$patch" "$commit" "${patch%%/*}" \
			2>"$LOGS/apply.log") ||
			die "$patch does not apply to $(git_linux log -1 --format=%s base):" \
			    "$(cat "$LOGS/apply.log")"
		commit=$next
	done
	[[ -t 1 ]] && printf '\r\e[K'
	rm -f "$GIT_INDEX_FILE"
	unset GIT_INDEX_FILE
	git_linux checkout -q -B series "$commit"
	git_linux update-ref refs/series/applied "$commit"
	series_id >"$LINUX/.git/series-patches"
	info "series: $total patches applied"
}

step "Preparing build/linux"
mkdir -p "$LOGS"
find_source
if [[ ! -d $LINUX/.git ]]; then
	make_base
elif [[ $(source_id) != "$(cat "$LINUX/.git/series-source")" ]]; then
	info "the source has changed"
	refuse_local_work
	make_base
fi

if [[ $(series_id) != "$(cat "$LINUX/.git/series-patches" 2>/dev/null)" ]]; then
	refuse_local_work
	apply_series
else
	info "$(git_linux log -1 --format=%s base) and $(series | wc -l) patches: up to date"
fi

if [[ -n $want_base && ! -e $BUILD/base/.git ]]; then
	git_linux worktree prune
	git_linux worktree add -q --detach "$BUILD/base" base
	info "build/base: the base without patches"
fi

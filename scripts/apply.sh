#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# apply.sh - put the series on somebody's own tree, or take it off again
#
# usage: KDIR=dir apply.sh [--remove]
#
# In a git repository every patch becomes a commit on the current branch; local
# changes to other files stay as they are. In a plain tree quilt pushes the
# patches. It is all or nothing: the whole series is tried on a copy of the
# files it touches first, and the first patch that does not apply is named with
# its file and hunk. No fuzz is accepted.
#
#   --remove   git: go back to the commit before the series (only if nothing has
#              been committed since); plain tree: quilt pop -a
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"
only_known "--remove" "$@"

need git git
need patch patch

[[ -n ${KDIR:-} ]] || die "which tree?" "Say: make apply KDIR=/path/to/linux"
[[ -d $KDIR ]] || die "KDIR=$KDIR is not a directory."
KDIR=$(cd "$KDIR" && pwd)
found=$(kernel_version "$KDIR") || die "KDIR=$KDIR is not a Linux source tree."
[[ $found == "$VERSION".* ]] ||
	die "KDIR=$KDIR is Linux $found; the series is for $VERSION."

REF=refs/series/before		# in a git tree: where it was
scratch=$(mktemp -d "${TMPDIR:-/tmp}/apply.XXXXXX")
exec 3>&2	# a trap runs with the redirections of what it interrupts
pushing=
trap on_exit EXIT
trap 'exit 130' INT TERM

# on_exit: however it ends, there is all of the series or nothing, and a word
on_exit()
{
	local rc=$?

	trap '' INT TERM
	[[ -z $pushing ]] || quilt_kdir pop -a -f -q >/dev/null 2>&1 || true
	rm -rf "$scratch"
	((rc == 0)) || [[ -n $DIED ]] ||
		warn "interrupted: $KDIR is as it was." 2>&3
}

is_git() { [[ -e $KDIR/.git ]]; }
git_kdir() { git -C "$KDIR" "$@"; }
# quilt_kdir COMMAND...: nothing of the user's quilt configuration counts
quilt_kdir()
{
	(cd "$KDIR" && QUILT_PATCHES=$PATCHES quilt --quiltrc /dev/null "$@")
}

# try_series: applies everything to copies of those files, which stay in $scratch
try_series()
{
	local file patch

	while read -r file; do
		mkdir -p "$scratch/tree/$(dirname "$file")"
		if is_git; then
			git_kdir show "HEAD:$file" >"$scratch/tree/$file" 2>/dev/null ||
				rm -f "$scratch/tree/$file"
		elif [[ -e $KDIR/$file ]]; then
			cp -p "$KDIR/$file" "$scratch/tree/$file"
		fi
	done < <(touched)

	for patch in $(series); do
		patch -d "$scratch/tree" -p1 -F0 -N -f --no-backup-if-mismatch \
			-r "$scratch/rejects" -i "$PATCHES/$patch" >"$scratch/log" 2>&1 ||
			die "$patch does not apply, nothing was changed in $KDIR:" \
			    "$(first_reject)"
	done
}

# first_reject: the file and the hunk that was refused first
first_reject()
{
	awk '/^patching file/ { file = $3 } /FAILED/ { print file ": " $0; exit }' "$scratch/log"
	sed -n '/^@@/{p;q}' "$scratch/rejects" 2>/dev/null || cat "$scratch/log"
}

# refuse_applied: once is enough
refuse_applied()
{
	! git_kdir rev-parse -q --verify refs/series/after >/dev/null ||
		! git_kdir merge-base --is-ancestor refs/series/after HEAD ||
		die "the series is on KDIR=$KDIR already." \
		    "Take it off first: make unapply KDIR=$KDIR"
}

# refuse_local_changes: local changes in files of the series would be lost
refuse_local_changes()
{
	local dirty

	dirty=$(touched | (cd "$KDIR" && xargs -d '\n' git status --porcelain --) | head -n 5)
	[[ -z $dirty ]] ||
		die "KDIR=$KDIR has local changes in files that the series touches:" "$dirty" \
		    "Commit or stash them."
	[[ -z $(git_kdir diff --cached --name-only | head -n 1) ]] ||
		die "KDIR=$KDIR has staged changes." "Commit or unstage them."
}

# commit_series: builds the commits in an index of its own and moves there in
# one step, which no interrupt splits
commit_series()
{
	local patch parent before
	local -x GIT_INDEX_FILE=$scratch/index

	before=$(git_kdir rev-parse HEAD)
	parent=$before
	git_kdir read-tree HEAD
	for patch in $(series); do
		parent=$(commit_patch "$KDIR" "$PATCHES/$patch" "$parent") ||
			die "git does not take $patch; $KDIR is as it was."
	done
	unset GIT_INDEX_FILE

	trap '' INT TERM
	git_kdir merge -q --ff-only "$parent" ||
		die "git could not move $KDIR to the patched state; it is as it was."
	git_kdir update-ref "$REF" "$before"
	git_kdir update-ref refs/series/after "$parent"
}

push_series()
{
	pushing=1
	quilt_kdir push -a -q --fuzz=0 >"$scratch/log" 2>&1 ||
		die "quilt failed, the patches are taken off again:" "$(tail -n 5 "$scratch/log")"
	pushing=
}

remove()
{
	if is_git; then
		git_kdir rev-parse -q --verify "$REF" >/dev/null ||
			die "the series was not applied to $KDIR with 'make apply'."
		[[ $(git_kdir rev-parse HEAD) == "$(git_kdir rev-parse refs/series/after)" ]] ||
			die "there are commits on top of the series in $KDIR." \
			    "Take it out from below them with" \
			    "git rebase --onto $REF refs/series/after"
		trap '' INT TERM
		git_kdir reset -q --keep "$REF"
		git_kdir update-ref -d "$REF"
		git_kdir update-ref -d refs/series/after
	else
		need quilt quilt
		[[ -d $KDIR/.pc ]] || die "there is no quilt series on $KDIR."
		quilt_kdir pop -a -q >"$scratch/log" 2>&1 ||
			die "quilt could not take the series off:" "$(tail -n 5 "$scratch/log")"
	fi
	info "the series is off $KDIR"
}

if [[ ${1:-} == --remove ]]; then
	step "Taking the series off $KDIR"
	remove
	exit
fi

step "Applying $(series | wc -l) patches to $KDIR (Linux $found)"
if is_git; then
	[[ -n $(git_kdir config user.email) ]] ||
		die "git does not know who you are." \
		    "git config --global user.email you@example.org; and user.name"
	refuse_applied
	refuse_local_changes
else
	need quilt quilt
	[[ ! -s $KDIR/.pc/applied-patches ]] ||
		die "quilt has patches applied in $KDIR." "Take them off with: quilt pop -a"
fi
try_series
if is_git; then
	commit_series
	info "done: $(series | wc -l) commits on $(git_kdir symbolic-ref --short -q HEAD || echo 'a detached HEAD')"
	info "to take them off again: make unapply KDIR=$KDIR"
else
	push_series
	info "done: quilt has pushed $(series | wc -l) patches"
	info "to take them off again: make unapply KDIR=$KDIR"
fi

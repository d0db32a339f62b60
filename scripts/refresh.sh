#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# refresh.sh - write the commits of build/linux back to patches/
#
# usage: refresh.sh [--check]
#
#   --check    change nothing, fail if something would change
#
# Every commit after the tag "base" becomes a patch below patches/v6.12, in the
# folder that its trailer "Topic:" names; the trailer itself is not exported.
# Each file that the series adds below a mirrored folder (tools/testing/vma,
# tools/testing/selftests/mm, Documentation) is copied to the same path here.
# The output depends on the commits alone: no dates, hashes or versions.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"
only_known "--check" "$@"

check=
[[ ${1:-} == --check ]] && check=1

need_linux

fresh=$BUILD/refresh
rm -rf "$fresh"
mkdir -p "$fresh/patches"

# topic_of COMMIT: the value of its trailer
topic_of()
{
	git_linux log -1 --format='%(trailers:key=Topic,valueonly)' "$1" | sed '/^$/d'
}

# export_patch COMMIT FILE: mail-ready, without what changes by itself
export_patch()
{
	git_linux format-patch -1 --stdout --zero-commit --no-signature -N \
		--no-renames --stat=72 --diff-algorithm=histogram -U3 --no-ext-diff \
		--src-prefix=a/ --dst-prefix=b/ --no-base --no-notes --no-attach \
		--no-thread --no-cover-letter "$1" |
		sed -E '1,/^---$/{ /^Date: /d; /^Topic: /d }
			/^index [0-9a-f]+\.\.[0-9a-f]+/d' >"$2"
}

[[ -z $(git_linux status --porcelain) ]] ||
	die "build/linux has changes that are not committed." \
	    "Commit them (git commit --fixup=..., git rebase -i --autosquash base)," \
	    "or put them away with git stash -u."
[[ $(git_linux symbolic-ref --short -q HEAD) == series ]] ||
	die "build/linux is not on its branch 'series'." \
	    "Is a rebase in progress? Finish it, or: git -C build/linux checkout series"
[[ -z $(git_linux rev-list --merges base..HEAD) ]] ||
	die "build/linux has merge commits; a series is linear."
! git_linux log --format=%s base..HEAD | grep -qE '^(fixup|squash|amend)!' ||
	die "build/linux has fixup commits." \
	    "Fold them in: git -C build/linux rebase -i --autosquash base"

# The commits
declare -A number
last_topic=
{
	echo '# SPDX-License-Identifier: GPL-2.0'
	for commit in $(git_linux rev-list --reverse base..HEAD); do
		subject=$(git_linux log -1 --format=%s "$commit")
		topic=$(topic_of "$commit")
		[[ -n $topic ]] ||
			die "no topic: $subject" \
			    "Give the commit a trailer, e.g. 'Topic: relocate'."
		if [[ $topic != "$last_topic" ]]; then
			[[ -z ${number[$topic]:-} ]] ||
				die "the topic '$topic' comes twice; its patches must be neighbours."
			echo "# $topic"
			last_topic=$topic
		fi
		number[$topic]=$((${number[$topic]:-0} + 1))
		name=$(git_linux log -1 --format=%f "$commit" | cut -c1-52 | sed 's/[-.]*$//')
		file=$topic/$(printf '%04d' "${number[$topic]}")-$name.patch
		mkdir -p "$fresh/patches/$topic"
		export_patch "$commit" "$fresh/patches/$file"
		echo "$file"
	done
} >"$fresh/series"
mv "$fresh/series" "$fresh/patches/series"
[[ ! -f $PATCHES/cover-letter ]] || cp "$PATCHES/cover-letter" "$fresh/patches/"

# The files that they add
mkdir -p "$fresh/mirror"
while read -r file; do
	mkdir -p "$fresh/mirror/$(dirname "$file")"
	git_linux show "HEAD:$file" >"$fresh/mirror/$file"
	[[ $(git_linux ls-tree HEAD "$file") != 100755* ]] || chmod +x "$fresh/mirror/$file"
done < <(git_linux diff --name-only --no-renames --diff-filter=A base HEAD -- "${MIRRORED[@]}")

# differs SUBDIR DIR: says in which files the fresh state is not what DIR has
differs()
{
	diff -rqN "$fresh/$1" "$2" 2>&1 | sed "s|$fresh/||g; s|$TOP/||g"
}

changes=$(differs patches "$PATCHES" || true)
for dir in "${MIRRORED[@]}"; do
	mkdir -p "$fresh/mirror/$dir"
	[[ -d $TOP/$dir || -n $(ls -A "$fresh/mirror/$dir") ]] || continue
	changes+=$(echo; differs "mirror/$dir" "$TOP/$dir" || true)
done
changes=$(sed '/^$/d' <<<"$changes")

if [[ -n $check ]]; then
	[[ -z $changes ]] ||
		die "patches/ and build/linux do not say the same:" "$changes" \
		    "Run 'make refresh' to write build/linux back, or 'make tree' to renew it."
	rm -rf "$fresh"
	exit 0
fi

step "Writing the series back"
rm -rf "$PATCHES"
mv "$fresh/patches" "$PATCHES"
for dir in "${MIRRORED[@]}"; do
	rm -rf "${TOP:?}/$dir"
	[[ -n $(ls -A "$fresh/mirror/$dir") ]] || continue
	mkdir -p "$TOP/$(dirname "$dir")"
	mv "$fresh/mirror/$dir" "$TOP/$dir"
done
rm -rf "$fresh"
git_linux update-ref refs/series/applied HEAD
series_id >"$LINUX/.git/series-patches"
info "$(series | wc -l) patches in $(series | cut -d/ -f1 | sort -u | wc -l) topics"
[[ -z $changes ]] || info "${changes//$'\n'/$'\n    '}"

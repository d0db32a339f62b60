#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# series.sh - the series as it is mailed: build/series/vN
#
# usage: V=N series.sh [--no-recipients] [--tag]
#	series.sh --figures
#
# Writes one file per commit of build/linux and the cover letter, [PATCH vN i/n], as
# git send-email takes them:
#
#	git send-email --suppress-cc=all build/series/vN/*.patch
#
# The cover letter is patches/v6.12/cover-letter, followed by the patches grouped by
# topic, what they change, the base (the version, the tree's id; each patch has
# the whole ids of the files that it changes) and, if the tag series-v(N-1) of this
# repository exists, the range-diff to what the series was then. Each patch
# goes to whom get_maintainer.pl names, the cover letter to all lists and to those
# who get a patch of more than one topic; build/series/vN/recipients lists them.
#
#	--no-recipients	leave To: and Cc: out
#	--tag		also tag the commit of this repository series-vN: it has been sent.
#			patches/ must be committed
#
# Figures are not typed: the lines of the cover letter that begin with the name of an
# operation or of a test are filled in from build/bench/table.csv, which "make bench"
# leaves, and build/logs/results.log of "make test", if these are there.
#
#	--figures	only fill them in, in patches/v6.12/cover-letter
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

only_known "--no-recipients --tag --figures" "$@"
recipients=1 tag='' figures=''
for arg; do
	case $arg in
	--no-recipients) recipients='' ;;
	--tag) tag=1 ;;
	--figures) figures=1 ;;
	esac
done
letter=$PATCHES/cover-letter
[[ -f $letter ]] || die "there is no cover letter." "It belongs into $letter."
bench=$BUILD/bench/table.csv
[[ -f $bench ]] || bench=/dev/null
results=$LOGS/results.log
# "make check" has had no VM, and says too little.
grep -aqsE '^(PASS|FAIL) kmemleak ' "$results" || results=/dev/null

# measured: the cover letter with what "make bench" and "make test" have last said.
# Lines that neither knows stay.
measured()
{
	awk '
		function figure(n, left) {
			if (n == "-" || n < 1000)
				return n
			for (n = sprintf("%.0f", n); length(n) > 3; n = substr(n, 1, length(n) - 3))
				left = "," substr(n, length(n) - 2) left
			return n left
		}
		FILENAME == ARGV[1] {
			split($0, f, ",")
			row[f[1]] = sprintf("    %-22s%12s %12s %8s%s", f[1], figure(f[2]),
				figure(f[3]), f[4], f[7] == "over" ? "  over" : "")
			next
		}
		FILENAME == ARGV[2] {
			if ($1 !~ /^(PASS|FAIL|SKIP)$/)
				next
			count[$1]++
			name = $2
			sub(/:$/, "", name)
			said = substr($0, 59)
			sub(/ \(.*/, "", said)
			# That of x86 comes first, and counts.
			if (!(name in test))
				test[name] = sprintf("    %-24s%s  %s", name, $1, said)
			test["all"] = sprintf("    %-24s%d passed, %d failed, %d skipped", "all",
				count["PASS"], count["FAIL"], count["SKIP"])
			next
		}
		/^-+$/ { part = last }
		{ last = $0 }
		part == "Figures" && /^    [a-z]/ && $1 in row { $0 = row[$1] }
		part == "Tests" && /^    [a-z]/ && $1 in test { $0 = test[$1] }
		{ sub(/ +$/, ""); print }' "$bench" "$results" "$letter"
}

# unmeasured FILE: warns of figures that are missing there
unmeasured()
{
	local missing

	missing=$(awk '/^    [a-z][a-z0-9_-]* +-( +- +-)?$/ { printf " %s", $1 }' "$1")
	[[ -z $missing ]] ||
		warn "the cover letter has no figures of:$missing"
	missing=$(awk -F, 'FILENAME == ARGV[1] { if (FNR > 1) known[$1] = 1; next }
		{ split($0, word, " "); delete known[word[1]] }
		END { for (name in known) printf " %s", name }' "$bench" "$1")
	[[ -z $missing ]] ||
		warn "the cover letter has no line for:$missing"
}

if [[ -n $figures ]]; then
	measured >"$letter.new"
	unmeasured "$letter.new"
	if cmp -s "$letter.new" "$letter"; then
		rm "$letter.new"
		info "$letter has the figures of the last measurement"
	else
		mv "$letter.new" "$letter"
		info "$letter: the figures of the last measurement"
	fi
	exit 0
fi

[[ ${V:-} =~ ^[1-9][0-9]*$ ]] || die "which version?" "Say: make series V=1"
need_linux
need perl perl
"$SCRIPTS/refresh.sh" --check

dir=$BUILD/series/v$V
fresh=$dir.new
cache=$BUILD/series/recipients
scratch=$(mktemp -d "${TMPDIR:-/tmp}/series.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
rm -rf "$fresh"
mkdir -p "$fresh" "$cache"
total=$(git_linux rev-list --count base..series)
measured >"$scratch/letter"

# who FILE: "To|Cc<TAB>address" for each recipient of that patch. What
# get_maintainer.pl says holds while it, MAINTAINERS and the patch are the same.
who()
{
	local memory

	memory=$cache/$(cat "$scratch/maintainers" <(sed '1,/^---$/d' "$1") | sha256sum | cut -c1-24)
	if [[ ! -f $memory ]]; then
		(cd "$LINUX" && perl scripts/get_maintainer.pl --nogit --nogit-fallback --roles "$1") \
			>"$memory.new"
		mv "$memory.new" "$memory"
	fi
	# "Name <address> (role:of what)"; who looks after a file gets it, others a copy.
	sed -nE '/@/{ s/ \((maintainer|supporter|odd fixer)[^)]*(\(.*\))?[^)]*\)$//; t to
		s/ \(.*$//; s/^/Cc\t/p; b
		:to; s/^/To\t/p }' "$memory"
}

# header KIND: a mail header of the addresses on standard input, folded
header()
{
	awk -v kind="$1" '
		{ printf "%s", (NR == 1 ? kind ": " : ",\n    ") $0 }
		END { if (NR) print "" }'
}

# address FILE RECIPIENTS: puts To: and Cc: in front of the subject
address()
{
	{
		grep '^To' "$2" | cut -f2 | header To || true
		grep '^Cc' "$2" | cut -f2 | header Cc || true
	} >"$scratch/headers"
	awk -v headers="$scratch/headers" '
		!done && /^Subject: / {
			while ((getline line <headers) > 0)
				print line
			done = 1
		}
		{ print }' "$1" >"$scratch/addressed"
	mv "$scratch/addressed" "$1"
}

# export_patches: the commits, without what only this repository needs
export_patches()
{
	local file

	git_linux format-patch -q --zero-commit --signature="$signature" --numbered \
		--no-renames --stat=72 --diff-algorithm=histogram --full-index --no-ext-diff \
		--src-prefix=a/ --dst-prefix=b/ --no-notes --no-attach --no-thread \
		--reroll-count="$V" --output-directory "$fresh" base..series
	for file in "$fresh"/*.patch; do
		sed -i '1,/^---$/{ /^Topic: /d; /^Date: /d }' "$file"
	done
}

# by_topic: the subjects, with their numbers
by_topic()
{
	local file subject topic last='' n=0

	while read -r file; do
		n=$((n + 1))
		topic=${file%%/*}
		[[ $topic == "$last" ]] || printf '\n%s\n' "$topic"
		last=$topic
		subject=$(git mailinfo /dev/null /dev/null <"$PATCHES/$file" | sed -n 's/^Subject: //p')
		printf '  %*d  %s\n' ${#total} "$n" "$subject"
	done < <(series)
}

# commits_of TAG: the series as it was then, as commits upon the base
commits_of()
{
	local commit patch
	local -x GIT_INDEX_FILE=$scratch/index

	git -C "$TOP" archive "$1" "patches/v$VERSION" | tar -x -C "$scratch"
	git_linux read-tree base
	commit=$(git_linux rev-parse base)
	for patch in $(PATCHES=$scratch/patches/v$VERSION series); do
		commit=$(commit_patch "$LINUX" "$scratch/patches/v$VERSION/$patch" "$commit" \
			"${patch%%/*}" 2>>"$scratch/apply.log") || return 1
	done
	echo "$commit"
}

# range_diff: what has changed since the version before
range_diff()
{
	local old=series-v$((V - 1)) commit

	((V > 1)) || return 0
	if ! git -C "$TOP" rev-parse -q --verify "refs/tags/$old" >/dev/null; then
		info "no range-diff: there is no tag $old" >&2
		return
	fi
	if ! commit=$(commits_of "$old"); then
		warn "no range-diff: the patches of $old do not apply to this base"
		return
	fi
	info "range-diff to $old" >&2
	printf 'Range-diff against v%d:\n\n' $((V - 1))
	git_linux range-diff --no-color --creation-factor=80 "base..$commit" base..series
}

# cover: the cover letter as a mail
cover()
{
	local base package=

	base=$(git_linux log -1 --format=%s base)
	[[ $(cat "$LINUX/.git/series-source") != *"/usr/src/linux-source-$VERSION.tar.xz "* ]] ||
		package=$(dpkg-query -W -f ' (Debian ${Package} ${Version})' "linux-source-$VERSION" 2>/dev/null || true)
	cat <<-EOC
	From $(printf '0%.0s' {1..40}) Mon Sep 17 00:00:00 2001
	From: $(git_linux log -1 --format='%an <%ae>' series)
	Date: $(date -R)
	EOC
	sed -nE "1s|^Subject: \[PATCH 0/N\]|Subject: [PATCH v$V $(printf "%0${#total}d" 0)/$total]|p" "$letter"
	printf 'MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n'
	sed '1d; 2{/^$/d}' "$scratch/letter"
	printf '\nThe patches\n-----------\n'
	by_topic
	printf '\n'
	git_linux diff --no-renames --stat=72 base series
	printf '\n'
	range_diff
	cat <<-EOC
	base: $base$package
	base-tree: $(git_linux rev-parse 'base^{tree}')

	"git rev-parse HEAD^{tree}" says whether a tree is the base. To another v$VERSION.y,
	"git am -3" applies the patches in a repository that has the base's files, whose
	whole ids they have.

	-- $(printf '\n%s' "$signature")
	EOC
}

signature="vma series v$V"
step "Version $V of the series: $total patches"
head -n 1 "$letter" | grep -q '^Subject: \[PATCH 0/N\] ' ||
	die "the first line of the cover letter is not 'Subject: [PATCH 0/N] ...'." "See $letter."
export_patches
cover >"$fresh/v$V-0000-cover-letter.patch"
unmeasured "$scratch/letter"
cmp -s "$scratch/letter" "$letter" ||
	info "there are newer figures than in patches/: $0 --figures writes them there"

if [[ -n $recipients ]]; then
	cat "$LINUX/MAINTAINERS" "$LINUX/scripts/get_maintainer.pl" >"$scratch/maintainers"
	mapfile -t topics < <(series | cut -d/ -f1)
	n=0
	for file in "$fresh"/v"$V"-*[1-9]*.patch; do
		[[ $file != *-0000-cover-letter.patch ]] || continue
		[[ -t 1 ]] && printf '\r\e[K    recipients: %d/%d' $((n + 1)) "$total"
		who "$file" >"$scratch/who"
		address "$file" "$scratch/who"
		awk -v t="${topics[n]}" -v n=$((n + 1)) '{ print t "\t" n "\t" $0 }' "$scratch/who"
		n=$((n + 1))
	done >"$scratch/all"
	[[ -t 1 ]] && printf '\r\e[K'
	# Address, and which patches go there.
	sort -t$'\t' -k4,4 -k2,2n "$scratch/all" | awk -F'\t' '
		$4 != last { if (NR > 1) print ""; printf "%s:", $4; last = $4 }
		{ printf " %s", $2 }
		END { print "" }' >"$fresh/recipients"
	# A list has no name before its address.
	sort -u -t$'\t' -k1,1 -k4,4 "$scratch/all" | awk -F'\t' '
		{ topics[$4]++; if ($3 == "To") kind[$4] = "To" }
		END {
			for (a in topics)
				if (a !~ /</ || topics[a] > 1)
					print (kind[a] == "To" ? "To" : "Cc") "\t" a
		}' | sort -t$'\t' -k1,1r -k2,2 >"$scratch/who"
	address "$fresh/v$V-0000-cover-letter.patch" "$scratch/who"
	info "$(wc -l <"$fresh/recipients") recipients, $(wc -l <"$scratch/who") of the cover letter"
fi

rm -rf "$dir"
mv "$fresh" "$dir"
info "$dir: $(find "$dir" -name '*.patch' | wc -l) files, the longest has $(wc -l "$dir"/*.patch | sort -n | tail -n 2 | head -n 1 | awk '{ print $1 }') lines"

if [[ -n $tag ]]; then
	[[ -z $(git -C "$TOP" status --porcelain -- patches) ]] ||
		die "patches/ has changes that are not committed." "Commit them, then tag."
	git -C "$TOP" tag -a -m "Version $V of the series, as mailed" "series-v$V" ||
		die "the tag series-v$V could not be made." "Was version $V sent already? Then it is time for V=$((V + 1))."
	info "tagged series-v$V"
else
	info "once it is sent: V=$V scripts/series.sh --tag, for the next range-diff"
fi

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# drift.sh - does the series apply to other 6.12.y?
#
# usage: [DRIFT="SOURCE..."] drift.sh
#
# A SOURCE is a directory, a tarball, or a version such as 6.12.90, which is fetched from
# kernel.org. Without DRIFT the sources are all versions of linux-source-6.12 that
# apt knows, and the newest 6.12.y of kernel.org. What cannot be fetched is said, and
# is no failure; nothing to try at all is one.
#
# Each patch is tried with the fuzz that patch(1) allows on copies of the files that the
# series touches. One line per source; below it the patches that have conflicts or need
# fuzz. Offsets are counted; all that patch(1) says is in build/drift/NAME.log. After
# a conflict the rest of the patches is tried on what there is, and may fail because of it.
#
# Fails on conflicts and on fuzz, which "make apply" refuses; not, without DRIFT, for what
# is older than the base of build/linux. What was fetched stays in build/drift: each
# source is fetched once.
#
# Environment: KERNEL_ORG=URL, a mirror of https://cdn.kernel.org/pub/linux/kernel/v6.x
# shellcheck disable=SC2317 # functions are called by name
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

need patch patch
need curl curl
need xz xz-utils
KERNEL_ORG=${KERNEL_ORG:-https://cdn.kernel.org/pub/linux/kernel/v6.x}
CACHE=$BUILD/drift
MOST=6				# patches shown for a source

scratch=$(mktemp -d "${TMPDIR:-/tmp}/drift.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$CACHE" "$LOGS"
touched >"$scratch/touched"
# What was fetched before for another set of files is of no use.
names=$(sha256sum <"$scratch/touched" | cut -c1-12)

# keep TARBALL NAME: the touched files of it, and Makefile and Kbuild, as $CACHE/NAME
keep()
{
	local tree=$CACHE/$2

	rm -rf "$tree.new"
	mkdir -p "$tree.new"
	# One file or another may be missing there.
	sed 's|^|*/|' "$scratch/touched" | cat - <(printf '*/%s\n' Makefile Kbuild) |
		tar -x -f "$1" -C "$tree.new" --strip-components=1 --wildcards \
			--no-wildcards-match-slash --files-from=- 2>"$LOGS/drift-tar.log" || true
	mkdir -p "$tree.new/mm"
	kernel_version "$tree.new" >/dev/null || { rm -rf "$tree.new"; return 1; }
	echo "$names" >"$tree.new/.names"
	rm -rf "$tree"
	mv "$tree.new" "$tree"
}

# kept NAME: it was fetched before
kept() { [[ $(cat "$CACHE/$1/.names" 2>/dev/null) == "$names" ]]; }

# fetch_debian VERSION NAME: the source package of that version, without installing it
fetch_debian()
{
	local deb installed=/usr/src/linux-source-$VERSION.tar.xz

	if [[ -f $installed && $(dpkg-query -W -f '${Version}' "linux-source-$VERSION" 2>/dev/null) == "$1" ]]; then
		run_logged "$2: unpacking" "$LOGS/drift-unpack.log" keep "$installed" "$2"
		return
	fi
	(cd "$scratch" && run_logged "$2: apt-get download" "$LOGS/drift-apt.log" \
		apt-get download -q "linux-source-$VERSION=$1") || return 1
	deb=$(find "$scratch" -name "linux-source-$VERSION*.deb")
	dpkg-deb --fsys-tarfile "$deb" |
		tar -x -O --wildcards "./usr/src/linux-source-$VERSION.tar.xz" >"$scratch/source.tar.xz"
	rm -f "$deb"
	run_logged "$2: unpacking" "$LOGS/drift-unpack.log" keep "$scratch/source.tar.xz" "$2"
	rm -f "$scratch/source.tar.xz"
}

# fetch_kernel_org VERSION NAME
fetch_kernel_org()
{
	run_logged "$2: fetching" "$LOGS/drift-curl.log" curl -sSf --connect-timeout 20 \
		-o "$scratch/source.tar.xz" "$KERNEL_ORG/linux-$1.tar.xz" || return 1
	run_logged "$2: unpacking" "$LOGS/drift-unpack.log" keep "$scratch/source.tar.xz" "$2"
	rm -f "$scratch/source.tar.xz"
}

# newest: the newest 6.12.y that kernel.org has
newest()
{
	curl -sSf --connect-timeout 20 "$KERNEL_ORG/sha256sums.asc" 2>"$scratch/curl" |
		grep -oE " linux-${VERSION//./\\.}\.[0-9]+\.tar\.xz" |
		sed 's/^ linux-//; s/\.tar\.xz$//' | sort -V | tail -n 1
}

# copy DIR: its touched files to a new $scratch/tree
copy()
{
	local file

	rm -rf "$scratch/tree"
	mkdir -p "$scratch/tree"
	while read -r file; do
		[[ -f $1/$file ]] || continue
		mkdir -p "$scratch/tree/$(dirname "$file")"
		cp "$1/$file" "$scratch/tree/$file"
	done <"$scratch/touched"
}

# is_older VERSION: than the base, which is no matter unless it was asked for
is_older()
{
	[[ -z ${DRIFT:-} && -n $base && $1 != "$base" ]] || return 1
	[[ $(printf '%s\n' "$1" "$base" | sort -V | head -n 1) == "$1" ]]
}

# try NAME DIR: applies the series, reports
try()
{
	local log=$CACHE/$1.log patch version result=PASS secs=$SECONDS
	local conflicts fuzz offsets worst

	if ! version=$(kernel_version "$2") || [[ $version != "$VERSION".* ]]; then
		verdict FAIL "$1" '' "it is ${version:+Linux }${version:-no kernel tree}${version:+, the series is for $VERSION}"
		return 1
	fi
	copy "$2"
	for patch in $(series); do
		echo "== $patch"
		patch -d "$scratch/tree" -p1 -N -f --no-backup-if-mismatch -r - -i "$PATCHES/$patch" 2>&1 || true
	done >"$log"
	awk -v most="$MOST" '
		/^== / { patch = $2; next }
		/^patching file/ { file = $3 }
		/previously applied/ { applied[patch]++ }
		/^Hunk .*FAILED|hunks? ignored|No file to patch|Skipping patch/ {
			if (!(patch in conflict)) {
				if (!(patch in fuzz))
					order[++n] = patch
				what = $0
				sub(/ *--.*/, "", what)
				conflict[patch] = file ": " what
			}
		}
		/^Hunk .*with fuzz/ {
			if (!(patch in fuzz) && !(patch in conflict)) {
				order[++n] = patch
				fuzz[patch] = file ": " $0
			}
		}
		/^Hunk .*\(offset/ {
			if (!(patch in offset))
				offsets++
			offset[patch]
			lines = $0
			sub(/.*\(offset /, "", lines)
			lines = lines + 0 < 0 ? -lines : lines + 0
			if (lines > worst)
				worst = lines
		}
		END {
			for (p in conflict)
				conflicts++
			for (i = 1; i <= n; i++)
				if (order[i] in fuzz && !(order[i] in conflict))
					fuzzes++
			printf "%d %d %d %d\n", conflicts, fuzzes, offsets, worst
			for (i = 1; i <= n && i <= most; i++) {
				p = order[i]
				print "    | " p ": " (p in conflict ? \
					(p in applied ? "is there already? " : "") conflict[p] : fuzz[p])
			}
			if (n > most)
				printf "    | and %d more\n", n - most
		}' "$log" >"$scratch/said"
	read -r conflicts fuzz offsets worst <"$scratch/said"
	if ((conflicts + fuzz)); then
		result=FAIL
		! is_older "$version" || result=SKIP
	fi
	verdict "$result" "$1" $((SECONDS - secs)) \
		"Linux $version: $conflicts conflicts, $fuzz with fuzz, $offsets with offsets$( ((offsets == 0)) || echo " (at most $worst lines)")"
	if [[ $result == SKIP ]]; then
		echo "    | older than the base, $base"
	else
		sed 1d "$scratch/said"
	fi
	[[ $result != FAIL ]]
}

# sources: lines of KIND NAME WHERE
sources()
{
	local source version

	if [[ -n ${DRIFT:-} ]]; then
		for source in $DRIFT; do
			if [[ -d $source ]]; then
				echo "dir $(basename "$(realpath "$source")") $(realpath "$source")"
			elif [[ -f $source ]]; then
				echo "tarball $(basename "$source") $(realpath "$source")"
			elif [[ $source =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
				echo "kernel.org linux-$source $source"
			else
				die "DRIFT: '$source' is neither a directory, nor a file, nor a version." \
				    "Say for example DRIFT='6.12.90 /path/to/linux'."
			fi
		done
		return
	fi
	apt-cache madison "linux-source-$VERSION" 2>/dev/null | awk -F' *\\| *' '!seen[$2]++ { print $2 }' |
		while read -r version; do
			echo "debian debian-$version $version"
		done
	if version=$(newest) && [[ -n $version ]]; then
		echo "kernel.org linux-$version $version"
	else
		info "kernel.org cannot be asked: $(sed 's/^curl: //' "$scratch/curl")" >&2
	fi
}

base=
[[ ! -d $LINUX/.git ]] || base=$(git_linux log -1 --format=%s base | sed 's/^Linux //')
sources >"$scratch/sources"
step "Drift: $(series | wc -l) patches on $(wc -l <"$scratch/sources") sources"
failed=0 tried=0
while read -r kind name where; do
	case $kind in
	dir)
		dir=$where ;;
	*)
		dir=$CACHE/$name
		# Somebody's tarball may change under its name.
		if [[ $kind == tarball ]] || ! kept "$name"; then
			case $kind in
			tarball) run_logged "$name: unpacking" "$LOGS/drift-unpack.log" keep "$where" "$name" ;;
			debian) fetch_debian "$where" "$name" ;;
			kernel.org) fetch_kernel_org "$where" "$name" ;;
			esac 2>"$scratch/error" || {
				if [[ $kind == tarball ]]; then
					verdict FAIL "$name" '' "no kernel source in it"
					failed=1 tried=$((tried + 1))
				else
					verdict SKIP "$name" '' "cannot be fetched: $(grep -hoE '(curl|[EW]): .*' "$scratch/error" | head -n 1 || true)"
				fi
				continue
			}
		fi ;;
	esac
	tried=$((tried + 1))
	try "$name" "$dir" || failed=1
done <"$scratch/sources"

((tried)) ||
	die "there was no source to try." \
	    "Without a network give one: make drift DRIFT='/path/to/linux-6.12.90.tar.xz'"
info "what patch said of each: $CACHE/*.log"
exit "$failed"

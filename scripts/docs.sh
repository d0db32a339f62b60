#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# docs.sh - the documents of the series build, and their examples compile
#
# usage: docs.sh [--check]
#
#   pages      sphinx with the kernel's configuration and extensions, warnings as
#              errors, on each page that the series adds or changes, and on the
#              kernel-doc comments that they include; the result is build/docs/html
#   index      each page that the series adds is in the index of its directory
#   examples   each "code-block:: c" and each C file of which a page shows a part
#              compiles without a warning: a program with gcc -Wall -Wextra, a
#              kernel file (samples/) as an object, and it is built by a Makefile.
#              A program vma_* is a kselftest: "make vm-test" runs it
#
# --check (for make lint): prints what is wrong and nothing else.
# Needs python3-sphinx, and no network. Ten seconds, and a minute for the first object.
# shellcheck disable=SC2317 # the checks are called by name
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

only_known "--check" "$@"
only_check=${1:+1}

need_linux
need sphinx-build python3-sphinx
need gcc gcc
scratch=$(mktemp -d "${TMPDIR:-/tmp}/docs.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
out=$BUILD/docs
mkdir -p "$LOGS" "$out"

mapfile -t pages < <(git_linux diff --name-only --diff-filter=AM base HEAD -- 'Documentation/*.rst' |
	grep -v '/index\.rst$')
mapfile -t added < <(git_linux diff --name-only --diff-filter=A base HEAD -- 'Documentation/*.rst')

# check_pages: a source directory of its own in which the pages lie where they lie in
# the kernel, and so does what they include. The whole of Documentation takes an hour.
check_pages()
{
	local page root=$out/source

	rm -rf "$root"
	mkdir -p "$root/Documentation"
	for page in "${pages[@]}"; do
		mkdir -p "$root/${page%/*}"
		cp "$LINUX/$page" "$root/$page"
	done
	for page in arch fs include kernel lib mm samples scripts tools; do
		ln -s "$LINUX/$page" "$root/$page"
	done
	cp -r "$LINUX"/Documentation/{conf.py,sphinx,sphinx-static,images} "$root/Documentation/"
	{
		printf 'The series\n==========\n\n.. toctree::\n\n'
		printf '   %s\n' "${pages[@]#Documentation/}" | sed 's/\.rst$//'
	} >"$root/Documentation/index.rst"
	# dot(1) is for pictures, which there are none of.
	(cd "$root" && srctree=$root PYTHONDONTWRITEBYTECODE=1 sphinx-build -q -E -a -b html \
		-D version="$VERSION" -D release="$VERSION" \
		-D kerneldoc_srctree="$root" -D kerneldoc_bin="$LINUX/scripts/kernel-doc" \
		Documentation "$out/html") >"$LOGS/docs.log" 2>&1 ||
		{ cat "$LOGS/docs.log"; return 1; }
	grep -E '(warning|error)' -i "$LOGS/docs.log" |
		grep -vE 'dot\(1\) not found|logo file .* does not exist' | sed "s|$root/||g" || true
}

check_index()
{
	local page

	for page in "${added[@]}"; do
		git_linux show "HEAD:${page%/*}/index.rst" 2>/dev/null |
			grep -xqE "   $(basename "$page" .rst)(\.rst)?" ||
			echo "$page is not in ${page%/*}/index.rst"
	done
}

# shown: the files of which the pages show a part
shown()
{
	local page file

	for page in "${pages[@]}"; do
		sed -nE 's/^\.\. literalinclude:: *//p' "$LINUX/$page" | sort -u | while read -r file; do
			realpath -m --relative-to="$LINUX" "$LINUX/${page%/*}/$file"
		done
	done | sort -u
}

# blocks PAGE: its C blocks, as files in $scratch/blocks
blocks()
{
	mkdir -p "$scratch/blocks"
	awk -v page="$(basename "$1" .rst)" -v dir="$scratch/blocks" '
		/^\.\. code-block:: c *$/ { inside = 1; file = dir "/" page "-" NR ".c"; next }
		inside && /^[^ ]/ { inside = 0 }
		inside && !/^   :/ { sub(/^   /, ""); print >file }' "$1"
}

# kernel_object OBJECT: in the output directory that lint.sh has for sparse
kernel_object()
{
	local dir=$BUILD/out/sparse-linux

	[[ -f $dir/.config ]] || make -s -C "$LINUX" O="$dir" x86_64_defconfig || return
	make -s -C "$LINUX" O="$dir" CC="ccache gcc" KCFLAGS=-Werror -j"$JOBS" "$1"
}

check_examples()
{
	local file page object
	local count=0

	for page in "${pages[@]}"; do
		blocks "$LINUX/$page"
	done
	for file in "$scratch"/blocks/*.c; do
		[[ -f $file ]] || continue
		gcc -Wall -Wextra -Werror -fsyntax-only -x c "$file" 2>&1 | sed "s|$scratch/blocks/||"
	done
	while read -r file; do
		case $file in
		*.c) ;;
		*) continue ;;
		esac
		count=$((count + 1))
		case $file in
		tools/testing/selftests/*)
			# The kernel's headers are newer than those of the system.
			gcc -Wall -Wextra -Werror -O2 -I"$LINUX/tools/include/uapi" \
				-o "$scratch/example" "$LINUX/$file" 2>&1
			[[ $file == tools/testing/selftests/mm/vma_* ]] ||
				echo "$file: no test runs it" ;;
		*)
			object=${file%.c}.o
			grep -qs "$(basename "$object")" "$LINUX/${file%/*}/Makefile" ||
				echo "$file: no Makefile builds it"
			kernel_object "$object" 2>&1 ;;
		esac
	done < <(shown)
	((count)) || echo "the pages show no example"
}

failed=0
for name in pages index examples; do
	start=$SECONDS
	"check_$name" >"$scratch/out" 2>&1 || echo "check_$name stopped with an error" >>"$scratch/out"
	if [[ -n $only_check ]]; then
		cat "$scratch/out"
		[[ ! -s $scratch/out ]] || failed=1
	elif [[ -s $scratch/out ]]; then
		verdict FAIL "docs: $name" $((SECONDS - start))
		sed 's/^/    | /' "$scratch/out"
		failed=1
	else
		verdict PASS "docs: $name" $((SECONDS - start))
	fi
done
[[ -n $only_check ]] || info "$out/html: ${#pages[@]} pages, ${#added[@]} of them new"
exit "$failed"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# initramfs.sh - pack what the guest runs
#
# These are busybox, the mm kselftests of the tree, the kernel's modules, the host's C
# library (for the few programs that are linked dynamically) and scripts/vm/init.
#
# Environment: TREE, CONFIG and ARCH as for kernel.sh. The result is
# build/out/<tree>-<arch>-<config>/initramfs.cpio, packed again only if
# something that is in it changed. It is not compressed: under emulation
# unpacking takes longer than reading.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"
only_known "" "$@"

TREE=${TREE:-linux} CONFIG=${CONFIG:-debug} ARCH=${ARCH:-x86_64}
out=$BUILD/out/$TREE-$ARCH-$CONFIG
tests=$BUILD/out/$TREE-selftests/mm
cpio=$out/initramfs.cpio
root=$out/initramfs

need cpio cpio
need busybox busybox-static
need strip binutils
busybox=$(command -v busybox)
! ldd "$busybox" >/dev/null 2>&1 ||
	die "$busybox is linked dynamically; the guest needs a static one." \
	    "Install it with: apt-get install busybox-static"
[[ -d $tests ]] ||
	die "the kselftests of $TREE are not built." "'make kernel' builds them."

# Programs that upstream's test scripts need and busybox does not have.
guest_tools=()
for tool in bash mkfs.ext4 mkfs.xfs; do
	path=$(PATH=$PATH:/sbin:/usr/sbin command -v "$tool" || true)
	[[ -z $path ]] || guest_tools+=("$(realpath "$path"):$tool")
done

# libraries FILE...: what the dynamic loader would map for them, and itself
libraries()
{
	{ ldd "$@" 2>/dev/null || true; } |
		awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && $1 !~ /:$/ { print $1 }' |
		sort -u
}

# programs: the executables and scripts that belong into /tests
programs() { find "$tests" -maxdepth 1 -type f -executable | sort; }

# manifest: everything that goes in, with size and time of last change
manifest()
{
	{
		programs
		printf '%s\n' "$SCRIPTS/vm/init" "$SCRIPTS/initramfs.sh" "$busybox"
		((${#guest_tools[@]} == 0)) || printf '%s\n' "${guest_tools[@]%:*}"
		[[ ! -d $out/root ]] || find "$out/root" -name '*.ko'
	} | xargs -d '\n' stat -c '%n %s %y'
}

new=$(manifest)
if [[ -f $cpio && $new == "$(cat "$out/initramfs.manifest" 2>/dev/null)" ]]; then
	exit 0
fi

need_space "$out" 1
# Two runs at a time must not share the staging directory.
exec 9>"$out/.initramfs.lock"
flock 9
rm -rf "$root"
mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,etc,dev,proc,sys,tmp,run,root,mnt,tests,lib,lib64}
install -m 755 "$busybox" "$root/bin/busybox"
busybox --list-full | while IFS= read -r applet; do
	[[ $applet == bin/busybox || $applet == linuxrc ]] ||
		ln -sf /bin/busybox "$root/$applet"
done
install -m 755 "$SCRIPTS/vm/init" "$root/init"
echo 'root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:
nogroup:x:65534:' >"$root/etc/group"

dynamic=()
while IFS= read -r program; do
	target=$root/tests/$(basename "$program")
	# What is not an ELF file (a script) is copied as it is.
	strip -o "$target" "$program" 2>/dev/null || cp "$program" "$target"
	! ldd "$program" >/dev/null 2>&1 || dynamic+=("$program")
done < <(programs)
for tool in "${guest_tools[@]}"; do
	install -m 755 "${tool%:*}" "$root/bin/${tool#*:}"
	dynamic+=("${tool%:*}")
done
# ldd names the loader and the C library even for the smallest program; they are
# there for whatever a test compiles or copies.
libraries "${dynamic[@]}" | while IFS= read -r library; do
	install -D -m 755 "$(realpath "$library")" "$root$library"
done
[[ ! -d $out/root/lib/modules ]] || cp -r "$out/root/lib/modules" "$root/lib/"

(cd "$root" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$cpio.new"
mv "$cpio.new" "$cpio"
echo "$new" >"$out/initramfs.manifest"
rm -rf "$root"
info "$cpio ($(du -h "$cpio" | cut -f 1), $(wc -l <<<"$new") files)"

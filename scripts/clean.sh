#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# clean.sh - remove what was built
#
# usage: clean.sh [--all]
#
# build/linux, what was fetched (build/drift), mails (build/series) and what bisect.sh
# knows (build/bisect.state) stay.
#
#   --all   remove the whole of build/, unless build/linux has work that exists
#           nowhere else
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"
only_known "--all" "$@"

if [[ ${1:-} != --all ]]; then
	rm -rf "$BUILD"/{out,logs,bench,coverage,docs,refresh,bisect}
	exit 0
fi

if [[ -d $LINUX/.git ]]; then
	[[ -z $(git -C "$LINUX" status --porcelain) &&
	   $(git -C "$LINUX" rev-parse series) == "$(git -C "$LINUX" rev-parse refs/series/applied)" ]] ||
		die "build/linux has work that is not in patches/." \
		    "Write it back with 'make refresh', or remove it by hand: rm -rf $BUILD"
fi
rm -rf "$BUILD"

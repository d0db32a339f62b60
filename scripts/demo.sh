#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh - boot the patched debug kernel and show what the series does
#
# The demonstration itself is scripts/vm/demo. Environment: as for vm.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"

step "Booting the patched kernel for a demonstration"
"$SCRIPTS/vm.sh" run --timeout 900 -- sh -c "$(cat "$SCRIPTS/vm/demo")" ||
	die "the demonstration failed (exit $?)." \
	    "The console is in $LOGS/; 'make vm-test' says more."
echo
info "More: make test (everything), make shell (look around), make help"

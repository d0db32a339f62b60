#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# tools.sh - install what the other scripts need
#
# Installs the Debian packages of scripts/packages.list that are missing. Without
# root it says which command to run and fails. Does nothing if all are there.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage_if_asked "$@"
only_known "" "$@"

need dpkg-query dpkg
need apt-get apt

missing=()
while read -r package _; do
	[[ -z $package || $package == \#* ]] && continue
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[[ $status == installed ]] || missing+=("$package")
done <"$SCRIPTS/packages.list"

((${#missing[@]})) || exit 0

step "Installing ${#missing[@]} missing packages"
info "${missing[*]}"
((EUID == 0)) ||
	die "installing packages takes root." \
	    "Run: sudo apt-get install ${missing[*]}" "and start again."

export DEBIAN_FRONTEND=noninteractive
run_logged "apt-get update" "$LOGS/apt-update.log" apt-get update -q ||
	warn "the list of packages could not be renewed; going on with the old one"
run_logged "apt-get install" "$LOGS/apt-install.log" \
	apt-get install -q -y --no-install-recommends "${missing[@]}" ||
	die "not all packages could be installed." \
	    "Is there a network, and does /etc/apt/sources.list name a Debian mirror?" \
	    "The log is $LOGS/apt-install.log"

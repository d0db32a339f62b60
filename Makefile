# SPDX-License-Identifier: GPL-2.0
#
# The one entry point. Every verb is a script of the same name in scripts/,
# which has --help. Run "make help".

# Recipes are one call each; order and parallelism belong to the scripts.
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

SHELL := /bin/bash
S := scripts

# What the scripts take from the command line.
export KDIR TARBALL T ARCH CONFIG TREE ACCEL V SEED MINUTES JOBS BUILD TIMEOUT_SCALE RESERVED NODES DRIFT

.DEFAULT_GOAL := all
.PHONY: all help tools tree base kernel vma vma-soak vma-coverage vm-test vm-soak legacy shell \
	demo test check lint docs bench bisect coverage drift series \
	refresh apply unapply clean distclean

##@ The two commands
all: tree			## from nothing to the patched kernel showing what it does, in QEMU
	@$(S)/kernel.sh
	@$(S)/demo.sh

test:				## everything: lint, user-space harness, kselftests in QEMU and UML, "legacy"
	@$(S)/test.sh

##@ Parts of them
check: tree			## the part of "test" that needs no VM
	@$(S)/test.sh check

tools:				## install the Debian packages that are missing
	@$(S)/tools.sh

tree: tools			## build/linux: 6.12 with one commit per patch (KDIR= or TARBALL= as source)
	@$(S)/tree.sh --base

kernel: tree			## build it (ARCH=x86_64|um CONFIG=debug|perf TREE=linux|base)
	@$(S)/kernel.sh

vma: tree			## the user-space VMA harness: build and run (T=name: some tests, SEED=n)
	@$(S)/vma.sh test

vma-soak: tree			## random operations against a model for MINUTES=n with new seeds
	@$(S)/vma.sh soak "$(or $(MINUTES),10)"

vma-coverage: tree		## which lines of mm/ the harness runs
	@$(S)/vma.sh coverage

coverage: tree			## which lines of the series the harness and the VM run
	@$(S)/coverage.sh

bisect: tree			## every commit builds and passes the harness
	@$(S)/bisect.sh

vm-test: kernel			## kselftests in the VM (T=name: one of them; ARCH=um: under UML)
	@$(S)/vm.sh test

vm-soak: kernel			## nonuniform mappings while everything happens to them, for MINUTES=n
	@$(S)/vm.sh soak "$(or $(MINUTES),10)"

legacy: kernel			## remap_file_pages() without its new flag, compared with the base kernel
	@$(S)/legacy.sh

shell: kernel			## boot the patched kernel with a shell (Ctrl-a x ends it)
	@$(S)/vm.sh shell

demo: kernel			## show what the series does, and the base kernel beside it
	@$(S)/demo.sh --build

lint: tree			## prove that patches/ and the repository are in order
	@$(S)/lint.sh

docs: tree			## the documents of the series as HTML, and their examples compiled
	@$(S)/docs.sh

bench: tree			## base and patched kernel side by side, in guest instructions (T=name: some)
	@$(S)/bench.sh

##@ Working on the series
refresh:			## write the commits of build/linux back to patches/
	@$(S)/refresh.sh

series: tree			## build/series/vN: the series as it is mailed (V=n)
	@$(S)/series.sh

drift:				## does it apply to other 6.12.y? (DRIFT="6.12.n dir tarball")
	@$(S)/drift.sh

apply:				## put the series on your own tree: make apply KDIR=/path/to/linux
	@$(S)/apply.sh

unapply:			## take it off again: make unapply KDIR=/path/to/linux
	@$(S)/apply.sh --remove

##@ Cleaning up
clean:				## remove what was built, keep build/linux and what was fetched
	@$(S)/clean.sh

distclean:			## remove build/ unless build/linux has work that is not in patches/
	@$(S)/clean.sh --all

help:				## this list
	@awk 'BEGIN { FS = ":.*## " } \
	      /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	      /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@printf '\nEach verb is a script in scripts/; --help there says more.\n'

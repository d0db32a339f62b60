/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For mm/nonuniform.c: everything is in vma_internal.h. */
#include "vma_internal.h"

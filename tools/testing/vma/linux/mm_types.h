/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For linux/vma_reservation.h: everything is in vma_internal.h. */
#include "vma_internal.h"

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For linux/vma_reservation.h, and what ../../include does not have. */
#ifndef _VMA_MINMAX_H
#define _VMA_MINMAX_H

#include <linux/kernel.h>

#define clamp_t(type, val, lo, hi)	clamp((type)(val), (type)(lo), (type)(hi))
#define max3(x, y, z)			max(max(x, y), z)

#endif /* _VMA_MINMAX_H */

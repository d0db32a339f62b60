/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For linux/vma_reservation.h. */
#include <linux/rbtree.h>

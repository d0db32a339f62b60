/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real one, as it is. */
#include "../../../../include/linux/nonuniform.h"

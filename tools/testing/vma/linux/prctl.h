/* SPDX-License-Identifier: GPL-2.0-or-later */
/* That of this kernel, not that of the system. */
#include "../../../../include/uapi/linux/prctl.h"

// SPDX-License-Identifier: GPL-3.0-or-later

/* Tools link with user/base alone; this one measures the histogram, and so brings it along. */
#include "../../user/model/hist.c" // NOLINT(bugprone-suspicious-include)

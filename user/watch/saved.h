// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "watch/store.h"

/*
 * The saved state of a watch. Numbers are varints, texts a length and bytes without NUL:
 *
 *     magic, the version in its last byte
 *     the time of day when it was saved, ns
 *     alerts, each a 1, and a 0 behind the last one; per alert:
 *         state, no_data, value (8 bytes, a double as the machine has it)
 *         ages in ns: since it is active; whether and since when it is only kept firing; since it was resolved
 *         times of day in ns: active, starts, ends
 *         labels and annotations, each: how many, and names and values
 *         whether its series follows, and then: service, container, operation, role, protocol, port, whole
 *     SLOs times services, likewise; each:
 *         name, latency, window, series, age in ns, four rings from the newest slot back: total and bad; a total of 0
 *         is followed by how many slots in a row are empty
 *     series that are awaited (sj_row_awaited()), likewise; each: series, ns since its latest request
 *     CRC-32 of everything before it, 4 bytes, the lowest first
 *
 * The ages, not the moments, are saved: the clock that never jumps begins anew at each boot. What
 * does not fit is left out, the last of the list first: first what is awaited, then the SLOs, then the alerts.
 */
#define SJ_SAVED_MAGIC "sojourn-watch\002"
#define SJ_SAVED_MAX ((size_t)4 << 20)
#define SJ_SAVED_TEXTS_MAX ((size_t)1 << 20) /* after so many bytes alerts go without annotations */
#define SJ_SAVED_SERIES_MAX 2048u

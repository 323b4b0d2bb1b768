// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "model/hist.h"

/*
 * A histogram as bytes, for recordings: variable-length integers, deflated where that is shorter, behind a byte that
 * says which and a length, so that encoded histograms can follow one another. hist_codec.c describes every field.
 */

/* No encoded histogram is longer, in bytes. */
#define SJ_HIST_ENCODED_MAX (32u * 1024u)

/*
 * Puts h into freshly allocated memory: *out, *len bytes, to be freed by the caller. Deflated when that is shorter.
 * 0 or -ENOMEM, *out untouched then.
 */
int sj_hist_encode(const struct sj_hist *h, uint8_t **out, size_t *len);

/* The same, never deflated: quicker, for a place that compresses as a whole. */
int sj_hist_encode_plain(const struct sj_hist *h, uint8_t **out, size_t *len);

/*
 * Reads one histogram from the n bytes at p, which may be anything. *out, initialised, is replaced; *used (unless
 * NULL) becomes how many bytes it took. -EBADMSG when the bytes are no histogram or end too early, -ENOMEM; *out and
 * *used are untouched then.
 */
int sj_hist_decode(const uint8_t *p, size_t n, size_t *used, struct sj_hist *out);

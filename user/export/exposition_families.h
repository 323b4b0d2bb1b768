// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "export/exposition_encode.h"

/* Which metrics there are, by what they are about. 0 or -ENOMEM; more errors are in the encoder. For exposition.c. */

int sj_expose_requests(struct sj_encoder *encoder, const struct sj_exposition *e);
void sj_expose_fits(struct sj_encoder *encoder, const struct sj_exposition *e);
int sj_expose_watch(struct sj_encoder *encoder, const struct sj_exposition *e);
int sj_expose_slos(struct sj_encoder *encoder, const struct sj_exposition *e);
int sj_expose_live(struct sj_encoder *encoder, const struct sj_exposition *e);
void sj_expose_own(struct sj_encoder *encoder, const struct sj_exposition *e);

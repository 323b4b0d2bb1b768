// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/exposition.h"

#include <errno.h>

#include "export/exposition_families.h"

static int expose(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    int rc = sj_expose_requests(encoder, e);
    if (rc == 0)
        rc = sj_expose_live(encoder, e);
    if (rc == 0)
        rc = sj_expose_watch(encoder, e);
    sj_expose_fits(encoder, e);
    sj_expose_own(encoder, e);
    int end = sj_encode_end(encoder);
    return rc < 0 ? rc : end;
}

int sj_exposition_write(struct sj_out *out, enum sj_exposition_format format, const struct sj_exposition *e)
{
    struct sj_encoder encoder;
    if (sj_encoder_init(&encoder, format, out, e->measurement->start_real_ns) < 0)
        return -ENOMEM;
    int rc = expose(&encoder, e);
    sj_encoder_fini(&encoder);
    return rc;
}

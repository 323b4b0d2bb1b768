// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/report_fit.h"

#include <math.h>
#include <stdlib.h>

/*
 * The bootstrap of the best family costs several times what all fits do, that of the tail a fraction of them; and the
 * tail's is what bounds the quantiles that are not in the data.
 */
static int fit_sample(const struct sj_sample *s, struct sj_fit_result *out, struct sj_err *err)
{
    const struct sj_tail_options tail = {.threshold = NAN, .replicates = SJ_REPORT_FIT_REPLICATES, .seed = 1};
    struct sj_fit_options options = sj_fit_defaults();
    struct sj_err why = {.status = EX_OK};

    options.replicates = 0;
    options.tail = false;
    if (sj_fit_all(s, &options, out, err))
        return -1;
    out->has_tail = sj_tail_fit(s, &tail, &out->tail, &why) == 0;
    return why.status == EX_OSERR ? sj_fail(err, EX_OSERR, "%s", why.text) : 0;
}

/* The result for one service, or NULL; -1 only without memory. */
static int fit_service(const struct sj_service_view *s, struct sj_fit_result **out, struct sj_err *err)
{
    struct sj_sample *sample;
    struct sj_err why = {.status = EX_OK};

    /* The rest is no service: what it is made of has no distribution in common. */
    if (s->rest || s->requests < SJ_REPORT_FIT_REQUESTS)
        return 0;
    struct sj_fit_result *r = calloc(1, sizeof(*r));
    if (!r)
        return sj_fail(err, EX_OSERR, "out of memory");
    int rc = sj_sample_from_hist(s->total, &sample, &why);
    if (!rc) {
        rc = fit_sample(sample, r, &why);
        sj_sample_free(sample);
    }
    if (!rc && (r->has_best || r->has_tail)) {
        *out = r;
        return 0;
    }
    free(r);
    return rc && why.status == EX_OSERR ? sj_fail(err, EX_OSERR, "%s", why.text) : 0;
}

int sj_report_fits_make(const struct sj_snapshot *snap, struct sj_report_fits *out, struct sj_err *err)
{
    struct sj_report_fits fits = {0};

    for (size_t i = 0; i < snap->n_services && i < SJ_REPORT_FITS; i++) {
        if (fit_service(&snap->services[i], &fits.of[i], err)) {
            sj_report_fits_free(&fits);
            return -1;
        }
    }
    *out = fits;
    return 0;
}

void sj_report_fits_free(struct sj_report_fits *fits)
{
    for (size_t i = 0; i < SJ_REPORT_FITS; i++)
        free(fits->of[i]);
    *fits = (struct sj_report_fits){0};
}

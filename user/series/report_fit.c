// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/report_fit.h"

#include <math.h>
#include <stdlib.h>

/* A fit that puts a quantile at more than twice what was measured does not do so by chance. */
#define ERROR_HOPELESS 1

/* Judges the best family once more, with a bootstrap. */
static int bootstrap_best(const struct sj_sample *s, struct sj_fit_result *r, struct sj_err *err)
{
    struct sj_fit_options options = sj_fit_defaults();
    struct sj_fit_result again;

    options.replicates = SJ_REPORT_FIT_REPLICATES;
    options.tail = false;
    for (int i = 0; i < SJ_FAMILY_MAX_; i++) {
        if (sj_family_get((enum sj_family_id)i) == r->fits[0].family)
            options.families = 1U << i;
    }
    if (sj_fit_all(s, &options, &again, err))
        return -1;
    r->boot = again.boot;
    r->extrapolation = again.extrapolation;
    return 0;
}

/*
 * The bootstrap of a family can cost several times what all the fits do, that of the tail a fraction of it; so that of
 * the family is left to where it decides something.
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
    if (why.status == EX_OSERR)
        return sj_fail(err, EX_OSERR, "%s", why.text);
    bool reaches = out->has_tail && out->tail.extrapolation.reach >= SJ_REACH_P999;
    bool hopeless = !out->has_best || !(out->fits[0].goodness.max_quantile_error <= ERROR_HOPELESS);
    return reaches || hopeless ? 0 : bootstrap_best(s, out, err);
}

int sj_report_fit_make(const struct sj_hist *total, struct sj_fit_result *out, struct sj_err *err)
{
    struct sj_sample *sample;
    struct sj_err why = {.status = EX_OK};

    int rc = sj_sample_from_hist(total, &sample, &why);
    if (!rc) {
        rc = fit_sample(sample, out, &why);
        sj_sample_free(sample);
    }
    if (rc && why.status == EX_OSERR)
        return sj_fail(err, EX_OSERR, "%s", why.text);
    return !rc && (out->has_best || out->has_tail);
}

bool sj_report_fits_service(const struct sj_service_view *s)
{
    return !s->rest && s->requests >= SJ_REPORT_FIT_REQUESTS;
}

/* The result for one service, or NULL; -1 only without memory. */
static int fit_service(const struct sj_service_view *s, struct sj_fit_result **out, struct sj_err *err)
{
    if (!sj_report_fits_service(s))
        return 0;
    struct sj_fit_result *r = calloc(1, sizeof(*r));
    if (!r)
        return sj_fail(err, EX_OSERR, "out of memory");
    int rc = sj_report_fit_make(s->total, r, err);
    if (rc > 0)
        *out = r;
    else
        free(r);
    return rc < 0 ? -1 : 0;
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

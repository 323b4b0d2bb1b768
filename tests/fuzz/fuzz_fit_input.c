// SPDX-License-Identifier: GPL-3.0-or-later
/* What `fit` reads, and a fit of what was understood: numbers, lines of `trace --json`, recordings, event counts. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gsl/gsl_errno.h>

#include "expect.h"
#include "fit_input.h"
#include "model/fit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte of an input chooses how the rest is read: its low bits the schema, a high one event counts. */
enum { AS_COUNTS = 0x40, SCHEMAS = 10 };

static void expect_sample(const struct sj_sample *s)
{
    double points = 0, bins = 0;

    for (size_t i = 0; i < s->n_points; i++) {
        expect(i == 0 || s->points[i - 1].x < s->points[i].x);
        points += s->points[i].count;
    }
    for (size_t i = 0; i < s->n_bins; i++) {
        expect(s->bins[i].lo < s->bins[i].hi && s->bins[i].count > 0);
        expect(i == 0 || s->bins[i - 1].hi <= s->bins[i].lo);
        bins += s->bins[i].count;
    }
    expect(s->n_points == 0 || s->n_bins == 0);
    expect(points + bins == s->seen && s->seen + s->timeouts == s->n);
}

/* Every number of a fit is one, and the weights are shares. */
static void try_fit(const struct sj_sample *s)
{
    struct sj_fit_options o = sj_fit_defaults();
    struct sj_err err = {.status = 0};
    struct sj_fit_result r;
    double weights = 0;

    o.replicates = 0;
    o.timeout = 1;
    if (sj_fit_all(s, &o, &r, &err)) {
        expect_told(&err);
        return;
    }
    expect(r.n_fits > 0 && r.n_fits + r.n_skipped <= SJ_FAMILY_MAX_);
    for (int i = 0; i < r.n_fits; i++) {
        const struct sj_fit *fit = &r.fits[i];
        for (int k = 0; k < fit->family->n_parameters; k++)
            expect(isfinite(fit->theta[k]));
        expect(isfinite(fit->loglik) && isfinite(fit->bic));
        expect(!(sj_fit_quantile(fit, 0.5) > sj_fit_quantile(fit, 0.99)));
        weights += fit->weight;
    }
    expect(!r.has_best || fabs(weights - 1) < 1e-6);
}

static void try_values(const char *path, int schema)
{
    struct sj_fit_input in;
    struct sj_err err = {.status = 0};

    if (sj_fit_input_read(path, schema, &in, &err)) {
        expect_told(&err);
        return;
    }
    expect_sample(in.sample);
    try_fit(in.sample);
    sj_fit_input_free(&in);
}

static void try_counts(const char *path)
{
    struct sj_fit_counts c;
    struct sj_err err = {.status = 0};

    if (sj_fit_counts_read(path, &c, &err)) {
        expect_told(&err);
        return;
    }
    expect(c.len <= c.lines);
    sj_fit_counts_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = size ? memfd_create("input", MFD_CLOEXEC) : -1;

    if (fd < 0)
        return 0;
    gsl_set_error_handler_off();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (write(fd, data + 1, size - 1) == (ssize_t)size - 1) {
        if (data[0] & AS_COUNTS)
            try_counts(path);
        else
            try_values(path, data[0] % SCHEMAS - 1);
    }
    close(fd);
    return 0;
}

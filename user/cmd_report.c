// SPDX-License-Identifier: GPL-3.0-or-later
#include <unistd.h>

#include "base/out.h"
#include "command.h"
#include "export/report_json.h"
#include "options.h"
#include "series/report.h"
#include "series/series.h"
#include "source_run.h"
#include "term/report_text.h"

struct report {
    const struct sj_measure_options *opts;
    struct sj_out *out;
    struct sj_series *series;
    struct sj_measurement measurement;
};

static int out_of_memory(struct sj_err *err)
{
    return sj_fail(err, EX_OSERR, "out of memory");
}

static int on_begin(void *ctx, const struct sj_measurement *m, struct sj_err *err)
{
    struct report *r = ctx;
    (void)err;
    r->measurement = *m;
    return 0;
}

static int on_request(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    struct report *r = ctx;
    return sj_series_add(r->series, req) < 0 ? out_of_memory(err) : 0;
}

static int on_counted(void *ctx, const struct sj_counted *counted, struct sj_err *err)
{
    struct report *r = ctx;
    return sj_series_add_counted(r->series, counted) < 0 ? out_of_memory(err) : 0;
}

static int print_report(struct report *r, const struct sj_report *report)
{
    struct sj_screen screen;
    if (r->opts->json)
        return sj_report_json(r->out, report, NULL);
    sj_screen_detect(&screen, STDOUT_FILENO);
    return sj_report_text(r->out, &screen, report);
}

static int on_end(void *ctx, const struct sj_outcome *outcome, struct sj_err *err)
{
    struct report *r = ctx;
    struct sj_snapshot snapshot;
    if (sj_series_snapshot(r->series, &snapshot) < 0)
        return out_of_memory(err);
    struct sj_report_fits fits = {0};
    int rc = r->opts->fit ? 0 : sj_report_fits_make(&snapshot, &fits, err);
    if (!rc) {
        const struct sj_report report = {&r->measurement, outcome, &snapshot, &fits};
        rc = print_report(r, &report) < 0 ? out_of_memory(err) : sj_out_flush(r->out, err);
    }
    sj_report_fits_free(&fits);
    sj_snapshot_free(&snapshot);
    return rc;
}

static int measure(const struct sj_measure_options *opts, struct report *r)
{
    const struct sj_sink sink = {
        .ctx = r,
        .begin = on_begin,
        .request = on_request,
        .counted = on_counted,
        .end = on_end,
    };
    struct sj_err err = {.status = EX_SOFTWARE};
    int child_status = -1;
    if (sj_source_run(opts, &sink, &child_status, &err) < 0 && !r->out->closed)
        return sj_complain(err.status, "%s", err.text);
    return child_status >= 0 ? child_status : EX_OK;
}

static int run(int argc, char **argv)
{
    struct sj_measure_options opts;
    struct sj_err err;
    struct sj_out out;
    int status;
    if (sj_options_parse(&sj_cmd_report, "dfjtc", argc, argv, &opts, &status) < 0)
        return status;
    if (sj_out_init(&out, STDOUT_FILENO, "standard output", &err) < 0)
        return sj_complain(err.status, "%s", err.text);
    struct report r = {.opts = &opts, .out = &out, .series = sj_series_new(NULL)};
    if (r.series)
        status = measure(&opts, &r);
    else
        status = sj_complain(EX_OSERR, "out of memory");
    sj_series_free(r.series);
    sj_out_fini(&out);
    return status;
}

const struct sj_command sj_cmd_report = {
    .name = "report",
    .summary = "Measure, then print one summary: services, rates, errors, quantiles, stages, completeness",
    .usage = "report [-d TIME] [FILTER...] [--from FILE | -- COMMAND...]",
    .run = run,
};

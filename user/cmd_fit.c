// SPDX-License-Identifier: GPL-3.0-or-later
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/out.h"
#include "base/units.h"
#include "command.h"
#include "export/fit_json.h"
#include "fit_input.h"
#include "term/fit_text.h"

#define REPLICATES_MAX 100000

struct options {
    const char *path;
    int schema; /* -1: none */
    bool counts;
    bool json;
    bool plot;
    double workers; /* NAN: none */
    struct sj_fit_options fit;
};

static int bad_value(const char *option, const char *wanted, const char *value)
{
    return sj_usage_error(&sj_cmd_fit, "--%s takes %s, not '%s'", option, wanted, value);
}

/* Seconds, bare or as a duration. */
static bool parse_seconds(const char *text, double *seconds)
{
    uint64_t ns;
    char *end;

    if (!sj_parse_duration(text, &ns)) {
        *seconds = (double)ns / 1e9;
        return true;
    }
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || text[strspn(text, "0123456789.eE+-")])
        return false;
    *seconds = v;
    return true;
}

static bool parse_int(const char *text, long low, long high, long *out)
{
    char *end;
    long v = strtol(text, &end, 10);

    if (end == text || *end || v < low || v > high)
        return false;
    *out = v;
    return true;
}

static int set_families(const char *list, unsigned *families)
{
    char name[64];

    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name) - 1), p);
        const struct sj_family *f = sj_family_by_name(name);
        if (!f)
            return sj_usage_error(&sj_cmd_fit, "no family is called '%s'", name);
        for (int i = 0; i < SJ_FAMILY_MAX_; i++)
            *families |= sj_family_get((enum sj_family_id)i) == f ? 1U << i : 0;
        p += n + (p[n] == ',');
    }
    return *families ? 0 : bad_value("families", "names with commas between them", list);
}

enum option_value {
    OPT_SCHEMA = 256,
    OPT_FAMILIES,
    OPT_THRESHOLD,
    OPT_COUNTS,
    OPT_TIMEOUT,
    OPT_WORKERS,
    OPT_JSON,
    OPT_PLOT,
    OPT_BOOTSTRAP,
};

static const struct option longs[] = {
    {"schema", required_argument, NULL, OPT_SCHEMA},
    {"families", required_argument, NULL, OPT_FAMILIES},
    {"threshold", required_argument, NULL, OPT_THRESHOLD},
    {"counts", no_argument, NULL, OPT_COUNTS},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"json", no_argument, NULL, OPT_JSON},
    {"plot", no_argument, NULL, OPT_PLOT},
    {"bootstrap", required_argument, NULL, OPT_BOOTSTRAP},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int set(struct options *o, int option, const char *value)
{
    long n;

    switch (option) {
    case OPT_SCHEMA:
        if (!parse_int(value, 0, 8, &n))
            return bad_value("schema", "a number from 0 to 8", value);
        o->schema = (int)n;
        return 0;
    case OPT_FAMILIES:
        return set_families(value, &o->fit.families);
    case OPT_THRESHOLD:
        if (!parse_seconds(value, &o->fit.tail_threshold) || o->fit.tail_threshold < 0)
            return bad_value("threshold", "seconds, or a time such as 250ms", value);
        return 0;
    case OPT_TIMEOUT:
        if (!parse_seconds(value, &o->fit.timeout) || !(o->fit.timeout > 0))
            return bad_value("timeout", "seconds, or a time such as 250ms", value);
        return 0;
    case OPT_WORKERS:
        if (!parse_int(value, 1, 1000000000, &n))
            return bad_value("workers", "a whole number from 1", value);
        o->workers = (double)n;
        return 0;
    case OPT_BOOTSTRAP:
        if (!parse_int(value, 0, REPLICATES_MAX, &n))
            return bad_value("bootstrap", "a number of replicates, 0 for none", value);
        o->fit.replicates = (int)n;
        return 0;
    case OPT_COUNTS:
        o->counts = true;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    default:
        o->plot = true;
        return 0;
    }
}

static int check(const struct options *o)
{
    bool other = o->schema >= 0 || o->fit.families || !isnan(o->fit.tail_threshold) || !isnan(o->fit.timeout) ||
                 !isnan(o->workers) || o->plot;

    if (o->counts && other)
        return sj_usage_error(&sj_cmd_fit, "--counts goes with no other option but --json: counts have no distribution "
                                           "of time");
    if (o->json && o->plot)
        return sj_usage_error(&sj_cmd_fit, "--plot cannot go with --json");
    return 0;
}

/* 0 to go on; otherwise *status is what the process returns. */
static int parse(int argc, char **argv, struct options *o, int *status)
{
    int c;

    *o = (struct options){.path = "-", .schema = -1, .workers = NAN, .fit = sj_fit_defaults()};
    opterr = 0;
    optind = 0;
    *status = 0;
    while (!*status && (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
        if (c == 'h') {
            *status = sj_print_help(&sj_cmd_fit);
            return -1;
        }
        if (c == ':')
            *status = sj_usage_error(&sj_cmd_fit, "option '%s' needs a value", argv[optind - 1]);
        else if (c == '?')
            *status = sj_usage_error(&sj_cmd_fit, "unknown option '%s'", argv[optind - 1]);
        else
            *status = set(o, c, optarg);
    }
    if (!*status && argc - optind > 1)
        *status = sj_usage_error(&sj_cmd_fit, "one FILE is read, not %d", argc - optind);
    if (!*status && optind < argc)
        o->path = argv[optind];
    if (!*status)
        *status = check(o);
    if (!isnan(o->workers) && isnan(o->fit.timeout))
        o->fit.timeout = INFINITY;
    return *status ? -1 : 0;
}

/* Names the input and, for plain numbers, how far it was read. */
static int complain_about(const struct options *o, uint64_t lines, const struct sj_err *err)
{
    const char *name = strcmp(o->path, "-") == 0 ? "standard input" : o->path;

    if (err->status == EX_DATAERR && lines)
        return sj_complain(err->status, "%s: line %" PRIu64 ": %s", name, lines, err->text);
    return sj_complain(err->status, "%s: %s", name, err->text);
}

static int finish(struct sj_out *out)
{
    struct sj_err err = {.status = EX_OK};
    int status = EX_OK;

    if (sj_out_flush(out, &err) && err.text[0])
        status = sj_complain(err.status, "%s", err.text);
    sj_out_fini(out);
    return status;
}

static int run_counts(const struct options *o, struct sj_out *out)
{
    struct sj_fit_counts counts;
    struct sj_rates rates;
    struct sj_err err = {.status = EX_OK};

    if (sj_fit_counts_read(o->path, &counts, &err))
        return sj_complain(err.status, "%s", err.text);
    int rc = sj_rates_fit(counts.counts, counts.len, &rates, &err);
    uint64_t lines = counts.lines;
    sj_fit_counts_free(&counts);
    if (rc)
        return complain_about(o, lines, &err);
    if (o->json)
        sj_counts_json(out, &rates);
    else
        sj_counts_text(out, &rates);
    return EX_OK;
}

static int print(const struct options *o, const struct sj_fit_input *in, const struct sj_fit_result *result,
                 struct sj_out *out)
{
    const struct sj_fit_view view = {result, in->schema_binned, o->fit.timeout, o->workers};
    struct sj_screen screen;

    if (o->json) {
        sj_fit_json(out, &view);
        return EX_OK;
    }
    sj_screen_detect(&screen, STDOUT_FILENO);
    if (sj_fit_text(out, &screen, &view))
        return sj_complain(EX_OSERR, "out of memory");
    if (o->plot)
        sj_fit_plot(out, &screen, in->sample, &result->fits[0]);
    return EX_OK;
}

static int run_fits(const struct options *o, struct sj_out *out)
{
    struct sj_fit_input in;
    struct sj_fit_result result;
    struct sj_err err = {.status = EX_OK};

    if (sj_fit_input_read(o->path, o->schema, &in, &err))
        return sj_complain(err.status, "%s", err.text);
    int status;
    if (sj_fit_all(in.sample, &o->fit, &result, &err)) {
        status = complain_about(o, in.lines, &err);
    } else {
        if (in.note[0])
            sj_complain(EX_OK, "%s", in.note);
        status = print(o, &in, &result, out);
    }
    sj_fit_input_free(&in);
    return status;
}

static int run(int argc, char **argv)
{
    struct options o;
    struct sj_err err = {.status = EX_OK};
    struct sj_out out;
    int status;

    if (parse(argc, argv, &o, &status))
        return status;
    if (sj_out_init(&out, STDOUT_FILENO, "standard output", &err))
        return sj_complain(err.status, "%s", err.text);
    status = o.counts ? run_counts(&o, &out) : run_fits(&o, &out);
    int written = finish(&out);
    return status ? status : written;
}

const struct sj_command sj_cmd_fit = {
    .name = "fit",
    .summary = "Fit distributions to a recording, to the lines of trace --json, or to plain numbers in seconds",
    .usage = "fit [OPTION...] [FILE|-]",
    .options =
        "  --schema N             put the values into bins of schema N first, 0 to 8\n"
        "  --families A,B         only these families: exponential, shifted_exponential, normal, lognormal, gamma,\n"
        "                         weibull, pareto, lognormal_mixture, hyperexponential, normal_mixture\n"
        "  --threshold TIME       fit the tail above TIME (default: above it lie the largest tenth)\n"
        "  --timeout TIME         how long a request holds a worker if it is given up after TIME\n"
        "  --workers N            how many requests per second N workers serve\n"
        "  --counts               the numbers are event counts per interval: Poisson or negative binomial\n"
        "  --bootstrap N          replicates for intervals (default 200, 0 for none)\n"
        "  --json                 write JSON\n"
        "  --plot                 draw the values and the best fit\n"
        "  -h, --help             print this\n",
    .run = run,
};

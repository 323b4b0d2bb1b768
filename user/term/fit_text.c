// SPDX-License-Identifier: GPL-3.0-or-later
#include "term/fit_text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "model/throughput.h"
#include "term/report_parts.h"
#include "term/table.h"

#define CELL 160
#define ROWS 20
#define LABEL 12 /* columns of a time in the plot */
#define COUNT 12 /* and of a count */

static const char *const quantile_names[SJ_BOOT_QUANTILES_] = {"p99", "p99.9", "p99.99"};

static void cell_fixed(struct sj_table *t, const struct sj_screen *screen, int decimals, double x)
{
    char text[CELL] = "";

    if (isfinite(x))
        snprintf(text, sizeof(text), "%.*f", decimals, x);
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
}

static void cell_digits(struct sj_table *t, const struct sj_screen *screen, int digits, double x)
{
    char text[CELL] = "";

    if (isfinite(x))
        snprintf(text, sizeof(text), "%.*g", digits, x);
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
}

static void cell_time(struct sj_table *t, const struct sj_screen *screen, double seconds)
{
    char text[SJ_HUMAN_SIZE];

    sj_table_cell(t, screen, isnan(seconds) ? "" : sj_time_human(text, seconds), SJ_STYLE_PLAIN);
}

static void cell_percent(struct sj_table *t, const struct sj_screen *screen, double share)
{
    char text[CELL] = "", percent[SJ_PERCENT_SIZE];

    if (share < 10)
        snprintf(text, sizeof(text), "%s %%", sj_percent(percent, share));
    else if (!isnan(share))
        snprintf(text, sizeof(text), "> 1000 %%");
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
}

static void format_parameters(char text[CELL], const struct sj_fit *fit)
{
    size_t n = 0;

    text[0] = '\0';
    for (int i = 0; i < fit->family->n_parameters && n < CELL; i++) {
        int put = snprintf(text + n, CELL - n, "%s%s %.4g", i ? ", " : "", fit->family->parameters[i], fit->theta[i]);
        n += put > 0 ? (size_t)put : 0;
    }
}

static void put_row(struct sj_table *t, const struct sj_screen *screen, const struct sj_fit_view *v, int i)
{
    const struct sj_fit *fit = &v->result->fits[i];
    bool best = i == 0 && v->result->has_best;
    char parameters[CELL];

    sj_table_cell(t, screen, fit->family->name, best ? SJ_STYLE_BOLD : SJ_STYLE_PLAIN);
    if (fit->identified)
        cell_fixed(t, screen, 3, fit->weight);
    else
        sj_table_cell(t, screen, "none", SJ_STYLE_DIM);
    cell_fixed(t, screen, 1, fit->loglik);
    cell_fixed(t, screen, 1, fit->bic);
    cell_fixed(t, screen, 4, fit->goodness.ks);
    cell_digits(t, screen, 3, fit->goodness.ad);
    cell_percent(t, screen, fit->goodness.max_quantile_error);
    cell_time(t, screen, sj_fit_quantile(fit, .5));
    cell_time(t, screen, sj_fit_quantile(fit, .99));
    cell_time(t, screen, sj_fit_quantile(fit, .999));
    cell_time(t, screen, fit->restricted_mean);
    cell_digits(t, screen, 4, sj_throughput_capacity(v->workers, fit->restricted_mean));
    format_parameters(parameters, fit);
    sj_table_cell(t, screen, parameters, SJ_STYLE_PLAIN);
}

static int put_table(struct sj_out *out, const struct sj_screen *screen, const struct sj_fit_view *v)
{
    static const struct sj_column columns[] = {
        {.title = "FAMILY"},
        {.title = "WEIGHT", .right = true},
        {.title = "LOGLIK", .right = true, .drop = 5},
        {.title = "BIC", .right = true, .drop = 4},
        {.title = "KS", .right = true, .drop = 3},
        {.title = "AD", .right = true, .drop = 6},
        {.title = "Q-ERROR", .right = true},
        {.title = "P50", .right = true, .drop = 7},
        {.title = "P99", .right = true},
        {.title = "P99.9", .right = true},
        {.title = "HELD", .right = true},
        {.title = "CAPACITY/S", .right = true},
        {.title = "PARAMETERS", .shrink = 20},
    };
    struct sj_table *t = sj_table_new(columns, sizeof(columns) / sizeof(columns[0]));

    if (!t)
        return -ENOMEM;
    for (int i = 0; i < v->result->n_fits; i++)
        put_row(t, screen, v, i);
    int rc = sj_table_print(t, out, screen, 0, true);
    sj_table_free(t);
    return rc;
}

/* "p99.9 41.2 ms (36.7 ms to 45.2 ms)" */
static void put_quantile(struct sj_out *out, const char *name, double x, const struct sj_interval *ci)
{
    char at[SJ_HUMAN_SIZE], low[SJ_HUMAN_SIZE], high[SJ_HUMAN_SIZE];

    sj_out_printf(out, "%s %s", name, sj_time_human(at, x));
    if (ci && isfinite(ci->low) && isfinite(ci->high))
        sj_out_printf(out, " (%s to %s)", sj_time_human(low, ci->low), sj_time_human(high, ci->high));
}

static void put_extrapolation(struct sj_out *out, const struct sj_extrapolation *e)
{
    if (e->reach == SJ_REACH_P9999)
        sj_out_text(out, "extrapolating up to p99.99 is warranted");
    else if (e->reach == SJ_REACH_NOWHERE)
        sj_out_printf(out, "extrapolating is not warranted: %s", e->why);
    else
        sj_out_printf(out, "extrapolating is warranted up to %s: %s", sj_reach_name(e->reach), e->why);
}

static void put_best(struct sj_out *out, const struct sj_fit_result *r)
{
    const struct sj_fit *fit = &r->fits[0];
    char parameters[CELL];

    if (!r->has_best) {
        sj_out_text(out, "best: none: the data do not show what the fits need\n");
        return;
    }
    format_parameters(parameters, fit);
    sj_out_printf(out, "best: %s, %s\n      ", fit->family->name, parameters);
    if (r->boot.replicates) {
        for (int i = 0; i < SJ_BOOT_QUANTILES_; i++) {
            put_quantile(out, quantile_names[i], sj_fit_quantile(fit, sj_boot_p[i]), &r->boot.quantile[i]);
            sj_out_text(out, i + 1 < SJ_BOOT_QUANTILES_ ? ", " : "\n");
        }
        sj_out_text(out, "      ");
    }
    put_extrapolation(out, &r->extrapolation);
    sj_out_text(out, "\n");
}

static void put_tail(struct sj_out *out, const struct sj_fit_result *r)
{
    const struct sj_tail *t = &r->tail;
    char at[SJ_HUMAN_SIZE];
    bool any = false;

    if (!r->has_tail) {
        if (r->no_tail[0])
            sj_out_printf(out, "tail: none: %s\n", r->no_tail);
        return;
    }
    sj_out_printf(out, "tail: %.0f values above %s, xi %.3g", t->exceedances, sj_time_human(at, t->threshold), t->xi);
    if (t->boot.replicates)
        sj_out_printf(out, " (%.2g to %.2g)", t->boot.theta[0].low, t->boot.theta[0].high);
    sj_out_printf(out, ", beta %s\n      ", sj_time_human(at, t->beta));
    for (int i = 0; i < SJ_BOOT_QUANTILES_; i++) {
        if (!isfinite(t->quantile[i]))
            continue;
        sj_out_text(out, any ? ", " : "");
        put_quantile(out, quantile_names[i], t->quantile[i], t->boot.replicates ? &t->boot.quantile[i] : NULL);
        any = true;
    }
    sj_out_text(out, any ? "\n      " : "");
    put_extrapolation(out, &t->extrapolation);
    sj_out_text(out, "\n");
}

static void put_throughput(struct sj_out *out, const struct sj_fit_view *v)
{
    double mean = v->result->seen_restricted_mean;
    char text[SJ_HUMAN_SIZE], until[SJ_HUMAN_SIZE];

    if (isnan(v->timeout) || isnan(mean))
        return;
    sj_out_printf(out, "throughput: a request holds a worker for %s on average", sj_time_human(text, mean));
    if (isfinite(v->timeout))
        sj_out_printf(out, " under a timeout of %s", sj_time_human(until, v->timeout));
    if (!isnan(v->workers))
        sj_out_printf(out, ", so that %g workers serve %.4g/s", v->workers, sj_throughput_capacity(v->workers, mean));
    sj_out_text(out, " (from the data, without a fit)\n");
}

int sj_fit_text(struct sj_out *out, const struct sj_screen *screen, const struct sj_fit_view *view)
{
    const struct sj_fit_result *r = view->result;
    char n[SJ_HUMAN_SIZE], censored[SJ_HUMAN_SIZE];

    sj_out_printf(out, "%s values", sj_count_human(n, (uint64_t)r->n));
    if (r->censored > 0)
        sj_out_printf(out, ", %s of them censored", sj_count_human(censored, (uint64_t)r->censored));
    if (view->schema_binned >= 0)
        sj_out_printf(out, ", in bins of schema %d", view->schema_binned);
    sj_out_text(out, "\n\n");
    int rc = put_table(out, screen, view);
    for (int i = 0; i < r->n_skipped; i++)
        sj_out_printf(out, "not fitted: %s: %s\n", r->skipped[i].family->name, r->skipped[i].reason);
    sj_out_text(out, "\n");
    put_best(out, r);
    put_tail(out, r);
    put_throughput(out, view);
    return rc;
}

void sj_fit_text_best(struct sj_out *out, const struct sj_fit_result *result, const char *between)
{
    const struct sj_fit *fit = &result->fits[0];
    const struct sj_tail *tail = &result->tail;
    double error = fit->goodness.max_quantile_error;
    char percent[SJ_PERCENT_SIZE];

    sj_out_text(out, result->has_best ? fit->family->name : "no family");
    if (result->has_best && error < 10)
        sj_out_printf(out, " (quantiles within %s %%)", sj_percent(percent, error));
    else if (result->has_best && !isnan(error))
        sj_out_text(out, " (misses quantiles by more than 1000 %)");
    sj_out_text(out, between);
    if (result->has_tail && tail->extrapolation.reach >= SJ_REACH_P999 && isfinite(tail->quantile[SJ_BOOT_P999]))
        put_quantile(out, "p99.9", tail->quantile[SJ_BOOT_P999],
                     tail->boot.replicates ? &tail->boot.quantile[SJ_BOOT_P999] : NULL);
    else if (result->has_best && result->extrapolation.reach >= SJ_REACH_P999)
        put_quantile(out, "p99.9", sj_fit_quantile(fit, sj_boot_p[SJ_BOOT_P999]),
                     result->boot.replicates ? &result->boot.quantile[SJ_BOOT_P999] : NULL);
    else
        sj_out_text(out, "no fit holds up to p99.9");
}

/* ---- the plot ------------------------------------------------------------------------------------------------------
 */

struct axis {
    double from; /* logarithms */
    double width;
};

static double row_edge(const struct axis *a, int row)
{
    return exp(a->from + a->width * row);
}

static struct axis plot_axis(const struct sj_sample *s)
{
    size_t first = s->n_points && s->points[0].x <= 0 ? 1 : 0;
    double low, high;

    if (s->n_points) {
        low = s->points[first < s->n_points ? first : 0].log_x;
        high = s->points[s->n_points - 1].log_x;
    } else {
        low = s->bins[0].lo > 0 ? s->bins[0].log_lo : s->bins[0].log_hi - 1;
        high = s->bins[s->n_bins - 1].log_hi;
    }
    /* The smallest value lies inside the first row, not on its edge. */
    double width = fmax(high - low, 1e-9) / (ROWS - 1e-6);
    return (struct axis){low - 1e-6 * width, width};
}

/* How many values lie in a row; a bin that reaches into several gives each its part. */
static double row_count(const struct sj_sample *s, const struct axis *a, int row)
{
    double from = a->from + a->width * row, to = from + a->width, n = 0;

    for (size_t i = 0; i < s->n_points; i++) {
        double y = s->points[i].log_x;
        if ((y > from || row == 0) && (y <= to || row == ROWS - 1))
            n += s->points[i].count;
    }
    for (size_t i = 0; i < s->n_bins; i++) {
        double low = s->bins[i].lo > 0 ? s->bins[i].log_lo : s->bins[i].log_hi - 1, high = s->bins[i].log_hi;
        double part = (fmin(high, to) - fmax(low, from)) / (high - low);
        n += part > 0 ? part * s->bins[i].count : 0;
    }
    return n;
}

static double row_expected(const struct sj_fit *fit, const struct axis *a, const struct sj_sample *s, int row)
{
    double low, high, p, q, above;

    fit->family->tails(fit->theta, row_edge(a, row), a->from + a->width * row, &low, &above);
    fit->family->tails(fit->theta, row_edge(a, row + 1), a->from + a->width * (row + 1), &high, &q);
    p = low > 0.5 ? above - q : high - low;
    return s->n * p;
}

static void put_bar(struct sj_out *out, const struct sj_screen *screen, double count, double expected, double most,
                    size_t width)
{
    size_t length = (size_t)lround(count / most * (double)width),
           mark = (size_t)lround(expected / most * (double)width);

    for (size_t i = 0; i <= width; i++) {
        bool here = i == mark && expected * 2 * (double)width > most;
        if (here)
            sj_out_text(out, screen->utf8 ? "\xe2\x97\x8f" : "*");
        else
            sj_out_text(out, i >= length ? " " : screen->utf8 ? "\xe2\x96\x88" : "#");
    }
}

void sj_fit_plot(struct sj_out *out, const struct sj_screen *screen, const struct sj_sample *s,
                 const struct sj_fit *fit)
{
    struct axis a = plot_axis(s);
    double count[ROWS], expected[ROWS], most = 0;
    size_t width = screen->width - LABEL - COUNT - 4;
    char text[SJ_HUMAN_SIZE], n[SJ_HUMAN_SIZE];

    for (int i = 0; i < ROWS; i++) {
        count[i] = row_count(s, &a, i);
        expected[i] = row_expected(fit, &a, s, i);
        most = fmax(most, fmax(count[i], expected[i]));
    }
    if (!(most > 0))
        return;
    sj_out_printf(out, "\n%*s  %s: values, %s: what the %s expects\n", LABEL, "up to",
                  screen->utf8 ? "\xe2\x96\x88" : "#", screen->utf8 ? "\xe2\x97\x8f" : "*", fit->family->name);
    for (int i = 0; i < ROWS; i++) {
        sj_out_printf(out, "%*s  ", LABEL, sj_time_human(text, row_edge(&a, i + 1)));
        put_bar(out, screen, count[i], expected[i], most, width);
        sj_out_printf(out, " %*s\n", COUNT, sj_count_human(n, (uint64_t)llround(count[i])));
    }
}

/* ---- counts --------------------------------------------------------------------------------------------------------
 */

void sj_counts_text(struct sj_out *out, const struct sj_rates *r)
{
    char n[SJ_HUMAN_SIZE], events[SJ_HUMAN_SIZE];

    sj_out_printf(out, "%s intervals, %s events\n\n", sj_count_human(n, r->n), sj_count_human(events, r->events));
    sj_out_printf(out, "poisson            rate %.6g per interval (%.6g to %.6g), log-likelihood %.2f\n", r->rate,
                  r->rate_ci.low, r->rate_ci.high, r->poisson_loglik);
    if (r->has_negative_binomial)
        sj_out_printf(out, "negative_binomial  size %.6g, mean %.6g, log-likelihood %.2f\n", r->size, r->rate,
                      r->negative_binomial_loglik);
    if (isfinite(r->dispersion))
        sj_out_printf(out, "dispersion         %.4g (variance over mean); p = %.3g that Poisson counts vary so much\n",
                      r->dispersion, r->p);
    sj_out_printf(out, "\nbest: %s\n", r->over_dispersed ? "negative_binomial: the events come in bursts" : "poisson");
}

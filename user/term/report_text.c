// SPDX-License-Identifier: GPL-3.0-or-later
#include "term/report_text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "term/report_parts.h"
#include "term/table.h"

#define SERVICES_SHOWN 40
#define OPERATIONS_SHOWN 20
#define CELL 96
#define ID_SHOWN 12 /* characters of a container's id, as other tools show it */

static void put_heading(struct sj_out *out, const struct sj_screen *screen, const struct sj_report *r)
{
    const struct sj_measurement *m = r->measurement;
    char time[SJ_TIME_SIZE], length[SJ_HUMAN_SIZE];
    sj_time_rfc3339(time, m->start_real_ns);
    time[10] = ' ';
    if (m->host[0]) {
        sj_out_text(out, sj_style_on(screen, SJ_STYLE_BOLD));
        sj_screen_text(out, screen, m->host);
        sj_out_text(out, sj_style_off(screen, SJ_STYLE_BOLD));
        sj_out_text(out, "  ");
    }
    sj_out_printf(out, "%.19s UTC  %s", time, sj_time_human(length, r->outcome->duration_s));
    if (m->label[0]) {
        sj_out_text(out, "  release ");
        sj_screen_text(out, screen, m->label);
    }
    sj_out_text(out, "\n");
}

static void cell_time(struct sj_table *t, const struct sj_screen *screen, double seconds)
{
    char text[SJ_HUMAN_SIZE];
    sj_table_cell(t, screen, sj_time_human(text, seconds), SJ_STYLE_PLAIN);
}

static void cell_rate(struct sj_table *t, const struct sj_screen *screen, double rate)
{
    char text[SJ_HUMAN_SIZE] = "-";
    if (rate >= 100)
        sj_count_human(text, (uint64_t)llround(rate));
    else if (rate >= 0)
        snprintf(text, sizeof(text), rate < 10 ? "%.2f" : "%.1f", rate);
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
}

/* "0", "12 (0.1 %)"; where turns were counted without detail the ratio is an interval: "12 (0.1-2.3 %)". */
static void cell_errors(struct sj_table *t, const struct sj_screen *screen, uint64_t errors, struct sj_interval ratio)
{
    char count[SJ_HUMAN_SIZE], low[SJ_PERCENT_SIZE], high[SJ_PERCENT_SIZE], text[CELL];
    sj_count_human(count, errors);
    sj_percent(low, ratio.low);
    sj_percent(high, ratio.high);
    if (ratio.high > ratio.low)
        snprintf(text, sizeof(text), "%s (%s-%s %%)", count, low, high);
    else if (errors)
        snprintf(text, sizeof(text), "%s (%s %%)", count, low);
    else
        snprintf(text, sizeof(text), "%s", count);
    sj_table_cell(t, screen, text, errors ? SJ_STYLE_BAD : SJ_STYLE_PLAIN);
}

static void cell_count_if_any(struct sj_table *t, const struct sj_screen *screen, uint64_t n, enum sj_style style)
{
    char text[SJ_HUMAN_SIZE];
    sj_table_cell(t, screen, n ? sj_count_human(text, n) : "", style);
}

/* How far the interval reaches from the quantile, in percent of it: the longer side. */
static void cell_interval(struct sj_table *t, const struct sj_screen *screen, const struct sj_service_view *s)
{
    struct sj_interval i;
    char text[CELL] = "?", percent[SJ_PERCENT_SIZE];
    double p99 = sj_hist_quantile(s->total, .99);
    if (sj_report_interval(s, .99, &i) && p99 > 0) {
        sj_percent(percent, fmax(i.high - p99, p99 - i.low) / p99);
        snprintf(text, sizeof(text), "%s %%", percent);
    }
    sj_table_cell(t, screen, text, SJ_STYLE_DIM);
}

static void cell_pids(struct sj_table *t, const struct sj_screen *screen, const struct sj_service_view *s)
{
    char text[SJ_HUMAN_SIZE] = "";
    if (s->pid)
        snprintf(text, sizeof(text), "%u", s->pid);
    else if (s->pids)
        snprintf(text, sizeof(text), "%u pids", s->pids);
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
}

static void service_row(struct sj_table *t, const struct sj_screen *screen, const struct sj_report *r,
                        const struct sj_service_view *s)
{
    char text[CELL];
    struct sj_interval errors;
    sj_report_error_ratio(s, &errors);
    sj_table_cell(t, screen, sj_service_name(s), s->rest ? SJ_STYLE_DIM : SJ_STYLE_BOLD);
    snprintf(text, sizeof(text), "%.*s", ID_SHOWN, s->container);
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
    cell_pids(t, screen, s);
    sj_table_cell(t, screen, sj_role_name((enum sj_role)s->role), SJ_STYLE_PLAIN);
    sj_table_cell(t, screen, s->rest ? "-" : sj_protocol_name((enum sj_protocol)s->protocol), SJ_STYLE_PLAIN);
    snprintf(text, sizeof(text), "%u", s->port);
    sj_table_cell(t, screen, s->rest ? "-" : s->port ? text : "unix", SJ_STYLE_PLAIN);
    char count[SJ_HUMAN_SIZE];
    snprintf(text, sizeof(text), "%s%s", s->lower_bound ? ">=" : "", sj_count_human(count, s->requests));
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
    cell_rate(t, screen, sj_report_rate(r, s));
    cell_errors(t, screen, s->cell->errors, errors);
    cell_count_if_any(t, screen, s->cell->client_errors, SJ_STYLE_NOTABLE);
    cell_time(t, screen, sj_hist_quantile(s->total, .5));
    cell_time(t, screen, sj_hist_quantile(s->total, .9));
    cell_time(t, screen, sj_hist_quantile(s->total, .99));
    cell_interval(t, screen, s);
    cell_time(t, screen, (double)s->total->max_ns / 1e9);
}

static int put_services(struct sj_out *out, const struct sj_screen *screen, const struct sj_report *r)
{
    const struct sj_column columns[] = {
        {.title = "SERVICE", .shrink = 12},
        {.title = "CONTAINER", .drop = 8},
        {.title = "PID", .drop = 9, .right = true},
        {.title = "ROLE"},
        {.title = "PROTO", .drop = 4},
        {.title = "PORT", .right = true},
        {.title = "REQUESTS", .right = true},
        {.title = "RATE/S", .right = true, .drop = 5},
        {.title = "ERRORS", .right = true},
        {.title = "4XX", .right = true, .drop = 3},
        {.title = "P50", .right = true},
        {.title = "P90", .right = true, .drop = 6},
        {.title = "P99", .right = true},
        {.title = screen->utf8 ? "±" : "+-", .right = true, .drop = 7},
        {.title = "MAX", .right = true, .drop = 2},
    };
    struct sj_table *t = sj_table_new(columns, sizeof(columns) / sizeof(columns[0]));
    if (!t)
        return -ENOMEM;
    size_t n = r->snapshot->n_services;
    for (size_t i = 0; i < n && i < SERVICES_SHOWN; i++)
        service_row(t, screen, r, &r->snapshot->services[i]);
    int rc = sj_table_print(t, out, screen, 0, true);
    sj_table_free(t);
    if (n > SERVICES_SHOWN)
        sj_out_printf(out, "... and %zu more: --json has all of them\n", n - SERVICES_SHOWN);
    return rc;
}

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

struct ranked {
    const struct sj_service_view *service;
    const struct sj_operation_view *operation;
};

/* The operations with most requests of all services, in order: an insertion into a short list. */
static size_t rank(const struct sj_snapshot *snap, struct ranked *top, size_t *total)
{
    size_t n = 0;
    *total = 0;
    for (size_t i = 0; i < snap->n_services; i++) {
        const struct sj_service_view *s = &snap->services[i];
        for (size_t k = 0; k < s->n_operations; k++) {
            const struct sj_operation_view *op = &s->operations[k];
            size_t at = n < OPERATIONS_SHOWN ? n++ : n;
            (*total)++;
            while (at > 0 && top[at - 1].operation->cell->requests < op->cell->requests) {
                if (at < OPERATIONS_SHOWN)
                    top[at] = top[at - 1];
                at--;
            }
            if (at < OPERATIONS_SHOWN)
                top[at] = (struct ranked){s, op};
        }
    }
    return n;
}

/* The stage that takes most of the time, with its share. */
static void cell_mostly(struct sj_table *t, const struct sj_screen *screen, const struct sj_report *r,
                        const struct ranked *x)
{
    struct sj_summed sum = sj_summed_operation(x->operation);
    char text[CELL] = "", percent[SJ_PERCENT_SIZE];
    double most = 0;
    for (int i = 0; i < SJ_STAGE_MAX_; i++) {
        enum sj_stage stage = (enum sj_stage)i;
        if (!sj_summed_has_stage(&sum, r, x->service->role, stage) || !(sj_summed_stage_share(&sum, stage) > most))
            continue;
        most = sj_summed_stage_share(&sum, stage);
        snprintf(text, sizeof(text), "%s %s %%", sj_stage_title(stage), sj_percent(percent, most));
    }
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
}

static void operation_row(struct sj_table *t, const struct sj_screen *screen, const struct sj_report *r,
                          const struct ranked *x)
{
    const struct sj_cell *c = x->operation->cell;
    char text[CELL + 16];
    double ratio = (double)c->errors / (double)c->requests;
    sj_table_cell(t, screen, x->operation->rest ? SJ_REST_NAME : x->operation->operation,
                  x->operation->rest ? SJ_STYLE_DIM : SJ_STYLE_PLAIN);
    snprintf(text, sizeof(text), x->service->port ? "%.*s:%u" : "%.*s", CELL, sj_service_name(x->service),
             x->service->port);
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
    sj_table_cell(t, screen, sj_role_name((enum sj_role)x->service->role), SJ_STYLE_PLAIN);
    sj_table_cell(t, screen, sj_count_human(text, c->requests), SJ_STYLE_PLAIN);
    cell_errors(t, screen, c->errors, (struct sj_interval){ratio, ratio});
    cell_count_if_any(t, screen, c->client_errors, SJ_STYLE_NOTABLE);
    cell_time(t, screen, sj_hist_quantile(&c->total, .5));
    cell_time(t, screen, sj_hist_quantile(&c->total, .9));
    cell_time(t, screen, sj_hist_quantile(&c->total, .99));
    cell_time(t, screen, (double)c->total.max_ns / 1e9);
    cell_mostly(t, screen, r, x);
}

static int put_operations(struct sj_out *out, const struct sj_screen *screen, const struct sj_report *r)
{
    static const struct sj_column columns[] = {
        {.title = "OPERATION", .shrink = 20}, {.title = "SERVICE", .shrink = 10},
        {.title = "ROLE", .drop = 4},         {.title = "REQUESTS", .right = true},
        {.title = "ERRORS", .right = true},   {.title = "4XX", .right = true, .drop = 3},
        {.title = "P50", .right = true},      {.title = "P90", .right = true, .drop = 5},
        {.title = "P99", .right = true},      {.title = "MAX", .right = true, .drop = 2},
        {.title = "MOSTLY", .drop = 1},
    };
    struct ranked top[OPERATIONS_SHOWN];
    size_t total, n = rank(r->snapshot, top, &total);
    if (n == 0)
        return 0;
    struct sj_table *t = sj_table_new(columns, sizeof(columns) / sizeof(columns[0]));
    if (!t)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        operation_row(t, screen, r, &top[i]);
    sj_out_text(out, "\n");
    int rc = sj_table_print(t, out, screen, 0, true);
    sj_table_free(t);
    if (total > n)
        sj_out_printf(out, "... and %zu more: --json has all of them\n", total - n);
    return rc;
}

/* ---- the end -------------------------------------------------------------------------------------------------------
 */

static void put_completeness(struct sj_out *out, const struct sj_screen *screen, const struct sj_report *r)
{
    const struct sj_completeness *c = &r->outcome->completeness;
    char all[SJ_HUMAN_SIZE], some[SJ_HUMAN_SIZE], n[SJ_HUMAN_SIZE];
    enum sj_style lost = c->lost ? SJ_STYLE_BAD : SJ_STYLE_PLAIN;
    sj_out_printf(out, "\ncomplete: %s%s requests = %s detailed", c->lower_bound ? ">=" : "",
                  sj_count_human(all, c->detailed + c->counted_only), sj_count_human(some, c->detailed));
    sj_out_printf(out, " + %s counted only; %s unparsed", sj_count_human(all, c->counted_only),
                  sj_count_human(some, c->unparsed));
    sj_out_printf(out, "; beside them %s cut off, %s%s lost%s\n", sj_count_human(all, c->cut_off),
                  sj_style_on(screen, lost), sj_count_human(n, c->lost), sj_style_off(screen, lost));
    if (c->detail_lost)
        sj_out_printf(out,
                      "          %s details did not fit: ends of answers, payload, clocks; --ring gives more room\n",
                      sj_count_human(n, c->detail_lost));
}

static void put_cost(struct sj_out *out, const struct sj_outcome *o)
{
    char time[SJ_HUMAN_SIZE], percent[SJ_PERCENT_SIZE];
    bool kernel = isfinite(o->kernel_seconds_per_request), user = isfinite(o->user_cpu_ratio);
    if (!kernel && !user)
        return;
    sj_out_text(out, "cost:     ");
    if (kernel)
        sj_out_printf(out, "%s of kernel time per request", sj_time_human(time, o->kernel_seconds_per_request));
    if (user)
        sj_out_printf(out, "%s%s %% of a CPU in user space", kernel ? ", " : "",
                      sj_percent(percent, o->user_cpu_ratio));
    sj_out_text(out, "\n");
}

int sj_report_text(struct sj_out *out, const struct sj_screen *screen, const struct sj_report *r)
{
    int rc = 0;
    put_heading(out, screen, r);
    sj_out_text(out, "\n");
    if (r->snapshot->n_services == 0) {
        sj_out_text(out, "no requests were seen\n");
    } else {
        rc = put_services(out, screen, r);
        rc = rc < 0 ? rc : sj_report_stages(out, screen, r);
        rc = rc < 0 ? rc : put_operations(out, screen, r);
    }
    put_completeness(out, screen, r);
    put_cost(out, r->outcome);
    return rc;
}

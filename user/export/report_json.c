// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/report_json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "export/fit_json.h"
#include "export/slos.h"

#define NS_PER_S 1e9

static void put_text(struct sj_json *w, const char *key, const char *text)
{
    if (!text[0])
        return;
    sj_json_key(w, key);
    sj_json_string(w, text);
}

static void put_count(struct sj_json *w, const char *key, uint64_t n)
{
    sj_json_key(w, key);
    sj_json_uint(w, n);
}

static void put_interval(struct sj_json *w, const char *key, struct sj_interval i)
{
    sj_json_key(w, key);
    sj_json_array(w);
    sj_json_real(w, i.low);
    sj_json_real(w, i.high);
    sj_json_array_end(w);
}

static void put_total(struct sj_json *w, const struct sj_hist *h, const struct sj_interval *p99)
{
    static const struct {
        const char *key;
        double p;
    } quantiles[] = {{"p50", .5}, {"p90", .9}, {"p95", .95}, {"p99", .99}, {"p999", .999}};
    sj_json_key(w, "total");
    sj_json_object(w);
    sj_json_key_real(w, "mean", sj_hist_mean(h));
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
        sj_json_key_real(w, quantiles[i].key, sj_hist_quantile(h, quantiles[i].p));
    if (h->count > 0)
        sj_json_key_real(w, "max", (double)h->max_ns / NS_PER_S);
    if (p99)
        put_interval(w, "p99_ci", *p99);
    sj_json_object_end(w);
}

static void put_causes(struct sj_json *w, const struct sj_summed *s)
{
    sj_json_key(w, "blocked_by");
    sj_json_object(w);
    for (int i = 0; i < SJ_CAUSE_MAX_; i++) {
        enum sj_cause cause = (enum sj_cause)i;
        sj_json_key(w, sj_cause_name(cause));
        sj_json_object(w);
        sj_json_key_real(w, "mean", sj_summed_cause_mean(s, cause));
        sj_json_key_real(w, "p50", sj_cell_cause_quantile(s->cell, cause, .5));
        sj_json_key_real(w, "p99", sj_cell_cause_quantile(s->cell, cause, .99));
        sj_json_key_real(w, "share", sj_summed_cause_share(s, cause));
        sj_json_object_end(w);
    }
    sj_json_object_end(w);
}

static void put_stage(struct sj_json *w, const struct sj_summed *s, enum sj_stage stage)
{
    sj_json_key(w, sj_stage_name(stage));
    sj_json_object(w);
    sj_json_key_real(w, "mean", sj_summed_stage_mean(s, stage));
    sj_json_key_real(w, "p50", sj_cell_stage_quantile(s->cell, stage, .5));
    sj_json_key_real(w, "p99", sj_cell_stage_quantile(s->cell, stage, .99));
    sj_json_key_real(w, "share", sj_summed_stage_share(s, stage));
    if (s->counted) {
        put_interval(w, "p50_bounds", sj_summed_stage_bounds(s, stage, .5));
        put_interval(w, "p99_bounds", sj_summed_stage_bounds(s, stage, .99));
    }
    if (stage == SJ_STAGE_BLOCKED)
        put_causes(w, s);
    sj_json_object_end(w);
}

static void put_stages(struct sj_json *w, const struct sj_report *r, uint8_t role, const struct sj_summed *s)
{
    sj_json_key(w, "stages");
    sj_json_object(w);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        if (sj_summed_has_stage(s, r, role, (enum sj_stage)i))
            put_stage(w, s, (enum sj_stage)i);
    sj_json_object_end(w);
}

static void put_statuses(struct sj_json *w, const struct sj_cell *c)
{
    if (c->status[0].requests == 0)
        return;
    sj_json_key(w, "statuses");
    sj_json_object(w);
    for (size_t i = 0; i < SJ_STATUSES && c->status[i].requests; i++) {
        sj_json_key_text(w, c->status[i].status);
        sj_json_uint(w, c->status[i].requests);
    }
    if (c->other_statuses)
        put_count(w, SJ_REST_NAME, c->other_statuses);
    sj_json_object_end(w);
}

static void put_operations(struct sj_json *w, const struct sj_report *r, const struct sj_service_view *s)
{
    sj_json_key(w, "operations");
    sj_json_array_lines(w);
    for (size_t i = 0; i < s->n_operations; i++) {
        const struct sj_operation_view *op = &s->operations[i];
        struct sj_summed sum = sj_summed_operation(op);
        sj_json_object(w);
        put_text(w, "operation", op->rest ? SJ_REST_NAME : op->operation);
        if (op->rest) {
            sj_json_key(w, "rest");
            sj_json_bool(w, true);
        }
        put_count(w, "requests", op->cell->requests);
        put_count(w, "errors", op->cell->errors);
        put_count(w, "client_errors", op->cell->client_errors);
        put_statuses(w, op->cell);
        put_total(w, &op->cell->total, NULL);
        put_stages(w, r, s->role, &sum);
        sj_json_object_end(w);
    }
    sj_json_array_end(w);
}

/* Who: what the rows beyond the limits have in common is their role only. */
static void put_identity(struct sj_json *w, const struct sj_service_view *s)
{
    put_text(w, "service", s->rest ? SJ_REST_NAME : s->service);
    if (s->rest) {
        sj_json_key(w, "rest");
        sj_json_bool(w, true);
    }
    put_text(w, "role", sj_role_name((enum sj_role)s->role));
    if (s->rest)
        return;
    put_text(w, "protocol", sj_protocol_name((enum sj_protocol)s->protocol));
    if (s->port)
        put_count(w, "port", s->port);
    if (s->pid)
        put_count(w, "pid", s->pid);
    else if (s->pids)
        put_count(w, "pids", s->pids);
    put_text(w, "container", s->container);
}

static void put_service(struct sj_json *w, const struct sj_report *r, const struct sj_service_view *s)
{
    struct sj_summed sum = sj_summed_service(s);
    struct sj_interval p99, errors;
    bool bounded = sj_report_interval(s, .99, &p99);
    const struct sj_fit_result *fit = sj_report_fit(r, s);
    sj_report_error_ratio(s, &errors);

    sj_json_object_lines(w);
    put_identity(w, s);
    put_count(w, "requests", s->requests);
    put_count(w, "counted_only", s->counted);
    if (s->lower_bound) {
        sj_json_key(w, "lower_bound");
        sj_json_bool(w, true);
    }
    put_count(w, "errors", s->cell->errors);
    put_count(w, "client_errors", s->cell->client_errors);
    sj_json_key_real(w, "rate", sj_report_rate(r, s));
    if (s->counted)
        put_interval(w, "error_ratio_bounds", errors);
    else
        sj_json_key_real(w, "error_ratio", errors.low);
    put_count(w, "interleaved", s->cell->interleaved);
    put_count(w, "unparsed", s->cell->unparsed);
    put_count(w, "no_arrival", s->cell->no_arrival);
    put_total(w, s->total, bounded ? &p99 : NULL);
    if (fit) {
        sj_json_key(w, "fit");
        sj_fit_json_best(w, fit);
    }
    put_stages(w, r, s->role, &sum);
    put_operations(w, r, s);
    sj_json_object_end(w);
}

static void put_completeness(struct sj_json *w, const struct sj_completeness *c)
{
    sj_json_key(w, "completeness");
    sj_json_object(w);
    put_count(w, "requests", c->detailed + c->counted_only);
    put_count(w, "detailed", c->detailed);
    put_count(w, "counted_only", c->counted_only);
    put_count(w, "unparsed", c->unparsed);
    put_count(w, "cut_off", c->cut_off);
    put_count(w, "lost", c->lost);
    if (c->detail_lost)
        put_count(w, "detail_lost", c->detail_lost);
    if (c->lower_bound) {
        sj_json_key(w, "lower_bound");
        sj_json_bool(w, true);
    }
    sj_json_object_end(w);
}

static void put_probe(struct sj_json *w, const struct sj_measurement *m)
{
    sj_json_key(w, "probe");
    sj_json_object(w);
    put_text(w, "set", m->probe_set);
    sj_json_key(w, "stages");
    sj_json_array(w);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        if (m->stages >> i & 1)
            sj_json_string(w, sj_stage_name((enum sj_stage)i));
    sj_json_array_end(w);
    sj_json_object_end(w);
}

static void put_slo(struct sj_json *w, const struct sj_slo_status *s)
{
    sj_json_object(w);
    put_text(w, "slo", s->slo);
    put_text(w, "service", s->id.service);
    put_text(w, "role", sj_role_name((enum sj_role)s->id.role));
    put_text(w, "protocol", sj_protocol_name((enum sj_protocol)s->id.protocol));
    if (s->id.port)
        put_count(w, "port", s->id.port);
    put_text(w, "container", s->id.container);
    put_text(w, "operation", s->id.operation);
    sj_json_key_real(w, "objective", s->objective);
    sj_json_key_real(w, "budget_remaining", s->budget_remaining);
    put_count(w, "requests", s->total);
    put_count(w, "bad", s->total - s->good);
    sj_json_key(w, "burn_rates");
    sj_json_object(w);
    for (size_t i = 0; i < SJ_SLO_WINDOWS; i++)
        sj_json_key_real(w, sj_slo_window_name(i), sj_slo_burn(s, i));
    sj_json_object_end(w);
    sj_json_object_end(w);
}

static void put_slos(struct sj_json *w, const struct sj_slos *slos)
{
    sj_json_key(w, "slos");
    sj_json_array_lines(w);
    for (size_t i = 0; i < slos->n; i++)
        put_slo(w, &slos->v[i]);
    sj_json_array_end(w);
}

int sj_report_json(struct sj_out *out, const struct sj_report *r, const struct sj_watch *watch)
{
    struct sj_slos slos = {0};
    if (watch && sj_slos_make(watch, &slos) < 0)
        return -ENOMEM;

    const struct sj_measurement *m = r->measurement;
    const struct sj_outcome *o = r->outcome;
    char time[SJ_TIME_SIZE];
    struct sj_json w;
    sj_json_init(&w, out, true);
    sj_json_object_lines(&w);
    put_text(&w, "schema", "sojourn.report/1");
    put_text(&w, "host", m->host);
    put_text(&w, "label", m->label);
    put_text(&w, "start", sj_time_rfc3339(time, m->start_real_ns));
    sj_json_key_real(&w, "duration_s", o->duration_s);
    put_probe(&w, m);
    put_completeness(&w, &o->completeness);
    sj_json_key(&w, "cost");
    sj_json_object(&w);
    sj_json_key_real(&w, "kernel_seconds_per_request", o->kernel_seconds_per_request);
    sj_json_key_real(&w, "user_cpu_ratio", o->user_cpu_ratio);
    sj_json_object_end(&w);
    sj_json_key(&w, "services");
    sj_json_array_lines(&w);
    for (size_t i = 0; i < r->snapshot->n_services; i++)
        put_service(&w, r, &r->snapshot->services[i]);
    sj_json_array_end(&w);
    if (slos.n)
        put_slos(&w, &slos);
    sj_json_object_end(&w);
    sj_out_write(out, "\n", 1);
    free(slos.v);
    return 0;
}

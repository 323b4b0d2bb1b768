// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>

#include "export/exposition_families.h"
#include "version.h"

/* How complete the measurement is, what it costs, and how the daemon itself fares. */

#define NS_PER_S 1e9

static void put_one(struct sj_encoder *encoder, const struct sj_metric_family *f, double value)
{
    if (isnan(value))
        return;
    sj_encode_family(encoder, f);
    sj_encode_value(encoder, NULL, 0, value);
}

static void put_by(struct sj_encoder *encoder, const char *label, const char *is, double value)
{
    const struct sj_label labels[] = {{label, is}};
    sj_encode_value(encoder, labels, 1, value);
}

static void put_completeness(struct sj_encoder *encoder, const struct sj_completeness *c)
{
    static const struct sj_metric_family kinds = {
        "sojourn_completeness_requests", "",
        "Requests by what is known of them: all are detailed + counted_only, unparsed are part of detailed, cut_off "
        "(beginning or end unseen) and lost come on top.",
        SJ_METRIC_COUNTER};
    static const struct sj_metric_family detail_lost = {
        "sojourn_detail_lost", "", "Pieces of payload, ends of answers and thread clocks that could not be told.",
        SJ_METRIC_COUNTER};
    sj_encode_family(encoder, &kinds);
    put_by(encoder, "kind", "detailed", (double)c->detailed);
    put_by(encoder, "kind", "counted_only", (double)c->counted_only);
    put_by(encoder, "kind", "unparsed", (double)c->unparsed);
    put_by(encoder, "kind", "cut_off", (double)c->cut_off);
    put_by(encoder, "kind", "lost", (double)c->lost);
    put_one(encoder, &detail_lost, (double)c->detail_lost);
}

static void put_cost(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    static const struct sj_metric_family kernel = {"sojourn_probe_cpu_seconds", "seconds",
                                                   "CPU time of the probes in the kernel, estimated from timed runs.",
                                                   SJ_METRIC_COUNTER};
    static const struct sj_metric_family per_request = {"sojourn_probe_request_cost_seconds", "seconds",
                                                        "CPU time of the probes per request, by the same estimate.",
                                                        SJ_METRIC_GAUGE};
    static const struct sj_metric_family cpu = {
        "sojourn_cpu_seconds", "seconds",
        "CPU time of the two processes of the daemon: the collector measures, the courier speaks to the world.",
        SJ_METRIC_COUNTER};
    static const struct sj_metric_family rss = {"sojourn_resident_memory_bytes", "bytes",
                                                "Resident memory of the two processes.", SJ_METRIC_GAUGE};
    const struct sj_courier_status *courier = e->courier;
    put_one(encoder, &kernel, e->status->kernel_seconds);
    put_one(encoder, &per_request, e->status->kernel_seconds_per_request);
    sj_encode_family(encoder, &cpu);
    put_by(encoder, "process", "collector", e->collector_cpu_seconds);
    if (courier)
        put_by(encoder, "process", "courier", courier->cpu_seconds);
    sj_encode_family(encoder, &rss);
    put_by(encoder, "process", "collector", (double)e->collector_rss_bytes);
    if (courier)
        put_by(encoder, "process", "courier", (double)courier->rss_bytes);
}

static void put_notifications(struct sj_encoder *encoder, const struct sj_courier_status *c)
{
    static const struct sj_metric_family attempts = {
        "sojourn_notifications", "",
        "Attempts to notify, by how they went: delivered, failed (to be tried again), dropped (refused for good).",
        SJ_METRIC_COUNTER};
    static const struct sj_metric_family waiting = {"sojourn_notifications_waiting", "",
                                                    "Alerts of which the receiver does not know the latest yet.",
                                                    SJ_METRIC_GAUGE};
    static const char *const kinds[SJ_NOTIFY_MAX_] = {"alertmanager", "pagerduty", "webhook", "exec", "syslog"};
    sj_encode_family(encoder, &attempts);
    for (int i = 0; i < SJ_NOTIFY_MAX_; i++) {
        struct sj_label labels[] = {{"notifier", kinds[i]}, {"result", "delivered"}};
        sj_encode_value(encoder, labels, 2, (double)c->notifiers[i].delivered);
        labels[1].value = "failed";
        sj_encode_value(encoder, labels, 2, (double)c->notifiers[i].failed);
        labels[1].value = "dropped";
        sj_encode_value(encoder, labels, 2, (double)c->notifiers[i].dropped);
    }
    sj_encode_family(encoder, &waiting);
    for (int i = 0; i < SJ_NOTIFY_MAX_; i++)
        put_by(encoder, "notifier", kinds[i], (double)c->notifiers[i].waiting);
}

static void put_courier(struct sj_encoder *encoder, const struct sj_courier_status *c)
{
    static const struct sj_metric_family requests = {
        "sojourn_http_requests", "", "HTTP requests to the daemon that were answered.", SJ_METRIC_COUNTER};
    static const struct sj_metric_family denied = {
        "sojourn_http_requests_denied", "",
        "HTTP requests to the daemon that were refused: limits, authentication, methods, paths.", SJ_METRIC_COUNTER};
    static const struct sj_metric_family connections = {"sojourn_http_connections", "",
                                                        "Open HTTP connections to the daemon.", SJ_METRIC_GAUGE};
    static const struct sj_metric_family state_errors = {
        "sojourn_state_write_errors", "", "Failures to write the state of alerts to disk.", SJ_METRIC_COUNTER};
    static const struct sj_metric_family reloads_failed = {
        "sojourn_config_reload_failures", "", "Configurations that were not taken over.", SJ_METRIC_COUNTER};
    static const struct sj_metric_family reload_ok = {"sojourn_config_last_reload_successful", "",
                                                      "1 if the configuration in use is that of the file, 0 if not.",
                                                      SJ_METRIC_GAUGE};
    put_notifications(encoder, c);
    put_one(encoder, &requests, (double)c->requests);
    put_one(encoder, &denied, (double)c->requests_denied);
    put_one(encoder, &connections, (double)c->connections);
    put_one(encoder, &state_errors, (double)c->state_errors);
    put_one(encoder, &reloads_failed, (double)c->reloads_failed);
    put_one(encoder, &reload_ok, (double)c->last_reload_ok);
}

static void put_infos(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    static const struct sj_metric_family start = {"sojourn_start_time_seconds", "seconds",
                                                  "When measuring began, in seconds since 1970.", SJ_METRIC_GAUGE};
    static const struct sj_metric_family build = {"sojourn_build", "", "The version, and how the probes are attached.",
                                                  SJ_METRIC_INFO};
    const struct sj_label labels[] = {
        {"version", SJ_VERSION}, {"probe_set", e->measurement->probe_set}, {"release", e->measurement->label}};
    put_one(encoder, &start, (double)e->measurement->start_real_ns / NS_PER_S);
    sj_encode_family(encoder, &build);
    sj_encode_value(encoder, labels, 3, 1);
}

void sj_expose_own(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    put_completeness(encoder, &e->status->completeness);
    put_cost(encoder, e);
    if (e->courier)
        put_courier(encoder, e->courier);
    put_infos(encoder, e);
}

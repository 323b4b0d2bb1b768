// SPDX-License-Identifier: GPL-3.0-or-later
#include "notify/notice.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "base/timefmt.h"

#define SUMMARY_MAX 1024 /* PagerDuty's */

const char *sj_notice_status(const struct sj_notice *n)
{
    return n->firing ? "firing" : "resolved";
}

static const char *find(const struct sj_labels *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].name, name) == 0)
            return l->v[i].value;
    return NULL;
}

/* Cut between characters when it is too long. */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = strlen(text), used = 0, took;
    uint32_t cp;
    for (; used < n; used += took) {
        took = sj_utf8_next(text + used, n - used, &cp);
        took = took ? took : 1;
        if (used + took >= size)
            break;
    }
    memcpy(out, text, used);
    out[used] = '\0';
}

char *sj_notice_summary(const struct sj_notice *n, char *out, size_t size)
{
    const struct sj_alert *a = n->alert;
    const char *summary = find(&a->annotations, "summary"), *service = find(&a->labels, "service");
    const char *role = find(&a->labels, "role");
    char made[512];
    snprintf(made, sizeof(made), "%s%s%s%s%s", a->name, service ? ": " : "", service ? service : "", role ? " " : "",
             role ? role : "");
    copy_text(out, size, summary && *summary ? summary : made);
    return out;
}

const char *sj_notice_severity(const struct sj_notice *n)
{
    static const char *const names[][2] = {{"critical", "critical"}, {"page", "critical"},     {"error", "error"},
                                           {"warning", "warning"},   {"ticket", "warning"},    {"info", "info"},
                                           {"information", "info"},  {"emergency", "critical"}};
    const char *severity = find(&n->alert->labels, "severity");
    for (size_t i = 0; severity && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(names[i][0], severity) == 0)
            return names[i][1];
    return "warning";
}

static void key_string(struct sj_json *j, const char *key, const char *text)
{
    sj_json_key(j, key);
    sj_json_string(j, text);
}

static void pairs(struct sj_json *j, const struct sj_labels *l)
{
    for (size_t i = 0; i < l->n; i++) {
        sj_json_key_text(j, l->v[i].name);
        sj_json_string(j, l->v[i].value);
    }
}

void sj_notice_labels(const struct sj_notice *n, struct sj_json *j)
{
    sj_json_object(j);
    pairs(j, &n->alert->labels);
    if (!find(&n->alert->labels, "instance"))
        key_string(j, "instance", n->host);
    sj_json_object_end(j);
}

void sj_notice_annotations(const struct sj_notice *n, struct sj_json *j)
{
    sj_json_object(j);
    pairs(j, &n->alert->annotations);
    sj_json_object_end(j);
}

void sj_notice_time(struct sj_json *j, uint64_t real_ns)
{
    char text[SJ_TIME_SIZE];
    sj_json_string(j, sj_time_rfc3339(text, real_ns));
}

static void key_time(struct sj_json *j, const char *key, uint64_t real_ns)
{
    sj_json_key(j, key);
    sj_notice_time(j, real_ns);
}

static void key_labels(struct sj_json *j, const char *key, const struct sj_notice *n)
{
    sj_json_key(j, key);
    sj_notice_labels(n, j);
}

static void key_annotations(struct sj_json *j, const char *key, const struct sj_notice *n)
{
    sj_json_key(j, key);
    sj_notice_annotations(n, j);
}

void sj_notice_webhook(const struct sj_notice *n, struct sj_out *out)
{
    const struct sj_alert *a = n->alert;
    struct sj_json j;
    sj_json_init(&j, out, false);
    sj_json_object(&j);
    key_string(&j, "version", "4");
    key_string(&j, "groupKey", a->id);
    sj_json_key(&j, "truncatedAlerts");
    sj_json_uint(&j, 0);
    key_string(&j, "status", sj_notice_status(n));
    key_string(&j, "receiver", "sojourn");
    sj_json_key(&j, "groupLabels");
    sj_json_object(&j);
    key_string(&j, "alertname", a->name);
    sj_json_object_end(&j);
    key_labels(&j, "commonLabels", n);
    key_annotations(&j, "commonAnnotations", n);
    key_string(&j, "externalURL", "");
    sj_json_key(&j, "alerts");
    sj_json_array(&j);
    sj_json_object(&j);
    key_string(&j, "status", sj_notice_status(n));
    key_labels(&j, "labels", n);
    key_annotations(&j, "annotations", n);
    key_time(&j, "startsAt", a->starts_real_ns);
    if (n->firing)
        key_string(&j, "endsAt", "0001-01-01T00:00:00Z");
    else
        key_time(&j, "endsAt", a->ends_real_ns);
    key_string(&j, "generatorURL", "");
    key_string(&j, "fingerprint", a->id);
    sj_json_object_end(&j);
    sj_json_array_end(&j);
    sj_json_object_end(&j);
}

void sj_notice_own(const struct sj_notice *n, struct sj_out *out)
{
    const struct sj_alert *a = n->alert;
    struct sj_json j;
    sj_json_init(&j, out, true);
    sj_json_object(&j);
    key_string(&j, "schema", "sojourn.alert/1");
    key_string(&j, "host", n->host);
    key_string(&j, "id", a->id);
    key_string(&j, "name", a->name);
    key_string(&j, "status", sj_notice_status(n));
    key_string(&j, "severity", sj_notice_severity(n));
    sj_json_key_real(&j, "value", a->value);
    sj_json_key(&j, "no_data");
    sj_json_bool(&j, a->no_data);
    key_labels(&j, "labels", n);
    key_annotations(&j, "annotations", n);
    key_time(&j, "starts_at", a->starts_real_ns);
    if (!n->firing)
        key_time(&j, "ends_at", a->ends_real_ns);
    sj_json_object_end(&j);
    sj_out_write(out, "\n", 1);
}

/*
 * Alertmanager goes by the times: it refuses an alert that ends before it starts, and one that ends later than now is
 * firing. When the clock was set back, times that were noted before may be later than now.
 */
void sj_notice_alertmanager(const struct sj_notice *n, struct sj_json *j)
{
    uint64_t now = n->now_real_ns, starts = n->alert->starts_real_ns, ends = n->alert->ends_real_ns;
    if (n->firing)
        ends = now + n->valid_ns;
    else if (ends > now)
        ends = now;
    if (starts > now)
        starts = now;
    if (starts > ends)
        starts = ends;
    sj_json_object(j);
    key_labels(j, "labels", n);
    key_annotations(j, "annotations", n);
    key_time(j, "startsAt", starts);
    key_time(j, "endsAt", ends);
    sj_json_object_end(j);
}

/* Two hosts may have the same alert; to PagerDuty they are two incidents. Host names have at most 64 bytes. */
static void key_dedup(struct sj_json *j, const struct sj_notice *n)
{
    char key[SJ_ALERT_ID_SIZE + 128];
    snprintf(key, sizeof(key), "sojourn/%.64s/%s", n->host, n->alert->id);
    key_string(j, "dedup_key", key);
}

void sj_notice_pagerduty(const struct sj_notice *n, const char *routing_key, struct sj_out *out)
{
    const struct sj_alert *a = n->alert;
    const char *service = find(&a->labels, "service");
    char summary[SUMMARY_MAX];
    struct sj_json j;
    sj_json_init(&j, out, false);
    sj_json_object(&j);
    key_string(&j, "routing_key", routing_key);
    key_string(&j, "event_action", n->firing ? "trigger" : "resolve");
    key_dedup(&j, n);
    if (n->firing) {
        sj_json_key(&j, "payload");
        sj_json_object(&j);
        key_string(&j, "summary", sj_notice_summary(n, summary, sizeof(summary)));
        key_string(&j, "source", n->host);
        key_string(&j, "severity", sj_notice_severity(n));
        key_time(&j, "timestamp", a->starts_real_ns);
        if (service)
            key_string(&j, "component", service);
        key_string(&j, "class", a->name);
        sj_json_key(&j, "custom_details");
        sj_json_object(&j);
        key_labels(&j, "labels", n);
        key_annotations(&j, "annotations", n);
        sj_json_key_real(&j, "value", a->value);
        sj_json_object_end(&j);
        sj_json_object_end(&j);
        key_string(&j, "client", "sojourn");
    }
    sj_json_object_end(&j);
}

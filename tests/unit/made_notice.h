// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notify/notice.h"

/* A notice about an alert whose texts are the worst that JSON can meet, and what is made of it. */

#define MADE_NASTY "\"\\\n\t\x01\x7f</script>{{ $name }}\xe2\x80\xae\xff"
/* The same after JSON: what is no UTF-8 has become U+FFFD. */
#define MADE_NASTY_READ "\"\\\n\t\x01\x7f</script>{{ $name }}\xe2\x80\xae\xef\xbf\xbd"

struct made_notice {
    struct sj_label labels[4], annotations[2];
    struct sj_alert alert;
    struct sj_notice notice;
};

static inline void made_notice(struct made_notice *m, bool firing)
{
    *m = (struct made_notice){
        .labels = {{"alertname", "slow"}, {"nasty", MADE_NASTY}, {"service", "api"}, {"severity", "page"}},
        .annotations = {{"nasty", MADE_NASTY}, {"summary", "p99 is 1.2 s"}},
        .alert = {.id = "0123456789abcdef0123456789abcdef",
                  .name = "slow",
                  .state = firing ? SJ_ALERT_FIRING : SJ_ALERT_RESOLVED,
                  .value = 1.25,
                  .starts_real_ns = 1795636800000000001,
                  .ends_real_ns = firing ? 0 : 1795636861500000000},
        .notice = {.firing = firing, .host = "node1", .now_real_ns = 1795636900000000000, .valid_ns = 240000000000},
    };
    m->alert.labels = (struct sj_labels){m->labels, 4};
    m->alert.annotations = (struct sj_labels){m->annotations, 2};
    m->notice.alert = &m->alert;
}

static inline struct sj_out made_memory(void)
{
    struct sj_out out;
    assert_int_equal(sj_out_init(&out, -1, "memory", NULL), 0);
    return out;
}

/* What was written, as JSON reads it; releases out. */
static inline json_t *made_json(struct sj_out *out)
{
    json_error_t why;
    json_t *value = json_loadb(out->buf, out->len, JSON_REJECT_DUPLICATES, &why);
    if (!value)
        fail_msg("%s in: %.*s", why.text, (int)out->len, out->buf);
    sj_out_fini(out);
    return value;
}

/* The text at a path such as "alerts.0.labels.nasty"; "(null)" for null, digits and truths as JSON has them. */
static inline const char *made_at(json_t *value, const char *path)
{
    static _Thread_local char room[64], key[64];
    while (value && *path) {
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof(key), "%.*s", (int)n, path);
        value = json_is_array(value) ? json_array_get(value, strtoul(key, NULL, 10)) : json_object_get(value, key);
        path += n + (path[n] == '.');
    }
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_number(value))
        snprintf(room, sizeof(room), "%.13g", json_number_value(value));
    else
        snprintf(room, sizeof(room), "%s",
                 json_is_null(value)    ? "(null)"
                 : json_is_true(value)  ? "true"
                 : json_is_false(value) ? "false"
                 : value                ? "(container)"
                                        : "(nothing)");
    return room;
}

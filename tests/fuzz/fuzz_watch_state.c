// SPDX-License-Identifier: GPL-3.0-or-later
/* The saved state of rules and objectives: an input is what lies between its magic and its checksum. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "expect.h"
#include "watch/saved.h"
#include "watch/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define S 1000000000ULL

static const char rules[] =
    "interval: 1s\nalerts:\n- {name: a, when: max > 1s, over: 1s}\n"
    "- {name: b, when: rate < 1/s, over: 5s, for: 3s, keep_firing_for: 5s, no_data: alert}\n"
    "- {name: c, when: error_ratio > 1%, match: {operation: 'GET *'}, annotations: {summary: '{{ $value }}'}}\n"
    "slos:\n- {name: o, objective: 99%}\n- {name: p, objective: 99.9%, latency: 250ms}\n";

static int on_alert(void *ctx, const struct sj_alert *a)
{
    unsigned *n = ctx;
    expect(a->state < SJ_ALERT_MAX_ && a->id[0] && memchr(a->id, '\0', sizeof(a->id)));
    for (size_t i = 1; i < a->labels.n; i++)
        expect(strcmp(a->labels.v[i - 1].name, a->labels.v[i].name) < 0);
    ++*n;
    return 0;
}

static int on_slo(void *ctx, const struct sj_slo_status *status)
{
    (void)ctx;
    expect(status->good <= status->total);
    return 0;
}

/* Some seconds pass, with nothing measured. */
static void go_on(struct sj_watch *w, struct sj_now *now)
{
    unsigned changed = 0, alerts = 0;
    for (int i = 0; i < 8; i++) {
        now->mono_ns += S;
        now->real_ns += S;
        expect(sj_watch_evaluate(w, *now, on_alert, &changed) == 0);
    }
    expect(sj_watch_alerts(w, on_alert, &alerts) == 0);
    expect(sj_watch_slos(w, on_slo, NULL) == 0);
}

/* The input with a magic and a checksum that are right. */
static uint8_t *wrap(const uint8_t *data, size_t size, size_t *n)
{
    const size_t magic = strlen(SJ_SAVED_MAGIC);
    *n = magic + size + 4;
    uint8_t *whole = malloc(*n);
    expect(whole != NULL);
    memcpy(whole, SJ_SAVED_MAGIC, magic);
    memcpy(whole + magic, data, size);
    uint32_t sum = (uint32_t)crc32(0, whole, (uInt)(magic + size));
    for (int i = 0; i < 4; i++)
        whole[magic + size + (size_t)i] = (uint8_t)(sum >> 8 * i);
    return whole;
}

/* What was restored is saved so that it can be restored again. */
static void restore_again(struct sj_watch *w, const struct sj_config *config, struct sj_now now)
{
    struct sj_out out;
    struct sj_err err = {.status = 0};
    unsigned before = 0, after = 0;
    expect(sj_out_init(&out, -1, "memory", NULL) == 0);
    sj_watch_save(w, now, &out);
    expect(!out.error);
    expect(sj_watch_alerts(w, on_alert, &before) == 0);
    struct sj_watch *next = sj_watch_new(config, now);
    expect(next && sj_watch_restore(next, out.buf, out.len, now, &err) == 0);
    expect(sj_watch_alerts(next, on_alert, &after) == 0);
    expect(before == after);
    go_on(next, &now);
    sj_watch_free(next);
    sj_out_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sj_now now = {.mono_ns = 100 * S, .real_ns = 1795636800 * S};
    struct sj_config *config = NULL;
    struct sj_err err = {.status = 0};
    size_t n;
    unsigned alerts = 0;
    expect(sj_config_parse(rules, sizeof(rules) - 1, "f.yaml", &config, &err) == 0);
    struct sj_watch *w = sj_watch_new(config, now);
    expect(w != NULL);
    uint8_t *whole = wrap(data, size, &n);
    if (sj_watch_restore(w, whole, n, now, &err) == 0) {
        restore_again(w, config, now);
    } else {
        expect_told(&err);
        expect(sj_watch_alerts(w, on_alert, &alerts) == 0 && alerts == 0);
    }
    go_on(w, &now);
    sj_watch_free(w);
    sj_config_free(config);
    free(whole);
    return 0;
}

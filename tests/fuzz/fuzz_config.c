// SPDX-License-Identifier: GPL-3.0-or-later
/* The daemon's configuration, and a watch by what was understood. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "expect.h"
#include "watch/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define S 1000000000ULL

static void expect_labels(const struct sj_labels *l)
{
    for (size_t i = 0; i < l->n; i++) {
        expect(l->v[i].name[0] && l->v[i].value);
        expect(i == 0 || strcmp(l->v[i - 1].name, l->v[i].name) < 0);
    }
}

static void expect_config(const struct sj_config *c)
{
    expect(c->listen_host && c->listen_port > 0 && c->state_dir[0] && c->interval_ns > 0 && c->resend_ns > 0);
    expect(c->n_rules <= SJ_CONFIG_RULES_MAX && c->n_slos <= SJ_CONFIG_SLOS_MAX);
    expect_labels(&c->labels);
    for (size_t i = 0; i < c->n_rules; i++) {
        const struct sj_alert_rule *r = &c->rules[i];
        expect(r->name[0] && r->when_text[0] && r->over_ns > 0 && r->min_requests > 0 && r->line > 0);
        expect_labels(&r->labels);
        expect_labels(&r->annotations);
    }
    for (size_t i = 0; i < c->n_slos; i++) {
        const struct sj_slo *s = &c->slos[i];
        expect(s->name[0] && s->objective > 0 && s->objective < 1 && s->window_ns > 0 && s->line > 0);
        expect_labels(&s->labels);
    }
    for (size_t i = 0; i < c->n_notifiers; i++) {
        const struct sj_notifier *n = &c->notifiers[i];
        expect(n->kind < SJ_NOTIFY_MAX_ && n->name[0] && n->timeout_ns > 0 && n->line > 0);
        expect(n->kind != SJ_NOTIFY_EXEC || n->command[0][0] == '/');
        expect(n->kind != SJ_NOTIFY_PAGERDUTY || n->routing_key_file);
        expect(!n->username == !n->password_file);
        for (size_t k = 0; k < i; k++)
            expect(strcmp(n->name, c->notifiers[k].name) != 0);
        expect_labels(&n->headers);
        expect_labels(&n->only);
    }
    for (size_t i = 0; i < c->n_warnings; i++)
        expect(c->warnings[i][0] && !strchr(c->warnings[i], '\n'));
}

static void watch(const struct sj_config *c)
{
    struct sj_now now = {.mono_ns = 5 * S, .real_ns = 1795636800 * S};
    struct sj_watch *w = sj_watch_new(c, now);
    expect(w != NULL);
    for (int i = 0; i < 3; i++) {
        now.mono_ns += S;
        now.real_ns += S;
        expect(sj_watch_evaluate(w, now, NULL, NULL) == 0);
    }
    sj_watch_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sj_config *c = NULL;
    struct sj_err err = {.status = 0};
    if (sj_config_parse((const char *)data, size, "f.yaml", &c, &err) < 0) {
        expect(!c);
        expect_told(&err);
        expect(strncmp(err.text, "f.yaml:", 7) == 0);
        return 0;
    }
    expect_config(c);
    watch(c);
    sj_config_free(c);
    return 0;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/values.h"

#define NS_PER_S 1000000000ULL

/* Each rule, SLO and notifier can give a few. */
#define WARNINGS_MAX 64u

static int warn(const struct sj_yaml_reader *r, struct sj_config *c, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int warn(const struct sj_yaml_reader *r, struct sj_config *c, unsigned line, const char *fmt, ...)
{
    char what[400], text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (!c->warnings)
        c->warnings = sj_arena_alloc(r->arena, WARNINGS_MAX * sizeof(*c->warnings));
    if (!c->warnings)
        return sj_yaml_no_memory(r);
    if (c->n_warnings == WARNINGS_MAX)
        return 0;
    snprintf(text, sizeof(text), "%s:%u: %s", r->name, line, what);
    c->warnings[c->n_warnings] = sj_arena_text(r->arena, text, strlen(text));
    return c->warnings[c->n_warnings++] ? 0 : sj_yaml_no_memory(r);
}

static int check_times(const struct sj_yaml_reader *r, const struct sj_yaml *d, struct sj_config *c)
{
    if (c->interval_ns < NS_PER_S / 10 || c->interval_ns > 300 * NS_PER_S)
        return sj_yaml_fail(r, sj_yaml_line(d, "interval"), "interval is from 100ms to 5m");
    if (!sj_yaml_get(d, "resend") && c->resend_ns < c->interval_ns)
        c->resend_ns = c->interval_ns;
    if (c->resend_ns < NS_PER_S || c->resend_ns > 3600 * NS_PER_S)
        return sj_yaml_fail(r, sj_yaml_line(d, "resend"), "resend is from 1s to 1h");
    if (c->resend_ns < c->interval_ns)
        return sj_yaml_fail(r, sj_yaml_line(d, "resend"), "resend must not be shorter than interval");
    if (c->forget_ns < 300 * NS_PER_S)
        return sj_yaml_fail(r, sj_yaml_line(d, "forget_after"), "forget_after is at least 5m");
    return 0;
}

/* Is there anything to see of what matches, and of that stage (-1: the total), as it is measured? */
static int check_seen(const struct sj_yaml_reader *r, const struct sj_yaml *v, const struct sj_config *c,
                      const struct sj_match *match, int stage)
{
    const struct sj_yaml *m = sj_yaml_get(v, "match");
    unsigned line = m ? m->line : v->line;
    bool scheduled = stage >= SJ_STAGE_ONCPU && stage <= SJ_STAGE_HANDOFF;
    if (c->payload_off && (match->operation || match->protocol > SJ_PROTO_UNKNOWN))
        return sj_yaml_fail(r, line, "this can never match: with 'payload: off' no %s is known",
                            match->operation ? "operation" : "protocol");
    if (stage >= 0 && (c->stages == SJ_CONFIG_STAGES_NONE || (c->stages == SJ_CONFIG_STAGES_QUEUE && scheduled)))
        return sj_yaml_fail(r, sj_yaml_line(v, "when"), "there is never any %s with 'stages: %s'",
                            sj_stage_name((enum sj_stage)stage), c->stages == SJ_CONFIG_STAGES_NONE ? "none" : "queue");
    return 0;
}

static int check_alert(const struct sj_yaml_reader *r, const struct sj_yaml *v, const struct sj_config *c, size_t at)
{
    const struct sj_alert_rule *rule = &c->rules[at];
    char shown[SJ_YAML_SHOWN];
    if (sj_config_check_templates(r, v, &rule->labels, &c->labels, false) < 0 ||
        check_seen(r, v, c, &rule->match, rule->when.stage) < 0)
        return -1;
    if (rule->for_ns && rule->for_ns < c->interval_ns)
        return sj_yaml_fail(r, sj_yaml_line(v, "for"), "for is shorter than interval, at which rules are evaluated");
    if (rule->over_ns < c->interval_ns)
        return sj_yaml_fail(r, sj_yaml_line(v, "over"), "over is shorter than interval, at which rules are evaluated");
    if (rule->keep_firing_ns && rule->keep_firing_ns < c->interval_ns)
        return sj_yaml_fail(r, sj_yaml_line(v, "keep_firing_for"),
                            "keep_firing_for is shorter than interval, at which rules are evaluated");
    for (size_t i = 0; i < at; i++)
        if (strcmp(c->rules[i].name, rule->name) == 0 && sj_labels_equal(&c->rules[i].labels, &rule->labels))
            return sj_yaml_fail(
                r, sj_yaml_line(v, "name"),
                "two alerts are called '%s', the other one in line %u; give one of them another name or "
                "label",
                sj_yaml_shown(shown, rule->name), c->rules[i].line);
    return 0;
}

static int check_slo(const struct sj_yaml_reader *r, const struct sj_yaml *v, struct sj_config *c, size_t at)
{
    /* Burn rates by which the workbook pages and tickets; the burn rate of nothing but errors is 1 / (1 - objective).
     */
    static const struct {
        double factor;
        const char *what;
        uint64_t long_ns;
    } burns[] = {{14.4, "the page at 14.4 times the budget", 3600 * NS_PER_S},
                 {6, "the page at 6 times the budget", 6 * 3600 * NS_PER_S},
                 {1, "the ticket at the budget", 3 * 86400 * NS_PER_S}};
    const struct sj_slo *slo = &c->slos[at];
    char shown[SJ_YAML_SHOWN];
    for (size_t i = 0; i < at; i++)
        if (strcmp(c->slos[i].name, slo->name) == 0)
            return sj_yaml_fail(r, sj_yaml_line(v, "name"), "two SLOs are called '%s', the other one in line %u",
                                sj_yaml_shown(shown, slo->name), c->slos[i].line);
    if (sj_config_check_templates(r, v, &slo->labels, &c->labels, true) < 0 || check_seen(r, v, c, &slo->match, -1) < 0)
        return -1;
    sj_yaml_shown(shown, slo->name);
    for (size_t i = 0; i < sizeof(burns) / sizeof(burns[0]); i++) {
        if (burns[i].factor * (1 - slo->objective) >= 1 &&
            warn(r, c, sj_yaml_line(v, "objective"),
                 "SLO '%s': %s can never fire, as even nothing but errors burns no faster than %.3g times", shown,
                 burns[i].what, 1 / (1 - slo->objective)) < 0)
            return -1;
        if (burns[i].long_ns > slo->window_ns &&
            warn(r, c, sj_yaml_line(v, "window"), "SLO '%s': %s is left out, its window is longer than the budget's",
                 shown, burns[i].what) < 0)
            return -1;
    }
    return 0;
}

/* What a notifier is called when nobody has named it: its kind, and a number from the second of its kind on. */
static int name_notifier(const struct sj_yaml_reader *r, struct sj_config *c, size_t at)
{
    static const char *const kinds[] = {[SJ_NOTIFY_ALERTMANAGER] = "alertmanager",
                                        [SJ_NOTIFY_PAGERDUTY] = "pagerduty",
                                        [SJ_NOTIFY_WEBHOOK] = "webhook",
                                        [SJ_NOTIFY_EXEC] = "exec",
                                        [SJ_NOTIFY_SYSLOG] = "syslog"};
    struct sj_notifier *n = &c->notifiers[at];
    size_t same = 1;
    if (n->name)
        return 0;
    for (size_t i = 0; i < at; i++)
        same += c->notifiers[i].kind == n->kind;
    char name[32];
    snprintf(name, sizeof(name), same > 1 ? "%s-%zu" : "%s", kinds[n->kind], same);
    n->name = sj_arena_text(r->arena, name, strlen(name));
    return n->name ? 0 : sj_yaml_no_memory(r);
}

static int check_notifiers(const struct sj_yaml_reader *r, struct sj_config *c)
{
    char shown[SJ_YAML_SHOWN];
    for (size_t i = 0; i < c->n_notifiers; i++)
        if (name_notifier(r, c, i) < 0)
            return -1;
    for (size_t i = 0; i < c->n_notifiers; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(c->notifiers[i].name, c->notifiers[k].name) == 0)
                return sj_yaml_fail(r, c->notifiers[i].line,
                                    "two notifiers are called '%s', the other one in line %u; give one of them another "
                                    "name",
                                    sj_yaml_shown(shown, c->notifiers[i].name), c->notifiers[k].line);
    return 0;
}

int sj_config_check(const struct sj_yaml_reader *r, const struct sj_yaml *document, struct sj_config *c)
{
    const struct sj_yaml *alerts = sj_yaml_get(document, "alerts");
    const struct sj_yaml *slos = sj_yaml_get(document, "slos");
    size_t at = 0;
    if (check_times(r, document, c) < 0 || sj_config_check_labels(r, sj_yaml_get(document, "labels"), false) < 0)
        return -1;
    for (const struct sj_yaml *v = alerts ? alerts->first : NULL; v; v = v->next)
        if (check_alert(r, v, c, at++) < 0)
            return -1;
    at = 0;
    for (const struct sj_yaml *v = slos ? slos->first : NULL; v; v = v->next)
        if (check_slo(r, v, c, at++) < 0)
            return -1;
    if (check_notifiers(r, c) < 0)
        return -1;
    if ((c->n_rules || c->n_slos) && !c->n_notifiers)
        return warn(r, c, sj_yaml_line(document, c->n_rules ? "alerts" : "slos"),
                    "nobody is told of alerts: there is no notify");
    return 0;
}

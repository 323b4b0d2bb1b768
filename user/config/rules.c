// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdlib.h>
#include <string.h>

#include "config/values.h"
#include "watch/template.h"

#define NS_PER_S 1000000000ULL
#define DAY_NS (86400ULL * NS_PER_S)
#define OVER_MAX_NS DAY_NS
#define FIELDS(table) table, sizeof(table) / sizeof((table)[0])

/* Labels that the program sets itself; all but severity in every alert. */
static const char *const own_labels[] = {"alertname", "service", "role", "port", "protocol", "container", "operation"};
static const char *const slo_labels[] = {"slo", "severity", "long_window", "short_window"};

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(name, names) is_one_of(name, names, sizeof(names) / sizeof((names)[0]))

/* Which labels an alert can have, for its templates. */
struct known {
    const struct sj_labels *labels;
    const struct sj_labels *external;
    bool slo;
};

static bool is_known(const void *ctx, const char *name)
{
    const struct known *k = ctx;
    return IS_ONE_OF(name, own_labels) || (k->slo && IS_ONE_OF(name, slo_labels)) || sj_labels_get(k->labels, name) ||
           sj_labels_get(k->external, name);
}

int sj_config_check_labels(const struct sj_yaml_reader *r, const struct sj_yaml *labels, bool slo)
{
    for (const struct sj_yaml *l = labels ? labels->first : NULL; l; l = l->next)
        if (IS_ONE_OF(l->key, own_labels) || (slo && IS_ONE_OF(l->key, slo_labels)))
            return sj_yaml_fail(r, l->key_line, "the label '%s' is set by the program itself; choose another name",
                                l->key);
    return 0;
}

int sj_config_check_templates(const struct sj_yaml_reader *r, const struct sj_yaml *v, const struct sj_labels *labels,
                              const struct sj_labels *external, bool slo)
{
    const struct sj_yaml *annotations = sj_yaml_get(v, "annotations");
    const struct known known = {labels, external, slo};
    for (const struct sj_yaml *a = annotations ? annotations->first : NULL; a; a = a->next) {
        struct sj_err why = {.status = EX_OK};
        if (sj_template_check(a->text, is_known, &known, &why) < 0)
            return sj_yaml_fail(r, a->line, "%s: %s", a->key, why.text);
    }
    return 0;
}

static int take_when(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    struct sj_err why = {.status = EX_OK};
    struct sj_alert_rule *rule = out;
    if (sj_yaml_text(r, v, &rule->when_text) < 0)
        return -1;
    if (sj_condition_parse(rule->when_text, &rule->when, &why) < 0)
        return sj_yaml_fail(r, v->line, "when: %s", why.text);
    return 0;
}

static int take_no_data(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const char *const names[] = {
        [SJ_NO_DATA_KEEP] = "keep", [SJ_NO_DATA_RESOLVE] = "resolve", [SJ_NO_DATA_ALERT] = "alert"};
    char shown[SJ_YAML_SHOWN];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (v->kind == SJ_YAML_SCALAR && strcmp(v->text, names[i]) == 0) {
            *(enum sj_no_data *)out = (enum sj_no_data)i;
            return 0;
        }
    }
    return sj_yaml_fail(r, v->line, "no_data is keep, resolve or alert, not '%s'", sj_yaml_shown(shown, v->text));
}

/* A stage belongs to a role; the rule is about that role then. */
static int settle_role(const struct sj_yaml_reader *r, const struct sj_yaml *v, struct sj_alert_rule *rule)
{
    int stage = rule->when.stage;
    if (stage < 0)
        return 0;
    bool server = sj_stages_of_role(SJ_ROLE_SERVER) >> stage & 1;
    bool client = sj_stages_of_role(SJ_ROLE_CLIENT) >> stage & 1;
    uint8_t role = server && client ? rule->match.role : server ? SJ_ROLE_SERVER : SJ_ROLE_CLIENT;
    if (rule->match.role != SJ_ROLE_UNKNOWN && rule->match.role != role)
        return sj_yaml_fail(r, sj_yaml_line(v, "when"),
                            "this can never match: %s is a stage of role %s, match asks for %s",
                            sj_stage_name((enum sj_stage)stage), sj_role_name((enum sj_role)role),
                            sj_role_name((enum sj_role)rule->match.role));
    rule->match.role = role;
    return 0;
}

static int require(const struct sj_yaml_reader *r, const struct sj_yaml *v, const char *what, const char *key,
                   const char *example)
{
    if (sj_yaml_get(v, key))
        return 0;
    return sj_yaml_fail(r, v->line, "%s needs %s, such as '%s: %s'", what, key, key, example);
}

int sj_config_alert(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct sj_yaml_field fields[] = {
        {"name", offsetof(struct sj_alert_rule, name), sj_yaml_text},
        {"match", offsetof(struct sj_alert_rule, match), sj_value_match},
        {"when", 0, take_when},
        {"over", offsetof(struct sj_alert_rule, over_ns), sj_value_time},
        {"for", offsetof(struct sj_alert_rule, for_ns), sj_value_time_0},
        {"keep_firing_for", offsetof(struct sj_alert_rule, keep_firing_ns), sj_value_time_0},
        {"min_requests", offsetof(struct sj_alert_rule, min_requests), sj_value_count},
        {"no_data", offsetof(struct sj_alert_rule, no_data), take_no_data},
        {"labels", offsetof(struct sj_alert_rule, labels), sj_value_labels},
        {"annotations", offsetof(struct sj_alert_rule, annotations), sj_value_texts},
    };
    struct sj_alert_rule *rule = out;
    *rule = (struct sj_alert_rule){.match = {.protocol = -1}, .min_requests = 1, .line = v->line};
    if (sj_yaml_fields(r, v, "an alert", FIELDS(fields), rule) < 0 || require(r, v, "an alert", "name", "slow") < 0 ||
        require(r, v, "an alert", "when", "p99 > 1s") < 0)
        return -1;
    if (!rule->over_ns)
        rule->over_ns = rule->for_ns ? rule->for_ns : SJ_OVER_DEFAULT_NS;
    if (rule->over_ns > OVER_MAX_NS)
        return sj_yaml_fail(r, sj_yaml_get(v, "over") ? sj_yaml_line(v, "over") : sj_yaml_line(v, "for"),
                            "over is at most 1d%s", sj_yaml_get(v, "over") ? "" : "; give it, without it it is `for`");
    if (sj_yaml_get(v, "min_requests") && sj_measure_counts(rule->when.measure))
        return sj_yaml_fail(r, sj_yaml_line(v, "min_requests"),
                            "min_requests makes no sense here: no requests are a rate and a count too");
    return settle_role(r, v, rule) < 0 ? -1 : sj_config_check_labels(r, sj_yaml_get(v, "labels"), false);
}

static int take_objective(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    char shown[SJ_YAML_SHOWN];
    char *end = NULL;
    double x = v->kind == SJ_YAML_SCALAR && v->text[0] >= '0' && v->text[0] <= '9' ? strtod(v->text, &end) : 0;
    if (end && strcmp(end, "%") == 0)
        x /= 100;
    else if (!end || *end)
        x = 0;
    if (!(x > 0 && x < 1))
        return sj_yaml_fail(
            r, v->line,
            "objective is the share of good requests, between 0%% and 100%% without these, such as 99.9%%, "
            "not '%s'",
            sj_yaml_shown(shown, v->text));
    if (x > 0.9999999)
        return sj_yaml_fail(r, v->line, "objective is at most 99.99999%%");
    *(double *)out = x;
    return 0;
}

int sj_config_slo(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct sj_yaml_field fields[] = {
        {"name", offsetof(struct sj_slo, name), sj_yaml_text},
        {"match", offsetof(struct sj_slo, match), sj_value_match},
        {"objective", offsetof(struct sj_slo, objective), take_objective},
        {"latency", offsetof(struct sj_slo, latency_ns), sj_value_time},
        {"window", offsetof(struct sj_slo, window_ns), sj_value_time},
        {"min_requests", offsetof(struct sj_slo, min_requests), sj_value_count},
        {"labels", offsetof(struct sj_slo, labels), sj_value_labels},
        {"annotations", offsetof(struct sj_slo, annotations), sj_value_texts},
    };
    struct sj_slo *slo = out;
    *slo = (struct sj_slo){.match = {.protocol = -1}, .window_ns = 30 * DAY_NS, .min_requests = 100, .line = v->line};
    if (sj_yaml_fields(r, v, "an SLO", FIELDS(fields), slo) < 0 || require(r, v, "an SLO", "name", "checkout") < 0 ||
        require(r, v, "an SLO", "objective", "99.9%") < 0)
        return -1;
    if (slo->window_ns < DAY_NS || slo->window_ns > 90 * DAY_NS)
        return sj_yaml_fail(r, sj_yaml_line(v, "window"), "window is from 1d to 90d");
    return sj_config_check_labels(r, sj_yaml_get(v, "labels"), true);
}

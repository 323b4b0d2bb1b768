// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/config.h"
#include "config/yaml.h"

/*
 * The kinds of values that a configuration has, for tables of struct sj_yaml_field. Each takes one value into the type
 * that its comment names. Within this folder only.
 */
int sj_value_time(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);    /* uint64_t, ns, above 0 */
int sj_value_time_0(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);  /* the same, 0s too */
int sj_value_count(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);   /* uint64_t, 1 to 10^9 */
int sj_value_size(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);    /* uint32_t, 4KiB to 1GiB */
int sj_value_stages(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);  /* uint8_t: all queue none */
int sj_value_payload(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out); /* uint8_t: auto off */
int sj_value_set(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out); /* uint8_t: auto socket syscall */
int sj_value_labels(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);  /* struct sj_labels */
int sj_value_texts(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);   /* the same, any text */
int sj_value_headers(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out); /* the same, of HTTP */
int sj_value_match(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);   /* struct sj_match */

/* The parts of a configuration: struct sj_alert_rule, sj_slo, sj_notifier. */
int sj_config_alert(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);
int sj_config_slo(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);
int sj_config_notifier(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);

/* Labels that the program sets itself are refused; slo: also those of SLOs. labels may be NULL. */
int sj_config_check_labels(const struct sj_yaml_reader *r, const struct sj_yaml *labels, bool slo);

/* The annotations of the alert or SLO at v, which has these labels of its own; external: those of every alert. */
int sj_config_check_templates(const struct sj_yaml_reader *r, const struct sj_yaml *v, const struct sj_labels *labels,
                              const struct sj_labels *external, bool slo);

/* What only shows when all parts are known: contradictions between them, and warnings. */
int sj_config_check(const struct sj_yaml_reader *r, const struct sj_yaml *document, struct sj_config *c);

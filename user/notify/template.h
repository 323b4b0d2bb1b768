// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/out.h"
#include "notify/notice.h"

/*
 * A JSON document with placeholders {{ $name }}. Inside a string one becomes text, escaped as it must be; elsewhere it
 * becomes a value: a string with its quotes, a number, an object. Known are $status, $name, $id, $value, $no_data,
 * $starts_at, $ends_at, $host, $labels, $annotations, $labels.NAME and $annotations.NAME; what a notice does not have
 * is "" in a string and null outside.
 */
struct sj_template;

#define SJ_TEMPLATE_MAX (64u << 10)

/* -1 with EX_CONFIG and "NAME:LINE: ..." when a placeholder is wrong, or what it makes would be no JSON. */
int sj_template_parse(const char *text, size_t n, const char *name, struct sj_template **out, struct sj_err *err);
void sj_template_free(struct sj_template *t);

void sj_template_write(const struct sj_template *t, const struct sj_notice *notice, struct sj_out *out);

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>

#include "serve/message.h"
#include "web/web.h"

/*
 * What the paths of the HTTP server mean. /metrics and /api/v1/report are asked of the collector: at most one question
 * of each kind is under way; who comes meanwhile shares the next one's answer, so nobody is told of an older moment
 * than that of the request.
 */
struct sj_api;

/* Sends a question to the collector. 0, or -1 when that cannot be done. */
typedef int (*sj_api_ask_fn)(void *ctx, uint32_t id, const struct sj_scrape *scrape);

/* NULL when there is no memory. */
struct sj_api *sj_api_new(sj_api_ask_fn ask, void *ctx);
void sj_api_free(struct sj_api *a);

/* The hooks of the HTTP server that it serves. */
struct sj_web_hooks sj_api_hooks(struct sj_api *a);

/* Whether everything is attached: the answer of /-/ready. */
void sj_api_ready(struct sj_api *a, bool ready);

/* An SJ_MSG_BODY. What nobody asked for is ignored. */
void sj_api_body(struct sj_api *a, const struct sj_message *head, const void *data);

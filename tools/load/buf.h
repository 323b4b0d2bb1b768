// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>

/* A growing run of bytes. Zero-initialised is empty. */
struct sj_buf {
    char *at;
    size_t len;
    size_t cap;
};

/* Memory is a settled matter for a tool: these end the program when there is none. */
void *sj_grown(void *at, size_t size);
void sj_buf_reserve(struct sj_buf *buf, size_t more);
void sj_buf_add(struct sj_buf *buf, const void *bytes, size_t len);
void sj_buf_print(struct sj_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops bytes from the front. */
void sj_buf_eat(struct sj_buf *buf, size_t len);
void sj_buf_free(struct sj_buf *buf);

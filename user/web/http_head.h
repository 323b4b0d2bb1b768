// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The head of a request, strictly: line ends are CR LF, lines are not folded, and what is ambiguous is refused. */
#define SJ_HTTP_HEAD_MAX 8192
#define SJ_HTTP_LINE_MAX 2048
#define SJ_HTTP_FIELDS_MAX 64
#define SJ_HTTP_PATH_SIZE 128

enum sj_http_method { SJ_HTTP_GET = 0, SJ_HTTP_HEAD, SJ_HTTP_OTHER };

struct sj_http_head {
    enum sj_http_method method;
    char path[SJ_HTTP_PATH_SIZE]; /* without the query, %-escapes undone but for %2F; longer ones are cut */
    bool keep_alive;
    bool body;                   /* one is announced */
    const char *accept;          /* these point into the bytes that were parsed; NULL without */
    const char *accept_encoding; /* of repeated fields, the first */
    const char *authorization;
};

/*
 * Parses the head that begins at p, and writes NULs behind values there. Returns its length, 0 when it is not complete
 * yet, or a negative HTTP status to refuse it with: -400, -414, -431, -505. On refusal *head holds what was read.
 */
int sj_http_head_parse(char *p, size_t n, struct sj_http_head *head);

/* Does a list such as Accept-Encoding's name the token, and not with q=0? NULL is an empty list. */
bool sj_http_list_has(const char *list, const char *token);

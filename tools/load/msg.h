// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* HTTP/1.1 messages as far as both ends of a load test need them. Pure: bytes in, fields out. */

#define SJ_MSG_HEAD_LIMIT 16384
#define SJ_MSG_PATH 1024

struct sj_msg_head {
    size_t size; /* bytes up to and with the empty line */
    char method[16];
    char path[SJ_MSG_PATH]; /* as sent, with its query; cut at the buffer's end */
    int status;             /* of a response */
    uint64_t length;        /* Content-Length, if has_length */
    bool has_length;
    bool chunked;
    bool close;        /* Connection: close */
    bool expect;       /* Expect: 100-continue */
    bool upgrade_echo; /* Upgrade: echo */
};

enum sj_msg_result {
    SJ_MSG_BAD = -1,
    SJ_MSG_MORE = 0,
    SJ_MSG_OK = 1,
};

/* Looks for a whole head at the start of buf; *head is filled only with SJ_MSG_OK. */
enum sj_msg_result sj_msg_request(const char *buf, size_t len, struct sj_msg_head *head);
enum sj_msg_result sj_msg_response(const char *buf, size_t len, struct sj_msg_head *head);

enum sj_msg_framing {
    SJ_MSG_NONE,    /* no body */
    SJ_MSG_LENGTH,  /* `length` bytes */
    SJ_MSG_CHUNKED, /* chunks and trailers */
    SJ_MSG_TO_END,  /* until the peer closes */
};

/* How the body of a request, or of a response to `method`, is framed. */
enum sj_msg_framing sj_msg_request_framing(const struct sj_msg_head *head);
enum sj_msg_framing sj_msg_response_framing(const struct sj_msg_head *head, const char *method);

struct sj_msg_body {
    enum sj_msg_framing framing;
    int phase;     /* within a chunk */
    uint64_t left; /* bytes of the body or chunk that are missing */
    uint64_t got;  /* bytes of content so far */
    bool line_has_text;
    bool done;
    bool bad;
};

void sj_msg_body_start(struct sj_msg_body *body, enum sj_msg_framing framing, uint64_t length);

/* Takes what belongs to the body from the start of buf and returns how many bytes those were; then see done and bad. */
size_t sj_msg_body_feed(struct sj_msg_body *body, const char *buf, size_t len);

/* The value of `name=` in a path's query, cut off at size - 1; false if it is not there. */
bool sj_msg_query(const char *path, const char *name, char *value, size_t size);

// SPDX-License-Identifier: GPL-3.0-or-later
#include "msg.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Sizes above this cannot be honest and would overflow sums. */
#define LONGEST_BODY (UINT64_C(1) << 40)

struct slice {
    const char *at;
    size_t len;
};

static bool is(struct slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.at, word, s.len) == 0;
}

/* Whether a comma-separated header value holds a word. */
static bool lists(struct slice value, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= value.len; i++) {
        bool starts = i == 0 || strchr(", \t", value.at[i - 1]);
        bool ends = i + len == value.len || strchr(", \t;", value.at[i + len]);
        if (starts && ends && strncasecmp(value.at + i, word, len) == 0)
            return true;
    }
    return false;
}

static struct slice trim(struct slice s)
{
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = (struct slice){s.at + 1, s.len - 1};
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static bool decimal(struct slice s, uint64_t *value)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!isdigit((unsigned char)s.at[i]) || v > LONGEST_BODY)
            return false;
        v = v * 10 + (uint64_t)(s.at[i] - '0');
    }
    *value = v;
    return s.len > 0;
}

static bool header(struct sj_msg_head *head, struct slice line)
{
    const char *colon = memchr(line.at, ':', line.len);
    if (!colon)
        return false;
    struct slice name = {line.at, (size_t)(colon - line.at)};
    struct slice value = trim((struct slice){colon + 1, line.len - name.len - 1});
    if (is(name, "content-length")) {
        head->has_length = true;
        return decimal(value, &head->length);
    }
    if (is(name, "transfer-encoding"))
        head->chunked = lists(value, "chunked");
    else if (is(name, "connection"))
        head->close = lists(value, "close");
    else if (is(name, "expect"))
        head->expect = is(value, "100-continue");
    else if (is(name, "upgrade"))
        head->upgrade_echo = lists(value, "echo");
    return true;
}

/* Splits the head at its line ends; the first line is left to the caller. */
static enum sj_msg_result split(const char *buf, size_t len, struct sj_msg_head *head, struct slice *first)
{
    const char *end = memmem(buf, len, "\r\n\r\n", 4);
    if (!end)
        return len >= SJ_MSG_HEAD_LIMIT ? SJ_MSG_BAD : SJ_MSG_MORE;
    head->size = (size_t)(end - buf) + 4;
    const char *line = buf;
    for (bool is_first = true; line <= end; is_first = false) {
        const char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (!stop)
            return SJ_MSG_BAD;
        struct slice s = {line, (size_t)(stop - line)};
        if (is_first)
            *first = s;
        else if (!header(head, s))
            return SJ_MSG_BAD;
        line = stop + 2;
    }
    return SJ_MSG_OK;
}

static bool is_version(struct slice s)
{
    return s.len == 8 && memcmp(s.at, "HTTP/1.", 7) == 0;
}

enum sj_msg_result sj_msg_request(const char *buf, size_t len, struct sj_msg_head *head)
{
    struct sj_msg_head h = {0};
    struct slice line = {0};
    enum sj_msg_result result = split(buf, len, &h, &line);
    if (result != SJ_MSG_OK)
        return result;
    const char *space = memchr(line.at, ' ', line.len);
    const char *last = memrchr(line.at, ' ', line.len);
    if (!space || last == space)
        return SJ_MSG_BAD;
    size_t method = (size_t)(space - line.at);
    struct slice path = {space + 1, (size_t)(last - space) - 1};
    struct slice version = {last + 1, line.len - (size_t)(last + 1 - line.at)};
    if (!method || method >= sizeof(h.method) || !path.len || !is_version(version))
        return SJ_MSG_BAD;
    memcpy(h.method, line.at, method);
    memcpy(h.path, path.at, path.len < sizeof(h.path) ? path.len : sizeof(h.path) - 1);
    if (version.at[7] == '0')
        h.close = true;
    *head = h;
    return SJ_MSG_OK;
}

enum sj_msg_result sj_msg_response(const char *buf, size_t len, struct sj_msg_head *head)
{
    struct sj_msg_head h = {0};
    struct slice line = {0};
    enum sj_msg_result result = split(buf, len, &h, &line);
    if (result != SJ_MSG_OK)
        return result;
    if (line.len < 12 || !is_version((struct slice){line.at, 8}) || line.at[8] != ' ')
        return SJ_MSG_BAD;
    uint64_t status;
    if (!decimal((struct slice){line.at + 9, 3}, &status) || status < 100 || (line.len > 12 && line.at[12] != ' '))
        return SJ_MSG_BAD;
    h.status = (int)status;
    *head = h;
    return SJ_MSG_OK;
}

enum sj_msg_framing sj_msg_request_framing(const struct sj_msg_head *head)
{
    if (head->chunked)
        return SJ_MSG_CHUNKED;
    return head->has_length && head->length ? SJ_MSG_LENGTH : SJ_MSG_NONE;
}

enum sj_msg_framing sj_msg_response_framing(const struct sj_msg_head *head, const char *method)
{
    if (head->status < 200 || head->status == 204 || head->status == 304 || strcmp(method, "HEAD") == 0)
        return SJ_MSG_NONE;
    if (head->chunked)
        return SJ_MSG_CHUNKED;
    if (!head->has_length)
        return SJ_MSG_TO_END;
    return head->length ? SJ_MSG_LENGTH : SJ_MSG_NONE;
}

enum phase {
    PHASE_SIZE,
    PHASE_EXTENSION,
    PHASE_DATA,
    PHASE_AFTER_DATA,
    PHASE_TRAILER,
};

void sj_msg_body_start(struct sj_msg_body *body, enum sj_msg_framing framing, uint64_t length)
{
    *body =
        (struct sj_msg_body){.framing = framing, .left = framing == SJ_MSG_LENGTH ? length : 0, .phase = PHASE_SIZE};
    body->done = framing == SJ_MSG_NONE;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static void chunk_line_end(struct sj_msg_body *body)
{
    if (!body->line_has_text)
        body->bad = true;
    body->phase = body->left ? PHASE_DATA : PHASE_TRAILER;
    body->line_has_text = false;
}

/* One byte of a chunked body that is not content. */
static void chunk_byte(struct sj_msg_body *body, char c)
{
    int digit;
    switch ((enum phase)body->phase) {
    case PHASE_SIZE:
        digit = hex_digit(c);
        if (digit >= 0) {
            body->left = body->left * 16 + (uint64_t)digit;
            body->line_has_text = true;
            body->bad = body->left > LONGEST_BODY;
        } else if (c == '\n') {
            chunk_line_end(body);
        } else if (c == ';' || c == '\r' || c == ' ') {
            body->phase = PHASE_EXTENSION;
        } else {
            body->bad = true;
        }
        break;
    case PHASE_EXTENSION:
        if (c == '\n')
            chunk_line_end(body);
        break;
    case PHASE_AFTER_DATA:
        if (c == '\n')
            body->phase = PHASE_SIZE;
        else if (c != '\r')
            body->bad = true;
        break;
    case PHASE_TRAILER:
        if (c == '\n' && !body->line_has_text)
            body->done = true;
        else if (c == '\n')
            body->line_has_text = false;
        else if (c != '\r')
            body->line_has_text = true;
        break;
    case PHASE_DATA:
        break;
    }
}

static size_t take(struct sj_msg_body *body, size_t len)
{
    size_t n = len < body->left ? len : (size_t)body->left;
    body->left -= n;
    body->got += n;
    return n;
}

size_t sj_msg_body_feed(struct sj_msg_body *body, const char *buf, size_t len)
{
    if (body->framing == SJ_MSG_TO_END) {
        body->got += len;
        return len;
    }
    if (body->framing == SJ_MSG_LENGTH) {
        size_t n = take(body, len);
        body->done = !body->left;
        return n;
    }
    size_t at = 0;
    while (at < len && !body->done && !body->bad) {
        if (body->phase != PHASE_DATA) {
            chunk_byte(body, buf[at++]);
            continue;
        }
        at += take(body, len - at);
        if (!body->left)
            body->phase = PHASE_AFTER_DATA;
    }
    return at;
}

bool sj_msg_query(const char *path, const char *name, char *value, size_t size)
{
    size_t len = strlen(name);
    const char *at = strchr(path, '?');
    while (at) {
        at++;
        const char *end = at + strcspn(at, "&");
        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            at += len + 1;
            snprintf(value, size, "%.*s", (int)(end - at), at);
            return true;
        }
        at = *end ? end : NULL;
    }
    return false;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/http_parse.h"

#include <string.h>

#include "decode/path.h"

#define METHOD_MAX 32
#define STATUS_LINE_CODE 9 /* offset of the code in "HTTP/1.1 200" */
#define STATUS_LINE_MIN 12

static const char version[] = "HTTP/1.";
#define VERSION_LEN (sizeof(version) - 1)

/* ---- request line: method, target, version ---- */

enum { PART_METHOD = 0, PART_TARGET, PART_VERSION };

/* Those that an operation is named after. Others are OTHER, for a name that anybody may invent is not a label. */
static const struct {
    char name[12];
    uint8_t len;
} methods[] = {
    {"OTHER", 0}, /* matches nothing */
    {"HEAD", 4},     {"CONNECT", 7},   {"GET", 3},   {"POST", 4},   {"PUT", 3},    {"DELETE", 6}, {"OPTIONS", 7},
    {"PATCH", 5},    {"TRACE", 5},     {"QUERY", 5}, {"COPY", 4},   {"LOCK", 4},   {"MKCOL", 5},  {"MOVE", 4},
    {"PROPFIND", 8}, {"PROPPATCH", 9}, {"PURGE", 5}, {"REPORT", 6}, {"SEARCH", 6}, {"UNLOCK", 6},
};
#define METHODS (sizeof(methods) / sizeof(methods[0]))

enum { B_TOKEN = 1, B_TARGET = 2 };

/* RFC 9110 section 5.6.2 for tokens. A target may hold what servers let pass: anything but blanks and controls. */
static const uint8_t class_of[256] = {
    ['!'] = B_TOKEN | B_TARGET,          ['"'] = B_TARGET,
    ['#' ... '\''] = B_TOKEN | B_TARGET, ['(' ... ')'] = B_TARGET,
    ['*' ... '+'] = B_TOKEN | B_TARGET,  [','] = B_TARGET,
    ['-' ... '.'] = B_TOKEN | B_TARGET,  ['/'] = B_TARGET,
    ['0' ... '9'] = B_TOKEN | B_TARGET,  [':' ... '@'] = B_TARGET,
    ['A' ... 'Z'] = B_TOKEN | B_TARGET,  ['[' ... ']'] = B_TARGET,
    ['^' ... 'z'] = B_TOKEN | B_TARGET,  ['{'] = B_TARGET,
    ['|'] = B_TOKEN | B_TARGET,          ['}'] = B_TARGET,
    ['~'] = B_TOKEN | B_TARGET,          [0x80 ... 0xff] = B_TARGET,
};

static uint8_t method_named(const uint8_t *name, size_t len)
{
    for (size_t i = 1; i < METHODS; i++)
        if (methods[i].len == len && memcmp(methods[i].name, name, len) == 0)
            return (uint8_t)i;
    return SJ_HTTP_OTHER;
}

static enum sj_http_progress read_method(struct sj_http_request_line *l, const uint8_t *p, size_t n, size_t *i)
{
    size_t at = *i;

    while (at < n && (class_of[p[at]] & B_TOKEN)) {
        if (l->len == METHOD_MAX)
            return SJ_HTTP_BAD;
        l->text[l->len++] = p[at++];
    }
    *i = at;
    if (at == n)
        return SJ_HTTP_MORE;
    if (p[at] != ' ' || l->len == 0)
        return SJ_HTTP_BAD;
    l->method = method_named(l->text, l->len);
    l->len = 0;
    l->part = PART_TARGET;
    *i = at + 1;
    return SJ_HTTP_DONE;
}

static enum sj_http_progress read_target(struct sj_http_request_line *l, const uint8_t *p, size_t n, size_t *i)
{
    size_t from = *i, at = from, take;

    while (at < n && (class_of[p[at]] & B_TARGET))
        at++;
    take = at - from;
    if (take > (size_t)(SJ_HTTP_TARGET_MAX - l->len)) {
        take = SJ_HTTP_TARGET_MAX - l->len;
        l->cut = true;
    }
    memcpy(l->text + l->len, p + from, take);
    l->len = (uint8_t)(l->len + take);
    *i = at;
    if (at == n)
        return SJ_HTTP_MORE;
    if (p[at] != ' ' || l->len == 0)
        return SJ_HTTP_BAD;
    l->part = PART_VERSION;
    *i = at + 1;
    return SJ_HTTP_DONE;
}

static enum sj_http_progress read_version(struct sj_http_request_line *l, const uint8_t *p, size_t n, size_t *i)
{
    static const char usual[] = "HTTP/1.1\r\n";

    if (l->match == 0 && n - *i >= sizeof(usual) - 1 && memcmp(p + *i, usual, sizeof(usual) - 1) == 0) {
        *i += sizeof(usual) - 1;
        return SJ_HTTP_DONE;
    }
    while (*i < n) {
        uint8_t c = p[(*i)++];

        if (l->match < VERSION_LEN) {
            if (c != (uint8_t)version[l->match])
                return SJ_HTTP_BAD;
        } else if (l->match == VERSION_LEN) {
            if (c != '0' && c != '1')
                return SJ_HTTP_BAD;
        } else if (c == '\n') {
            return SJ_HTTP_DONE;
        } else if (c != '\r' || l->match > VERSION_LEN + 1) {
            return SJ_HTTP_BAD;
        }
        l->match++;
    }
    return SJ_HTTP_MORE;
}

enum sj_http_progress sj_http_read_request(struct sj_http_request_line *l, const uint8_t *p, size_t n, size_t *i)
{
    enum sj_http_progress done = SJ_HTTP_DONE;

    if (l->part == PART_METHOD)
        done = read_method(l, p, n, i);
    if (l->part == PART_TARGET && done == SJ_HTTP_DONE)
        done = read_target(l, p, n, i);
    if (l->part == PART_VERSION && done == SJ_HTTP_DONE)
        done = read_version(l, p, n, i);
    return done;
}

bool sj_http_request_is_plausible(const struct sj_http_request_line *l)
{
    if (l->part == PART_METHOD || l->method == SJ_HTTP_OTHER || l->len == 0)
        return false;
    if (l->text[0] == '/' || l->method == SJ_HTTP_CONNECT)
        return true;
    if (l->text[0] == '*')
        return l->len == 1;
    return l->len >= 4 && memcmp(l->text, "http", 4) == 0;
}

enum sj_http_method sj_http_method_of(const struct sj_http_request_line *l)
{
    return l->method < SJ_HTTP_NAMED ? (enum sj_http_method)l->method : SJ_HTTP_NAMED;
}

size_t sj_http_operation(const struct sj_http_request_line *l, char *out, size_t size)
{
    size_t len = l->method == SJ_HTTP_OTHER ? 5 : methods[l->method].len;
    bool cut = l->cut || l->part == PART_TARGET;

    memcpy(out, methods[l->method].name, sizeof(methods[0].name));
    out[len++] = ' ';
    if (l->method == SJ_HTTP_CONNECT)
        return len + sj_path_authority(l->text, l->len, cut, out + len, size - len);
    return len + sj_path_normalise(l->text, l->len, cut, out + len, size - len);
}

/* ---- status line ---- */

/* "HTTP/1.1 200 " with any code: STATUS_LINE_MIN + 1 bytes at p. */
static bool is_usual_status(const uint8_t *p)
{
    static const char usual[] = "HTTP/1.1 ";
    const uint8_t *code = p + STATUS_LINE_CODE;

    return memcmp(p, usual, STATUS_LINE_CODE) == 0 && (unsigned)(code[0] - '1') <= 8 &&
           (unsigned)(code[1] - '0') <= 9 && (unsigned)(code[2] - '0') <= 9 && code[3] == ' ';
}

enum sj_http_progress sj_http_read_status(struct sj_http_status_line *l, const uint8_t *p, size_t n, size_t *i)
{
    if (l->match == 0 && n - *i > STATUS_LINE_MIN && is_usual_status(p + *i)) {
        p += *i + STATUS_LINE_CODE;
        l->status = (uint16_t)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
        l->match = STATUS_LINE_MIN;
        *i += STATUS_LINE_MIN;
        return SJ_HTTP_DONE;
    }
    for (; *i < n; l->match++, (*i)++) {
        uint8_t c = p[*i];

        if (l->match == STATUS_LINE_MIN)
            return c == ' ' || c == '\r' || c == '\n' ? SJ_HTTP_DONE : SJ_HTTP_BAD;
        if (l->match < VERSION_LEN) {
            if (c != (uint8_t)version[l->match])
                return SJ_HTTP_BAD;
        } else if (l->match == VERSION_LEN) {
            if (c != '0' && c != '1')
                return SJ_HTTP_BAD;
        } else if (l->match < STATUS_LINE_CODE) {
            if (c != ' ')
                return SJ_HTTP_BAD;
        } else {
            if (c < '0' || c > '9' || (c == '0' && l->match == STATUS_LINE_CODE))
                return SJ_HTTP_BAD;
            l->status = (uint16_t)(l->status * 10 + (c - '0'));
        }
    }
    return SJ_HTTP_MORE;
}

bool sj_http_status_is_plausible(const struct sj_http_status_line *l)
{
    return l->match == STATUS_LINE_MIN;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/http_head.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* The line at *p, without its end: 1, 0 when its end is not there yet, -1 when it holds what no line may. */
static int next_line(char **p, const char *end, char **line, size_t *n)
{
    for (char *q = *p; q < end; q++) {
        unsigned char c = (unsigned char)*q;
        if (c == '\r') {
            if (q + 1 == end)
                return 0;
            if (q[1] != '\n')
                return -1;
            *line = *p;
            *n = (size_t)(q - *p);
            *p = q + 2;
            return 1;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return -1;
    }
    return 0;
}

static bool is_token(const char *p, size_t n)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return n > 0;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A path that is longer than any that exists may be cut: it stays one that does not exist. */
static int decode_path(const char *p, size_t n, char out[SJ_HTTP_PATH_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == '%') {
            int high = n - i > 2 ? hex(p[i + 1]) : -1, low = n - i > 2 ? hex(p[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return -400;
            c = (char)(high << 4 | low);
            if (c == '/')
                c = '%'; /* another path than one with a slash, and none of ours */
            i += 2;
        } else if ((unsigned char)c <= 0x20 || (unsigned char)c >= 0x7f) {
            return -400;
        }
        if (used + 1 < SJ_HTTP_PATH_SIZE)
            out[used++] = c;
    }
    out[used] = '\0';
    return 0;
}

static int parse_target(const char *p, size_t n, struct sj_http_head *head)
{
    size_t scheme = n > 7 && strncasecmp(p, "http://", 7) == 0    ? 7
                    : n > 8 && strncasecmp(p, "https://", 8) == 0 ? 8
                                                                  : 0;
    if (scheme > 0) {
        p += scheme;
        n -= scheme;
        size_t authority = 0;
        while (authority < n && p[authority] != '/' && p[authority] != '?')
            authority++;
        p += authority;
        n -= authority;
        if (n == 0 || *p == '?') {
            p = "/";
            n = 1;
        }
    }
    if (head->method == SJ_HTTP_OTHER) /* "*" and host:port are theirs, and they are refused whatever they ask for */
        return 0;
    if (n == 0 || *p != '/')
        return -400;
    const char *query = memchr(p, '?', n);
    return decode_path(p, query ? (size_t)(query - p) : n, head->path);
}

static int parse_request_line(char *p, size_t n, struct sj_http_head *head)
{
    char *end = p + n;
    char *target = memchr(p, ' ', n);
    if (!target || !is_token(p, (size_t)(target - p)))
        return -400;
    size_t method = (size_t)(target++ - p);
    head->method = method == 3 && memcmp(p, "GET", 3) == 0    ? SJ_HTTP_GET
                   : method == 4 && memcmp(p, "HEAD", 4) == 0 ? SJ_HTTP_HEAD
                                                              : SJ_HTTP_OTHER;
    char *version = memchr(target, ' ', (size_t)(end - target));
    if (!version || end - version != 9 || memcmp(version, " HTTP/", 6) != 0)
        return -400;
    if (version[6] != '1' || version[7] != '.')
        return version[6] >= '0' && version[6] <= '9' ? -505 : -400;
    if (version[8] < '0' || version[8] > '9')
        return -400;
    head->keep_alive = version[8] != '0';
    return parse_target(target, (size_t)(version - target), head);
}

struct fields {
    unsigned count;
    unsigned hosts, lengths, authorizations;
};

static int parse_length(const char *value, struct sj_http_head *head)
{
    size_t n = strspn(value, "0123456789");
    if (n == 0 || value[n] != '\0')
        return -400;
    head->body = head->body || strspn(value, "0") != n;
    return 0;
}

static int parse_field(char *p, size_t n, struct sj_http_head *head, struct fields *f)
{
    char *colon = memchr(p, ':', n), *end = p + n;
    if (!colon || !is_token(p, (size_t)(colon - p)))
        return -400;
    *colon = '\0';
    char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0'; /* at the latest where CR was */
    if (strcasecmp(p, "host") == 0)
        f->hosts++;
    else if (strcasecmp(p, "accept") == 0)
        head->accept = head->accept ? head->accept : value;
    else if (strcasecmp(p, "accept-encoding") == 0)
        head->accept_encoding = head->accept_encoding ? head->accept_encoding : value;
    else if (strcasecmp(p, "authorization") == 0) {
        f->authorizations++;
        head->authorization = value;
    } else if (strcasecmp(p, "connection") == 0) {
        if (sj_http_list_has(value, "close"))
            head->keep_alive = false;
    } else if (strcasecmp(p, "transfer-encoding") == 0)
        head->body = true;
    else if (strcasecmp(p, "content-length") == 0) {
        f->lengths++;
        return parse_length(value, head);
    }
    return 0;
}

static int parse_fields(char **p, char *end, struct sj_http_head *head)
{
    struct fields f = {0};
    bool modern = head->keep_alive;
    for (;;) {
        char *line;
        size_t n;
        int got = next_line(p, end, &line, &n);
        if (got <= 0)
            return got < 0 ? -400 : 0;
        if (n == 0)
            break;
        if (++f.count > SJ_HTTP_FIELDS_MAX)
            return -431;
        int refused = parse_field(line, n, head, &f);
        if (refused)
            return refused;
    }
    if (f.hosts > 1 || (modern && f.hosts == 0) || f.lengths > 1 || f.authorizations > 1)
        return -400;
    return 1;
}

/* Is the whole head there, after bytes that were skipped? Nothing is written before it is: the bytes come again. */
static int find_end(char *p, size_t n, size_t skipped)
{
    char *at = p, *end = p + n, *line;
    size_t length;
    for (unsigned lines = 0;; lines++) {
        char *begin = at;
        int got = next_line(&at, end, &line, &length);
        if (got < 0)
            return -400;
        if (lines == 0 && (got ? length : (size_t)(end - begin)) > SJ_HTTP_LINE_MAX)
            return -414;
        if (skipped + (size_t)(at - p) > SJ_HTTP_HEAD_MAX || (!got && skipped + n >= SJ_HTTP_HEAD_MAX))
            return -431;
        if (!got)
            return 0;
        if (length == 0)
            return lines == 0 ? -400 : 1;
    }
}

int sj_http_head_parse(char *p, size_t n, struct sj_http_head *head)
{
    *head = (struct sj_http_head){.method = SJ_HTTP_OTHER};
    char *at = p, *line;
    size_t length, skipped = 0;
    if (n >= 2 && p[0] == '\r' && p[1] == '\n') /* clients of old end a body with one too many */
        skipped = 2;
    at += skipped;
    int rc = find_end(at, n - skipped, skipped);
    if (rc <= 0)
        return rc;
    if (next_line(&at, p + n, &line, &length) <= 0)
        return -400;
    rc = parse_request_line(line, length, head);
    if (rc == 0)
        rc = parse_fields(&at, p + n, head);
    return rc < 0 ? rc : (int)(at - p);
}

/* Does the rest of a list's item ("; q=0.000") say that it is not wanted? */
static bool weighs_nothing(const char *p, size_t n)
{
    for (const char *end = p + n; p < end; p++)
        if ((*p == 'q' || *p == 'Q') && end - p > 2 && p[1] == '=')
            return p[2] == '0' && strspn(p + 2, "0.") >= (size_t)(end - p - 2);
    return false;
}

bool sj_http_list_has(const char *list, const char *token)
{
    size_t length = strlen(token);
    while (list && *list) {
        list += strspn(list, ", \t");
        size_t item = strcspn(list, ","), name = strcspn(list, ",; \t");
        if (name == length && strncasecmp(list, token, length) == 0)
            return !weighs_nothing(list + name, item - name);
        list += item;
    }
    return false;
}

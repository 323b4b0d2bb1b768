// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int parse_port(const char *p, size_t n, uint16_t *port)
{
    unsigned value = 0;
    if (n == 0 || n > 5)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        value = 10 * value + (unsigned)(p[i] - '0');
    }
    if (value == 0 || value > 65535)
        return -1;
    *port = (uint16_t)value;
    return 0;
}

static bool is_host(const char *host, bool bracketed)
{
    unsigned char address[sizeof(struct in6_addr)];
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    if (bracketed)
        return inet_pton(AF_INET6, host, address) == 1;
    return *host && host[strspn(host, allowed)] == '\0';
}

int sj_url_parse(const char *text, struct sj_url *url, struct sj_err *err)
{
    struct sj_url u = {.tls = strncasecmp(text, "https://", 8) == 0};
    if (!u.tls && strncasecmp(text, "http://", 7) != 0)
        return sj_fail(err, EX_CONFIG, "a URL begins with http:// or https://");
    text += u.tls ? 8 : 7;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || *p == '#' || *p == '"' || *p == '\\')
            return sj_fail(err, EX_CONFIG, "a URL has no blanks, no fragment, and nothing that should be %%-escaped");
    size_t n = strcspn(text, "/?");
    const char *rest = text + n;
    if (memchr(text, '@', n))
        return sj_fail(err, EX_CONFIG, "credentials do not belong into a URL; there are username and password_file");
    bool bracketed = n > 0 && text[0] == '[';
    const char *end = bracketed ? memchr(text, ']', n) : memchr(text, ':', n);
    if (bracketed && !end)
        return sj_fail(err, EX_CONFIG, "the URL's address has no closing bracket");
    const char *host = text + bracketed;
    size_t length = end ? (size_t)(end - host) : n;
    const char *after = end ? end + bracketed : rest;
    u.port = u.tls ? 443 : 80;
    if (length == 0 || length >= sizeof(u.host))
        return sj_fail(err, EX_CONFIG, "the URL has no host, or too long a one");
    memcpy(u.host, host, length);
    if (!is_host(u.host, bracketed))
        return sj_fail(err, EX_CONFIG, "the URL's host is neither a name nor an address");
    if (after < rest && (*after != ':' || parse_port(after + 1, (size_t)(rest - after - 1), &u.port) < 0))
        return sj_fail(err, EX_CONFIG, "the URL's port is no number from 1 to 65535");
    if (asprintf(&u.target, "%s%s", *rest == '/' ? "" : "/", rest) < 0)
        return sj_fail(err, EX_OSERR, "out of memory");
    *url = u;
    return 0;
}

char *sj_url_authority(const struct sj_url *url, char *out, size_t size)
{
    const char *open = strchr(url->host, ':') ? "[" : "", *close = *open ? "]" : "";
    if (url->port == (url->tls ? 443 : 80))
        snprintf(out, size, "%s%s%s", open, url->host, close);
    else
        snprintf(out, size, "%s%s%s:%u", open, url->host, close, url->port);
    return out;
}

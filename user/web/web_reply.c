// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "web/web_conn.h"

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } known[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].status == status)
            return known[i].text;
    return "Internal Server Error";
}

/* Dates of HTTP are English whatever the locale is. */
static void put_date(struct evbuffer *out)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    evbuffer_add_printf(out, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * t.tm_wday, t.tm_mday,
                        months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

static void put_fixed(struct evbuffer *out, const struct sj_web_config *config)
{
    static const struct {
        const char *name, *value;
    } usual[] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Content-Security-Policy", "default-src 'none'"},
    };
    size_t n = config ? config->n_headers : 0;
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        bool given = false;
        for (size_t k = 0; k < n; k++)
            given = given || strcasecmp(config->headers[k].name, usual[i].name) == 0;
        if (!given)
            evbuffer_add_printf(out, "%s: %s\r\n", usual[i].name, usual[i].value);
    }
    for (size_t k = 0; k < n; k++)
        if (config->headers[k].value[0])
            evbuffer_add_printf(out, "%s: %s\r\n", config->headers[k].name, config->headers[k].value);
}

void sj_web_put_reply(struct sj_web_conn *conn, const struct sj_web_reply *reply)
{
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    char line[64];
    int n = snprintf(line, sizeof(line), "%d %s\n", reply->status, reason(reply->status));
    size_t length = reply->body ? evbuffer_get_length(reply->body) : (size_t)n;
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n", reply->status, reason(reply->status));
    put_date(out);
    evbuffer_add_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                        reply->type ? reply->type : "text/plain; charset=utf-8", length);
    if (reply->body)
        evbuffer_add_printf(out, "%sVary: Accept, Accept-Encoding\r\n",
                            reply->gzip ? "Content-Encoding: gzip\r\n" : "");
    if (reply->status == 401)
        evbuffer_add_printf(out, "WWW-Authenticate: Basic realm=\"sojourn\", charset=\"UTF-8\"\r\n");
    if (reply->status == 405)
        evbuffer_add_printf(out, "Allow: GET, HEAD\r\n");
    if (reply->status == 429 || reply->status == 503)
        evbuffer_add_printf(out, "Retry-After: 1\r\n");
    put_fixed(out, conn->web->config);
    evbuffer_add_printf(out, "%s\r\n", conn->keep_alive ? "" : "Connection: close\r\n");
    if (conn->head_only)
        return;
    if (reply->body)
        evbuffer_add_buffer_reference(out, reply->body);
    else
        evbuffer_add(out, line, (size_t)n);
}

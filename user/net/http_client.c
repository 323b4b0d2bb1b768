// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/http_client.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "net/tls.h"

#define HEADERS_MAX 16384
#define BODY_MAX ((size_t)256 << 10)
#define DAY_S 86400

struct sj_http_call {
    struct evhttp_connection *connection;
    struct event *timeout;
    struct event *end; /* the end is told from the loop, not from inside the library */
    SSL *ssl;          /* a reference, to say what is wrong with the other's certificate */
    bool connected;
    bool over;
    sj_http_fn fn;
    void *ctx;
    struct sj_http_answer answer;
};

static int month_of(const char *name)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int m = 0; m < 12; m++)
        if (memcmp(months + 3 * m, name, 3) == 0)
            return m;
    return -1;
}

uint64_t sj_http_retry_after(const char *value, int64_t now_s)
{
    struct tm t = {0};
    char month[4] = "";
    uint64_t wait = 0;
    if (value[0] >= '0' && value[0] <= '9') {
        for (; *value >= '0' && *value <= '9'; value++)
            wait = wait < DAY_S ? 10 * wait + (uint64_t)(*value - '0') : DAY_S;
        return *value ? 0 : wait < DAY_S ? wait : DAY_S;
    }
    /* NOLINTNEXTLINE(cert-err34-c): widths bound the numbers, and what is wrong is caught below */
    if (sscanf(value, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &t.tm_mday, month, &t.tm_year, &t.tm_hour, &t.tm_min,
               &t.tm_sec) != 6)
        return 0;
    t.tm_mon = month_of(month);
    t.tm_year -= 1900;
    time_t when = t.tm_mon < 0 ? (time_t)-1 : timegm(&t);
    if (when == (time_t)-1 || when <= now_s)
        return 0;
    return when - now_s < DAY_S ? (uint64_t)(when - now_s) : DAY_S;
}

static void finish(struct sj_http_call *call)
{
    if (!call->over)
        event_active(call->end, EV_TIMEOUT, 0);
    call->over = true;
}

static void explain(struct sj_http_call *call, const char *why)
{
    if (!call->over && call->answer.status == 0)
        snprintf(call->answer.text, sizeof(call->answer.text), "%s", why);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    struct sj_http_call *call = arg;
    (void)fd;
    (void)what;
    long verdict = call->ssl ? SSL_get_verify_result(call->ssl) : X509_V_OK;
    if (call->answer.status == 0 && verdict != X509_V_OK)
        snprintf(call->answer.text, sizeof(call->answer.text), "its certificate was not accepted: %s",
                 X509_verify_cert_error_string(verdict));
    call->fn(call->ctx, &call->answer);
    sj_http_cancel(call);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    explain(arg, "no answer in time");
    finish(arg);
}

/* The head of the answer settles the matter, whatever happens to the body. */
static int on_head(struct evhttp_request *request, void *arg)
{
    struct sj_http_call *call = arg;
    const char *again = evhttp_find_header(evhttp_request_get_input_headers(request), "Retry-After");
    call->answer = (struct sj_http_answer){.status = evhttp_request_get_response_code(request)};
    if (again)
        call->answer.retry_after_s = sj_http_retry_after(again, (int64_t)(sj_real_ns() / SJ_SECOND_NS));
    return 0;
}

static void on_piece(struct evhttp_request *request, void *arg)
{
    struct sj_http_call *call = arg;
    size_t used = strlen(call->answer.text), room = sizeof(call->answer.text) - 1 - used;
    char piece[sizeof(call->answer.text)];
    ev_ssize_t n = evbuffer_copyout(evhttp_request_get_input_buffer(request), piece, room);
    for (ev_ssize_t i = 0; i < n && piece[i]; i++)
        call->answer.text[used++] = piece[i];
    call->answer.text[used] = '\0';
}

/* Nobody was reached; error is an errno value, 0: not known. */
static void unreached(struct sj_http_call *call, int error)
{
    struct bufferevent *bev = call->connection ? evhttp_connection_get_bufferevent(call->connection) : NULL;
    char why[sizeof(call->answer.text)];
    if (call->over || call->answer.status != 0)
        return;
    if (bev && call->ssl && bufferevent_get_openssl_error(bev) != 0) {
        explain(call, "it does not speak TLS as it should");
        return;
    }
    call->answer.no_connection = true;
    call->answer.no_address = bev && bufferevent_socket_get_dns_error(bev) != 0;
    snprintf(why, sizeof(why), "it cannot be connected to%s%s", error ? ": " : "", error ? strerror(error) : "");
    explain(call, call->answer.no_address ? "no address is known for its name" : why);
}

static void on_error(enum evhttp_request_error error, void *arg)
{
    struct sj_http_call *call = arg;
    if (error == EVREQ_HTTP_EOF && !call->connected)
        unreached(call, errno);
    else
        explain(arg, error == EVREQ_HTTP_EOF              ? "it closed the connection without an answer"
                     : error == EVREQ_HTTP_TIMEOUT        ? "no answer in time"
                     : error == EVREQ_HTTP_INVALID_HEADER ? "its answer is no HTTP"
                                                          : "the connection broke");
}

static void on_done(struct evhttp_request *request, void *arg)
{
    struct sj_http_call *call = arg;
    if (call->answer.text[0] == '\0' && call->connected)
        explain(call, "the connection broke");
    else if (call->answer.text[0] == '\0')
        unreached(call, ECONNREFUSED); /* which is no error to the library */
    if (call->answer.status == 0 && request)
        call->answer.status = evhttp_request_get_response_code(request);
    finish(call);
}

/* The request is written once there is a connection. */
static void on_written(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct sj_http_call *call = arg;
    (void)buffer;
    call->connected = call->connected || info->n_added > 0;
}

void sj_http_cancel(struct sj_http_call *call)
{
    call->over = true;
    if (call->connection)
        evhttp_connection_free(call->connection);
    if (call->timeout)
        event_free(call->timeout);
    if (call->end)
        event_free(call->end);
    SSL_free(call->ssl);
    free(call);
}

static struct bufferevent *new_bufferevent(struct event_base *base, const struct sj_http_post *post,
                                           struct sj_http_call *call)
{
    if (!post->url->tls)
        return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    SSL *ssl = sj_client_tls(post->tls, post->server_name ? post->server_name : post->url->host);
    if (!ssl)
        return NULL;
    struct bufferevent *bev =
        bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    SSL_up_ref(ssl);
    call->ssl = ssl;
    return bev;
}

static int start(struct event_base *base, struct evdns_base *dns, const struct sj_http_post *post,
                 struct sj_http_call *call)
{
    char host[SJ_URL_HOST_SIZE + 16];
    struct bufferevent *bev = new_bufferevent(base, post, call);
    if (!bev)
        return -1;
    if (evbuffer_add_cb(bufferevent_get_output(bev), on_written, call))
        call->connection = evhttp_connection_base_bufferevent_new(base, dns, bev, post->url->host, post->url->port);
    if (!call->connection) {
        bufferevent_free(bev);
        return -1;
    }
    evhttp_connection_set_family(call->connection, post->family);
    evhttp_connection_set_max_headers_size(call->connection, HEADERS_MAX);
    evhttp_connection_set_max_body_size(call->connection, BODY_MAX);
    struct evhttp_request *request = evhttp_request_new(on_done, call);
    if (!request)
        return -1;
    evhttp_request_set_header_cb(request, on_head);
    evhttp_request_set_chunked_cb(request, on_piece);
    evhttp_request_set_error_cb(request, on_error);
    struct evkeyvalq *fields = evhttp_request_get_output_headers(request);
    evhttp_add_header(fields, "Host", sj_url_authority(post->url, host, sizeof(host)));
    evhttp_add_header(fields, "Content-Type", post->type ? post->type : "application/json");
    evhttp_add_header(fields, "User-Agent", "sojourn");
    evhttp_add_header(fields, "Connection", "close");
    if (post->authorization)
        evhttp_add_header(fields, "Authorization", post->authorization);
    for (size_t i = 0; post->headers && i < post->headers->n; i++)
        evhttp_add_header(fields, post->headers->v[i].name, post->headers->v[i].value);
    evbuffer_add(evhttp_request_get_output_buffer(request), post->body, post->length);
    if (evhttp_make_request(call->connection, request, EVHTTP_REQ_POST, post->url->target) < 0)
        on_done(NULL, call); /* the request is gone already */
    return 0;
}

struct sj_http_call *sj_http_call(struct event_base *base, struct evdns_base *dns, const struct sj_http_post *post,
                                  sj_http_fn fn, void *ctx)
{
    struct sj_http_call *call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    struct timeval limit = {.tv_sec = (time_t)(post->timeout_ns / SJ_SECOND_NS),
                            .tv_usec = (suseconds_t)(post->timeout_ns % SJ_SECOND_NS / 1000)};
    call->fn = fn;
    call->ctx = ctx;
    call->end = evtimer_new(base, on_end, call);
    call->timeout = evtimer_new(base, on_timeout, call);
    if (call->end && call->timeout && evtimer_add(call->timeout, &limit) == 0 && start(base, dns, post, call) == 0)
        return call;
    sj_http_cancel(call);
    return NULL;
}

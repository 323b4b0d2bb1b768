// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/files.h"
#include "command.h"
#include "courier/courier_state.h"
#include "web/web_tls.h"

#define BACKLOG 1024
/* What an answer that is not read may cost the kernel; left to itself it would give megabytes. */
#define SEND_BUFFER (128 << 10)

static int bind_one(const struct addrinfo *a)
{
    static const int on = 1, off = 0, buffer = SEND_BUFFER;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    if (a->ai_family == AF_INET6) /* "::" is every address, whatever the system's default is */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 && bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* The first of host's addresses that can be had; -1 with errno, -2 with *err when it has none. */
static int bind_host(const char *host, const char *port, struct sj_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int fd = -1, error = 0, rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0) {
        sj_err_set(err, EX_CONFIG, "listen: no address '%s': %s", host, gai_strerror(rc));
        return -2;
    }
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        if ((fd = bind_one(a)) < 0)
            error = errno;
    freeaddrinfo(list);
    errno = error;
    return fd;
}

int sj_courier_bind(const struct sj_config *config, struct sj_err *err)
{
    const char *host = config->listen_host;
    char port[8];
    snprintf(port, sizeof(port), "%u", config->listen_port);
    int fd = bind_host(host, port, err);
    if (fd == -1 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) && strcmp(host, "::") == 0)
        fd = bind_host("0.0.0.0", port, err); /* every address of a host that has no IPv6 */
    if (fd >= 0 || fd == -2)
        return fd < 0 ? -1 : fd;
    int error = errno;
    const char *open = strchr(host, ':') ? "[" : "", *close = *open ? "]" : "";
    if (error == EACCES || error == EPERM)
        return sj_fail(err, EX_NOPERM, "cannot listen on %s%s%s:%s: %s; ports below 1024 need CAP_NET_BIND_SERVICE",
                       open, host, close, port, strerror(error));
    return sj_fail(err, EX_UNAVAILABLE, "cannot listen on %s%s%s:%s: %s; set `listen` to another address", open, host,
                   close, port, strerror(error));
}

void sj_setup_free(struct sj_setup *s)
{
    for (size_t i = 0; i < s->n_receivers; i++)
        sj_notify_unref(s->receivers[i]);
    free(s->receivers);
    sj_web_config_free(s->web);
    *s = (struct sj_setup){0};
}

static int make_web(const struct sj_config *config, const struct sj_notify_env *env, struct sj_setup *s,
                    struct sj_err *err)
{
    if (!config->web_config_file)
        return 0;
    sj_autofree char *path = sj_file_beside(env->config_path, config->web_config_file);
    if (!path)
        return sj_fail(err, EX_OSERR, "out of memory");
    return sj_web_config_read(path, &s->web, err);
}

uint64_t sj_setup_resend_ns(const struct sj_config *config)
{
    return config->resend_ns > config->interval_ns ? config->resend_ns : config->interval_ns;
}

int sj_setup_make(const struct sj_config *config, const struct sj_notify_env *env, struct sj_setup *out,
                  struct sj_err *err)
{
    struct sj_setup s = {.receivers =
                             calloc(config->n_notifiers ? config->n_notifiers : 1, sizeof(struct sj_notify *))};
    if (!s.receivers)
        return sj_fail(err, EX_OSERR, "out of memory");
    int rc = make_web(config, env, &s, err);
    for (size_t i = 0; rc == 0 && i < config->n_notifiers; i++) {
        rc = sj_notify_new(env, &config->notifiers[i], &s.receivers[i], err);
        s.n_receivers += rc == 0;
    }
    if (rc < 0)
        sj_setup_free(&s);
    else
        *out = s;
    return rc;
}

int sj_setup_secrets(const struct sj_config *config, const struct sj_notify_env *env, const struct sj_setup *s,
                     struct sj_err *err)
{
    for (size_t i = 0; i < s->n_receivers; i++)
        if (sj_notify_secrets(s->receivers[i], err) < 0)
            return sj_fail_prefix(err, "%s:%u", env->config_path, config->notifiers[i].line);
    return 0;
}

static int check(const struct sj_config *config, const char *config_path, bool secrets, struct sj_err *err)
{
    const struct sj_notify_env env = {.config_path = config_path, .host = "", .resend_ns = sj_setup_resend_ns(config)};
    struct sj_setup s;
    if (sj_setup_make(config, &env, &s, err) < 0)
        return -1;
    SSL_CTX *tls = s.web && s.web->tls ? sj_web_tls(s.web, err) : NULL;
    int rc = s.web && s.web->tls && !tls ? -1 : 0;
    if (rc == 0 && secrets)
        rc = sj_setup_secrets(config, &env, &s, err);
    SSL_CTX_free(tls);
    sj_setup_free(&s);
    return rc;
}

int sj_courier_check(const struct sj_config *config, const char *config_path, struct sj_err *err)
{
    return check(config, config_path, true, err);
}

int sj_courier_check_start(const struct sj_config *config, const char *config_path, struct sj_err *err)
{
    return check(config, config_path, false, err);
}

int sj_setup_apply(struct courier *c, struct sj_setup *s, struct sj_err *err)
{
    if (sj_web_configure(c->web, s->web, err) < 0)
        return -1;
    s->web = NULL;
    if (sj_deliveries_receivers(c->deliveries, s->receivers, s->n_receivers) < 0)
        return sj_fail(err, EX_OSERR, "out of memory; receivers are as before");
    *s = (struct sj_setup){0};
    return 0;
}

/* What cannot change while the program runs, and is not as it was when it started. */
static void tell_of_restart(const struct sj_config *start, const struct sj_config *next)
{
    const struct {
        const char *key;
        bool same;
    } settled[] = {
        {"listen", strcmp(start->listen_host, next->listen_host) == 0 && start->listen_port == next->listen_port},
        {"state_dir", strcmp(start->state_dir, next->state_dir) == 0},
        {"max_series", start->max_series == next->max_series},
        {"forget_after", start->forget_ns == next->forget_ns},
        {"ring", start->ring_bytes == next->ring_bytes},
        {"stages", start->stages == next->stages},
        {"payload", start->payload_off == next->payload_off},
        {"probe_set", start->probe_set == next->probe_set},
    };
    for (size_t i = 0; i < sizeof(settled) / sizeof(settled[0]); i++)
        if (!settled[i].same)
            sj_complain(EX_OK, "%s changes only with a restart", settled[i].key);
}

static int reload(struct courier *c, struct sj_err *err)
{
    sj_autofree char *text = NULL;
    struct sj_config *next = NULL;
    struct sj_setup s = {0};
    size_t n;
    if (sj_config_read(c->config_path, &text, &n, err) < 0 || sj_config_parse(text, n, c->config_path, &next, err) < 0)
        return -1;
    uint64_t resend_ns = c->env.resend_ns;
    c->env.resend_ns = sj_setup_resend_ns(next);
    if (sj_setup_make(next, &c->env, &s, err) < 0 || sj_setup_secrets(next, &c->env, &s, err) < 0 ||
        sj_setup_apply(c, &s, err) < 0) {
        c->env.resend_ns = resend_ns;
        sj_setup_free(&s);
        sj_config_free(next);
        return -1;
    }
    tell_of_restart(c->start_config, next);
    for (size_t i = 0; i < next->n_warnings; i++)
        sj_complain(EX_OK, "%s", next->warnings[i]);
    sj_config_free(next);
    return sj_courier_tell(c, SJ_MSG_CONFIG, 0, text, n);
}

void sj_courier_reload(struct courier *c)
{
    struct sj_err err = {.status = EX_SOFTWARE};
    c->last_reload_ok = reload(c, &err) == 0;
    if (c->last_reload_ok) {
        sj_complain(EX_OK, "the configuration was read again");
        return;
    }
    c->reloads_failed++;
    sj_complain(err.status, "%s; the configuration is as before", err.text);
}

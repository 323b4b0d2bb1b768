// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/values.h"

#define NS_PER_S 1000000000ULL
#define HOST_MAX 255u

/* A configuration and all memory that it points into. */
struct whole {
    struct sj_config config;
    struct sj_arena arena;
};

static int not_an_address(const struct sj_yaml_reader *r, const struct sj_yaml *v)
{
    char shown[SJ_YAML_SHOWN];
    return sj_yaml_fail(r, v->line,
                        "listen takes an address and a port, such as 127.0.0.1:10435, [::1]:10435 or :10435 for all "
                        "addresses, not '%s'",
                        sj_yaml_shown(shown, v->text));
}

/* HOST:PORT; a colon in HOST needs brackets, no HOST is every address. */
static int take_listen(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    struct sj_config *c = out;
    const char *text = v->kind == SJ_YAML_SCALAR ? v->text : "";
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon && isdigit((unsigned char)colon[1]) ? strtoul(colon + 1, &end, 10) : 0;
    if (!end || *end || port == 0 || port > UINT16_MAX)
        return not_an_address(r, v);
    size_t n = (size_t)(colon - text);
    bool brackets = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (brackets) {
        text++;
        n -= 2;
    }
    if (n > HOST_MAX || (brackets ? n == 0 : memchr(text, ':', n) != NULL))
        return not_an_address(r, v);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr(".-_:%", text[i]))
            return not_an_address(r, v);
    c->listen_host = n ? sj_arena_text(r->arena, text, n) : "::";
    c->listen_port = (uint16_t)port;
    return c->listen_host ? 0 : sj_yaml_no_memory(r);
}

static int take_alerts(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    struct sj_config *c = out;
    void *items;
    if (v->n > SJ_CONFIG_RULES_MAX)
        return sj_yaml_fail(r, v->line, "more than %u alerts", SJ_CONFIG_RULES_MAX);
    if (sj_yaml_list(r, v, sizeof(*c->rules), sj_config_alert, &items, &c->n_rules) < 0)
        return -1;
    c->rules = items;
    return 0;
}

static int take_slos(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    struct sj_config *c = out;
    void *items;
    if (v->n > SJ_CONFIG_SLOS_MAX)
        return sj_yaml_fail(r, v->line, "more than %u SLOs", SJ_CONFIG_SLOS_MAX);
    if (sj_yaml_list(r, v, sizeof(*c->slos), sj_config_slo, &items, &c->n_slos) < 0)
        return -1;
    c->slos = items;
    return 0;
}

static int take_notify(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    struct sj_config *c = out;
    void *items;
    if (v->n > 32)
        return sj_yaml_fail(r, v->line, "more than 32 notifiers");
    if (sj_yaml_list(r, v, sizeof(*c->notifiers), sj_config_notifier, &items, &c->n_notifiers) < 0)
        return -1;
    c->notifiers = items;
    return 0;
}

static int parse(const struct sj_yaml_reader *r, const char *text, size_t n, struct sj_config *c)
{
    static const struct sj_yaml_field fields[] = {
        {"listen", 0, take_listen},
        {"web_config_file", offsetof(struct sj_config, web_config_file), sj_yaml_text},
        {"state_dir", offsetof(struct sj_config, state_dir), sj_yaml_text},
        {"interval", offsetof(struct sj_config, interval_ns), sj_value_time},
        {"resend", offsetof(struct sj_config, resend_ns), sj_value_time},
        {"forget_after", offsetof(struct sj_config, forget_ns), sj_value_time},
        {"max_series", offsetof(struct sj_config, max_series), sj_value_count},
        {"ring", offsetof(struct sj_config, ring_bytes), sj_value_size},
        {"stages", offsetof(struct sj_config, stages), sj_value_stages},
        {"payload", offsetof(struct sj_config, payload_off), sj_value_payload},
        {"probe_set", offsetof(struct sj_config, probe_set), sj_value_set},
        {"labels", offsetof(struct sj_config, labels), sj_value_labels},
        {"alerts", 0, take_alerts},
        {"slos", 0, take_slos},
        {"notify", 0, take_notify},
    };
    const struct sj_yaml *document;
    if (n > SJ_CONFIG_MAX)
        return sj_yaml_fail(r, 1, "longer than %u KiB", SJ_CONFIG_MAX >> 10);
    if (sj_yaml_parse(r, text, n, &document) < 0)
        return -1;
    *c = (struct sj_config){
        .listen_host = "127.0.0.1",
        .listen_port = 10435,
        .state_dir = "/var/lib/sojourn",
        .max_series = 2000,
        .interval_ns = NS_PER_S,
        .resend_ns = 60 * NS_PER_S,
        .forget_ns = 3600 * NS_PER_S,
    };
    if (sj_yaml_fields(r, document, "the configuration", fields, sizeof(fields) / sizeof(fields[0]), c) < 0)
        return -1;
    return sj_config_check(r, document, c);
}

int sj_config_parse(const char *text, size_t n, const char *name, struct sj_config **out, struct sj_err *err)
{
    struct whole *w = calloc(1, sizeof(*w));
    if (!w)
        return sj_fail(err, EX_OSERR, "out of memory");
    const struct sj_yaml_reader r = {.name = name, .arena = &w->arena, .err = err};
    int rc = parse(&r, text, n, &w->config);
    w->config.owned = w;
    if (rc < 0) {
        sj_config_free(&w->config);
        return -1;
    }
    *out = &w->config;
    return 0;
}

void sj_config_free(struct sj_config *c)
{
    if (!c)
        return;
    struct whole *w = c->owned;
    sj_arena_free(&w->arena);
    free(w);
}

static int cannot_read(const char *path, struct sj_err *err)
{
    sj_err_read(err, path, errno);
    return -1;
}

int sj_config_read(const char *path, char **text, size_t *n, struct sj_err *err)
{
    /* O_NONBLOCK: a FIFO without a writer must not hold the program up. */
    sj_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    sj_autofree char *buf = malloc(SJ_CONFIG_MAX + 1);
    struct stat st;
    size_t len = 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return cannot_read(path, err);
    if (!S_ISREG(st.st_mode))
        return sj_fail(err, EX_NOINPUT, "cannot read %s: it is no file", path);
    if (!buf)
        return sj_fail(err, EX_OSERR, "out of memory");
    for (;;) {
        ssize_t got = read(fd, buf + len, SJ_CONFIG_MAX + 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cannot_read(path, err);
        len += (size_t)got;
        if (got == 0)
            break;
        if (len > SJ_CONFIG_MAX)
            return sj_fail(err, EX_CONFIG, "%s:1: longer than %u KiB", path, SJ_CONFIG_MAX >> 10);
    }
    buf[len] = '\0';
    *text = SJ_TAKE(buf);
    *n = len;
    return 0;
}

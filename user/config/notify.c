// SPDX-License-Identifier: GPL-3.0-or-later
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include "config/values.h"

#define NS_PER_S 1000000000ULL
#define FIELDS(table) table, sizeof(table) / sizeof((table)[0])
#define AT(member) offsetof(struct sj_notifier, member)

static const char pagerduty_url[] = "https://events.pagerduty.com/v2/enqueue";

/*
 * http:// or https://, a host, perhaps a port, and a path: what is needed, and nothing that hides where it leads. User
 * names and passwords are refused, since URLs are shown.
 */
static int take_url(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    char shown[SJ_YAML_SHOWN];
    const char *text;
    if (sj_yaml_text(r, v, &text) < 0)
        return -1;
    const char *host = strncasecmp(text, "http://", 7) == 0    ? text + 7
                       : strncasecmp(text, "https://", 8) == 0 ? text + 8
                                                               : "";
    size_t n = strcspn(host, "/?#");
    if (memchr(host, '@', n))
        return sj_yaml_fail(r, v->line, "a URL has no user and password here; use username and password_file");
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return sj_yaml_fail(r, v->line, "a URL has no spaces and only ASCII; write others as %%XX");
    if (n == 0 || host[0] == ':' || strlen(text) > 2000)
        return sj_yaml_fail(r, v->line, "url takes http://HOST... or https://HOST..., not '%s'",
                            sj_yaml_shown(shown, text));
    *(const char **)out = text;
    return 0;
}

static int take_word(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    char **word = out;
    if (v->kind != SJ_YAML_SCALAR)
        return sj_yaml_fail(r, v->line, "command is a list of words, such as [/usr/local/bin/page, --now]");
    *word = sj_arena_text(r->arena, v->text, strlen(v->text));
    return *word ? 0 : sj_yaml_no_memory(r);
}

static int take_command(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    size_t n;
    void *words;
    if (v->kind != SJ_YAML_LIST || v->n == 0)
        return sj_yaml_fail(r, v->line,
                            "command is a list of words, such as [/usr/local/bin/page, --now]; no shell reads it");
    if (sj_yaml_list(r, v, sizeof(char *), take_word, &words, &n) < 0)
        return -1;
    char **argv = sj_arena_alloc(r->arena, (n + 1) * sizeof(*argv));
    if (!argv)
        return sj_yaml_no_memory(r);
    memcpy(argv, words, n * sizeof(*argv));
    if (argv[0][0] != '/')
        return sj_yaml_fail(r, v->line, "command begins with an absolute path, such as /usr/local/bin/page");
    *(char ***)out = argv;
    return 0;
}

static int take_facility(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct {
        const char *name;
        int facility;
    } all[] = {{"daemon", LOG_DAEMON}, {"user", LOG_USER},     {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},
               {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5},
               {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7}};
    char shown[SJ_YAML_SHOWN];
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (v->kind == SJ_YAML_SCALAR && strcmp(v->text, all[i].name) == 0) {
            *(int *)out = all[i].facility;
            return 0;
        }
    }
    return sj_yaml_fail(r, v->line, "facility is daemon, user or local0 to local7, not '%s'",
                        sj_yaml_shown(shown, v->text));
}

#define COMMON                                                                                                         \
    {"name", AT(name), sj_yaml_text},                                                                                  \
    {                                                                                                                  \
        "only", AT(only), sj_value_labels                                                                              \
    }
#define COMMON_TIMED                                                                                                   \
    COMMON,                                                                                                            \
    {                                                                                                                  \
        "timeout", AT(timeout_ns), sj_value_time                                                                       \
    }
#define COMMON_HTTP                                                                                                    \
    COMMON_TIMED, {"url", AT(url), take_url}, {"ca_file", AT(ca_file), sj_yaml_text},                                  \
    {                                                                                                                  \
        "server_name", AT(server_name), sj_yaml_text                                                                   \
    }
#define COMMON_AUTH                                                                                                    \
    COMMON_HTTP, {"headers", AT(headers), sj_value_headers},                                                           \
        {"bearer_token_file", AT(bearer_token_file), sj_yaml_text}, {"username", AT(username), sj_yaml_text},          \
    {                                                                                                                  \
        "password_file", AT(password_file), sj_yaml_text                                                               \
    }

static int take_alertmanager(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct sj_yaml_field fields[] = {COMMON_AUTH};
    struct sj_notifier *n = out;
    n->kind = SJ_NOTIFY_ALERTMANAGER;
    if (sj_yaml_fields(r, v, "alertmanager", FIELDS(fields), n) < 0)
        return -1;
    return n->url ? 0 : sj_yaml_fail(r, v->line, "alertmanager needs url, such as 'url: http://127.0.0.1:9093'");
}

static int take_pagerduty(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct sj_yaml_field fields[] = {COMMON_HTTP,
                                                  {"routing_key_file", AT(routing_key_file), sj_yaml_text}};
    struct sj_notifier *n = out;
    n->kind = SJ_NOTIFY_PAGERDUTY;
    if (sj_yaml_fields(r, v, "pagerduty", FIELDS(fields), n) < 0)
        return -1;
    if (!n->url)
        n->url = pagerduty_url;
    return n->routing_key_file
               ? 0
               : sj_yaml_fail(r, v->line, "pagerduty needs routing_key_file, a file that holds the key");
}

static int take_webhook(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct sj_yaml_field fields[] = {
        COMMON_AUTH, {"url_file", AT(url_file), sj_yaml_text}, {"template_file", AT(template_file), sj_yaml_text}};
    struct sj_notifier *n = out;
    n->kind = SJ_NOTIFY_WEBHOOK;
    if (sj_yaml_fields(r, v, "webhook", FIELDS(fields), n) < 0)
        return -1;
    if (n->url && n->url_file)
        return sj_yaml_fail(r, sj_yaml_line(v, "url_file"), "url and url_file contradict each other; give one of them");
    return n->url || n->url_file ? 0
                                 : sj_yaml_fail(r, v->line, "webhook needs url, or url_file where the URL is a secret");
}

static int take_exec(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct sj_yaml_field fields[] = {COMMON_TIMED, {"command", AT(command), take_command}};
    struct sj_notifier *n = out;
    n->kind = SJ_NOTIFY_EXEC;
    if (sj_yaml_fields(r, v, "exec", FIELDS(fields), n) < 0)
        return -1;
    return n->command ? 0 : sj_yaml_fail(r, v->line, "exec needs command, such as 'command: [/usr/local/bin/page]'");
}

static int take_syslog(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct sj_yaml_field fields[] = {COMMON, {"facility", AT(facility), take_facility}};
    struct sj_notifier *n = out;
    n->kind = SJ_NOTIFY_SYSLOG;
    return sj_yaml_fields(r, v, "syslog", FIELDS(fields), n);
}

static int check_secrets(const struct sj_yaml_reader *r, const struct sj_yaml *v, const struct sj_notifier *n)
{
    if (!n->username != !n->password_file)
        return sj_yaml_fail(r, v->line, "username and password_file go together; %s is missing",
                            n->username ? "password_file" : "username");
    if (n->username && n->bearer_token_file)
        return sj_yaml_fail(r, sj_yaml_line(v, "bearer_token_file"),
                            "bearer_token_file and username contradict each other; give one of them");
    if (n->url && strncasecmp(n->url, "http://", 7) == 0 && (n->ca_file || n->server_name))
        return sj_yaml_fail(r, sj_yaml_line(v, n->ca_file ? "ca_file" : "server_name"),
                            "there are no certificates without https; write https:// in url or leave this out");
    if (n->timeout_ns < NS_PER_S / 10 || n->timeout_ns > 300 * NS_PER_S)
        return sj_yaml_fail(r, sj_yaml_line(v, "timeout"), "timeout is from 100ms to 5m");
    return 0;
}

/* One value of the list: a mapping of one key, the kind. */
int sj_config_notifier(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct sj_yaml_field fields[] = {
        {"alertmanager", 0, take_alertmanager},
        {"pagerduty", 0, take_pagerduty},
        {"webhook", 0, take_webhook},
        {"exec", 0, take_exec},
        {"syslog", 0, take_syslog},
    };
    struct sj_notifier *n = out;
    *n = (struct sj_notifier){.facility = LOG_DAEMON, .timeout_ns = 10 * NS_PER_S, .line = v->line};
    if (v->kind != SJ_YAML_MAPPING || v->n != 1 || !v->first->key)
        return sj_yaml_fail(r, v->line,
                            "each value of notify is one of alertmanager, pagerduty, webhook, exec and syslog, such as "
                            "'- syslog: {}'");
    if (v->first->kind == SJ_YAML_SCALAR && v->first->empty && strcmp(v->first->key, "syslog") == 0)
        n->kind = SJ_NOTIFY_SYSLOG;
    if (sj_yaml_fields(r, v, "notify", FIELDS(fields), n) < 0)
        return -1;
    if (v->first->kind == SJ_YAML_SCALAR && v->first->empty && n->kind != SJ_NOTIFY_SYSLOG)
        return sj_yaml_fail(r, v->line, "%s is empty; write its keys indented below it", v->first->key);
    return v->first->kind == SJ_YAML_MAPPING ? check_secrets(r, v->first, n) : 0;
}

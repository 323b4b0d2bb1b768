// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/values.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

#define RING_MIN (4ULL << 10)
#define RING_MAX (1ULL << 30)
#define COUNT_MAX 1000000000U
#define TIME_MAX_NS (400ULL * 86400 * 1000000000)
#define LABELS_MAX 32u
#define LABEL_NAME_MAX 64u
#define LABEL_VALUE_MAX 512u
#define TEXT_MAX 2048u

/* The text of a scalar, NULL for anything else; what it should be is the caller's affair. */
static const char *scalar(const struct sj_yaml *v)
{
    return v->kind == SJ_YAML_SCALAR && !v->empty ? v->text : NULL;
}

static int take_time(const struct sj_yaml_reader *r, const struct sj_yaml *v, uint64_t least, uint64_t *out)
{
    char shown[SJ_YAML_SHOWN];
    const char *text = scalar(v);
    uint64_t ns;
    if (!text || sj_parse_duration(text, &ns) < 0)
        return sj_yaml_fail(r, v->line, "%s takes a time with its unit, such as 500ms, 60s, 5m, 2h or 30d, not '%s'",
                            v->key, sj_yaml_shown(shown, v->text));
    if (ns < least)
        return sj_yaml_fail(r, v->line, "%s must be longer than 0s", v->key);
    if (ns > TIME_MAX_NS)
        return sj_yaml_fail(r, v->line, "%s is longer than 400d", v->key);
    *out = ns;
    return 0;
}

int sj_value_time(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    return take_time(r, v, 1, out);
}

int sj_value_time_0(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    return take_time(r, v, 0, out);
}

int sj_value_count(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    char shown[SJ_YAML_SHOWN];
    const char *text = scalar(v);
    char *end = NULL;
    unsigned long n = text && isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    if (!end || *end || n == 0 || n > COUNT_MAX)
        return sj_yaml_fail(r, v->line, "%s takes a number from 1 to %u, not '%s'", v->key, COUNT_MAX,
                            sj_yaml_shown(shown, v->text));
    *(uint64_t *)out = n;
    return 0;
}

int sj_value_size(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    char shown[SJ_YAML_SHOWN];
    const char *text = scalar(v);
    uint64_t bytes;
    if (!text || sj_parse_size(text, &bytes) < 0 || bytes < RING_MIN || bytes > RING_MAX)
        return sj_yaml_fail(r, v->line, "%s takes a size from 4KiB to 1GiB, such as 2MiB, not '%s'", v->key,
                            sj_yaml_shown(shown, v->text));
    *(uint32_t *)out = (uint32_t)bytes;
    return 0;
}

/* One of three words at most, of which the first is the default. */
static int take_word(const struct sj_yaml_reader *r, const struct sj_yaml *v, const char *const words[3],
                     const char *right, void *out)
{
    char shown[SJ_YAML_SHOWN];
    const char *text = scalar(v);
    for (uint8_t i = 0; text && i < 3 && words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *(uint8_t *)out = i;
            return 0;
        }
    }
    return sj_yaml_fail(r, v->line, "%s takes %s, not '%s'", v->key, right, sj_yaml_shown(shown, v->text));
}

int sj_value_stages(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const char *const words[3] = {"all", "queue", "none"};
    _Static_assert(SJ_CONFIG_STAGES_QUEUE == 1 && SJ_CONFIG_STAGES_NONE == 2, "in the order of the words");
    return take_word(r, v, words, "all, queue or none", out);
}

int sj_value_payload(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const char *const words[3] = {"auto", "off"};
    return take_word(r, v, words, "auto or off", out);
}

int sj_value_set(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const char *const words[3] = {"auto", "socket", "syscall"};
    _Static_assert(SJ_CONFIG_SET_SOCKET == 1 && SJ_CONFIG_SET_SYSCALL == 2, "in the order of the words");
    return take_word(r, v, words, "auto, socket or syscall", out);
}

static bool is_label_name(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_')
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '_')
            return false;
    return strncmp(name, "__", 2) != 0 && strlen(name) <= LABEL_NAME_MAX;
}

static int check_label_name(const struct sj_yaml_reader *r, const struct sj_yaml *v)
{
    char shown[SJ_YAML_SHOWN];
    if (is_label_name(v->key))
        return 0;
    return sj_yaml_fail(r, v->key_line,
                        "'%s' is no name of a label: letters, digits and _, no digit first, no two _ first, at most %u",
                        sj_yaml_shown(shown, v->key), LABEL_NAME_MAX);
}

static int check_header_name(const struct sj_yaml_reader *r, const struct sj_yaml *v)
{
    static const char *const own[] = {"host", "connection", "content-length", "transfer-encoding"};
    char shown[SJ_YAML_SHOWN];
    for (const char *p = v->key; *p || p == v->key; p++)
        if (!*p || (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p)))
            return sj_yaml_fail(r, v->key_line, "'%s' is no name of a header", sj_yaml_shown(shown, v->key));
    if (strcasecmp(v->key, "authorization") == 0)
        return sj_yaml_fail(r, v->key_line,
                            "secrets are not written here; use bearer_token_file, or username and password_file");
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcasecmp(v->key, own[i]) == 0)
            return sj_yaml_fail(r, v->key_line, "the header '%s' is set by the program itself", v->key);
    return 0;
}

static int take_map(const struct sj_yaml_reader *r, const struct sj_yaml *v, size_t value_max,
                    int (*check)(const struct sj_yaml_reader *r, const struct sj_yaml *v), struct sj_labels *out)
{
    size_t n = 0;
    if (v->kind != SJ_YAML_MAPPING)
        return sj_yaml_fail(r, v->line, "%s is a mapping of names and texts, such as {severity: page}", v->key);
    if (v->n > LABELS_MAX)
        return sj_yaml_fail(r, v->line, "more than %u %s", LABELS_MAX, v->key);
    struct sj_label *l = sj_arena_alloc(r->arena, v->n * sizeof(*l));
    if (!l)
        return sj_yaml_no_memory(r);
    for (const struct sj_yaml *item = v->first; item; item = item->next) {
        char shown[SJ_YAML_SHOWN];
        const char *text = scalar(item);
        if (check(r, item) < 0)
            return -1;
        if (!text || !*text || strlen(text) > value_max)
            return sj_yaml_fail(r, item->line, "'%s' takes a text of 1 to %zu bytes", sj_yaml_shown(shown, item->key),
                                value_max);
        l[n++] = (struct sj_label){item->key, text};
    }
    *out = (struct sj_labels){l, n};
    sj_labels_sort(out);
    return 0;
}

int sj_value_labels(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    return take_map(r, v, LABEL_VALUE_MAX, check_label_name, out);
}

int sj_value_texts(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    return take_map(r, v, TEXT_MAX, check_label_name, out);
}

int sj_value_headers(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    if (take_map(r, v, TEXT_MAX, check_header_name, out) < 0)
        return -1;
    for (const struct sj_yaml *item = v->first; item; item = item->next)
        if (strchr(item->text, '\n'))
            return sj_yaml_fail(r, item->line, "a header is one line");
    return 0;
}

static int take_role(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    char shown[SJ_YAML_SHOWN];
    const char *text = scalar(v);
    int role = text ? sj_role_by_name(text) : -1;
    if (role != SJ_ROLE_SERVER && role != SJ_ROLE_CLIENT)
        return sj_yaml_fail(r, v->line, "role is server (the side that answers) or client (that asks), not '%s'",
                            sj_yaml_shown(shown, v->text));
    *(uint8_t *)out = (uint8_t)role;
    return 0;
}

static int take_protocol(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    char shown[SJ_YAML_SHOWN];
    const char *text = scalar(v);
    int protocol = text ? sj_protocol_by_name(text) : -1;
    if (protocol < 0)
        return sj_yaml_fail(r, v->line, "protocol is http, tls or unknown, not '%s'", sj_yaml_shown(shown, v->text));
    *(int8_t *)out = (int8_t)protocol;
    return 0;
}

static int take_port(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    char shown[SJ_YAML_SHOWN];
    const char *text = scalar(v);
    char *end = NULL;
    unsigned long n = text && isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    if (!end || *end || n == 0 || n > UINT16_MAX)
        return sj_yaml_fail(r, v->line, "port is a number from 1 to 65535, not '%s'", sj_yaml_shown(shown, v->text));
    *(uint16_t *)out = (uint16_t)n;
    return 0;
}

int sj_value_match(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    static const struct sj_yaml_field fields[] = {
        {"service", offsetof(struct sj_match, service), sj_yaml_text},
        {"role", offsetof(struct sj_match, role), take_role},
        {"port", offsetof(struct sj_match, port), take_port},
        {"protocol", offsetof(struct sj_match, protocol), take_protocol},
        {"operation", offsetof(struct sj_match, operation), sj_yaml_text},
        {"container", offsetof(struct sj_match, container), sj_yaml_text},
    };
    struct sj_match *m = out;
    if (sj_yaml_fields(r, v, "match", fields, sizeof(fields) / sizeof(fields[0]), m) < 0)
        return -1;
    if (m->operation && (m->protocol == SJ_PROTO_TLS || m->protocol == SJ_PROTO_UNKNOWN))
        return sj_yaml_fail(r, sj_yaml_line(v, "operation"), "this can never match: protocol %s has no operations",
                            sj_protocol_name((enum sj_protocol)m->protocol));
    return 0;
}

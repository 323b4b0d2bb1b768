// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/web_config.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/cleanup.h"
#include "base/files.h"

#define BCRYPT_SIZE 60
#define BCRYPT_COST_MAX 15

struct reader {
    yaml_document_t doc;
    const char *name;
    struct sj_web_config *c;
    struct sj_err *err;
};

struct key {
    const char *name;
    int (*read)(struct reader *r, const yaml_node_t *value);
};

#define AT(r, node, ...) wrong((r), (node)->start_mark.line + 1, __VA_ARGS__)

static int wrong(struct reader *r, size_t line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int wrong(struct reader *r, size_t line, const char *fmt, ...)
{
    char text[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return sj_fail(r->err, EX_CONFIG, "%s:%zu: %s", r->name, line, text);
}

/* The text of a scalar; NULL when it is none or holds a NUL. */
static const char *scalar(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE)
        return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static int set_text(struct reader *r, const yaml_node_t *node, char **to)
{
    const char *text = scalar(node);
    if (!text || !*text)
        return AT(r, node, "text is expected here");
    free(*to);
    *to = strdup(text);
    return *to ? 0 : sj_fail(r->err, EX_OSERR, "out of memory");
}

static int set_file(struct reader *r, const yaml_node_t *node, char **to)
{
    const char *text = scalar(node);
    if (!text || !*text)
        return AT(r, node, "the name of a file is expected here");
    free(*to);
    *to = sj_file_beside(r->name, text);
    return *to ? 0 : sj_fail(r->err, EX_OSERR, "out of memory");
}

static int set_bool(struct reader *r, const yaml_node_t *node, bool *to)
{
    const char *text = scalar(node);
    if (!text || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
        return AT(r, node, "true or false is expected here");
    *to = text[0] == 't';
    return 0;
}

typedef int (*pair_fn)(struct reader *r, const yaml_node_t *key, const yaml_node_t *value);

/* fn for each pair of a mapping; a key that comes twice is an error. "key:" without a value is an empty mapping. */
static int each_pair(struct reader *r, const yaml_node_t *node, const char *what, pair_fn fn)
{
    if (node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0)
        return 0;
    if (node->type != YAML_MAPPING_NODE)
        return AT(r, node, "%s should be a mapping (key: value)", what);
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(&r->doc, p->key);
        const yaml_node_t *value = yaml_document_get_node(&r->doc, p->value);
        if (!key || !value || !scalar(key))
            return AT(r, node, "a key of %s is no text", what);
        for (yaml_node_pair_t *q = node->data.mapping.pairs.start; q < p; q++) {
            const yaml_node_t *earlier = yaml_document_get_node(&r->doc, q->key);
            if (strcmp(scalar(earlier), scalar(key)) == 0)
                return AT(r, key, "'%s' is there twice", scalar(key));
        }
        if (fn(r, key, value) < 0)
            return -1;
    }
    return 0;
}

static int by_table(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, const struct key *table)
{
    char known[256] = "";
    for (; table->name; table++) {
        if (strcmp(table->name, scalar(key)) == 0)
            return table->read(r, value);
        size_t used = strlen(known);
        snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", table->name);
    }
    return AT(r, key, "unknown key '%s'; known: %s", scalar(key), known);
}

static int each_text(struct reader *r, const yaml_node_t *node, int (*fn)(struct reader *, const yaml_node_t *))
{
    if (node->type != YAML_SEQUENCE_NODE)
        return AT(r, node, "a list is expected here");
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        const yaml_node_t *item = yaml_document_get_node(&r->doc, *i);
        if (!item || !scalar(item) || !*scalar(item))
            return AT(r, node, "an item of the list is no text");
        if (fn(r, item) < 0)
            return -1;
    }
    return 0;
}

/* Adds to a list that is separated by colons. */
static int append(struct reader *r, char **list, const char *item)
{
    char *longer;
    if (asprintf(&longer, "%s%s%s", *list ? *list : "", *list ? ":" : "", item) < 0)
        return sj_fail(r->err, EX_OSERR, "out of memory");
    free(*list);
    *list = longer;
    return 0;
}

/* ---- tls_server_config ---- */

static int read_cert(struct reader *r, const yaml_node_t *v)
{
    return set_file(r, v, &r->c->cert_file);
}

static int read_key(struct reader *r, const yaml_node_t *v)
{
    return set_file(r, v, &r->c->key_file);
}

static int read_client_ca(struct reader *r, const yaml_node_t *v)
{
    return set_file(r, v, &r->c->client_ca_file);
}

static int read_client_auth(struct reader *r, const yaml_node_t *v)
{
    static const char *const names[] = {"NoClientCert", "RequestClientCert", "RequireAnyClientCert",
                                        "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"};
    for (size_t i = 0; scalar(v) && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(scalar(v), names[i]) == 0) {
            r->c->client_auth = (enum sj_client_auth)i;
            return 0;
        }
    return AT(r, v,
              "client_auth_type is NoClientCert, RequestClientCert, RequireAnyClientCert, "
              "VerifyClientCertIfGiven or RequireAndVerifyClientCert");
}

static int set_version(struct reader *r, const yaml_node_t *v, int *to)
{
    const char *text = scalar(v);
    *to = text && strcmp(text, "TLS12") == 0 ? TLS1_2_VERSION : text && strcmp(text, "TLS13") == 0 ? TLS1_3_VERSION : 0;
    return *to ? 0 : AT(r, v, "versions are TLS12 and TLS13; older ones are not spoken");
}

static int read_min(struct reader *r, const yaml_node_t *v)
{
    return set_version(r, v, &r->c->min_version);
}

static int read_max(struct reader *r, const yaml_node_t *v)
{
    return set_version(r, v, &r->c->max_version);
}

/* Suites have the names of the standard here, without the hash in two cases; OpenSSL has its own. */
static int add_cipher(struct reader *r, const yaml_node_t *item)
{
    char longer[128];
    const char *name = OPENSSL_cipher_name(scalar(item));
    if (strcmp(name, "(NONE)") == 0) {
        snprintf(longer, sizeof(longer), "%s_SHA256", scalar(item));
        name = OPENSSL_cipher_name(longer);
    }
    if (strcmp(name, "(NONE)") == 0)
        return AT(r, item, "no cipher suite '%s'", scalar(item));
    return append(r, strncmp(name, "TLS_", 4) == 0 ? &r->c->suites : &r->c->ciphers, name);
}

/* A list without a suite for TLS 1.2 leaves nothing to speak it with. */
static int read_ciphers(struct reader *r, const yaml_node_t *v)
{
    if (each_text(r, v, add_cipher) < 0)
        return -1;
    if (r->c->suites && !r->c->ciphers)
        r->c->only_13 = true;
    return 0;
}

static int add_group(struct reader *r, const yaml_node_t *item)
{
    static const char *const names[][2] = {
        {"CurveP256", "P-256"}, {"CurveP384", "P-384"}, {"CurveP521", "P-521"}, {"X25519", "X25519"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i][0], scalar(item)) == 0)
            return append(r, &r->c->groups, names[i][1]);
    return AT(r, item, "curves are CurveP256, CurveP384, CurveP521 and X25519");
}

static int read_groups(struct reader *r, const yaml_node_t *v)
{
    return each_text(r, v, add_group);
}

static int add_san(struct reader *r, const yaml_node_t *item)
{
    size_t n = 0;
    while (r->c->sans && r->c->sans[n])
        n++;
    char **more = reallocarray(r->c->sans, n + 2, sizeof(*more));
    if (!more)
        return sj_fail(r->err, EX_OSERR, "out of memory");
    r->c->sans = more;
    more[n + 1] = NULL;
    more[n] = strdup(scalar(item));
    return more[n] ? 0 : sj_fail(r->err, EX_OSERR, "out of memory");
}

static int read_sans(struct reader *r, const yaml_node_t *v)
{
    return each_text(r, v, add_san);
}

static int read_prefer(struct reader *r, const yaml_node_t *v)
{
    return set_bool(r, v, &r->c->prefer_server_ciphers);
}

static int tls_key(struct reader *r, const yaml_node_t *key, const yaml_node_t *value)
{
    static const struct key keys[] = {{"cert_file", read_cert},
                                      {"key_file", read_key},
                                      {"client_auth_type", read_client_auth},
                                      {"client_ca_file", read_client_ca},
                                      {"client_allowed_sans", read_sans},
                                      {"min_version", read_min},
                                      {"max_version", read_max},
                                      {"cipher_suites", read_ciphers},
                                      {"prefer_server_cipher_suites", read_prefer},
                                      {"curve_preferences", read_groups},
                                      {NULL, NULL}};
    return by_table(r, key, value, keys);
}

static int read_tls(struct reader *r, const yaml_node_t *v)
{
    struct sj_web_config *c = r->c;
    if (each_pair(r, v, "tls_server_config", tls_key) < 0)
        return -1;
    c->tls = true;
    bool checks = c->client_auth == SJ_CLIENT_VERIFY_GIVEN || c->client_auth == SJ_CLIENT_REQUIRE_VERIFY;
    if (!c->cert_file || !c->key_file)
        return AT(r, v, "tls_server_config needs cert_file and key_file");
    if (checks && !c->client_ca_file)
        return AT(r, v, "this client_auth_type needs client_ca_file");
    if (c->client_ca_file && !checks)
        return AT(r, v,
                  "client_ca_file has no use without client_auth_type RequireAndVerifyClientCert or "
                  "VerifyClientCertIfGiven");
    if (c->sans && c->client_auth != SJ_CLIENT_REQUIRE_VERIFY)
        return AT(r, v, "client_allowed_sans needs client_auth_type RequireAndVerifyClientCert");
    if (c->only_13)
        c->min_version = TLS1_3_VERSION;
    if (c->only_13 && c->max_version == TLS1_2_VERSION)
        return AT(r, v, "cipher_suites has none for TLS12, which is all that max_version allows");
    if (c->max_version && c->max_version < c->min_version)
        return AT(r, v, "max_version is below min_version");
    return 0;
}

/* ---- http_server_config ---- */

static int add_header(struct reader *r, const yaml_node_t *key, const yaml_node_t *value)
{
    static const char *const known[] = {"Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options",
                                        "X-XSS-Protection", "Strict-Transport-Security"};
    bool found = false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        found = found || strcasecmp(known[i], scalar(key)) == 0;
    if (!found)
        return AT(r, key,
                  "headers that can be set are Content-Security-Policy, X-Frame-Options, "
                  "X-Content-Type-Options, X-XSS-Protection and Strict-Transport-Security");
    struct sj_web_field *more = reallocarray(r->c->headers, r->c->n_headers + 1, sizeof(*more));
    if (!more)
        return sj_fail(r->err, EX_OSERR, "out of memory");
    r->c->headers = more;
    struct sj_web_field *f = &more[r->c->n_headers++];
    *f = (struct sj_web_field){0};
    if (set_text(r, key, &f->name) < 0 || !scalar(value))
        return AT(r, value, "text is expected here");
    f->value = strdup(scalar(value)); /* a blank one is not sent at all */
    if (!f->value)
        return sj_fail(r->err, EX_OSERR, "out of memory");
    for (const char *p = f->value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return AT(r, value, "a header's value is one line");
    return 0;
}

static int read_headers(struct reader *r, const yaml_node_t *v)
{
    return each_pair(r, v, "headers", add_header);
}

/* Whether HTTP/2 is offered: it is not, and need not be, so either answer is right. */
static int read_http2(struct reader *r, const yaml_node_t *v)
{
    bool ignored;
    return set_bool(r, v, &ignored);
}

static int http_key(struct reader *r, const yaml_node_t *key, const yaml_node_t *value)
{
    static const struct key keys[] = {{"http2", read_http2}, {"headers", read_headers}, {NULL, NULL}};
    return by_table(r, key, value, keys);
}

static int read_http(struct reader *r, const yaml_node_t *v)
{
    return each_pair(r, v, "http_server_config", http_key);
}

/* ---- basic_auth_users ---- */

static bool is_bcrypt(const char *hash)
{
    static const char digits[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    return strlen(hash) == BCRYPT_SIZE && hash[0] == '$' && hash[1] == '2' && strchr("aby", hash[2]) &&
           hash[3] == '$' && strspn(hash + 4, "0123456789") == 2 && hash[6] == '$' &&
           strspn(hash + 7, digits) == BCRYPT_SIZE - 7;
}

static int add_user(struct reader *r, const yaml_node_t *key, const yaml_node_t *value)
{
    const char *hash = scalar(value);
    if (!*scalar(key) || strchr(scalar(key), ':'))
        return AT(r, key, "a user's name is not empty and holds no colon");
    if (!hash || !is_bcrypt(hash))
        return AT(r, value,
                  "a user's password is stored as bcrypt hash ($2y$...), as `htpasswd -nBC 10 NAME` makes it");
    unsigned long cost = strtoul(hash + 4, NULL, 10);
    if (cost < 4 || cost > BCRYPT_COST_MAX)
        return AT(r, value, "a bcrypt cost of %lu; 4 to %d are allowed", cost, BCRYPT_COST_MAX);
    if (r->c->n_users == SJ_WEB_USERS_MAX)
        return AT(r, key, "more than %d users", SJ_WEB_USERS_MAX);
    struct sj_web_user *more = reallocarray(r->c->users, r->c->n_users + 1, sizeof(*more));
    if (!more)
        return sj_fail(r->err, EX_OSERR, "out of memory");
    r->c->users = more;
    struct sj_web_user *u = &more[r->c->n_users++];
    *u = (struct sj_web_user){0};
    return set_text(r, key, &u->name) < 0 || set_text(r, value, &u->hash) < 0 ? -1 : 0;
}

static int read_users(struct reader *r, const yaml_node_t *v)
{
    return each_pair(r, v, "basic_auth_users", add_user);
}

static int top_key(struct reader *r, const yaml_node_t *key, const yaml_node_t *value)
{
    static const struct key keys[] = {{"tls_server_config", read_tls},
                                      {"http_server_config", read_http},
                                      {"basic_auth_users", read_users},
                                      {NULL, NULL}};
    return by_table(r, key, value, keys);
}

/* ---- the document ---- */

static int read_document(struct reader *r, yaml_parser_t *parser)
{
    if (!yaml_parser_load(parser, &r->doc))
        return wrong(r, parser->problem_mark.line + 1, "%s", parser->problem ? parser->problem : "no YAML");
    const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    int rc = root ? each_pair(r, root, "the web configuration", top_key) : 0;
    yaml_document_delete(&r->doc);
    if (rc < 0 || !root)
        return rc;
    if (!yaml_parser_load(parser, &r->doc))
        return wrong(r, parser->problem_mark.line + 1, "%s", parser->problem ? parser->problem : "no YAML");
    root = yaml_document_get_root_node(&r->doc);
    rc = root ? AT(r, root, "a second document; there should be one") : 0;
    yaml_document_delete(&r->doc);
    return rc;
}

int sj_web_config_parse(const char *text, size_t n, const char *name, struct sj_web_config **out, struct sj_err *err)
{
    struct reader r = {.name = name, .err = err, .c = calloc(1, sizeof(struct sj_web_config))};
    yaml_parser_t parser;
    if (!r.c || !yaml_parser_initialize(&parser)) {
        free(r.c);
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    r.c->min_version = TLS1_2_VERSION;
    r.c->prefer_server_ciphers = true;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    int rc = read_document(&r, &parser);
    yaml_parser_delete(&parser);
    if (rc < 0)
        sj_web_config_free(r.c);
    else
        *out = r.c;
    return rc;
}

int sj_web_config_read(const char *path, struct sj_web_config **out, struct sj_err *err)
{
    sj_autofree char *text = NULL;
    size_t n;
    if (sj_file_read(path, SJ_WEB_CONFIG_MAX, &text, &n, err) < 0)
        return -1;
    return sj_web_config_parse(text, n, path, out, err);
}

void sj_web_config_free(struct sj_web_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_users; i++) {
        free(c->users[i].name);
        free(c->users[i].hash);
    }
    for (size_t i = 0; i < c->n_headers; i++) {
        free(c->headers[i].name);
        free(c->headers[i].value);
    }
    for (size_t i = 0; c->sans && c->sans[i]; i++)
        free(c->sans[i]);
    free(c->sans);
    free(c->users);
    free(c->headers);
    free(c->ciphers);
    free(c->suites);
    free(c->groups);
    free(c->cert_file);
    free(c->key_file);
    free(c->client_ca_file);
    free(c);
}

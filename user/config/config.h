// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "status.h"
#include "watch/condition.h"
#include "watch/labels.h"

/*
 * The configuration of `serve`: a YAML document, checked as a whole before anything is made of it. All strings and
 * arrays belong to the configuration and are never NULL where this file does not say so. sojourn.yaml(5) tells every
 * key, its unit and its default.
 */

enum sj_no_data { SJ_NO_DATA_KEEP = 0, SJ_NO_DATA_RESOLVE, SJ_NO_DATA_ALERT };

/* In the order of the names that configurations have for them. */
enum sj_config_stages { SJ_CONFIG_STAGES_ALL = 0, SJ_CONFIG_STAGES_QUEUE, SJ_CONFIG_STAGES_NONE };
enum sj_config_set { SJ_CONFIG_SET_AUTO = 0, SJ_CONFIG_SET_SOCKET, SJ_CONFIG_SET_SYSCALL };

struct sj_alert_rule {
    const char *name;
    struct sj_match match;
    struct sj_condition when;
    const char *when_text; /* as it is written */
    uint64_t over_ns;      /* window; without the key: `for`, and without that SJ_OVER_DEFAULT_NS */
    uint64_t for_ns;
    uint64_t keep_firing_ns;
    uint64_t min_requests; /* in the window, fewer are no data; at least 1; not for rates and counts */
    enum sj_no_data no_data;
    struct sj_labels labels;
    struct sj_labels annotations; /* values are templates, see watch/template.h */
    unsigned line;                /* where it begins in the file, for messages */
};

struct sj_slo {
    const char *name;
    struct sj_match match;
    double objective;      /* share of good requests, 0 < objective < 1 */
    uint64_t latency_ns;   /* a good request takes at most this; 0: only errors count */
    uint64_t window_ns;    /* of the error budget; 30 days by default */
    uint64_t min_requests; /* in the long window of a burn rate, fewer do not alert */
    struct sj_labels labels;
    struct sj_labels annotations;
    unsigned line;
};

/* Secrets are never in the configuration: it names the files that hold them. Unset strings are NULL here. */
struct sj_notifier {
    enum sj_notifier_kind kind;
    const char *name;             /* unique, stays the same when the list changes; never NULL */
    const char *url;              /* http or https, without user and password; pagerduty: its own unless given */
    const char *url_file;         /* webhook: instead of url, where the URL itself is a secret */
    const char *routing_key_file; /* pagerduty */
    const char *template_file;    /* webhook: NULL for the built-in document */
    const char *bearer_token_file;
    const char *username; /* together with password_file */
    const char *password_file;
    const char *ca_file;      /* NULL: the system's */
    const char *server_name;  /* expected in the certificate; NULL: the URL's host */
    struct sj_labels headers; /* further ones of HTTP requests; alertmanager, webhook */
    struct sj_labels only;    /* which alerts: labels they must have, values are patterns of fnmatch(3); none: all */
    char **command;           /* exec: argv, NULL-terminated, argv[0] an absolute path */
    int facility;             /* syslog: one of syslog(3), LOG_DAEMON by default */
    uint64_t timeout_ns;      /* of one attempt, 10 s by default */
    unsigned line;
};

struct sj_config {
    const char *listen_host;
    uint16_t listen_port;
    const char *state_dir;
    const char *web_config_file; /* NULL without */
    uint64_t max_series;         /* per metric */
    uint64_t interval_ns;        /* of rule evaluation */
    uint64_t resend_ns;          /* how often a firing alert is told again where that keeps it alive (Alertmanager) */
    uint64_t forget_ns;          /* services without a request for that long are forgotten */
    uint32_t ring_bytes;         /* 0: the program's own choice */
    uint8_t stages;              /* enum sj_config_stages: how much of a request's time is told apart */
    uint8_t payload_off;         /* 1: no bytes are looked at */
    uint8_t probe_set;           /* enum sj_config_set */
    struct sj_labels labels;     /* of every alert, where it has none of that name itself */
    struct sj_alert_rule *rules;
    size_t n_rules;
    struct sj_slo *slos;
    size_t n_slos;
    struct sj_notifier *notifiers;
    size_t n_notifiers;
    const char **warnings; /* "NAME:LINE: ...": allowed, but hardly meant */
    size_t n_warnings;
    void *owned; /* what the rest points into */
};

#define SJ_OVER_DEFAULT_NS (60ULL * 1000000000ULL)

/* The largest document that is read, in bytes. */
#define SJ_CONFIG_MAX (1u << 20)

/* More rules or SLOs than these are refused. */
#define SJ_CONFIG_RULES_MAX 500u
#define SJ_CONFIG_SLOS_MAX 100u

/*
 * Parses the n bytes at text; name is the file's, for messages. Relative file names in it are kept as they are. *out is
 * released by sj_config_free(). -1 with EX_CONFIG and "NAME:LINE: what is wrong, what is right"; *out is untouched
 * then.
 */
int sj_config_parse(const char *text, size_t n, const char *name, struct sj_config **out, struct sj_err *err);

/* Reads the file at path into *text, of *n bytes and a NUL, to be freed. -1 with EX_NOINPUT, EX_NOPERM or EX_CONFIG. */
int sj_config_read(const char *path, char **text, size_t *n, struct sj_err *err);

/* NULL is allowed. */
void sj_config_free(struct sj_config *c);

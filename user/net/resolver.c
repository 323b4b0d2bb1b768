// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/resolver.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SERVERS "/etc/resolv.conf"
#define HOSTS "/etc/hosts"

/* Which version of a file it is; zeros: there is none. */
struct version {
    dev_t dev;
    ino_t ino;
    struct timespec changed;
};

struct sj_resolver {
    struct evdns_base *dns;
    struct version servers, hosts;
};

/* Has it changed since it was looked at last? */
static bool look(const char *path, struct version *seen)
{
    struct stat st;
    struct version now = {0};
    if (stat(path, &st) == 0)
        now = (struct version){.dev = st.st_dev, .ino = st.st_ino, .changed = st.st_ctim};
    bool same = now.dev == seen->dev && now.ino == seen->ino && now.changed.tv_sec == seen->changed.tv_sec &&
                now.changed.tv_nsec == seen->changed.tv_nsec;
    *seen = now;
    return !same;
}

struct sj_resolver *sj_resolver_new(struct event_base *base)
{
    struct sj_resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return NULL;
    resolver->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!resolver->dns) {
        free(resolver);
        return NULL;
    }
    look(SERVERS, &resolver->servers);
    look(HOSTS, &resolver->hosts);
    evdns_base_resolv_conf_parse(resolver->dns, DNS_OPTIONS_ALL, SERVERS);
    return resolver;
}

struct evdns_base *sj_resolver_dns(const struct sj_resolver *resolver)
{
    return resolver->dns;
}

void sj_resolver_refresh(struct sj_resolver *resolver)
{
    if (look(SERVERS, &resolver->servers)) {
        evdns_base_clear_nameservers_and_suspend(resolver->dns);
        evdns_base_resolv_conf_parse(resolver->dns, DNS_OPTIONS_ALL & ~DNS_OPTION_HOSTSFILE, SERVERS);
        evdns_base_resume(resolver->dns);
    }
    if (look(HOSTS, &resolver->hosts)) {
        evdns_base_clear_host_addresses(resolver->dns);
        evdns_base_load_hosts(resolver->dns, HOSTS);
    }
}

void sj_resolver_free(struct sj_resolver *resolver)
{
    if (!resolver)
        return;
    evdns_base_free(resolver->dns, 0);
    free(resolver);
}

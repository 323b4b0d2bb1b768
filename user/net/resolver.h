// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <event2/dns.h>
#include <event2/event.h>

/* Addresses of hosts, looked up without waiting: by the system's file of hosts and the name servers it names. */
struct sj_resolver;

/* A host without a name server still has its file of hosts. NULL when there is no memory. */
struct sj_resolver *sj_resolver_new(struct event_base *base);

/* For the library's functions; belongs to resolver. */
struct evdns_base *sj_resolver_dns(const struct sj_resolver *resolver);

/* Reads the files again when they have changed: a program that runs for months sees another network. */
void sj_resolver_refresh(struct sj_resolver *resolver);

/* What is under way is dropped without a word. NULL is allowed. */
void sj_resolver_free(struct sj_resolver *resolver);

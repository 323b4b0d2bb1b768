// SPDX-License-Identifier: GPL-3.0-or-later
#include "request.h"

#include <string.h>

static const char *const stage_names[] = {"queue",   "oncpu", "busy", "runq",   "blocked",
                                          "handoff", "send",  "wait", "pickup", "receive"};
static const char *const cause_names[] = {"lock", "disk", "net", "sleep", "other"};
static const char *const role_names[] = {"unknown", "server", "client"};
static const char *const protocol_names[] = {"unknown", "http", "tls"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
_Static_assert(COUNT(stage_names) == SJ_STAGE_MAX_, "a name for each stage");
_Static_assert(COUNT(cause_names) == SJ_CAUSE_MAX_, "a name for each cause");
_Static_assert(COUNT(role_names) == SJ_ROLE_MAX_, "a name for each role");
_Static_assert(COUNT(protocol_names) == SJ_PROTO_MAX_, "a name for each protocol");

static const char *name_at(const char *const *names, size_t n, unsigned i)
{
    return i < n ? names[i] : "";
}

static int index_of(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

const char *sj_stage_name(enum sj_stage stage)
{
    return name_at(stage_names, COUNT(stage_names), stage);
}

const char *sj_cause_name(enum sj_cause cause)
{
    return name_at(cause_names, COUNT(cause_names), cause);
}

const char *sj_role_name(enum sj_role role)
{
    return name_at(role_names, COUNT(role_names), role);
}

const char *sj_protocol_name(enum sj_protocol proto)
{
    return name_at(protocol_names, COUNT(protocol_names), proto);
}

int sj_stage_by_name(const char *name)
{
    return index_of(stage_names, COUNT(stage_names), name);
}

int sj_cause_by_name(const char *name)
{
    return index_of(cause_names, COUNT(cause_names), name);
}

int sj_role_by_name(const char *name)
{
    return index_of(role_names, COUNT(role_names), name);
}

int sj_protocol_by_name(const char *name)
{
    return index_of(protocol_names, COUNT(protocol_names), name);
}

unsigned sj_stages_of_role(enum sj_role role)
{
    if (role == SJ_ROLE_CLIENT)
        return 1U << SJ_STAGE_SEND | 1U << SJ_STAGE_WAIT | 1U << SJ_STAGE_PICKUP | 1U << SJ_STAGE_RECEIVE;
    return 1U << SJ_STAGE_QUEUE | 1U << SJ_STAGE_ONCPU | 1U << SJ_STAGE_BUSY | 1U << SJ_STAGE_RUNQ |
           1U << SJ_STAGE_BLOCKED | 1U << SJ_STAGE_HANDOFF | 1U << SJ_STAGE_SEND;
}

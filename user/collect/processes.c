// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/processes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Direct-mapped: a process that is displaced by another of the same slot is asked for again. */
#define SLOTS 4096U

struct sj_processes {
    struct sj_process *slots[SLOTS];
    struct sj_process unknown;
};

struct sj_processes *sj_processes_new(void)
{
    return calloc(1, sizeof(struct sj_processes));
}

void sj_processes_free(struct sj_processes *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < SLOTS; i++)
        free(t->slots[i]);
    free(t);
}

static size_t read_proc(uint32_t tgid, const char *file, char *buf, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%u/%s", tgid, file);
    sj_autofclose FILE *f = fopen(path, "re");
    size_t n = f ? fread(buf, 1, size - 1, f) : 0;
    buf[n] = '\0';
    return n;
}

void sj_process_service(const char *comm, const char *argv0, char *out, size_t size)
{
    size_t n = strlen(comm);
    const char *slash = strrchr(argv0, '/');
    const char *base = slash ? slash + 1 : argv0;
    /* the kernel keeps 15 bytes of a name; the command line has the rest of it, if the process has not renamed itself
     */
    if (n == SJ_COMM_LEN - 1 && strncmp(base, comm, n) == 0)
        snprintf(out, size, "%s", base);
    else
        snprintf(out, size, "%s", comm);
}

void sj_container_of_cgroup(const char *text, char *out, size_t size)
{
    const char *found = NULL;
    size_t run = 0;
    out[0] = '\0';
    for (const char *p = text; *p; p++) {
        run = isxdigit((unsigned char)*p) ? run + 1 : 0;
        if (run == 64 && !isxdigit((unsigned char)p[1]))
            found = p - 63;
    }
    if (found)
        snprintf(out, size, "%.64s", found);
}

static struct sj_process *slot_for(struct sj_processes *t, uint32_t tgid)
{
    struct sj_process **slot = &t->slots[tgid % SLOTS];
    if (!*slot)
        *slot = calloc(1, sizeof(**slot));
    else if ((*slot)->tgid != tgid)
        memset(*slot, 0, sizeof(**slot));
    if (*slot)
        (*slot)->tgid = tgid;
    return *slot;
}

static void fill(struct sj_process *p, const char *comm)
{
    char text[4096];
    memcpy(p->comm, comm, sizeof(p->comm));
    p->comm[sizeof(p->comm) - 1] = '\0';
    text[0] = '\0';
    if (strlen(p->comm) == sizeof(p->comm) - 1)
        read_proc(p->tgid, "cmdline", text, sizeof(text));
    sj_process_service(p->comm, text, p->service, sizeof(p->service));
    read_proc(p->tgid, "cgroup", text, sizeof(text));
    sj_container_of_cgroup(text, p->container, sizeof(p->container));
}

void sj_processes_learn(struct sj_processes *t, const struct sj_rec_conn *rec)
{
    struct sj_process *p = slot_for(t, rec->h.tgid);
    if (!p)
        return;
    /* a number may have been given to another process, and a process may have been renamed by exec */
    if (p->start == rec->thread_group_start && memcmp(p->comm, rec->comm, sizeof(p->comm)) == 0)
        return;
    p->start = rec->thread_group_start;
    p->cgroup = rec->cgroup;
    fill(p, rec->comm);
}

const struct sj_process *sj_processes_find(struct sj_processes *t, uint32_t tgid)
{
    struct sj_process *p = t->slots[tgid % SLOTS];
    if (p && p->tgid == tgid)
        return p;
    p = tgid ? slot_for(t, tgid) : NULL;
    if (!p)
        return &t->unknown;
    char comm[64];
    size_t n = read_proc(tgid, "comm", comm, sizeof(comm));
    comm[n < SJ_COMM_LEN ? n : SJ_COMM_LEN - 1] = '\0';
    comm[strcspn(comm, "\n")] = '\0';
    memset(comm + strlen(comm), 0, sizeof(comm) - strlen(comm));
    fill(p, comm);
    return p;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "probe/probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/kernel.h"
#include "probe/lockdown.h"
#include "probe/object.h"
#include "probe/sets.h"

#define MAX_LINKS 16

struct sj_probe {
    const struct sj_probe_set *set;
    struct sj_object object;
    struct bpf_link *links[MAX_LINKS]; /* of the set's programs */
    struct bpf_link *flush;
    struct bpf_link *old;
    struct sj_lockdown *lockdown; /* NULL where the kernel needs no such care */
    struct {                      /* variables of the kernel side */
        uint32_t *old_pass;
        uint64_t *flush_idle_ns;
        uint32_t *flush_pass;
        uint64_t *tails_left;
        uint64_t *open_turns;
        uint32_t *gauge_wanted;
        uint64_t *connections;
        uint32_t *overflow_generation;
        uint8_t *asks;
    } var;
    unsigned cpus;
    uint32_t log_bytes;
    uint32_t aside_bytes;
    uint64_t tails; /* the counter, when the last flush began */
};

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
    (void)level;
    (void)fmt;
    (void)ap;
    return 0;
}

#define LOG_LEAST 32768U /* a log is full when less than SJ_LOG_SLACK is left */
#define ASIDE_LEAST 16384U

/* The largest power of two of which n fit into total, but not less than `least`. */
static uint32_t share_of(uint32_t total, unsigned n, uint32_t least)
{
    uint32_t size = least;
    while ((uint64_t)size * 2 * n <= total)
        size *= 2;
    return size;
}

#define ASKS 65536
#define ROLES (SJ_ROLE_SLOTS * sizeof(uint64_t))

static void find_variables(struct sj_probe *p)
{
    const struct sj_object *o = &p->object;
    p->var.old_pass = sj_object_variable(o, "old_pass", sizeof(uint32_t));
    p->var.flush_idle_ns = sj_object_variable(o, "flush_idle_ns", sizeof(uint64_t));
    p->var.flush_pass = sj_object_variable(o, "flush_pass", sizeof(uint32_t));
    p->var.tails_left = sj_object_variable(o, "tails_left", sizeof(uint64_t));
    p->var.open_turns = sj_object_variable(o, "open_turns", ROLES);
    p->var.gauge_wanted = sj_object_variable(o, "gauge_wanted", sizeof(uint32_t));
    p->var.connections = sj_object_variable(o, "connections", ROLES);
    p->var.overflow_generation = sj_object_variable(o, "overflow_generation", sizeof(uint32_t));
    p->var.asks = sj_object_variable(o, "asks", ASKS);
}

static void configure(struct sj_object *o, const struct sj_measure_options *opts, uint32_t log_bytes)
{
    const struct sj_filter *f = &opts->filter;
    bool clock = opts->stages == SJ_STAGES_ALL, by_comm = f->comm[0] != '\0';
    uint32_t tgid = f->pid, level = f->cgroup_level, self = (uint32_t)getpid();
    uint32_t companion = opts->companion ? opts->companion : self;
    uint16_t port = f->port;
    uint8_t role = (uint8_t)f->role;
    uint64_t cgroup = f->cgroup;
    sj_object_set(o, "cfg_clock", &clock, sizeof(clock));
    sj_object_set(o, "cfg_payload", &opts->payload, sizeof(opts->payload));
    sj_object_set(o, "cfg_tgid", &tgid, sizeof(tgid));
    sj_object_set(o, "cfg_port", &port, sizeof(port));
    sj_object_set(o, "cfg_role", &role, sizeof(role));
    sj_object_set(o, "cfg_by_comm", &by_comm, sizeof(by_comm));
    sj_object_set(o, "cfg_comm", f->comm, sizeof(f->comm));
    sj_object_set(o, "cfg_cgroup", &cgroup, sizeof(cgroup));
    sj_object_set(o, "cfg_cgroup_level", &level, sizeof(level));
    sj_object_set(o, "cfg_self", &self, sizeof(self));
    sj_object_set(o, "cfg_companion", &companion, sizeof(companion));
    sj_object_set(o, "cfg_log_size", &log_bytes, sizeof(log_bytes));
}

/* Programs that are not needed are not loaded. */
static void choose_programs(struct sj_probe *p, const struct sj_measure_options *opts, bool walk)
{
    bpf_program__set_autoload(sj_object_program(&p->object, walk ? "on_flush_files" : "on_flush"), false);
    for (const struct sj_probe_program *program = p->set->programs; program->name; program++)
        if (program->clock && opts->stages != SJ_STAGES_ALL)
            bpf_program__set_autoload(sj_object_program(&p->object, program->name), false);
}

enum { OVERFLOW_WORDS = sizeof(struct sj_overflow_value) / sizeof(int64_t) };

/* Runs an iterator to its end; what it prints is nothing. */
static int run_iterator(const struct bpf_link *link, struct sj_err *err)
{
    sj_autoclose int fd = bpf_iter_create(bpf_link__fd(link));
    if (fd < 0)
        return sj_fail(err, EX_OSERR, "cannot walk the sockets: %s", strerror(errno));
    char buf[256];
    ssize_t n;
    do
        n = read(fd, buf, sizeof(buf));
    while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
    if (n < 0)
        return sj_fail(err, EX_OSERR, "cannot walk the sockets: %s", strerror(errno));
    return 0;
}

/* Those programs of the set that are needed before the listeners are known, or the others. */
static int attach_programs(struct sj_probe *p, bool listeners, struct sj_err *err)
{
    for (unsigned i = 0; p->set->programs[i].name; i++) {
        struct bpf_program *prog = sj_object_program(&p->object, p->set->programs[i].name);
        if (p->set->programs[i].listeners != listeners || !bpf_program__autoload(prog))
            continue;
        p->links[i] = bpf_program__attach(prog);
        if (!p->links[i])
            return sj_fail(err, EX_OSERR, "cannot attach %s: %s", bpf_program__section_name(prog), strerror(errno));
    }
    return 0;
}

static int walk_old_sockets(struct sj_probe *p, uint32_t pass, struct sj_err *err)
{
    *p->var.old_pass = pass;
    return run_iterator(p->old, err);
}

static int attach_walks(struct sj_probe *p, struct sj_err *err)
{
    union bpf_iter_link_info info = {.map.map_fd = (__u32)sj_object_map_fd(&p->object, "conns")};
    LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
    struct bpf_program *flush = sj_object_program(&p->object, "on_flush");
    p->old = bpf_program__attach_iter(sj_object_program(&p->object, "on_old_socket"), NULL);
    p->flush = bpf_program__autoload(flush)
                   ? bpf_program__attach_iter(flush, &opts)
                   : bpf_program__attach_iter(sj_object_program(&p->object, "on_flush_files"), NULL);
    if (!p->old || !p->flush)
        return sj_fail(err, EX_OSERR, "cannot attach the walks over sockets: %s", strerror(errno));
    return 0;
}

/*
 * In this order: new listeners tell of themselves from the first attachment on, the others are noted before any request
 * is seen, since who has a listener is the server; connections that tell nothing by then get their state last.
 */
static int attach(struct sj_probe *p, struct sj_err *err)
{
    if (attach_walks(p, err) || attach_programs(p, true, err) || walk_old_sockets(p, 1, err) ||
        attach_programs(p, false, err))
        return -1;
    if (walk_old_sockets(p, 2, err))
        return -1;
    *p->var.old_pass = 3;
    return 0;
}

static int load(struct sj_probe *p, const struct sj_measure_options *opts, bool walk, struct sj_err *err)
{
    size_t len;
    const void *elf = p->set->elf(&len);
    if (!p->set->reads_kernel && sj_lockdown_hides_kernel()) {
        p->lockdown = sj_lockdown_begin();
        if (!p->lockdown)
            return sj_fail(err, EX_OSERR, "cannot prepare the BPF programs for a locked kernel: %s", strerror(errno));
    }
    if (sj_object_open(&p->object, elf, len, err))
        return -1;
    configure(&p->object, opts, p->log_bytes);
    choose_programs(p, opts, walk);
    struct bpf_map *logs = bpf_object__find_map_by_name(p->object.bpf, "logs");
    struct bpf_map *aside = bpf_object__find_map_by_name(p->object.bpf, "aside");
    if (bpf_map__set_max_entries(logs, p->cpus) ||
        bpf_map__set_value_size(logs, SJ_LOG_HEAD + p->log_bytes + 2 * SJ_LOG_SLACK) ||
        bpf_map__set_max_entries(aside, p->aside_bytes))
        return sj_fail(err, EX_SOFTWARE, "cannot size the buffers: %s", strerror(errno));
    if (sj_object_load(&p->object))
        return sj_kernel_explain_load(errno, p->cpus, p->log_bytes, err);
    find_variables(p);
    return 0;
}

/* All but the attaching; *out is the caller's, who closes it. */
static int prepare(const struct sj_measure_options *opts, struct sj_probe **out, struct sj_err *err)
{
    libbpf_set_print(quiet);
    /* Kernels before 5.11 charge BPF memory to this limit; where it cannot be raised and is not needed, no harm done.
     */
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &unlimited);
    const struct sj_probe_set *set;
    bool walks;
    if (sj_kernel_choose(opts->probe_set, opts->stages == SJ_STAGES_ALL, &set, &walks, err))
        return -1;
    int cpus = libbpf_num_possible_cpus();
    if (cpus < 1)
        return sj_fail(err, EX_OSERR, "cannot tell the number of CPUs: %s", strerror(-cpus));
    struct sj_probe *p = calloc(1, sizeof(*p));
    if (!p)
        return sj_fail(err, EX_OSERR, "out of memory");
    p->set = set;
    p->cpus = (unsigned)cpus;
    p->log_bytes = share_of(opts->ring_bytes, p->cpus, LOG_LEAST);
    p->aside_bytes = share_of(opts->ring_bytes / 16, 1, ASIDE_LEAST);
    if (load(p, opts, walks, err)) {
        sj_probe_close(p);
        return -1;
    }
    *out = p;
    return 0;
}

int sj_probe_open(const struct sj_measure_options *opts, struct sj_probe **out, struct sj_err *err)
{
    struct sj_probe *p;
    if (prepare(opts, &p, err))
        return -1;
    if (attach(p, err)) {
        sj_probe_close(p);
        return -1;
    }
    malloc_trim(0); /* loading took some MiB for the kernel's types, which would stay with the process */
    *out = p;
    return 0;
}

int sj_probe_try(const struct sj_measure_options *opts, struct sj_err *err)
{
    struct sj_probe *p;
    if (prepare(opts, &p, err))
        return -1;
    sj_probe_close(p);
    return 0;
}

void sj_probe_detach(struct sj_probe *p)
{
    for (unsigned i = 0; i < MAX_LINKS; i++) {
        bpf_link__destroy(p->links[i]);
        p->links[i] = NULL;
    }
}

void sj_probe_close(struct sj_probe *p)
{
    if (!p)
        return;
    sj_probe_detach(p);
    bpf_link__destroy(p->flush);
    bpf_link__destroy(p->old);
    sj_object_close(&p->object);
    sj_lockdown_end(p->lockdown);
    free(p);
}

const char *sj_probe_set_name(const struct sj_probe *p)
{
    return p->set->name;
}

unsigned sj_probe_logs(const struct sj_probe *p)
{
    return p->cpus;
}

int sj_probe_logs_fd(const struct sj_probe *p)
{
    return sj_object_map_fd(&p->object, "logs");
}

uint32_t sj_probe_log_bytes(const struct sj_probe *p)
{
    return p->log_bytes;
}

int sj_probe_aside_fd(const struct sj_probe *p)
{
    return sj_object_map_fd(&p->object, "aside");
}

uint32_t sj_probe_aside_bytes(const struct sj_probe *p)
{
    return p->aside_bytes;
}

int sj_probe_flush(struct sj_probe *p, uint64_t idle_ns, uint64_t open_turns[SJ_ROLE_SLOTS], struct sj_err *err)
{
    struct sj_counters k;
    if (sj_probe_counters(p, &k, err))
        return -1;
    if (!open_turns && !*p->var.gauge_wanted && k.tails == p->tails && !*p->var.tails_left)
        return 0; /* there is nothing to be found */
    p->tails = k.tails;
    *p->var.tails_left = 0;
    memset(p->var.open_turns, 0, ROLES);
    *p->var.flush_idle_ns = idle_ns;
    ++*p->var.flush_pass;
    if (run_iterator(p->flush, err))
        return -1;
    if (open_turns)
        memcpy(open_turns, p->var.open_turns, ROLES);
    return 0;
}

int sj_probe_counters(const struct sj_probe *p, struct sj_counters *out, struct sj_err *err)
{
    enum { WORDS = sizeof(struct sj_counters) / sizeof(uint64_t) };
    sj_autofree uint64_t *values = calloc((size_t)p->cpus * WORDS, sizeof(*values));
    uint64_t sum[WORDS] = {0};
    uint32_t zero = 0;
    if (!values)
        return sj_fail(err, EX_OSERR, "out of memory");
    if (bpf_map_lookup_elem(sj_object_map_fd(&p->object, "counters"), &zero, values))
        return sj_fail(err, EX_OSERR, "cannot read the kernel side's counters: %s", strerror(errno));
    for (unsigned cpu = 0; cpu < p->cpus; cpu++)
        for (unsigned i = 0; i < WORDS; i++)
            sum[i] += values[cpu * WORDS + i];
    memcpy(out, sum, sizeof(*out));
    return 0;
}

bool sj_probe_readable(const struct sj_probe *p)
{
    struct sj_counters sum;
    sj_autoclose int walk = bpf_iter_create(bpf_link__fd(p->flush));
    return walk >= 0 && sj_probe_counters(p, &sum, NULL) == 0;
}

uint64_t sj_probe_misses(const struct sj_probe *p)
{
    uint64_t misses = 0;
    for (const struct sj_probe_program *program = p->set->programs; program->name; program++) {
        struct bpf_prog_info info = {0};
        uint32_t len = sizeof(info);
        int fd = program->counts ? bpf_program__fd(sj_object_program(&p->object, program->name)) : -1;
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
            misses += info.recursion_misses;
    }
    return misses;
}

void sj_probe_want_answers(struct sj_probe *p, uint64_t conn)
{
    p->var.asks[conn % ASKS] = 1;
}

/* One cell, summed over the CPUs; values: room for those of all. */
static int tell_cell(const struct sj_probe *p, const struct sj_overflow_key *key, int64_t *values, sj_overflow_fn fn,
                     void *ctx, struct sj_err *err)
{
    int64_t sum[OVERFLOW_WORDS] = {0};
    struct sj_overflow_value v;
    if (bpf_map_lookup_elem(sj_object_map_fd(&p->object, "overflow"), key, values))
        return 0;
    for (unsigned cpu = 0; cpu < p->cpus; cpu++)
        for (unsigned i = 0; i < OVERFLOW_WORDS; i++)
            sum[i] += values[cpu * OVERFLOW_WORDS + i];
    memcpy(&v, sum, sizeof(v));
    return fn(ctx, key, &v, err);
}

int sj_probe_overflow(const struct sj_probe *p, sj_overflow_fn fn, void *ctx, struct sj_err *err)
{
    int fd = sj_object_map_fd(&p->object, "overflow");
    sj_autofree int64_t *values = calloc((size_t)p->cpus * OVERFLOW_WORDS, sizeof(*values));
    if (!values)
        return sj_fail(err, EX_OSERR, "out of memory");
    struct sj_overflow_key key, next;
    for (void *from = NULL; bpf_map_get_next_key(fd, from, &next) == 0; from = &key) {
        key = next;
        if (tell_cell(p, &key, values, fn, ctx, err))
            return -1;
    }
    return 0;
}

int sj_probe_overflow_drain(struct sj_probe *p, sj_overflow_fn fn, void *ctx, struct sj_err *err)
{
    int fd = sj_object_map_fd(&p->object, "overflow");
    uint16_t current = (uint16_t)*p->var.overflow_generation;
    sj_autofree int64_t *values = calloc((size_t)p->cpus * OVERFLOW_WORDS, sizeof(*values));
    if (!values)
        return sj_fail(err, EX_OSERR, "out of memory");
    struct sj_overflow_key key, next;
    int more = bpf_map_get_next_key(fd, NULL, &next);
    while (more == 0) {
        key = next;
        more = bpf_map_get_next_key(fd, &key, &next); /* before the key goes, or the walk would begin anew */
        if (key.generation == current)
            continue;
        if (tell_cell(p, &key, values, fn, ctx, err))
            return -1;
        bpf_map_delete_elem(fd, &key);
    }
    ++*p->var.overflow_generation;
    return 0;
}

int sj_probe_take_stock(struct sj_probe *p, uint64_t idle_ns, uint64_t open_turns[SJ_ROLE_SLOTS],
                        uint64_t connections[SJ_ROLE_SLOTS], sj_gauge_fn fn, void *ctx, struct sj_err *err)
{
    int fd = sj_object_map_fd(&p->object, "gauges");
    memset(p->var.connections, 0, ROLES);
    *p->var.gauge_wanted = 1;
    int status = sj_probe_flush(p, idle_ns, open_turns, err);
    *p->var.gauge_wanted = 0;
    if (status)
        return -1;
    memcpy(connections, p->var.connections, ROLES);
    struct sj_gauge_key key, next;
    struct sj_gauge gauge;
    int more = bpf_map_get_next_key(fd, NULL, &next);
    while (more == 0) {
        key = next;
        more = bpf_map_get_next_key(fd, &key, &next);
        if (bpf_map_lookup_elem(fd, &key, &gauge))
            continue;
        if (gauge.pass != *p->var.flush_pass)
            bpf_map_delete_elem(fd, &key);
        else if (fn(ctx, &key, &gauge, err))
            return -1;
    }
    return 0;
}

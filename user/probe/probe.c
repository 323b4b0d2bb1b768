// SPDX-License-Identifier: GPL-3.0-or-later
#include "probe/probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/kernel.h"
#include "socket.skel.h"

struct sj_probe {
    struct socket_bpf *skel;
    struct bpf_link *flush;
    struct bpf_link *old;
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

static void configure(struct socket_bpf *skel, const struct sj_measure_options *o, uint32_t log_bytes)
{
    skel->rodata->cfg_clock = o->stages == SJ_STAGES_ALL;
    skel->rodata->cfg_payload = o->payload;
    skel->rodata->cfg_tgid = o->filter.pid;
    skel->rodata->cfg_port = o->filter.port;
    skel->rodata->cfg_role = o->filter.role;
    skel->rodata->cfg_by_comm = o->filter.comm[0] != '\0';
    memcpy((void *)(uintptr_t)skel->rodata->cfg_comm, o->filter.comm, sizeof(o->filter.comm));
    skel->rodata->cfg_cgroup = o->filter.cgroup;
    skel->rodata->cfg_cgroup_level = o->filter.cgroup_level;
    skel->rodata->cfg_self = (uint32_t)getpid();
    skel->rodata->cfg_log_size = log_bytes;
    if (!skel->rodata->cfg_clock) {
        bpf_program__set_autoload(skel->progs.on_switch, false);
        bpf_program__set_autoload(skel->progs.on_wakeup, false);
        bpf_program__set_autoload(skel->progs.on_signal, false);
    }
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

static int attach_one(struct bpf_program *prog, struct bpf_link **link, struct sj_err *err)
{
    if (!bpf_program__autoload(prog))
        return 0;
    *link = bpf_program__attach(prog);
    if (*link)
        return 0;
    return sj_fail(err, EX_OSERR, "cannot attach %s: %s", bpf_program__section_name(prog), strerror(errno));
}

static int walk_old_sockets(struct sj_probe *p, uint32_t pass, struct sj_err *err)
{
    p->skel->bss->old_pass = pass;
    return run_iterator(p->old, err);
}

/*
 * In this order: new listeners tell of themselves from the first attachment on, the others are noted before any request
 * is seen, since who has a listener is the server; connections that tell nothing by then get their state last.
 */
static int attach(struct sj_probe *p, struct sj_err *err)
{
    struct socket_bpf *s = p->skel;
    union bpf_iter_link_info info = {.map.map_fd = (__u32)bpf_map__fd(s->maps.conns)};
    LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
    p->old = bpf_program__attach_iter(s->progs.on_old_socket, NULL);
    p->flush = bpf_program__autoload(s->progs.on_flush) ? bpf_program__attach_iter(s->progs.on_flush, &opts)
                                                        : bpf_program__attach_iter(s->progs.on_flush_files, NULL);
    if (!p->old || !p->flush)
        return sj_fail(err, EX_OSERR, "cannot attach the walks over sockets: %s", strerror(errno));
    if (attach_one(s->progs.on_state, &s->links.on_state, err) || walk_old_sockets(p, 1, err) ||
        attach_one(s->progs.on_wakeup, &s->links.on_wakeup, err) ||
        attach_one(s->progs.on_signal, &s->links.on_signal, err) ||
        attach_one(s->progs.on_switch, &s->links.on_switch, err) ||
        attach_one(s->progs.on_send, &s->links.on_send, err) || attach_one(s->progs.on_recv, &s->links.on_recv, err) ||
        attach_one(s->progs.on_data_ready, &s->links.on_data_ready, err))
        return -1;
    if (walk_old_sockets(p, 2, err))
        return -1;
    s->bss->old_pass = 3;
    return 0;
}

static int load(struct sj_probe *p, const struct sj_measure_options *opts, bool walk, struct sj_err *err)
{
    p->skel = socket_bpf__open();
    if (!p->skel)
        return sj_fail(err, EX_SOFTWARE, "cannot open the BPF object: %s", strerror(errno));
    configure(p->skel, opts, p->log_bytes);
    bpf_program__set_autoload(walk ? p->skel->progs.on_flush_files : p->skel->progs.on_flush, false);
    if (bpf_map__set_max_entries(p->skel->maps.logs, p->cpus) ||
        bpf_map__set_value_size(p->skel->maps.logs, SJ_LOG_HEAD + p->log_bytes + 2 * SJ_LOG_SLACK) ||
        bpf_map__set_max_entries(p->skel->maps.aside, p->aside_bytes))
        return sj_fail(err, EX_SOFTWARE, "cannot size the buffers: %s", strerror(errno));
    if (socket_bpf__load(p->skel))
        return sj_kernel_explain_load(errno, p->cpus, p->log_bytes, err);
    return 0;
}

/* All but the attaching; *out is the caller's, who closes it. */
static int prepare(const struct sj_measure_options *opts, struct sj_probe **out, struct sj_err *err)
{
    libbpf_set_print(quiet);
    bool walk = false;
    if (sj_kernel_require(opts->probe_set, opts->stages == SJ_STAGES_ALL, &walk, err))
        return -1;
    int cpus = libbpf_num_possible_cpus();
    if (cpus < 1)
        return sj_fail(err, EX_OSERR, "cannot tell the number of CPUs: %s", strerror(-cpus));
    struct sj_probe *p = calloc(1, sizeof(*p));
    if (!p)
        return sj_fail(err, EX_OSERR, "out of memory");
    p->cpus = (unsigned)cpus;
    p->log_bytes = share_of(opts->ring_bytes, p->cpus, LOG_LEAST);
    p->aside_bytes = share_of(opts->ring_bytes / 4, 1, ASIDE_LEAST);
    /* Kernels before 5.11 charge BPF memory to this limit; where it cannot be raised and is not needed, no harm done.
     */
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &unlimited);
    if (load(p, opts, walk, err)) {
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
    socket_bpf__detach(p->skel);
}

void sj_probe_close(struct sj_probe *p)
{
    if (!p)
        return;
    bpf_link__destroy(p->flush);
    bpf_link__destroy(p->old);
    socket_bpf__destroy(p->skel);
    free(p);
}

const char *sj_probe_set_name(const struct sj_probe *p)
{
    (void)p;
    return "socket";
}

unsigned sj_probe_logs(const struct sj_probe *p)
{
    return p->cpus;
}

int sj_probe_logs_fd(const struct sj_probe *p)
{
    return bpf_map__fd(p->skel->maps.logs);
}

uint32_t sj_probe_log_bytes(const struct sj_probe *p)
{
    return p->log_bytes;
}

int sj_probe_aside_fd(const struct sj_probe *p)
{
    return bpf_map__fd(p->skel->maps.aside);
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
    if (!open_turns && !p->skel->bss->gauge_wanted && k.tails == p->tails && !p->skel->bss->tails_left)
        return 0; /* there is nothing to be found */
    p->tails = k.tails;
    p->skel->bss->tails_left = 0;
    memset(p->skel->bss->open_turns, 0, sizeof(p->skel->bss->open_turns));
    p->skel->bss->flush_idle_ns = idle_ns;
    p->skel->bss->flush_pass++;
    if (run_iterator(p->flush, err))
        return -1;
    if (open_turns)
        memcpy(open_turns, p->skel->bss->open_turns, sizeof(p->skel->bss->open_turns));
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
    if (bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.counters), &zero, values))
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
    struct bpf_program *prog;
    bpf_object__for_each_program(prog, p->skel->obj)
    {
        struct bpf_prog_info info = {0};
        uint32_t len = sizeof(info);
        int fd = prog == p->skel->progs.on_recv || prog == p->skel->progs.on_send ? bpf_program__fd(prog) : -1;
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
            misses += info.recursion_misses;
    }
    return misses;
}

void sj_probe_want_answers(struct sj_probe *p, uint64_t conn)
{
    p->skel->bss->asks[conn % sizeof(p->skel->bss->asks)] = 1;
}

/* One cell, summed over the CPUs; values: room for those of all. */
static int tell_cell(const struct sj_probe *p, const struct sj_overflow_key *key, int64_t *values, sj_overflow_fn fn,
                     void *ctx, struct sj_err *err)
{
    int64_t sum[OVERFLOW_WORDS] = {0};
    struct sj_overflow_value v;
    if (bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.overflow), key, values))
        return 0;
    for (unsigned cpu = 0; cpu < p->cpus; cpu++)
        for (unsigned i = 0; i < OVERFLOW_WORDS; i++)
            sum[i] += values[cpu * OVERFLOW_WORDS + i];
    memcpy(&v, sum, sizeof(v));
    return fn(ctx, key, &v, err);
}

int sj_probe_overflow(const struct sj_probe *p, sj_overflow_fn fn, void *ctx, struct sj_err *err)
{
    int fd = bpf_map__fd(p->skel->maps.overflow);
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
    int fd = bpf_map__fd(p->skel->maps.overflow);
    uint16_t current = (uint16_t)p->skel->bss->overflow_generation;
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
    p->skel->bss->overflow_generation++;
    return 0;
}

int sj_probe_take_stock(struct sj_probe *p, uint64_t idle_ns, uint64_t open_turns[SJ_ROLE_SLOTS],
                        uint64_t connections[SJ_ROLE_SLOTS], sj_gauge_fn fn, void *ctx, struct sj_err *err)
{
    int fd = bpf_map__fd(p->skel->maps.gauges);
    memset(p->skel->bss->connections, 0, sizeof(p->skel->bss->connections));
    p->skel->bss->gauge_wanted = 1;
    int status = sj_probe_flush(p, idle_ns, open_turns, err);
    p->skel->bss->gauge_wanted = 0;
    if (status)
        return -1;
    memcpy(connections, p->skel->bss->connections, sizeof(p->skel->bss->connections));
    struct sj_gauge_key key, next;
    struct sj_gauge gauge;
    int more = bpf_map_get_next_key(fd, NULL, &next);
    while (more == 0) {
        key = next;
        more = bpf_map_get_next_key(fd, &key, &next);
        if (bpf_map_lookup_elem(fd, &key, &gauge))
            continue;
        if (gauge.pass != p->skel->bss->flush_pass)
            bpf_map_delete_elem(fd, &key);
        else if (fn(ctx, &key, &gauge, err))
            return -1;
    }
    return 0;
}

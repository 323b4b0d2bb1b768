// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/live.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "collect/collector.h"
#include "collect/counted.h"
#include "collect/ledger.h"
#include "collect/processes.h"
#include "decode/assemble.h"
#include "probe/probe.h"

#define MS 1000000ULL
#define TICK_NS (100 * MS)
/* A turn is told as over within IDLE + FLUSH + the delays of polling and merging: less than a second. */
#define FLUSH_NS (400 * MS)
#define IDLE_NS (400 * MS)
#define POLL_LEAST_NS (1 * MS)
#define POLL_MOST_NS (25 * MS)
#define STATUS_NS (1000 * MS)
/* So many more times are counted turns looked for after the last one came: its answer may go on. */
#define DRAINS_AFTER 5
#define GAUGES_MAX 1024
/* One timed run that was interrupted can be a thousand times too long: of fewer runs than this nothing is concluded. */
#define COST_SAMPLES_LEAST 16

struct live {
    const struct sj_measure_options *opts;
    const struct sj_sink *sink;
    struct sj_filter filter; /* what the kernel has not applied already */
    struct sj_probe *probe;
    struct sj_collector collector;
    void *logs; /* the mapped logs of all CPUs */
    size_t logs_len;
    struct sj_assembler *assembler;
    struct sj_processes *processes;
    struct sj_measurement measurement;
    uint64_t delivered;
    uint64_t unparsed;
    uint64_t flushed; /* when the last flush began */
    uint64_t expired; /* the flush up to which requests were finished */
    struct lasting {  /* of a measurement that tells how it stands */
        struct sj_ledger *ledger;
        struct sj_live_gauge *gauges; /* GAUGES_MAX; NULL: the measurement has an end */
        size_t n_gauges;
        uint64_t told;         /* when it last did */
        uint64_t counted_seen; /* the kernel side's count of counted turns then */
        unsigned drains;
        uint64_t vanished;
    } lasting;
    uint64_t counted_only;
    bool lower_bound;
};

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- what the assembler asks for ---- */

static int on_request(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    struct live *l = ctx;
    if (!sj_filter_match(&l->filter, req))
        return 0;
    l->delivered++;
    if (req->flags & SJ_REQ_UNPARSED)
        l->unparsed++;
    return l->sink->request ? l->sink->request(l->sink->ctx, req, err) : 0;
}

static const struct sj_process *on_process(void *ctx, uint32_t tgid)
{
    return sj_processes_find(((struct live *)ctx)->processes, tgid);
}

static void on_seen(void *ctx, const struct sj_rec_conn *rec)
{
    sj_processes_learn(((struct live *)ctx)->processes, rec);
}

static void on_want_answers(void *ctx, uint64_t conn)
{
    sj_probe_want_answers(((struct live *)ctx)->probe, conn);
}

static int on_record(void *ctx, const struct sj_rec *rec, uint32_t len, struct sj_err *err)
{
    return sj_assembler_record(((struct live *)ctx)->assembler, rec, len, err);
}

/* ---- start and end ---- */

static int open_streams(struct live *l, struct sj_err *err)
{
    unsigned n = sj_probe_logs(l->probe);
    size_t stride = SJ_LOG_HEAD + sj_probe_log_bytes(l->probe) + 2 * SJ_LOG_SLACK;
    if (sj_collector_open(&l->collector, n + 1, err))
        return -1;
    l->logs_len = stride * n;
    l->logs = mmap(NULL, l->logs_len, PROT_READ | PROT_WRITE, MAP_SHARED, sj_probe_logs_fd(l->probe), 0);
    if (l->logs == MAP_FAILED)
        return sj_fail(err, EX_OSERR, "cannot map the logs: %s", strerror(errno));
    for (unsigned i = 0; i < n; i++)
        sj_ring_open_log(&l->collector.rings[i], (struct sj_log *)(void *)((char *)l->logs + i * stride),
                         sj_probe_log_bytes(l->probe));
    return sj_ring_open(&l->collector.rings[n], sj_probe_aside_fd(l->probe), sj_probe_aside_bytes(l->probe), err);
}

static int live_open(struct live *l, const struct sj_live_control *control, struct sj_err *err)
{
    struct sj_assembler_ops ops = {
        .ctx = l, .request = on_request, .process = on_process, .seen = on_seen, .want_answers = on_want_answers};
    l->processes = sj_processes_new();
    l->assembler = sj_assembler_new(&ops);
    if (control->status) {
        l->lasting.ledger = sj_ledger_new();
        l->lasting.gauges = calloc(GAUGES_MAX, sizeof(*l->lasting.gauges));
        l->lasting.drains = DRAINS_AFTER;
    }
    if (!l->processes || !l->assembler || (control->status && (!l->lasting.ledger || !l->lasting.gauges)))
        return sj_fail(err, EX_OSERR, "out of memory");
    /* the kernel applies these, and for a process tree or a cgroup tree it knows better than one id can say */
    l->filter = l->opts->filter;
    l->filter.pid = 0;
    l->filter.cgroup = 0;
    l->filter.comm[0] = '\0';
    if (sj_probe_open(l->opts, &l->probe, err))
        return -1;
    return open_streams(l, err);
}

static void live_close(struct live *l)
{
    sj_ledger_free(l->lasting.ledger);
    free(l->lasting.gauges);
    sj_collector_close(&l->collector);
    if (l->logs && l->logs != MAP_FAILED)
        munmap(l->logs, l->logs_len);
    sj_probe_close(l->probe);
    sj_assembler_free(l->assembler);
    sj_processes_free(l->processes);
}

static void describe(struct live *l)
{
    struct sj_measurement *m = &l->measurement;
    unsigned stages = sj_stages_of_role(SJ_ROLE_SERVER) | sj_stages_of_role(SJ_ROLE_CLIENT);
    unsigned clock = 1U << SJ_STAGE_ONCPU | 1U << SJ_STAGE_BUSY | 1U << SJ_STAGE_RUNQ | 1U << SJ_STAGE_BLOCKED |
                     1U << SJ_STAGE_HANDOFF;
    if (l->opts->stages == SJ_STAGES_NONE)
        stages = 0;
    else if (l->opts->stages == SJ_STAGES_QUEUE)
        stages &= ~clock;
    if (gethostname(m->host, sizeof(m->host) - 1))
        m->host[0] = '\0';
    snprintf(m->label, sizeof(m->label), "%s", l->opts->label ? l->opts->label : "");
    snprintf(m->probe_set, sizeof(m->probe_set), "%s", sj_probe_set_name(l->probe));
    m->stages = stages;
    m->start_mono_ns = sj_clock_ns(CLOCK_MONOTONIC);
    m->start_real_ns = sj_clock_ns(CLOCK_REALTIME);
}

/* ---- how it stands ---- */

/* What of a counted turn's row the filters let pass goes to the sink. */
static int on_counted(void *ctx, const struct sj_counted *row, struct sj_err *err)
{
    struct live *l = ctx;
    const struct sj_filter *f = &l->opts->filter;
    bool blind = f->operation[0] || f->container[0] || f->slower_ns;
    if (blind || (f->protocol >= 0 && f->protocol != row->protocol)) {
        l->lower_bound = true;
        return 0;
    }
    l->counted_only += row->total.count;
    l->lower_bound |= row->lower_bound;
    return l->sink->counted ? l->sink->counted(l->sink->ctx, row, err) : 0;
}

/* What was counted and is not told yet, at the end. */
static int tell_counted(struct live *l, struct sj_err *err)
{
    if (l->lasting.ledger)
        return sj_probe_overflow(l->probe, sj_ledger_cell, l->lasting.ledger, err) ||
                       sj_ledger_tell(l->lasting.ledger, on_counted, l, err)
                   ? -1
                   : 0;
    struct sj_counted_table table;
    sj_counted_init(&table);
    int status = sj_probe_overflow(l->probe, sj_counted_cell, &table, err);
    for (size_t i = 0; !status && i < table.count; i++)
        status = on_counted(l, &table.rows[i], err);
    sj_counted_fini(&table);
    return status;
}

/* All of it but what was cut off. */
static void complete(const struct live *l, const struct sj_assembler_stats *stats, const struct sj_counters *k,
                     struct sj_completeness *c)
{
    uint64_t cut = 0;
    for (int role = 0; role < SJ_ROLE_SLOTS; role++)
        cut += k->cut[role];
    c->lower_bound = l->lower_bound || stats->lower_bound;
    c->detailed = l->delivered;
    c->counted_only = l->counted_only;
    c->unparsed = l->unparsed;
    c->cut_off = stats->cut_off + (cut > stats->cut_records ? cut - stats->cut_records : 0);
    c->lost = k->lost + k->no_state + l->collector.refused + sj_probe_misses(l->probe);
    c->detail_lost = k->lost_data + k->lost_conn + k->no_clock;
}

static double kernel_seconds(const struct sj_counters *k)
{
    return k->cost_samples ? (double)k->cost_ns / (double)k->cost_samples * (double)k->cost_runs / 1e9 : NAN;
}

static int on_gauge(void *ctx, const struct sj_gauge_key *key, const struct sj_gauge *gauge, struct sj_err *err)
{
    struct lasting *t = ctx;
    (void)err;
    if (t->n_gauges == GAUGES_MAX)
        return 0;
    struct sj_live_gauge *g = &t->gauges[t->n_gauges++];
    *g = (struct sj_live_gauge){
        .role = key->role, .port = key->port, .connections = gauge->connections, .in_flight = gauge->in_flight};
    memcpy(g->service, key->comm, sizeof(g->service) - 1);
    return 0;
}

/*
 * Turns that ended without a word, at least: those that had begun before the walk over all sockets and were neither
 * found open by it nor answered or cut after it. Traffic in between makes it fewer, so it never has to be taken back.
 */
static void note_vanished(struct lasting *t, const struct sj_counters *before, const struct sj_counters *after,
                          const uint64_t open[SJ_ROLE_SLOTS])
{
    uint64_t n = 0;
    for (int role = 0; role < SJ_ROLE_SLOTS; role++) {
        uint64_t known = after->answered[role] + after->cut[role] + open[role];
        n += before->opened[role] > known ? before->opened[role] - known : 0;
    }
    t->vanished = n > t->vanished ? n : t->vanished;
}

/* Flushes, tells the sink what was counted, and the caller how things stand. */
static int tell_status(struct live *l, const struct sj_live_control *control, struct sj_err *err)
{
    struct lasting *t = &l->lasting;
    struct sj_live_status s = {.gauges = t->gauges};
    struct sj_assembler_stats stats;
    struct sj_counters before, k;
    t->n_gauges = 0;
    if (sj_probe_counters(l->probe, &before, err) ||
        sj_probe_take_stock(l->probe, IDLE_NS, s.in_flight, s.connections, on_gauge, t, err) ||
        sj_probe_counters(l->probe, &k, err))
        return -1;
    note_vanished(t, &before, &k, s.in_flight);
    if (k.counted_only != t->counted_seen)
        t->drains = DRAINS_AFTER;
    t->counted_seen = k.counted_only;
    if (t->drains > 0) {
        t->drains--;
        if (sj_probe_overflow_drain(l->probe, sj_ledger_cell, t->ledger, err) ||
            sj_ledger_tell(t->ledger, on_counted, l, err))
            return -1;
    }
    sj_assembler_stats(l->assembler, &stats);
    complete(l, &stats, &k, &s.completeness);
    s.completeness.cut_off += t->vanished;
    s.kernel_seconds = kernel_seconds(&k);
    double requests = (double)(stats.detailed + l->counted_only);
    s.kernel_seconds_per_request = requests > 0 ? s.kernel_seconds / requests : NAN;
    s.user_cpu_seconds = cpu_seconds();
    s.n_gauges = t->n_gauges;
    return control->status(control->ctx, &s, err);
}

static bool can_go_on(void *ctx)
{
    return sj_probe_readable(ctx);
}

/* ---- the loop ---- */

static int poll_once(struct live *l, const struct sj_live_control *control, uint64_t now, double *fill,
                     struct sj_err *err)
{
    if (now - l->flushed >= FLUSH_NS) {
        l->flushed = now;
        bool status = control->status && now - l->lasting.told >= STATUS_NS;
        if (status)
            l->lasting.told = now;
        if (status ? tell_status(l, control, err) : sj_probe_flush(l->probe, IDLE_NS, NULL, err))
            return -1;
    }
    uint64_t until = now - SJ_MERGE_DELAY_NS;
    if (sj_collector_poll(&l->collector, until, on_record, l, fill, err))
        return -1;
    /* all tails that the flush told have been read: what was idle by then is over */
    if (l->expired < l->flushed && until > l->flushed + 2 * SJ_MERGE_DELAY_NS) {
        l->expired = l->flushed;
        return sj_assembler_expire(l->assembler, l->flushed - IDLE_NS, err);
    }
    return 0;
}

static int rest(const struct sj_live_control *control, uint64_t ns, struct sj_err *err)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ULL), .tv_nsec = (long)(ns % 1000000000ULL)};
    if (control->wait)
        return control->wait(control->ctx, ns, err);
    nanosleep(&t, NULL);
    return 0;
}

static int measure(struct live *l, const struct sj_live_control *control, struct sj_err *err)
{
    uint64_t start = l->measurement.start_mono_ns, tick = start, pause = 5 * MS;
    uint64_t deadline = UINT64_MAX;
    if (l->opts->duration_ns && l->opts->duration_ns < UINT64_MAX - start)
        deadline = start + l->opts->duration_ns;
    double fill;
    l->flushed = start;
    l->expired = start;
    for (;;) {
        uint64_t now = sj_clock_ns(CLOCK_MONOTONIC);
        if (now >= deadline || control->over(control->ctx))
            return 0;
        if (poll_once(l, control, now, &fill, err))
            return -1;
        if (now - tick >= TICK_NS) {
            tick = now;
            if (l->sink->tick && l->sink->tick(l->sink->ctx, now, err))
                return -1;
        }
        if (fill > 0.4 && pause > POLL_LEAST_NS)
            pause /= 2;
        else if (fill < 0.2 && pause < POLL_MOST_NS)
            pause += MS;
        uint64_t left = deadline - now;
        uint64_t ns = pause < left ? pause : left;
        if (rest(control, ns, err))
            return -1;
    }
}

/* Turns that began and neither ended nor are waiting: a unix socket was closed in the middle of one. */
static uint64_t vanished(const struct sj_counters *k, const uint64_t open[SJ_ROLE_SLOTS])
{
    uint64_t n = 0;
    for (int role = 0; role < SJ_ROLE_SLOTS; role++) {
        uint64_t gone = k->answered[role] + k->cut[role] + open[role];
        if (k->opened[role] > gone)
            n += k->opened[role] - gone;
        n += open[role];
    }
    return n;
}

static int finish(struct live *l, double cpu_before, struct sj_err *err)
{
    struct sj_outcome out = {0};
    struct sj_assembler_stats stats;
    struct sj_counters k;
    uint64_t open[SJ_ROLE_SLOTS];
    double fill;
    sj_probe_detach(l->probe);
    uint64_t end = sj_clock_ns(CLOCK_MONOTONIC);
    if (sj_probe_flush(l->probe, 0, open, err) ||
        sj_collector_poll(&l->collector, UINT64_MAX, on_record, l, &fill, err) ||
        sj_assembler_finish(l->assembler, err) || tell_counted(l, err) || sj_probe_counters(l->probe, &k, err))
        return -1;
    sj_assembler_stats(l->assembler, &stats);
    complete(l, &stats, &k, &out.completeness);
    out.completeness.cut_off += vanished(&k, open);
    out.duration_s = (double)(end - l->measurement.start_mono_ns) / 1e9;
    double requests = (double)(stats.detailed + l->counted_only);
    out.kernel_seconds_per_request = NAN;
    if (k.cost_samples >= COST_SAMPLES_LEAST && requests > 0)
        out.kernel_seconds_per_request = kernel_seconds(&k) / requests;
    out.user_cpu_ratio = (cpu_seconds() - cpu_before) / out.duration_s;
    return l->sink->end ? l->sink->end(l->sink->ctx, &out, err) : 0;
}

int sj_live_run(const struct sj_measure_options *opts, const struct sj_sink *sink,
                const struct sj_live_control *control, struct sj_err *err)
{
    struct live *l = calloc(1, sizeof(*l));
    if (!l)
        return sj_fail(err, EX_OSERR, "out of memory");
    l->opts = opts;
    l->sink = sink;
    int status = live_open(l, control, err);
    if (!status) {
        describe(l);
        double cpu = cpu_seconds();
        status = sink->begin ? sink->begin(sink->ctx, &l->measurement, err) : 0;
        if (!status)
            status = sj_rights_drop(control->rights, can_go_on, l->probe, NULL, err);
        if (!status)
            status = control->ready(control->ctx, err);
        if (!status)
            status = measure(l, control, err);
        if (!status)
            status = finish(l, cpu, err);
    }
    live_close(l);
    free(l);
    return status;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/json.h"
#include "clk.h"
#include "opt.h"
#include "server.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGEST_RESPONSE (UINT64_C(64) << 20)

static uint64_t spread_sleep(const struct sj_server *srv, uint64_t n)
{
    /* The number seeds it, so that a request's sleep does not depend on who comes first on other connections. */
    uint64_t state = srv->opts.seed * UINT64_C(0x9e3779b97f4a7c15) + n;
    sj_rand_next(&state);
    double ns = 0;
    if (srv->spread.family == SJ_SPREAD_LOGNORMAL)
        ns = sj_rand_lognormal(&state, srv->spread.mean_ns, srv->spread.sigma);
    else
        ns = sj_rand_exponential(&state, srv->spread.mean_ns);
    return (uint64_t)fmin(ns, 3600e9);
}

static void override(const char *path, const char *name, uint64_t *value, bool is_duration)
{
    char text[32];
    if (!sj_msg_query(path, name, text, sizeof(text)))
        return;
    if (is_duration)
        sj_opt_duration(text, value, NULL);
    else
        sj_opt_bytes(text, value, NULL);
}

static void plan(const struct sj_server *srv, struct sj_turn *turn, bool upgrade)
{
    const struct sj_server_opts *o = &srv->opts;
    struct sj_plan p = {.cpu = o->cpu, .cpu_after = o->cpu_after, .sleep = o->sleep, .futex = o->futex};
    uint64_t status = o->status;
    p.fsync = o->fsync;
    p.size = o->response_size;
    if (srv->spread.family != SJ_SPREAD_NONE)
        p.sleep = spread_sleep(srv, turn->n);
    if (o->proto == SJ_PROTO_HTTP && strchr(turn->path, '?')) {
        override(turn->path, "cpu", &p.cpu, true);
        override(turn->path, "sleep", &p.sleep, true);
        override(turn->path, "futex", &p.futex, true);
        override(turn->path, "fsync", &p.fsync, false);
        override(turn->path, "size", &p.size, false);
        override(turn->path, "status", &status, false);
    }
    if (o->error_every && turn->n % o->error_every == 0)
        status = 500;
    p.status = status >= 200 && status < SJ_LEDGER_STATUSES ? (int)status : 500;
    if (upgrade)
        p.status = 101;
    p.size = p.size < LARGEST_RESPONSE ? p.size : LARGEST_RESPONSE;
    turn->plan = p;
}

static struct sj_turn *new_turn(struct sj_conn *conn)
{
    if (conn->n_turns == conn->cap_turns) {
        size_t cap = conn->cap_turns ? conn->cap_turns * 2 : 1;
        conn->turns = sj_grown(conn->turns, cap * sizeof(*conn->turns));
        conn->cap_turns = cap;
    }
    struct sj_turn *turn = &conn->turns[conn->n_turns++];
    memset(turn, 0, sizeof(*turn));
    return turn;
}

/* Takes a number, unless the server is stopping or has had all its requests. */
static uint64_t admit(const struct sj_server *srv)
{
    struct sj_ledger *ledger = srv->ledger;
    atomic_fetch_add(&ledger->in_service, 1);
    uint64_t n = atomic_load(&ledger->stopping) ? 0 : atomic_fetch_add(&ledger->numbers, 1) + 1;
    if (!n || (srv->opts.requests && n > srv->opts.requests)) {
        atomic_fetch_sub(&ledger->in_service, 1);
        return 0;
    }
    return n;
}

static void describe(const struct sj_server *srv, const struct sj_conn *conn, struct sj_turn *turn)
{
    if (srv->opts.proto == SJ_PROTO_HTTP) {
        memcpy(turn->method, conn->head.method, sizeof(turn->method));
        memcpy(turn->path, conn->head.path, sizeof(turn->path));
        turn->close = (srv->opts.close || conn->head.close) && !conn->head.upgrade_echo;
    } else {
        snprintf(turn->method, sizeof(turn->method), srv->opts.proto == SJ_PROTO_RAW ? "RAW" : "LINE");
        if (srv->opts.proto == SJ_PROTO_LINE)
            memcpy(turn->path, conn->head.path, sizeof(turn->path));
        turn->close = srv->opts.close;
    }
    turn->bytes_in = conn->request_bytes;
}

bool sj_turn_begin(struct sj_worker *worker, struct sj_conn *conn, bool same_thread)
{
    const struct sj_server *srv = worker->srv;
    uint64_t n = admit(srv);
    if (!n)
        return false;
    struct sj_turn *turn = new_turn(conn);
    turn->n = n;
    turn->recv_ns = conn->first_ns;
    describe(srv, conn, turn);
    plan(srv, turn, srv->opts.proto == SJ_PROTO_HTTP && conn->head.upgrade_echo);
    conn->begun = false;
    if (turn->close)
        conn->closing = true;
    bool first_of_read = same_thread && conn->first_ns > conn->prev_done && conn->n_turns == 1;
    turn->cpu_at_start = first_of_read ? conn->first_cpu : sj_clk_thread_cpu();
    turn->cpu_at_stretch = first_of_read ? conn->recv_cpu : turn->cpu_at_start;
    /* A thread of its own reads the body for this request too; a loop may have done anything in between. */
    if (first_of_read && !conn->host)
        turn->cpu_at_stretch = conn->first_cpu;
    if (!same_thread)
        turn->costs[SJ_COST_HANDOFF] = sj_clk_now() - conn->recv_ns;
    turn->runq_at_start = sj_cost_runq(worker);
    atomic_store_explicit(&srv->ledger->last_activity, turn->recv_ns, memory_order_relaxed);
    return true;
}

struct sj_turn *sj_turn_current(struct sj_conn *conn)
{
    return &conn->turns[conn->n_turns - 1];
}

void sj_turn_enter(struct sj_turn *turn)
{
    turn->cpu_at_stretch = sj_clk_thread_cpu();
}

void sj_turn_leave(struct sj_turn *turn)
{
    if (!turn->cpu_at_stretch)
        return;
    turn->costs[SJ_COST_CPU] += sj_clk_thread_cpu() - turn->cpu_at_stretch;
    turn->cpu_at_stretch = 0;
}

static void die(const struct sj_server *srv)
{
    atomic_fetch_sub(&srv->ledger->in_service, 1);
    if (srv->opts.model != SJ_MODEL_FORK)
        sj_addr_unlink(&srv->addr);
    else if (srv->opts.abort_after == srv->opts.requests)
        kill(srv->pid, SIGTERM);
    kill(getpid(), SIGKILL);
}

void sj_turn_before(struct sj_worker *worker, struct sj_conn *conn)
{
    struct sj_turn *turn = sj_turn_current(conn);
    const struct sj_plan *p = &turn->plan;
    if (p->cpu)
        sj_clk_burn(p->cpu);
    if (turn->n == worker->srv->opts.abort_after)
        die(worker->srv);
    if (p->futex)
        turn->costs[SJ_COST_FUTEX] = sj_cost_futex(worker, p->futex);
    if (p->fsync)
        turn->costs[SJ_COST_FSYNC] = sj_cost_fsync(worker, p->fsync);
    if (worker->srv->opts.downstream)
        turn->costs[SJ_COST_DOWNSTREAM] = sj_cost_downstream(worker, turn->n);
}

void sj_turn_sleep(struct sj_conn *conn)
{
    struct sj_turn *turn = sj_turn_current(conn);
    if (!turn->plan.sleep)
        return;
    uint64_t start = sj_clk_now();
    sj_clk_sleep_until(start + turn->plan.sleep);
    turn->costs[SJ_COST_SLEEP] = sj_clk_now() - start;
}

void sj_turn_after(struct sj_conn *conn)
{
    const struct sj_plan *p = &sj_turn_current(conn)->plan;
    if (p->cpu_after)
        sj_clk_burn(p->cpu_after);
}

bool sj_turn_respond(struct sj_worker *worker, struct sj_conn *conn)
{
    const struct sj_server *srv = worker->srv;
    struct sj_turn *turn = sj_turn_current(conn);
    if (srv->opts.no_reply_after && turn->n > srv->opts.no_reply_after) {
        conn->phase = SJ_CONN_MUTE;
        conn->closing = false;
        sj_turn_leave(turn);
        sj_turn_settle(worker, conn, turn, SJ_OUTCOME_UNANSWERED, sj_clk_now());
        conn->n_turns--;
        return true;
    }
    size_t before = conn->out.buf.len;
    sj_reply_add(srv, conn, turn);
    turn->bytes_out = conn->out.buf.len - before;
    if (!srv->opts.coalesce || conn->closing || conn->out.limit)
        return true;
    sj_turn_leave(turn);
    return sj_conn_next(worker, conn) != SJ_NEXT_READY;
}

void sj_turns_mark_send(struct sj_worker *worker, struct sj_conn *conn)
{
    if (!conn->n_turns || sj_turn_current(conn)->send_ns)
        return;
    uint64_t runq = sj_cost_runq(worker);
    for (size_t i = 0; i < conn->n_turns; i++) {
        struct sj_turn *turn = &conn->turns[i];
        uint64_t *s = turn->costs;
        uint64_t cpu = sj_clk_thread_cpu();
        if (turn->cpu_at_stretch)
            s[SJ_COST_CPU] += cpu - turn->cpu_at_stretch;
        turn->cpu_at_stretch = 0;
        uint64_t elapsed = cpu - turn->cpu_at_start;
        s[SJ_COST_BUSY] = elapsed > s[SJ_COST_CPU] ? elapsed - s[SJ_COST_CPU] : 0;
        s[SJ_COST_RUNQ] = runq > turn->runq_at_start ? runq - turn->runq_at_start : 0;
        turn->send_ns = sj_clk_now();
    }
}

static void log_turn(struct sj_worker *worker, const struct sj_conn *conn, const struct sj_turn *turn,
                     enum sj_outcome outcome, uint64_t now)
{
    static const char *const names[SJ_OUTCOME_MAX_] = {"answered", "unanswered", "reset", "gone", "timeout"};
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"n", turn->n},
        {"connection", conn->id},
        {"status", (uint64_t)turn->plan.status},
        {"recv_ns", turn->recv_ns},
        {"send_ns", turn->send_ns},
        {"done_ns", now},
        {"bytes_in", turn->bytes_in},
        {"bytes_out", turn->bytes_out},
        {"tid", (uint64_t)gettid()},
    };
    struct sj_json w;
    if (!worker->log.buf && sj_out_init(&worker->log, worker->srv->log_fd, "the log", NULL))
        return;
    sj_json_init(&w, &worker->log, false);
    sj_json_object(&w);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sj_json_key(&w, numbers[i].name);
        sj_json_uint(&w, numbers[i].value);
    }
    const char *const texts[][2] = {
        {"method", turn->method}, {"path", turn->path}, {"peer", conn->peer}, {"outcome", names[outcome]}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        sj_json_key(&w, texts[i][0]);
        sj_json_string(&w, texts[i][1]);
    }
    for (int i = 0; i < SJ_COST_MAX_; i++) {
        sj_json_key(&w, sj_cost_names[i]);
        sj_json_seconds(&w, turn->costs[i]);
    }
    sj_json_object_end(&w);
    sj_out_text(&worker->log, "\n");
    /* One write per line: whole lines from all processes, and they survive a kill. */
    sj_out_flush(&worker->log, NULL);
}

void sj_turn_settle(struct sj_worker *worker, const struct sj_conn *conn, struct sj_turn *turn, enum sj_outcome outcome,
                    uint64_t now)
{
    const struct sj_server *srv = worker->srv;
    struct sj_ledger *ledger = srv->ledger;
    uint64_t start = turn->recv_ns > conn->prev_done ? turn->recv_ns : conn->prev_done;
    uint64_t send = turn->send_ns ? turn->send_ns : now;
    /* Answers in one write: the second request's service begins when the first one's answer has left, with its own. */
    turn->costs[SJ_COST_SERVICE] = turn == conn->turns && send > start ? send - start : 0;
    turn->costs[SJ_COST_SEND] = now - send;
    if (outcome == SJ_OUTCOME_ANSWERED) {
        sj_ledger_sample(ledger, turn->costs);
        atomic_fetch_add(&ledger->statuses[turn->plan.status], 1);
        atomic_fetch_add_explicit(&ledger->bytes_out, turn->bytes_out, memory_order_relaxed);
        atomic_fetch_add(&ledger->served, 1);
    } else {
        atomic_fetch_add(outcome == SJ_OUTCOME_UNANSWERED ? &ledger->unanswered : &ledger->failed, 1);
    }
    if (srv->log_fd >= 0)
        log_turn(worker, conn, turn, outcome, now);
    atomic_store(&ledger->last_activity, now);
    atomic_fetch_sub(&ledger->in_service, 1);
    if (turn->n == srv->opts.requests)
        kill(srv->pid, SIGTERM);
}

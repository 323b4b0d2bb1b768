// SPDX-License-Identifier: GPL-3.0-or-later

/* clang-format off */
/*
 * Records of one connection come in the order in which the kernel side made them:
 *
 *   CONN               who it is; again when another process takes it over
 *   DATA...            pieces of a long ask
 *   TURN               the first answer byte: times, stages, the ask when it was short, the answer's beginning
 *   TURN continued...  further answers of a pipeline
 *   TAIL               the answer went on
 *   CUT | CLOSE
 *
 * A request is over when the next turn begins, when its connection closes, or when nothing happened for a while: only
 * then is it known that no reset spoilt its answer.
 */
/* clang-format on */
#include "decode/assemble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "decode/answers.h"
#include "decode/connection.h"
#include "decode/feed.h"
#include "decode/stages.h"

#define CONNECTIONS_MAX 8192

struct sj_assembler {
    struct sj_assembler_ops ops;
    struct sj_connections table;
    struct sj_assembler_stats stats;
};

struct sj_assembler *sj_assembler_new(const struct sj_assembler_ops *ops)
{
    struct sj_assembler *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->ops = *ops;
    if (sj_connections_init(&a->table, CONNECTIONS_MAX)) {
        free(a);
        return NULL;
    }
    return a;
}

void sj_assembler_free(struct sj_assembler *a)
{
    if (!a)
        return;
    sj_connections_fini(&a->table);
    free(a);
}

void sj_assembler_stats(const struct sj_assembler *a, struct sj_assembler_stats *out)
{
    *out = a->stats;
}

/* ---- handing a request on ---- */

static int hand_on(struct sj_assembler *a, const struct sj_connection *c, struct sj_pending *p, struct sj_err *err)
{
    if (p->counted)
        return 0;
    if (p->cut) {
        a->stats.cut_off++;
        return 0;
    }
    const struct sj_process *proc = a->ops.process(a->ops.ctx, p->tgid);
    bool server = c->role == SJ_ROLE_SERVER;
    struct sj_request req; /* field by field: clearing it first would cost more than all else here */
    req.start_ns = p->start;
    req.total_ns = sj_stages_finish(p, c->role);
    memcpy(req.stage_ns, p->stage, sizeof(req.stage_ns));
    memcpy(req.blocked_ns, p->blocked, sizeof(req.blocked_ns));
    req.bytes_in = server ? p->bytes_ask : p->bytes_answer;
    req.bytes_out = server ? p->bytes_answer : p->bytes_ask;
    req.service = proc->service;
    req.comm = proc->comm;
    req.container = proc->container;
    req.operation = p->operation;
    req.status = p->status;
    req.unix_path = c->path ? c->path : "";
    req.local = c->local;
    req.peer = c->peer;
    req.cgroup = c->cgroup;
    req.pid = p->tgid;
    req.tid = p->tid;
    req.flags = p->flags;
    req.port = c->port;
    req.role = c->role;
    req.protocol = p->protocol;
    a->stats.detailed++;
    if (p->flags & SJ_REQ_UNPARSED)
        a->stats.unparsed++;
    return a->ops.request(a->ops.ctx, &req, err);
}

/* Hands on what is answered, oldest first. */
static int finish_answered(struct sj_assembler *a, struct sj_connection *c, struct sj_err *err)
{
    while (c->head && c->head->answered) {
        int status = hand_on(a, c, c->head, err);
        sj_pending_pop(&a->table, c);
        if (status)
            return status;
    }
    return 0;
}

static int begin_turn(struct sj_assembler *a, struct sj_connection *c, struct sj_err *err)
{
    if (c->blurred)
        sj_answers_resolve(c);
    return finish_answered(a, c, err);
}

/* ---- records ---- */

/* What is still awaited on a connection that is forgotten or gone: its end is not seen. */
static void drop_connection(struct sj_assembler *a, struct sj_connection *c)
{
    for (const struct sj_pending *p = c->head; p; p = p->next)
        a->stats.cut_off++;
    sj_connection_drop(&a->table, c);
}

static struct sj_connection *connection_of(struct sj_assembler *a, const struct sj_rec *rec, struct sj_err *err)
{
    struct sj_connection *c = sj_connection_find(&a->table, rec->conn);
    if (!c) {
        if (a->table.count >= a->table.limit) {
            struct sj_connection *oldest = sj_connection_oldest(&a->table);
            a->stats.evicted++;
            sj_answer_cut_torn(oldest);
            if (begin_turn(a, oldest, err))
                return NULL;
            drop_connection(a, oldest);
        }
        c = sj_connection_add(&a->table, rec->conn);
        if (!c) {
            sj_fail(err, EX_OSERR, "out of memory");
            return NULL;
        }
    }
    if (rec->time < c->activity)
        a->stats.out_of_order++;
    c->role = rec->role;
    c->port = rec->port;
    sj_connection_touch(&a->table, c, rec->time);
    return c;
}

static void on_conn(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_conn *rec)
{
    c->cgroup = rec->cgroup;
    c->local.family = rec->family;
    c->local.port = rec->local_port;
    memcpy(c->local.addr, rec->local, sizeof(rec->local));
    c->peer.family = rec->family;
    c->peer.port = rec->peer_port;
    memcpy(c->peer.addr, rec->peer, sizeof(rec->peer));
    if (rec->path_len && !c->path) {
        c->path = strndup(rec->path[0] ? rec->path : rec->path + 1, rec->path_len - (rec->path[0] ? 0U : 1U));
        /* an abstract name is shown as ss(8) shows it */
        if (c->path && !rec->path[0]) {
            char *shown = NULL;
            if (asprintf(&shown, "@%s", c->path) > 0) {
                free(c->path);
                c->path = shown;
            }
        }
    }
    if (a->ops.seen)
        a->ops.seen(a->ops.ctx, rec);
}

/* A turn's first record: what was asked before and whose record never came was counted in the kernel. */
static int begin_ask(struct sj_assembler *a, struct sj_connection *c, uint32_t turn, struct sj_err *err)
{
    sj_pending_drop_untimed(&a->table, c);
    c->asking = true;
    c->ask_turn = turn;
    c->ask_fed = 0;
    c->ignore = false;
    c->lost = false;
    c->ended = false;
    c->begun = 0;
    c->clipped = false;
    return begin_turn(a, c, err);
}

static int on_data(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_data *rec, struct sj_err *err)
{
    if ((!c->asking || c->ask_turn != rec->h.turn) && begin_ask(a, c, rec->h.turn, err))
        return -1;
    struct sj_feeding f = {.table = &a->table, .c = c};
    sj_feed_ask(&f, rec->h.hint, (const uint8_t *)(rec + 1), rec->captured, rec->len);
    a->stats.cut_off += f.dropped;
    c->clipped |= rec->captured < rec->len;
    a->stats.lower_bound |= rec->captured < rec->len && (c->wanted || c->begun + f.begun > 1);
    c->ignore |= f.ignore;
    c->lost |= f.lost;
    c->ended |= f.ended;
    c->begun = (uint16_t)(c->begun + f.begun);
    return 0;
}

/* The requests of this turn get its times; whose start was not seen is no request. */
static void time_asks(struct sj_connection *c, const struct sj_rec_turn *turn)
{
    bool first = true;
    for (struct sj_pending *p = c->head; p; p = p->next) {
        if (p->timed)
            continue;
        p->timed = true;
        p->start = turn->t[0];
        p->recv = turn->t[1];
        p->tgid = turn->h.tgid;
        p->tid = turn->tid;
        uint64_t end = p->next ? p->next->ask_at : turn->bytes_ask;
        p->bytes_ask = end > p->ask_at ? end - p->ask_at : 0;
        if (turn->h.flags & SJ_F_ARRIVAL_UNSEEN)
            p->flags |= SJ_REQ_NO_ARRIVAL;
        if (first && (turn->h.flags & SJ_F_FIRST_OF_OLD))
            p->cut = (p->flags & (SJ_REQ_UNPARSED | SJ_REQ_NO_ARRIVAL)) != 0;
        first = false;
    }
}

static int add_unparsed(struct sj_assembler *a, struct sj_connection *c, struct sj_err *err)
{
    struct sj_pending *p = sj_pending_add(&a->table, c);
    if (!p)
        return sj_fail(err, EX_OSERR, "out of memory");
    p->protocol = c->protocol;
    p->flags |= SJ_REQ_UNPARSED;
    return 0;
}

/*
 * A further answer of a pipeline. When its turn's own record is missing the kernel has counted the first of its
 * requests: the others are here, or at least this one.
 */
static int take_further(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_turn *turn,
                        struct sj_err *err)
{
    for (struct sj_pending *p = c->head; p; p = p->next)
        p->headless = false;
    if (c->told && c->turn == turn->h.turn)
        return 0;
    bool untimed = c->tail && !c->tail->timed;
    if (untimed && (!c->asking || c->ask_turn != turn->h.turn)) {
        sj_pending_drop_untimed(&a->table, c);
        untimed = false;
    }
    c->asking = false;
    if (untimed) {
        struct sj_pending *first = c->head;
        while (first && first->timed)
            first = first->next;
        if (first) {
            first->counted = true;
            first->answered = true;
        }
    }
    if (!sj_pending_unanswered(c) && add_unparsed(a, c, err))
        return -1;
    time_asks(c, turn);
    return 0;
}

/* The asks of a turn. */
static int take_asks(struct sj_assembler *a, struct sj_feeding *f, const struct sj_rec_turn *turn, struct sj_err *err)
{
    struct sj_connection *c = f->c;
    bool told = c->asking && c->ask_turn == turn->h.turn;
    if (!told && begin_ask(a, c, turn->h.turn, err))
        return -1;
    c->asking = false;
    if (turn->ask_len)
        sj_feed_ask(f, turn->h.hint, sj_turn_payload(turn), turn->ask_captured, turn->ask_len);
    if (turn->bytes_ask > c->ask_fed && (told || turn->ask_len))
        sj_feed_ask(f, turn->h.hint, NULL, 0, turn->bytes_ask - c->ask_fed);
    a->stats.lower_bound |= f->lost && c->begun + f->begun > 0; /* behind what was captured there was more */
    c->clipped |= turn->ask_captured < turn->ask_len || turn->bytes_ask > c->ask_fed;
    bool seen = told || turn->ask_captured;
    bool untimed = c->tail && !c->tail->timed;
    struct sj_pending *waiting = sj_pending_unanswered(c);
    if (!untimed && (c->ignore || f->ignore) && !waiting) {
        a->stats.ignored++;
        return 0;
    }
    bool lost = c->lost || f->lost || !(waiting || c->ended || f->ended);
    if (!untimed && (!c->decoder || !seen || lost)) {
        if (add_unparsed(a, c, err))
            return -1;
    } else if (!untimed && waiting) {
        waiting->bytes_ask += turn->bytes_ask; /* the rest of an ask that was given a provisional answer */
    }
    time_asks(c, turn);
    return 0;
}

static void take_answer(struct sj_feeding *f, const struct sj_rec_turn *turn)
{
    struct sj_connection *c = f->c;
    const uint8_t *bytes = sj_turn_payload(turn) + turn->ask_captured;
    bool body = sj_pending_answered(c) != NULL; /* an earlier answer may still be running */
    f->lost = false;
    c->answer_fed = turn->answer_len;
    sj_feed_answer(f, bytes, turn->answer_captured, turn->answer_len);
    struct sj_pending *last = sj_pending_answered(c);
    struct sj_pending *waiting = sj_pending_unanswered(c);
    if (f->answers) {
        if (last)
            last->bytes_answer += turn->answer_len;
    } else if (waiting && waiting->timed && (!c->decoder || !body)) {
        /* it has begun, whatever it says; its head may be read later */
        sj_stages_answer(waiting, turn, c->answer_end);
        waiting->headless = c->decoder && !f->lost && turn->answer_captured;
        waiting->bytes_answer += turn->answer_len;
        c->answer_end = waiting->last;
    } else if (last) {
        sj_answer_more(c, last, turn->h.role == SJ_ROLE_CLIENT ? turn->t[3] : turn->t[2], turn->answer_len);
    }
    if ((f->lost || !turn->answer_captured || sj_answer_blind(c)) && sj_pending_unanswered(c))
        c->blurred = true;
    if (turn->h.flags & SJ_F_RESET)
        sj_answer_spoil(sj_pending_answered(c));
}

static int on_turn(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_turn *turn, struct sj_err *err)
{
    struct sj_feeding f = {.table = &a->table, .c = c, .turn = turn};
    int status = turn->h.flags & SJ_F_CONTINUED ? take_further(a, c, turn, err) : take_asks(a, &f, turn, err);
    a->stats.cut_off += f.dropped;
    if (status)
        return status;
    c->told = true;
    c->turn = turn->h.turn;
    if (c->begun + f.begun > 1 && !c->wanted && a->ops.want_answers) {
        c->wanted = true;
        a->ops.want_answers(a->ops.ctx, c->cookie);
    }
    take_answer(&f, turn);
    return 0;
}

static void on_tail(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_tail *rec)
{
    /* the tail of a turn that was only counted belongs to none of the requests here */
    if (!c->told || c->turn != rec->h.turn)
        return;
    uint64_t more = rec->bytes_answer > c->answer_fed ? rec->bytes_answer - c->answer_fed : 0;
    struct sj_feeding f = {.table = &a->table, .c = c};
    if (more) {
        sj_feed_answer(&f, NULL, 0, more);
        c->answer_fed = rec->bytes_answer;
        if ((f.lost || sj_answer_blind(c)) && sj_pending_unanswered(c))
            c->blurred = true;
    }
    struct sj_pending *p = sj_pending_answered(c);
    if (!p)
        return;
    sj_answer_more(c, p, rec->last, more);
    /* a server's answer was not acknowledged; a client may have got all of it before */
    bool got_all = c->decoder && c->decoder->whole(c->state) && !c->decoder->blind(c->state);
    if ((rec->h.flags & SJ_F_RESET) && (c->role == SJ_ROLE_SERVER || !got_all))
        sj_answer_spoil(p);
}

static int on_close(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_tail *rec, struct sj_err *err)
{
    on_tail(a, c, rec);
    struct sj_pending *p = sj_pending_answered(c);
    if (p && sj_answer_torn(c))
        p->flags |= SJ_REQ_ERROR; /* the connection ended before the answer did */
    sj_pending_drop_untimed(&a->table, c);
    int status = begin_turn(a, c, err);
    drop_connection(a, c);
    return status;
}

static int on_cut(struct sj_assembler *a, struct sj_connection *c, struct sj_err *err)
{
    int status = begin_turn(a, c, err);
    uint64_t dropped = 0;
    a->stats.cut_records++;
    c->asking = false;
    while (c->head) {
        sj_pending_pop(&a->table, c);
        dropped++;
    }
    a->stats.cut_off += dropped ? dropped : 1;
    return status;
}

int sj_assembler_record(struct sj_assembler *a, const struct sj_rec *rec, uint32_t len, struct sj_err *err)
{
    (void)len;
    struct sj_connection *c;
    if (rec->type == SJ_REC_CLOSE) {
        c = sj_connection_find(&a->table, rec->conn);
        return c ? on_close(a, c, (const struct sj_rec_tail *)rec, err) : 0;
    }
    c = connection_of(a, rec, err);
    if (!c)
        return -1;
    switch (rec->type) {
    case SJ_REC_CONN:
        on_conn(a, c, (const struct sj_rec_conn *)rec);
        return 0;
    case SJ_REC_DATA:
        return on_data(a, c, (const struct sj_rec_data *)rec, err);
    case SJ_REC_TURN:
        return on_turn(a, c, (const struct sj_rec_turn *)rec, err);
    case SJ_REC_TAIL:
        on_tail(a, c, (const struct sj_rec_tail *)rec);
        return 0;
    case SJ_REC_CUT:
        return on_cut(a, c, err);
    default:
        return 0;
    }
}

int sj_assembler_expire(struct sj_assembler *a, uint64_t before, struct sj_err *err)
{
    struct sj_list *next;
    for (struct sj_list *i = a->table.active.next; i != &a->table.active; i = next) {
        struct sj_connection *c = (struct sj_connection *)i;
        next = i->next;
        if (c->activity >= before)
            break;
        if (!c->head)
            continue;
        struct sj_pending *p = sj_pending_answered(c);
        /* an answer that is known to have more bytes coming is not over, however slow */
        if (p && p == c->tail && sj_answer_torn(c))
            continue;
        if (begin_turn(a, c, err))
            return -1;
    }
    return 0;
}

int sj_assembler_finish(struct sj_assembler *a, struct sj_err *err)
{
    for (struct sj_list *i = a->table.active.next; i != &a->table.active; i = i->next) {
        struct sj_connection *c = (struct sj_connection *)i;
        sj_answer_cut_torn(c);
        if (begin_turn(a, c, err))
            return -1;
        for (const struct sj_pending *p = c->head; p; p = p->next)
            if (p->timed)
                a->stats.cut_off++;
    }
    return 0;
}

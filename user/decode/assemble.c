// SPDX-License-Identifier: GPL-3.0-or-later

/*
 * Records of one connection come in the order in which the kernel side made them:
 *
 *   CONN                       who it is; again when another process takes it over
 *   DATA...                    pieces of a long ask
 *   TURN                       the first answer byte: times, stages, the ask (when it was short), the answer's beginning
 *   TURN continued...          further answers of a pipeline
 *   TAIL                       the answer went on
 *   CUT | CLOSE
 *
 * A request is over when the next turn begins, when its connection closes, or when nothing happened for a while: only then
 * is it known that no reset spoilt its answer.
 */
#include "decode/assemble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "decode/connection.h"
#include "decode/stages.h"

#define CONNECTIONS_MAX 16384

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
    if (p->cut) {
        a->stats.cut_off++;
        return 0;
    }
    const struct sj_process *proc = a->ops.process(a->ops.ctx, p->tgid);
    bool server = c->role == SJ_ROLE_SERVER;
    struct sj_request req = {
        .start_ns = p->start,
        .bytes_in = server ? p->bytes_ask : p->bytes_answer,
        .bytes_out = server ? p->bytes_answer : p->bytes_ask,
        .service = proc->service,
        .comm = proc->comm,
        .container = proc->container,
        .operation = p->operation,
        .status = p->status,
        .unix_path = c->path ? c->path : "",
        .local = c->local,
        .peer = c->peer,
        .cgroup = c->cgroup,
        .pid = p->tgid,
        .tid = p->tid,
        .flags = p->flags,
        .port = c->port,
        .role = c->role,
        .protocol = p->protocol,
    };
    req.total_ns = sj_stages_finish(p, c->role);
    memcpy(req.stage_ns, p->stage, sizeof(req.stage_ns));
    memcpy(req.blocked_ns, p->blocked, sizeof(req.blocked_ns));
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

/*
 * Where answers ran together unseen, the asker's next ask tells that it has got them all: they ended with the last one.
 */
static void resolve_blurred(struct sj_connection *c)
{
    for (struct sj_pending *p = c->head; p; p = p->next) {
        if (p->answered || !p->timed)
            continue;
        p->answered = true;
        uint64_t end = c->answer_end > p->recv ? c->answer_end : p->recv;
        if (c->role == SJ_ROLE_CLIENT) {
            p->stage[SJ_STAGE_SEND] += p->recv - p->start;
            p->stage[SJ_STAGE_WAIT] += end - p->recv;
        } else {
            p->stage[SJ_STAGE_QUEUE] += end - p->start;
        }
        p->accounted = end;
        p->last = end;
    }
    c->blurred = false;
}

static int begin_turn(struct sj_assembler *a, struct sj_connection *c, struct sj_err *err)
{
    if (c->blurred)
        resolve_blurred(c);
    return finish_answered(a, c, err);
}

/* ---- feeding the decoder ---- */

struct feeding {
    struct sj_assembler *a;
    struct sj_connection *c;
    const struct sj_rec_turn *turn; /* NULL while the turn's record has not come */
    uint32_t begun;                 /* asks that began */
    uint32_t answers;
    uint32_t last_offset;
    bool ignore;
    bool lost;
};

static void on_ask(struct feeding *f, const struct sj_message *m)
{
    struct sj_connection *c = f->c;
    if (c->pendings >= SJ_PENDING_MAX)
        c->blurred = true;
    struct sj_pending *before = f->begun ? c->tail : NULL;
    struct sj_pending *p = c->pendings < SJ_PENDING_MAX ? sj_pending_add(&f->a->table, c) : NULL;
    if (!p) {
        f->a->stats.cut_off++;
        return;
    }
    if (before)
        before->bytes_ask += m->offset - f->last_offset;
    f->last_offset = m->offset;
    f->begun++;
    p->protocol = c->protocol;
    snprintf(p->operation, sizeof(p->operation), "%s", m->operation);
    if (f->begun > 1)
        p->flags |= SJ_REQ_PIPELINED;
}

static void on_answer(struct feeding *f, const struct sj_message *m)
{
    struct sj_connection *c = f->c;
    struct sj_pending *p = sj_pending_unanswered(c);
    if (!p || !p->timed || !f->turn)
        return;
    sj_stages_answer(p, f->turn, c->answer_end);
    p->flags |= m->flags;
    snprintf(p->status, sizeof(p->status), "%s", m->status);
    if ((f->turn->h.flags & SJ_F_CONTINUED) || f->answers)
        p->flags |= SJ_REQ_PIPELINED;
    c->answer_end = p->last;
    f->answers++;
}

static void on_message(void *ctx, const struct sj_message *m)
{
    struct feeding *f = ctx;
    struct sj_pending *p;
    switch (m->kind) {
    case SJ_MSG_ASK_START:
        on_ask(f, m);
        break;
    case SJ_MSG_ANSWER_START:
        on_answer(f, m);
        break;
    case SJ_MSG_INTERIM:
        p = sj_pending_unanswered(f->c);
        if (p && p->timed && f->turn) {
            sj_stages_interim(p, f->turn, f->c->answer_end);
            f->c->answer_end = p->last;
        }
        f->answers++;
        break;
    case SJ_MSG_IGNORE:
        f->ignore = true;
        break;
    case SJ_MSG_LOST_SYNC:
        f->lost = true;
        break;
    case SJ_MSG_SWITCH:
        f->c->protocol = m->protocol;
        break;
    case SJ_MSG_ASK_END:
    case SJ_MSG_ANSWER_END:
    case SJ_MSG_MAX_:
    default:
        break;
    }
}

static void drop_decoder(struct sj_connection *c)
{
    if (c->decoder && c->decoder->fini)
        c->decoder->fini(c->state);
    free(c->state);
    c->state = NULL;
    c->decoder = NULL;
}

static void find_decoder(struct sj_connection *c, uint8_t hint, const uint8_t *p, size_t n)
{
    if (hint != SJ_HINT_HTTP && hint != SJ_HINT_TLS)
        return;
    const struct sj_decoder *d = sj_decoder_probe(SJ_DIR_ASK, p, n);
    if (!d || d == c->decoder)
        return;
    drop_decoder(c);
    c->state = calloc(1, d->state_size);
    if (!c->state)
        return;
    d->init(c->state);
    c->decoder = d;
    c->protocol = (uint8_t)d->protocol;
}

static void feed(struct feeding *f, enum sj_dir dir, const uint8_t *p, size_t n, uint64_t gap)
{
    struct sj_connection *c = f->c;
    if (!c->decoder || (!n && !gap))
        return;
    uint8_t before = c->protocol;
    c->decoder->feed(c->state, dir, p, n, gap, on_message, f);
    if (c->protocol != before)
        drop_decoder(c);
}

static void feed_ask(struct feeding *f, uint8_t hint, const uint8_t *p, size_t n, uint64_t len)
{
    struct sj_connection *c = f->c;
    if (n && (!c->decoder || !c->ask_fed))
        find_decoder(c, c->decoder ? SJ_HINT_NONE : hint, p, n);
    feed(f, SJ_DIR_ASK, p, n, len - n);
    c->ask_fed += len;
}

/* ---- records ---- */

static struct sj_connection *connection_of(struct sj_assembler *a, const struct sj_rec *rec, struct sj_err *err)
{
    struct sj_connection *c = sj_connection_find(&a->table, rec->conn);
    if (!c) {
        if (a->table.count >= a->table.limit) {
            struct sj_connection *oldest = sj_connection_oldest(&a->table);
            a->stats.evicted++;
            if (begin_turn(a, oldest, err))
                return NULL;
            sj_connection_drop(&a->table, oldest);
        }
        c = sj_connection_add(&a->table, rec->conn);
        if (!c) {
            sj_fail(err, EX_OSERR, "out of memory");
            return NULL;
        }
    }
    if (c->known && rec->seq != c->seq + 1)
        a->stats.out_of_order++;
    c->known = true;
    c->seq = rec->seq;
    c->role = rec->role;
    c->port = rec->port;
    if (rec->tgid)
        c->tgid = rec->tgid;
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

static int on_data(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_data *rec, struct sj_err *err)
{
    if (!c->asking) {
        if (begin_turn(a, c, err))
            return -1;
        c->asking = true;
        c->ask_fed = 0;
    }
    struct feeding f = {.a = a, .c = c};
    feed_ask(&f, rec->h.hint, (const uint8_t *)(rec + 1), rec->captured, rec->len);
    return 0;
}

/* The requests of this turn get its times; whose start was not seen is no request. */
static void time_asks(struct sj_connection *c, const struct sj_rec_turn *turn)
{
    struct sj_pending *only = NULL;
    unsigned n = 0;
    for (struct sj_pending *p = c->head; p; p = p->next) {
        if (p->timed)
            continue;
        p->timed = true;
        p->start = turn->t[0];
        p->recv = turn->t[1];
        p->tgid = turn->h.tgid;
        p->tid = turn->tid;
        if (turn->h.flags & SJ_F_ARRIVAL_UNSEEN)
            p->flags |= SJ_REQ_NO_ARRIVAL;
        if (n++ == 0 && (turn->h.flags & SJ_F_FIRST_OF_OLD))
            p->cut = (p->flags & (SJ_REQ_UNPARSED | SJ_REQ_NO_ARRIVAL)) != 0;
        only = p;
    }
    if (n == 1)
        only->bytes_ask = turn->bytes_ask;
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

/* The asks of a turn. Returns false when the turn asks nothing: a handshake, or the rest of an earlier ask's body. */
static bool take_asks(struct feeding *f, const struct sj_rec_turn *turn, struct sj_err *err, int *status)
{
    struct sj_connection *c = f->c;
    *status = 0;
    if (turn->h.flags & SJ_F_CONTINUED)
        return true;
    if (!c->asking) {
        *status = begin_turn(f->a, c, err);
        c->ask_fed = 0;
    }
    bool told = c->asking;
    c->asking = false;
    if (turn->ask_len)
        feed_ask(f, turn->h.hint, sj_turn_payload(turn), turn->ask_captured, turn->ask_len);
    if (turn->bytes_ask > c->ask_fed && (told || turn->ask_len))
        feed(f, SJ_DIR_ASK, NULL, 0, turn->bytes_ask - c->ask_fed);
    bool seen = told || turn->ask_captured;
    bool untimed = c->tail && !c->tail->timed;
    if (!untimed && f->ignore && !sj_pending_unanswered(c)) {
        f->a->stats.ignored++;
        return false;
    }
    if (!untimed && (!c->decoder || !seen || f->lost)) {
        if (!*status)
            *status = add_unparsed(f->a, c, err);
        untimed = !*status;
    }
    time_asks(c, turn);
    return untimed || sj_pending_unanswered(c);
}

static void take_answer(struct feeding *f, const struct sj_rec_turn *turn)
{
    struct sj_connection *c = f->c;
    const uint8_t *p = sj_turn_payload(turn) + turn->ask_captured;
    f->lost = false;
    c->answer_fed = turn->answer_len;
    feed(f, SJ_DIR_ANSWER, p, turn->answer_captured, turn->answer_len - turn->answer_captured);
    if (f->answers) {
        struct sj_pending *last = sj_pending_answered(c);
        if (last)
            last->bytes_answer += turn->answer_len;
        if (f->lost && sj_pending_unanswered(c))
            c->blurred = true;
        return;
    }
    struct sj_pending *p_open = sj_pending_unanswered(c);
    if (p_open && (!c->decoder || f->lost || !turn->answer_captured)) {
        sj_stages_answer(p_open, turn, c->answer_end);
        p_open->bytes_answer += turn->answer_len;
        c->answer_end = p_open->last;
        if (sj_pending_unanswered(c))
            c->blurred = true;
        return;
    }
    /* more of an answer that has begun */
    struct sj_pending *last = sj_pending_answered(c);
    if (last) {
        last->last = turn->h.role == SJ_ROLE_CLIENT ? turn->t[3] : turn->t[2];
        last->bytes_answer += turn->answer_len;
        c->answer_end = last->last;
    }
}

static int on_turn(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_turn *turn, struct sj_err *err)
{
    int status;
    struct feeding f = {.a = a, .c = c, .turn = turn};
    take_asks(&f, turn, err, &status);
    if (status)
        return status;
    if (f.begun > 1 && !c->wanted && a->ops.want_answers) {
        c->wanted = true;
        a->ops.want_answers(a->ops.ctx, c->cookie);
    }
    take_answer(&f, turn);
    return 0;
}

static void on_tail(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_tail *rec)
{
    struct sj_pending *p = sj_pending_answered(c);
    uint64_t more = rec->bytes_answer > c->answer_fed ? rec->bytes_answer - c->answer_fed : 0;
    struct feeding f = {.a = a, .c = c};
    if (more && !c->asking) {
        feed(&f, SJ_DIR_ANSWER, NULL, 0, more);
        c->answer_fed = rec->bytes_answer;
        if (f.lost && sj_pending_unanswered(c))
            c->blurred = true;
    }
    if (!p)
        return;
    if (rec->last > p->last) {
        p->last = rec->last;
        c->answer_end = rec->last;
    }
    p->bytes_answer += more;
    if ((rec->h.flags & SJ_F_RESET) && !(c->decoder && c->decoder->whole(c->state))) {
        p->flags |= SJ_REQ_ERROR;
        if (!p->status[0])
            snprintf(p->status, sizeof(p->status), "reset");
    }
}

static int on_close(struct sj_assembler *a, struct sj_connection *c, const struct sj_rec_tail *rec, struct sj_err *err)
{
    on_tail(a, c, rec);
    struct sj_pending *p = sj_pending_answered(c);
    if (p && c->decoder && !c->decoder->whole(c->state))
        p->flags |= SJ_REQ_ERROR; /* the connection ended before the answer did */
    int status = begin_turn(a, c, err);
    for (p = c->head; p; p = p->next)
        a->stats.cut_off++;
    sj_connection_drop(&a->table, c);
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
        if (p && p == c->tail && c->decoder && !c->decoder->whole(c->state))
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
        if (begin_turn(a, c, err))
            return -1;
        for (const struct sj_pending *p = c->head; p; p = p->next)
            if (p->timed)
                a->stats.cut_off++;
    }
    return 0;
}

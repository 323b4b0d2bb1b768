// SPDX-License-Identifier: GPL-3.0-or-later
#include "client.h"

#include "clk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A full backlog of a unix socket, or a refused connection: try again, or go on with the next request, this later. */
#define RETRY_NS 1000000

static void watch_for(struct sj_slot *slot, uint32_t events)
{
    sj_loop_change(&slot->lane->loop, slot->fd, events, &slot->watch);
}

static void after(struct sj_slot *slot, uint64_t ns)
{
    sj_loop_arm(&slot->lane->loop, &slot->step, sj_clk_now() + ns);
}

static void bound(struct sj_slot *slot)
{
    sj_loop_arm(&slot->lane->loop, &slot->deadline, sj_clk_now() + slot->lane->run->opts.timeout);
}

static void hang_up(struct sj_slot *slot, bool reset)
{
    struct sj_loop *loop = &slot->lane->loop;
    sj_loop_disarm(loop, &slot->step);
    sj_loop_disarm(loop, &slot->deadline);
    if (slot->fd >= 0 && reset)
        sj_addr_reset(slot->fd);
    else if (slot->fd >= 0)
        close(slot->fd);
    if (slot->idle && slot->state != SJ_SLOT_CLOSED)
        slot->lane->ready--;
    slot->fd = -1;
    slot->state = SJ_SLOT_CLOSED;
    slot->in.len = 0;
    slot->in_body = slot->upgraded = slot->ending = slot->paused = false;
    sj_outbox_clear(&slot->out);
}

void sj_slot_hang_up(struct sj_slot *slot)
{
    hang_up(slot, false);
}

static void set_busy(struct sj_slot *slot, bool busy)
{
    if (slot->busy != busy)
        slot->lane->busy += busy ? 1 : (uint64_t)-1;
    slot->busy = busy;
}

/* The slot's requests have failed, or its connection was lost while it had none. */
static void fail(struct sj_slot *slot, enum sj_failure failure)
{
    bool was_busy = slot->busy;
    bool was_gathering = slot->lane->gathering && slot->state == SJ_SLOT_CONNECTING;
    sj_tally_failed(slot, failure);
    set_busy(slot, false);
    hang_up(slot, false);
    if (was_gathering)
        sj_lane_gathered(slot->lane);
    else if (was_busy)
        after(slot, RETRY_NS);
}

/* All flights are done: what the slot does with its connection and itself. */
static void batch_done(struct sj_slot *slot, bool hang)
{
    const struct sj_client_opts *o = &slot->lane->run->opts;
    set_busy(slot, false);
    sj_loop_disarm(&slot->lane->loop, &slot->deadline);
    if (hang)
        hang_up(slot, false);
    if (o->gap && !(o->rate > 0) && sj_lane_has_work(slot->lane))
        after(slot, o->gap);
    else
        sj_slot_next(slot);
}

static void answered_all(struct sj_slot *slot)
{
    const struct sj_client_opts *o = &slot->lane->run->opts;
    bool peer_closes = o->half_close || (o->proto == SJ_CLIENT_HTTP && !slot->upgraded && slot->head.close);
    bool unsent = slot->out.buf.len > 0;
    if (peer_closes && !unsent) {
        slot->ending = true;
        bound(slot);
        return;
    }
    batch_done(slot, o->one_shot || unsent);
}

static void abandon(struct sj_slot *slot, bool reset)
{
    sj_tally_abandoned(slot);
    hang_up(slot, reset);
    batch_done(slot, false);
}

static void asked(struct sj_slot *slot)
{
    const struct sj_client_opts *o = &slot->lane->run->opts;
    if (o->close_after_ask) {
        abandon(slot, false);
        return;
    }
    if (o->half_close)
        shutdown(slot->fd, SHUT_WR);
    watch_for(slot, EPOLLIN);
}

void sj_slot_push(struct sj_slot *slot)
{
    int error = 0;
    size_t before = slot->out.pos;
    size_t len = slot->out.buf.len;
    enum sj_outbox_state state = sj_outbox_push(&slot->out, &slot->lane->io, slot->fd, &error);
    slot->lane->tally.bytes_out += (state == SJ_OUTBOX_DONE ? len : slot->out.pos) - before;
    switch (state) {
    case SJ_OUTBOX_DONE:
        asked(slot);
        break;
    case SJ_OUTBOX_AGAIN:
        watch_for(slot, EPOLLIN | EPOLLOUT);
        break;
    case SJ_OUTBOX_HOLD:
        watch_for(slot, EPOLLIN);
        if (slot->out.hold_until != SJ_OUTBOX_ON_WORD)
            sj_loop_arm(&slot->lane->loop, &slot->step, slot->out.hold_until);
        break;
    case SJ_OUTBOX_LIMIT:
    case SJ_OUTBOX_ERROR:
        fail(slot, SJ_FAIL_RESET);
        break;
    }
}

static void send_flights(struct sj_slot *slot)
{
    sj_ask_build(slot);
    bound(slot);
    uint64_t now = sj_clk_now();
    for (size_t i = 0; i < slot->n_flights; i++) {
        slot->flights[i].sent_ns = now;
        if (!slot->flights[i].intended_ns)
            slot->flights[i].intended_ns = now;
    }
    slot->lane->tally.sent += slot->n_flights;
    sj_slot_push(slot);
}

void sj_slot_ask(struct sj_slot *slot)
{
    struct sj_lane *lane = slot->lane;
    uint64_t k = lane->run->opts.rate > 0 ? 1 : lane->run->opts.pipeline;
    for (slot->n_flights = 0; slot->n_flights < k && sj_lane_has_work(lane);)
        slot->flights[slot->n_flights++] = sj_lane_take(lane);
    set_busy(slot, true);
    if (slot->state == SJ_SLOT_OPEN)
        send_flights(slot);
    else if (slot->state == SJ_SLOT_CLOSED)
        sj_slot_connect(slot);
}

void sj_slot_next(struct sj_slot *slot)
{
    struct sj_lane *lane = slot->lane;
    const struct sj_client_opts *o = &lane->run->opts;
    if (!sj_lane_has_work(lane)) {
        /* A server that takes one connection at a time goes on to the others. */
        if (!o->idle_after)
            sj_slot_hang_up(slot);
        sj_lane_check_end(lane);
        return;
    }
    if (!(o->rate > 0) || lane->arrived > lane->taken) {
        sj_slot_ask(slot);
        return;
    }
    /* A connection that nobody will need is not opened: the server may serve one at a time. */
    if (slot->state == SJ_SLOT_CLOSED && lane->quota - lane->taken > lane->ready)
        sj_slot_connect(slot);
    sj_lane_push_idle(lane, slot);
}

static void connected(struct sj_slot *slot)
{
    struct sj_lane *lane = slot->lane;
    slot->state = SJ_SLOT_OPEN;
    lane->tally.connects++;
    sj_stat_add(&lane->tally.connect, sj_clk_now() - slot->connect_ns);
    if (lane->run->log_fd >= 0)
        sj_addr_local_text(slot->fd, slot->local);
    sj_loop_disarm(&lane->loop, &slot->deadline);
    watch_for(slot, EPOLLIN);
    if (lane->gathering)
        sj_lane_gathered(lane);
    else if (slot->n_flights)
        send_flights(slot);
}

void sj_slot_connect(struct sj_slot *slot)
{
    struct sj_lane *lane = slot->lane;
    if (!slot->deadline.slot) {
        bound(slot);
        slot->connect_ns = sj_clk_now();
    }
    slot->fd = sj_addr_connect(&lane->run->addr, SOCK_NONBLOCK);
    slot->state = SJ_SLOT_CONNECTING;
    if (slot->fd == -EAGAIN) {
        after(slot, RETRY_NS);
        return;
    }
    if (slot->fd < 0 || sj_io_prepare(&lane->io, slot->fd) ||
        sj_loop_add(&lane->loop, slot->fd, EPOLLOUT, &slot->watch))
        fail(slot, SJ_FAIL_CONNECT);
}

static void ended(struct sj_slot *slot)
{
    if (slot->ending) {
        batch_done(slot, true);
    } else if (slot->n_flights && sj_answer_at_end(slot)) {
        batch_done(slot, true);
    } else if (slot->n_flights) {
        fail(slot, SJ_FAIL_EOF);
    } else {
        hang_up(slot, false);
    }
}

static void take_answer(struct sj_slot *slot, size_t len)
{
    struct sj_lane *lane = slot->lane;
    lane->tally.bytes_in += len;
    if (lane->run->opts.rst && slot->n_flights) {
        abandon(slot, true);
        return;
    }
    if (!sj_answer_feed(slot, lane->buf, len)) {
        fail(slot, SJ_FAIL_BAD);
        return;
    }
    if (!slot->n_flights && slot->busy && !slot->ending) {
        answered_all(slot);
        return;
    }
    if (lane->run->opts.slow_read) {
        slot->paused = true;
        watch_for(slot, 0);
        after(slot, lane->run->opts.read_gap);
    }
    if (slot->out.buf.len && !slot->out.hold_until)
        sj_slot_push(slot);
}

static void readable(struct sj_slot *slot)
{
    struct sj_lane *lane = slot->lane;
    size_t room = lane->run->opts.slow_read ? lane->run->opts.read_size : sizeof(lane->buf);
    ssize_t n = sj_io_recv(&lane->io, slot->fd, lane->buf, room);
    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n > 0)
        take_answer(slot, (size_t)n);
    else if (n == 0)
        ended(slot);
    else if (slot->ending)
        batch_done(slot, true);
    else
        fail(slot, SJ_FAIL_RESET);
}

static void on_ready(void *arg, uint32_t events)
{
    struct sj_slot *slot = arg;
    if (slot->state == SJ_SLOT_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof(error);
        getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error)
            fail(slot, SJ_FAIL_CONNECT);
        else
            connected(slot);
        return;
    }
    if ((events & EPOLLOUT) && slot->out.buf.len && !slot->out.hold_until)
        sj_slot_push(slot);
    if (slot->state != SJ_SLOT_OPEN)
        return;
    if ((events & (EPOLLERR | EPOLLHUP)) && slot->paused) {
        slot->paused = false;
        readable(slot);
    } else if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        readable(slot);
    }
}

static void on_step(void *arg)
{
    struct sj_slot *slot = arg;
    if (slot->state == SJ_SLOT_CONNECTING) {
        sj_slot_connect(slot);
    } else if (slot->paused) {
        slot->paused = false;
        watch_for(slot, EPOLLIN);
    } else if (slot->out.buf.len) {
        sj_slot_push(slot);
    } else if (!slot->busy) {
        sj_slot_next(slot);
    }
}

static void on_deadline(void *arg)
{
    struct sj_slot *slot = arg;
    if (slot->ending)
        batch_done(slot, true);
    else
        fail(slot, slot->state == SJ_SLOT_CONNECTING ? SJ_FAIL_CONNECT : SJ_FAIL_TIMEOUT);
}

void sj_slot_init(struct sj_slot *slot, struct sj_lane *lane, uint64_t i)
{
    *slot = (struct sj_slot){.lane = lane, .i = i, .fd = -1, .out.file = -1};
    slot->flights = calloc(lane->run->opts.pipeline, sizeof(*slot->flights));
    slot->watch = (struct sj_watch){.ready = on_ready, .arg = slot};
    slot->step = (struct sj_timer){.fire = on_step, .arg = slot};
    slot->deadline = (struct sj_timer){.fire = on_deadline, .arg = slot};
}

void sj_slot_free(struct sj_slot *slot)
{
    hang_up(slot, false);
    sj_outbox_free(&slot->out);
    sj_buf_free(&slot->in);
    free(slot->flights);
}

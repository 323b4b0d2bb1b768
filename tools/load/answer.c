// SPDX-License-Identifier: GPL-3.0-or-later
#include "client.h"

#include "clk.h"

#include <string.h>

/* An interim answer: 100 lets the body go, 101 changes the protocol, others are skipped. */
static void interim(struct sj_slot *slot)
{
    if (slot->head.status == 100) {
        sj_outbox_go(&slot->out);
    } else if (slot->head.status == 101 && slot->upgrading) {
        slot->upgraded = true;
        slot->upgrading = false;
        sj_tally_answered(slot, 101);
    }
}

/* Takes bytes of the first flight's answer; 0: more are needed, -1: this is no answer. */
static ssize_t take_http(struct sj_slot *slot, const char *bytes, size_t len)
{
    size_t used = 0;
    if (!slot->in_body) {
        enum sj_msg_result result = sj_msg_response(bytes, len, &slot->head);
        if (result != SJ_MSG_OK)
            return result == SJ_MSG_BAD ? -1 : 0;
        used = slot->head.size;
        if (slot->head.status < 200) {
            interim(slot);
            return (ssize_t)used;
        }
        slot->in_body = true;
        sj_msg_body_start(&slot->body, sj_msg_response_framing(&slot->head, slot->lane->run->opts.method),
                          slot->head.length);
    }
    if (!slot->body.done)
        used += sj_msg_body_feed(&slot->body, bytes + used, len - used);
    if (slot->body.bad)
        return -1;
    if (slot->body.done) {
        slot->in_body = false;
        sj_tally_answered(slot, slot->head.status);
    }
    return (ssize_t)used;
}

static ssize_t take_raw(struct sj_slot *slot, size_t len)
{
    const struct sj_client_opts *o = &slot->lane->run->opts;
    size_t n = len < slot->left ? len : (size_t)slot->left;
    slot->left -= n;
    if (!slot->left) {
        slot->left = slot->upgraded ? o->body : o->response_size;
        sj_tally_answered(slot, 0);
    }
    return (ssize_t)n;
}

static ssize_t take_line(struct sj_slot *slot, const char *bytes, size_t len)
{
    const char *end = memchr(bytes, '\n', len);
    if (!end)
        return (ssize_t)len;
    sj_tally_answered(slot, 0);
    return end + 1 - bytes;
}

static ssize_t take(struct sj_slot *slot, const char *bytes, size_t len)
{
    if (!slot->flights[0].first_ns)
        slot->flights[0].first_ns = sj_clk_now();
    if (slot->upgraded || slot->lane->run->opts.proto == SJ_CLIENT_RAW)
        return take_raw(slot, len);
    if (slot->lane->run->opts.proto == SJ_CLIENT_LINE)
        return take_line(slot, bytes, len);
    return take_http(slot, bytes, len);
}

bool sj_answer_feed(struct sj_slot *slot, const char *bytes, size_t len)
{
    bool joined = slot->in.len > 0;
    if (joined) {
        sj_buf_add(&slot->in, bytes, len);
        bytes = slot->in.at;
        len = slot->in.len;
    }
    size_t at = 0;
    while (at < len && slot->n_flights) {
        ssize_t n = take(slot, bytes + at, len - at);
        if (n < 0)
            return false;
        if (n == 0)
            break;
        at += (size_t)n;
    }
    if (at < len && !slot->n_flights)
        return false;
    if (joined)
        sj_buf_eat(&slot->in, at);
    else
        sj_buf_add(&slot->in, bytes + at, len - at);
    return true;
}

bool sj_answer_at_end(struct sj_slot *slot)
{
    if (slot->n_flights != 1 || !slot->in_body || slot->body.framing != SJ_MSG_TO_END)
        return false;
    slot->in_body = false;
    sj_tally_answered(slot, slot->head.status);
    return true;
}

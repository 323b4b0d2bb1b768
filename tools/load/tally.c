// SPDX-License-Identifier: GPL-3.0-or-later
#include "client.h"

#include "base/json.h"
#include "clk.h"

#include <stdio.h>
#include <string.h>

static const char *const failure_names[SJ_FAIL_MAX_] = {
    [SJ_FAIL_CONNECT] = "connect", [SJ_FAIL_EOF] = "eof", [SJ_FAIL_RESET] = "reset",
    [SJ_FAIL_TIMEOUT] = "timeout", [SJ_FAIL_BAD] = "bad",
};

/* Enough lines for one write. */
#define LOG_LINES 32768

static void log_flight(const struct sj_slot *slot, const struct sj_flight *f, uint64_t now, int status,
                       const char *outcome)
{
    struct sj_lane *lane = slot->lane;
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"n", f->n},
        {"connection", slot->i},
        {"status", (uint64_t)status},
        {"intended_ns", f->intended_ns},
        {"start_ns", f->sent_ns},
        {"first_ns", f->first_ns},
        {"end_ns", now},
    };
    struct sj_json w;
    if (lane->run->log_fd < 0)
        return;
    sj_json_init(&w, &lane->log, false);
    sj_json_object(&w);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (!numbers[i].value && strstr(numbers[i].name, "_ns"))
            continue;
        sj_json_key(&w, numbers[i].name);
        sj_json_uint(&w, numbers[i].value);
    }
    lane->path.len = 0;
    sj_ask_path(&lane->path, slot, f->n);
    sj_buf_add(&lane->path, "", 1);
    const char *const texts[][2] = {
        {"method", lane->run->opts.method}, {"path", lane->path.at}, {"local", slot->local}, {"outcome", outcome}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        sj_json_key(&w, texts[i][0]);
        sj_json_string(&w, texts[i][1]);
    }
    if (f->sent_ns) {
        sj_json_key(&w, "latency");
        sj_json_seconds(&w, now - f->sent_ns);
    }
    sj_json_object_end(&w);
    sj_out_text(&lane->log, "\n");
    if (lane->log.len > LOG_LINES)
        sj_out_flush(&lane->log, NULL);
}

void sj_tally_answered(struct sj_slot *slot, int status)
{
    struct sj_tally *t = &slot->lane->tally;
    const struct sj_flight *f = &slot->flights[0];
    uint64_t now = sj_clk_now();
    bool open = slot->lane->run->opts.rate > 0;
    t->answered++;
    t->statuses[status]++;
    sj_stat_add(&t->from_send, now - f->sent_ns);
    sj_stat_add(&t->latency, now - (open ? f->intended_ns : f->sent_ns));
    sj_stat_add(&t->first_byte, f->first_ns - f->sent_ns);
    log_flight(slot, f, now, status, "answered");
    slot->n_flights--;
    memmove(slot->flights, slot->flights + 1, slot->n_flights * sizeof(*slot->flights));
}

void sj_tally_failed(struct sj_slot *slot, enum sj_failure failure)
{
    struct sj_tally *t = &slot->lane->tally;
    uint64_t now = sj_clk_now();
    t->errors += slot->n_flights;
    t->failures[failure] += slot->n_flights;
    for (size_t i = 0; i < slot->n_flights; i++)
        log_flight(slot, &slot->flights[i], now, 0, failure_names[failure]);
    slot->n_flights = 0;
}

void sj_tally_abandoned(struct sj_slot *slot)
{
    uint64_t now = sj_clk_now();
    slot->lane->tally.abandoned += slot->n_flights;
    for (size_t i = 0; i < slot->n_flights; i++)
        log_flight(slot, &slot->flights[i], now, 0, "abandoned");
    slot->n_flights = 0;
}

void sj_tally_merge(struct sj_tally *into, const struct sj_tally *from)
{
    into->sent += from->sent;
    into->answered += from->answered;
    into->errors += from->errors;
    into->abandoned += from->abandoned;
    into->connects += from->connects;
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    for (int i = 0; i < SJ_FAIL_MAX_; i++)
        into->failures[i] += from->failures[i];
    for (int i = 0; i < SJ_TALLY_STATUSES; i++)
        into->statuses[i] += from->statuses[i];
    sj_stat_merge(&into->latency, &from->latency);
    sj_stat_merge(&into->from_send, &from->from_send);
    sj_stat_merge(&into->first_byte, &from->first_byte);
    sj_stat_merge(&into->connect, &from->connect);
}

void sj_tally_free(struct sj_tally *tally)
{
    sj_stat_free(&tally->latency);
    sj_stat_free(&tally->from_send);
    sj_stat_free(&tally->first_byte);
    sj_stat_free(&tally->connect);
}

static void count_json(struct sj_json *w, const char *name, uint64_t value)
{
    sj_json_key(w, name);
    sj_json_uint(w, value);
}

static void counts_json(const struct sj_tally *t, struct sj_json *w)
{
    count_json(w, "sent", t->sent);
    count_json(w, "answered", t->answered);
    count_json(w, "errors", t->errors);
    count_json(w, "abandoned", t->abandoned);
    count_json(w, "connects", t->connects);
    count_json(w, "bytes_out", t->bytes_out);
    count_json(w, "bytes_in", t->bytes_in);
    sj_json_key(w, "status");
    sj_json_object(w);
    for (int i = 0; i < SJ_TALLY_STATUSES; i++) {
        char code[16];
        snprintf(code, sizeof(code), "%d", i);
        if (t->statuses[i])
            count_json(w, code, t->statuses[i]);
    }
    sj_json_object_end(w);
    sj_json_key(w, "error_kinds");
    sj_json_object(w);
    for (int i = 0; i < SJ_FAIL_MAX_; i++)
        if (t->failures[i])
            count_json(w, failure_names[i], t->failures[i]);
    sj_json_object_end(w);
}

void sj_tally_json(struct sj_tally *tally, double seconds, struct sj_out *out)
{
    const struct {
        const char *name;
        struct sj_stat *stat;
    } stats[] = {
        {"latency", &tally->latency},
        {"latency_from_send", &tally->from_send},
        {"first_byte", &tally->first_byte},
        {"connect", &tally->connect},
    };
    struct sj_json w;
    sj_json_init(&w, out, false);
    sj_json_object(&w);
    counts_json(tally, &w);
    for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++) {
        sj_json_key(&w, stats[i].name);
        sj_stat_json(stats[i].stat, &w);
    }
    sj_json_key_real(&w, "duration_s", seconds);
    if (seconds > 0)
        sj_json_key_real(&w, "rate", (double)tally->answered / seconds);
    sj_json_object_end(&w);
    sj_out_text(out, "\n");
}

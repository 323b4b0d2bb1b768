// SPDX-License-Identifier: GPL-3.0-or-later
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/collector.h"
#include "hist_random.h"
#include "made_records.h"

/* ---- which records may be read ---- */

static int valid(const void *p, size_t len)
{
    void *exact = malloc(len ? len : 1);
    if (!exact)
        abort();
    memcpy(exact, p, len);
    int result = sj_record_valid(exact, (uint32_t)len);
    free(exact);
    return result;
}

static struct made_record some_turn(void)
{
    static const struct sj_waits waits = {.runq = 1};
    return record_turn(
        &(struct made_turn){.t = {1, 2, 3, 4}, .waits = &waits, .ask = "GET / HTTP/1.1", .answer = "HTTP/1.1 200 OK"});
}

static void a_cut_record_is_refused(void **state)
{
    (void)state;
    struct made_record records[] = {
        some_turn(),
        record_turn(&(struct made_turn){.t = {1, 1, 1}}),
        record_tail(SJ_REC_TAIL, 0, 5, 6),
        record_tail(SJ_REC_CLOSE, 0, 5, 6),
        record_data("some bytes", 100, 5),
        record_conn(1, "name", 5),
        record_cut(SJ_CUT_CLOSED, 5),
    };
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        assert_true(valid(records[i].rec, records[i].len));
        for (uint32_t len = 0; len < records[i].len; len++)
            assert_false(valid(records[i].rec, len));
        free(records[i].rec);
    }
}

static void an_unknown_record_is_refused(void **state)
{
    (void)state;
    struct made_record r = some_turn();
    r.rec->version = SJ_EVENT_VERSION + 1;
    assert_false(valid(r.rec, r.len));
    r.rec->version = SJ_EVENT_VERSION;
    for (int type = 0; type < 256; type++) {
        r.rec->type = (uint8_t)type;
        if (type < SJ_REC_TURN || type >= SJ_REC_MAX_)
            assert_false(valid(r.rec, r.len));
    }
    r.rec->type = SJ_REC_TURN;
    r.rec->role = SJ_ROLE_MAX_;
    assert_false(valid(r.rec, r.len));
    r.rec->role = SJ_ROLE_CLIENT;
    r.rec->hint = SJ_HINT_MAX_;
    assert_false(valid(r.rec, r.len));
    r.rec->hint = SJ_HINT_NONE;
    assert_true(valid(r.rec, r.len));
    free(r.rec);
}

static void lengths_and_times_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    struct made_record r = some_turn();
    struct sj_rec_turn *turn = (struct sj_rec_turn *)r.rec;
    turn->ask_captured++;
    assert_false(valid(r.rec, r.len));
    turn->ask_captured--;
    turn->answer_captured++;
    assert_false(valid(r.rec, r.len));
    turn->answer_captured--;
    turn->ask_len = turn->ask_captured - 1U;
    assert_false(valid(r.rec, r.len));
    turn->ask_len = turn->ask_captured;
    turn->answer_len = turn->answer_captured - 1U;
    assert_false(valid(r.rec, r.len));
    turn->answer_len = turn->answer_captured;
    turn->t[0] = turn->t[1] + 1;
    assert_false(valid(r.rec, r.len));
    turn->t[0] = turn->t[1];
    turn->t[2] = turn->t[1] - 1;
    assert_false(valid(r.rec, r.len));
    turn->t[2] = turn->t[1];
    assert_true(valid(r.rec, r.len));
    free(r.rec);

    r = record_data("some bytes", 0, 5);
    ((struct sj_rec_data *)r.rec)->len--;
    assert_false(valid(r.rec, r.len));
    ((struct sj_rec_data *)r.rec)->len = UINT32_MAX;
    ((struct sj_rec_data *)r.rec)->captured = UINT32_MAX;
    assert_false(valid(r.rec, r.len));
    free(r.rec);

    r = record_conn(1, "name", 5);
    ((struct sj_rec_conn *)r.rec)->path_len = SJ_UNIX_PATH_LEN + 1;
    assert_false(valid(r.rec, r.len));
    free(r.rec);
}

/* What passes keeps its promise: no length inside leads beyond the record. */
static void random_bytes_are_refused_or_safe(void **state)
{
    (void)state;
    struct random_state rng = {.state = 5};
    unsigned passed = 0;
    for (int round = 0; round < 200000; round++) {
        union {
            uint64_t words[64];
            struct sj_rec rec;
            struct sj_rec_turn turn;
            struct sj_rec_data data;
        } u;
        uint32_t len = (uint32_t)(random_bits(&rng) % (sizeof(u) + 1));
        for (size_t i = 0; i < sizeof(u.words) / sizeof(u.words[0]); i++)
            u.words[i] = random_bits(&rng) >> random_bits(&rng) % 64;
        struct sj_rec *r = &u.rec;
        r->version = SJ_EVENT_VERSION;
        r->type = (uint8_t)(random_bits(&rng) % SJ_REC_MAX_);
        r->role = (uint8_t)(random_bits(&rng) % SJ_ROLE_MAX_);
        r->hint = (uint8_t)(random_bits(&rng) % SJ_HINT_MAX_);
        if (!valid(&u, len))
            continue;
        passed++;
        if (r->type == SJ_REC_TURN) {
            const struct sj_rec_turn *t = &u.turn;
            size_t waits = r->flags & SJ_F_SWITCHED ? sizeof(struct sj_waits) : 0;
            assert_true(sizeof(*t) + waits + t->ask_captured + t->answer_captured <= len);
        } else if (r->type == SJ_REC_DATA) {
            assert_true(sizeof(struct sj_rec_data) + u.data.captured <= len);
        }
    }
    assert_true(passed > 1000);
}

/* ---- rings in memory, laid out as the kernel's ---- */

enum { RING = 65536, HEAD = 8 };

/* Stands for a kernel: places records into a ring. A BPF ring buffer, or (log) the log of a CPU. */
struct writer {
    struct sj_ring *ring;
    struct sj_log *log;
};

static void *memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

static struct writer ring_make(struct sj_ring *r, uint64_t at)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t *consumer = memory(page), *producer = memory(page + RING);
    *r = (struct sj_ring){.consumer = consumer,
                          .producer = producer,
                          .data = (uint8_t *)producer + page,
                          .size = RING,
                          .at = at,
                          .seen = at,
                          .straddling = malloc(16384),
                          .map_len = page + RING};
    assert_non_null(r->straddling);
    *consumer = at;
    *producer = at;
    return (struct writer){.ring = r};
}

static struct writer log_make(struct sj_ring *r, uint64_t at)
{
    struct sj_log *log = calloc(1, SJ_LOG_HEAD + RING + SJ_LOG_SLACK);
    assert_non_null(log);
    log->produced = at;
    log->consumed = at;
    sj_ring_open_log(r, log, RING);
    r->seen = at;
    return (struct writer){.ring = r, .log = log};
}

static uint64_t used(const struct writer *w)
{
    return *w->ring->producer - *w->ring->consumer;
}

/* Places a record and returns where its head is. Frees it. */
static uint8_t *place(const struct writer *w, struct made_record rec, uint32_t bits)
{
    uint64_t *produced = (uint64_t *)(uintptr_t)w->ring->producer;
    uint8_t *data = (uint8_t *)(uintptr_t)w->ring->data;
    uint64_t at = *produced;
    uint32_t head[2] = {rec.len | bits, 0};
    uint8_t bytes[HEAD + RECORD_MAX];
    memcpy(bytes, head, HEAD);
    memcpy(bytes + HEAD, rec.rec, rec.len);
    for (uint32_t i = 0; i < HEAD + rec.len; i++)
        data[w->log ? at % RING + i : (at + i) % RING] = bytes[i];
    *produced = at + ((HEAD + rec.len + 7) & ~7ULL);
    free(rec.rec);
    return data + at % RING;
}

struct told {
    uint64_t last;
    uint64_t n;
    uint64_t stop_at;
    bool exact; /* times are 1, 2, 3, ... */
};

static int tell(void *ctx, const struct sj_rec *rec, uint32_t len, struct sj_err *err)
{
    struct told *t = ctx;
    assert_true(sj_record_valid(rec, len));
    assert_true(rec->time >= t->last);
    t->last = rec->time;
    t->n++;
    if (t->exact)
        assert_int_equal(rec->time, t->n);
    return t->n == t->stop_at ? sj_fail(err, EX_IOERR, "enough") : 0;
}

static struct made_record random_record(struct random_state *rng, uint64_t time)
{
    static char text[3000];
    memset(text, 'x', sizeof(text) - 1);
    switch (random_bits(rng) % 4) {
    case 0:
        return record_tail(SJ_REC_TAIL, 0, time, 5);
    case 1:
        return record_data(text + random_bits(rng) % sizeof(text), 3000, time);
    case 2:
        return record_turn(&(struct made_turn){.t = {1, 1, time}, .ask = "GET /"});
    default:
        return record_conn(1, "name", time);
    }
}

/* Times 1, 2, 3, ... spread over the rings at random, over many turns of each ring's end. */
static void rings_are_merged_in_the_order_of_time(void **state)
{
    (void)state;
    enum { RINGS = 5 };
    struct random_state rng = {.state = 6};
    struct sj_collector c;
    struct writer w[RINGS];
    struct sj_err err;
    struct told told = {.exact = true};
    uint64_t time = 0, due = 0;
    double fill;
    assert_int_equal(sj_collector_open(&c, RINGS, &err), 0);
    for (unsigned i = 0; i < RINGS; i++) {
        uint64_t at = (i == 1 ? -(uint64_t)4 * RING : 0) + 8 * (random_bits(&rng) % RING);
        w[i] = i < 2 ? ring_make(&c.rings[i], at) : log_make(&c.rings[i], at);
    }
    for (int round = 0; round < 3000; round++) {
        for (uint64_t n = random_bits(&rng) % 40; n > 0; n--) {
            const struct writer *to = &w[random_bits(&rng) % RINGS];
            if (used(to) + 2 * (HEAD + RECORD_MAX) > RING)
                continue;
            if (!to->log && random_bits(&rng) % 8 == 0)
                place(to, random_record(&rng, 0), BPF_RINGBUF_DISCARD_BIT);
            place(to, random_record(&rng, ++time), 0);
        }
        uint64_t until = random_bits(&rng) % 2 ? UINT64_MAX : time - random_bits(&rng) % 20 % (time + 1);
        assert_int_equal(sj_collector_poll(&c, until, tell, &told, &fill, &err), 0);
        if (due < until)
            due = until < time ? until : time;
        assert_int_equal(told.n, due);
        assert_true(fill >= 0 && fill <= 1);
        for (unsigned i = 0; i < RINGS && until >= time; i++)
            assert_int_equal(used(&w[i]), 0);
    }
    assert_int_equal(c.records, time);
    assert_int_equal(c.refused, 0);
    assert_true(time > 10000);
    sj_collector_close(&c);
    for (unsigned i = 0; i < RINGS; i++)
        free(w[i].log);
}

/* It may turn out older than all others: nothing is told before it is complete, or thrown away. */
static void a_record_that_is_being_written_holds_up_the_rest(void **state)
{
    (void)state;
    struct sj_collector c;
    struct sj_err err;
    struct told told = {.exact = true};
    double fill;
    assert_int_equal(sj_collector_open(&c, 2, &err), 0);
    struct writer ring = ring_make(&c.rings[0], 0), log = log_make(&c.rings[1], 0);
    uint8_t *busy = place(&ring, record_cut(1, 1), BPF_RINGBUF_BUSY_BIT);
    place(&ring, record_cut(1, 3), 0);
    place(&log, record_cut(1, 2), 0);
    assert_int_equal(sj_collector_poll(&c, UINT64_MAX, tell, &told, &fill, &err), 0);
    assert_int_equal(told.n, 0);
    *(uint32_t *)(void *)busy &= ~BPF_RINGBUF_BUSY_BIT;
    assert_int_equal(sj_collector_poll(&c, UINT64_MAX, tell, &told, &fill, &err), 0);
    assert_int_equal(told.n, 3);
    sj_collector_close(&c);
    free(log.log);
}

static void malformed_records_are_counted_and_stepped_over(void **state)
{
    (void)state;
    for (int log = 0; log < 2; log++) {
        struct sj_collector c;
        struct sj_err err;
        struct told told = {.exact = true};
        double fill;
        assert_int_equal(sj_collector_open(&c, 1, &err), 0);
        struct writer w = log ? log_make(&c.rings[0], RING - 64) : ring_make(&c.rings[0], RING - 64);
        for (uint64_t i = 1; i <= 100; i++) {
            struct made_record bad = some_turn();
            if (i % 2)
                bad.rec->version = 99;
            else
                bad.len = 31;
            place(&w, bad, 0);
            place(&w, record_cut(1, i), 0);
        }
        assert_int_equal(sj_collector_poll(&c, UINT64_MAX, tell, &told, &fill, &err), 0);
        assert_int_equal(told.n, 100);
        assert_int_equal(c.refused, 100);
        assert_true(fill > 0.25 && fill < 0.5);
        sj_collector_close(&c);
        free(w.log);
    }
}

static void an_error_of_the_consumer_stops_it(void **state)
{
    (void)state;
    struct sj_collector c;
    struct sj_err err;
    struct told told = {.exact = true, .stop_at = 3};
    double fill;
    assert_int_equal(sj_collector_open(&c, 1, &err), 0);
    struct writer w = ring_make(&c.rings[0], 0);
    for (uint64_t i = 1; i <= 5; i++)
        place(&w, record_cut(1, i), 0);
    assert_int_equal(sj_collector_poll(&c, UINT64_MAX, tell, &told, &fill, &err), -1);
    assert_string_equal(err.text, "enough");
    assert_int_equal(told.n, 3);
    assert_int_equal(sj_collector_poll(&c, UINT64_MAX, tell, &told, &fill, &err), 0);
    assert_int_equal(told.n, 5);
    sj_collector_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_record_is_refused),
        cmocka_unit_test(an_unknown_record_is_refused),
        cmocka_unit_test(lengths_and_times_that_contradict_each_other_are_refused),
        cmocka_unit_test(random_bytes_are_refused_or_safe),
        cmocka_unit_test(rings_are_merged_in_the_order_of_time),
        cmocka_unit_test(a_record_that_is_being_written_holds_up_the_rest),
        cmocka_unit_test(malformed_records_are_counted_and_stepped_over),
        cmocka_unit_test(an_error_of_the_consumer_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "assemble_log.h"
#include "hist_random.h"

/* Streams of records that nobody has thought of. */
enum { CONNECTIONS = 6, RECORDS = 4000, ROUNDS = 40 };

static struct assemble_log b;
static struct random_state rng;
static uint64_t now;

static uint64_t pick(uint64_t n)
{
    return random_bits(&rng) % n;
}

static uint64_t later(uint64_t most)
{
    return now += pick(most);
}

static const char *const asks[] = {
    "GET /a HTTP/1.1\r\n\r\n",
    "GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.0\r\n\r\n",
    "POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    "POST /p HTTP/1.1\r\nContent-Length: 30000\r\n\r\n",
    "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "CONNECT h:1 HTTP/1.1\r\n\r\n",
    "GET /unfinished HT",
    "GET ",
    "\x16\x03\x01\x02",
    "\x17\x03\x03\x01\x10zz",
    "\x01\x02\x03",
    "",
};
static const char *const answers[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 X\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nuntil close",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\n",
    "HTT",
    "\x16\x03\x03",
    "garbage",
    "",
};
#define ONE_OF(texts) ((texts)[pick(sizeof(texts) / sizeof((texts)[0]))])

static uint8_t hint_of(const char *text)
{
    if (text[0] == '\x16' || text[0] == '\x17')
        return SJ_HINT_TLS;
    return strncmp(text, "GET ", 4) == 0 || text[0] == 'P' || text[0] == 'C' ? SJ_HINT_HTTP : SJ_HINT_OTHER;
}

/* A turn as the kernel side could have made it, or (wild) whose times only pass the check of sj_record_valid(). */
static struct made_record random_turn(bool wild)
{
    struct sj_waits waits = {0};
    struct made_turn turn = {.ask = ONE_OF(asks), .answer = ONE_OF(answers), .tid = 1};
    turn.hint = hint_of(turn.ask);
    if (!*turn.ask)
        turn.ask = NULL;
    if (pick(4) == 0)
        turn.bytes_ask = (turn.ask ? strlen(turn.ask) : 0) + pick(100000);
    turn.answer_len = (uint32_t)(strlen(turn.answer) + (pick(2) ? 0 : pick(200000)));
    turn.t[0] = now;
    turn.t[1] = later(1000);
    turn.t[2] = later(1000);
    turn.t[3] = b.role == SJ_ROLE_CLIENT ? later(1000) : 0;
    turn.flags = (uint16_t)(pick(1U << 10) & (unsigned)~SJ_F_SWITCHED);
    if (b.role == SJ_ROLE_SERVER && (turn.flags & SJ_F_CONTINUED))
        turn.t[3] = turn.t[0] + pick(turn.t[2] - turn.t[0] + 1);
    uint64_t from = turn.t[3] > turn.t[1] && b.role == SJ_ROLE_SERVER ? turn.t[3] : turn.t[1];
    turn.oncpu = turn.t[2] - from;
    if (pick(2)) {
        waits.blocked[pick(SJ_CAUSE_MAX_)] = pick(turn.oncpu + 1);
        for (int i = 0; i < SJ_CAUSE_MAX_; i++)
            turn.oncpu -= waits.blocked[i];
        turn.waits = &waits;
    }
    if (wild) {
        for (int i = 0; i < 4; i++)
            turn.t[i] = random_bits(&rng) >> pick(64);
        for (int i = 0; i < 2; i++) /* in order, as is checked */
            if (turn.t[i + 1] < turn.t[i])
                turn.t[i + 1] = turn.t[i];
        turn.oncpu = random_bits(&rng);
    }
    return record_turn(&turn);
}

static struct made_record random_record(bool wild)
{
    const char *ask;
    struct made_record r;
    switch (pick(12)) {
    case 0:
        return record_tail(SJ_REC_CLOSE, pick(2) ? SJ_F_RESET : 0, later(1000), pick(300000));
    case 1:
    case 2:
        return record_tail(SJ_REC_TAIL, pick(8) ? 0 : SJ_F_RESET, later(1000), pick(300000));
    case 3:
    case 4:
        ask = ONE_OF(asks);
        r = record_data(ask, (uint32_t)(strlen(ask) + (pick(2) ? 0 : pick(5000))), later(1000));
        r.rec->hint = hint_of(ask);
        return r;
    case 5:
        return record_conn((uint32_t)pick(3), "name", later(1000));
    case 6:
        return record_cut(1 + (uint32_t)pick(4), later(1000));
    default:
        return random_turn(wild);
    }
}

/* Some more rounds of random records; expire and finish at random moments as the measuring loop does. */
static void feed_randomly(bool wild)
{
    for (int i = 0; i < RECORDS; i++) {
        b.conn = 1 + pick(CONNECTIONS);
        b.role = b.conn % 2 ? SJ_ROLE_SERVER : SJ_ROLE_CLIENT;
        log_feed(&b, random_record(wild));
        if (pick(50) == 0)
            assert_int_equal(sj_assembler_expire(b.a, wild ? random_bits(&rng) : now - pick(2000), &b.err), 0);
    }
    assert_int_equal(sj_assembler_finish(b.a, &b.err), 0);
}

/* log_stages() asserts for each request that its stages sum to its total, and that the total is no negative number. */
static void any_stream_that_goes_forward_sums_up(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        rng.state = round;
        now = 1000000;
        log_begin(&b);
        b.quiet = true;
        feed_randomly(false);
        struct sj_assembler_stats s = log_stats(&b);
        assert_int_equal(s.detailed, b.requests);
        assert_true(s.unparsed <= s.detailed);
        assert_true(b.requests > RECORDS / 20);
        assert_true(s.cut_off < 10 * RECORDS);
        log_end(&b);
    }
}

/* Times that make no sense are survived. Nothing is said about the results. */
static int take_anything(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    (void)req;
    (void)err;
    ((struct assemble_log *)ctx)->requests++;
    return 0;
}

static void any_valid_record_is_survived(void **state)
{
    (void)state;
    const struct sj_assembler_ops ops = {.ctx = &b, .request = take_anything, .process = log_process};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        rng.state = 1000 + round;
        now = 1000000;
        log_begin(&b);
        sj_assembler_free(b.a);
        b.a = sj_assembler_new(&ops);
        assert_non_null(b.a);
        feed_randomly(true);
        assert_int_equal(log_stats(&b).detailed, b.requests);
        log_end(&b);
    }
}

/* Pipelines deeper than what is remembered of one connection. */
static void the_deepest_pipeline_is_survived(void **state)
{
    (void)state;
    static char ask[4000];
    size_t n = 0;
    for (; n < 190; n++)
        memcpy(ask + 20 * n, "GET /a HTTP/1.1\r\n\r\n\n", 20);
    log_begin(&b);
    b.quiet = true;
    for (int i = 0; i < 3; i++) {
        struct made_record data = record_data(ask, 0, (uint64_t)(100 + i));
        data.rec->hint = SJ_HINT_HTTP;
        log_feed(&b, data);
    }
    log_turn(&b, .flags = SJ_F_STAGES, .t = {100, 110, 140}, .oncpu = 30, .bytes_ask = 3 * sizeof(ask));
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 140, 40));
    assert_int_equal(b.requests + log_stats(&b).cut_off, 3 * n);
    log_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_stream_that_goes_forward_sums_up),
        cmocka_unit_test(any_valid_record_is_survived),
        cmocka_unit_test(the_deepest_pipeline_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

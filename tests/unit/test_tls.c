// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode/tls.h"
#include "decode_log.h"

/*
 * Conversations are written as flights of records, type/length, as OpenSSL 3 sends them: '>' asks, '<' answers;
 * 20 is change_cipher_spec, 21 alert, 22 handshake, 23 application data. The bodies are noise.
 */
enum { FLIGHT_MAX = 1 << 16 };

static struct decode_log told;

static int setup(void **state)
{
    (void)state;
    log_open(&told, &sj_tls_decoder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_close(&told);
    return 0;
}

static void expect(const char *messages)
{
    assert_string_equal(told.text, messages);
    log_clear(&told);
}

static bool whole(void)
{
    return told.decoder->whole(told.state);
}

static size_t record(uint8_t *p, unsigned type, unsigned len)
{
    p[0] = (uint8_t)type;
    p[1] = 3;
    p[2] = 3;
    p[3] = (uint8_t)(len >> 8);
    p[4] = (uint8_t)len;
    for (unsigned i = 0; i < len; i++)
        p[5 + i] = (uint8_t)((i + len) * 167 >> 3);
    return 5 + len;
}

/* The records of one flight, "23/52 23/19", as bytes; returns how many. Moves *records behind them. */
static size_t flight(const char **records, uint8_t *p)
{
    size_t n = 0;

    while (**records >= '0' && **records <= '9') {
        char *end;
        unsigned type = (unsigned)strtoul(*records, &end, 10);
        unsigned len = (unsigned)strtoul(end + 1, &end, 10);

        assert_true(n + 5 + len <= FLIGHT_MAX);
        n += record(p + n, type, len);
        *records = end + strspn(end, " ");
    }
    return n;
}

static size_t bytes_of(const char *records, uint8_t *p)
{
    return flight(&records, p);
}

enum cut { CUT_NOT, CUT_RECORDS, CUT_BYTES, CUT_BODIES_HIDDEN, CUT_MAX };

/* CUT_RECORDS reads like OpenSSL, header and body apart; CUT_BODIES_HIDDEN sees nothing but the headers. */
static void feed(enum sj_dir dir, const uint8_t *p, size_t n, enum cut cut)
{
    for (size_t i = 0; i < n;) {
        size_t body = cut == CUT_NOT ? 0 : (size_t)p[i + 3] << 8 | p[i + 4];

        switch (cut) {
        case CUT_RECORDS:
            log_feed(&told, dir, p + i, 5, 0);
            log_feed(&told, dir, p + i + 5, body, 0);
            i += 5 + body;
            break;
        case CUT_BYTES:
            for (size_t end = i + 5 + body; i < end; i++)
                log_feed(&told, dir, p + i, 1, 0);
            break;
        case CUT_BODIES_HIDDEN:
            log_feed(&told, dir, p + i, 5, body);
            i += 5 + body;
            break;
        default:
            log_feed(&told, dir, p, n, 0);
            i = n;
        }
    }
}

static void play(const char *flights, enum cut cut)
{
    static uint8_t bytes[FLIGHT_MAX];

    while (*flights) {
        enum sj_dir dir = *flights == '>' ? SJ_DIR_ASK : SJ_DIR_ANSWER;

        flights += 2;
        feed(dir, bytes, flight(&flights, bytes), cut);
    }
}

/* However it is cut, two requests are two. */
static void two_requests(const char *flights)
{
    for (enum cut cut = CUT_NOT; cut < CUT_MAX; cut++) {
        log_close(&told);
        log_open(&told, &sj_tls_decoder);
        play(flights, cut);
        expect("ask|answer|ask|answer|");
        assert_true(whole());
    }
}

static void test_tls13(void **state)
{
    static const char full[] = "> 22/238 < 22/122 20/1 23/23 23/811 23/281 23/69 > 20/1 23/69 < 23/250 23/250 "
                               "> 23/52 < 23/57 > 23/52 < 23/57 > 23/19 < 23/19";
    static const char client_certificate[] =
        "> 22/238 < 22/122 20/1 23/23 23/62 23/811 23/281 23/69 "
        "> 20/1 23/811 23/281 23/69 < 23/1034 23/1034 > 23/52 < 23/57 > 23/52 < 23/57 > 23/19";
    static const char resumed[] = "> 22/514 < 22/128 20/1 23/23 23/69 > 20/1 23/69 < 23/250 > 23/52 < 23/57 "
                                  "> 23/52 < 23/57";
    static const char retried[] = "> 22/238 < 22/88 20/1 > 20/1 22/512 < 22/223 23/23 23/811 23/281 23/69 "
                                  "> 23/69 < 23/250 23/250 > 23/52 < 23/57 > 23/52 < 23/57 > 23/19 < 23/19";
    static const char without_ccs[] =
        "> 22/200 < 22/90 23/40 23/811 23/281 23/53 > 23/53 23/52 < 23/57 > 23/52 < 23/57";
    static const char no_tickets[] = "> 22/238 < 22/122 20/1 23/1200 > 20/1 23/53 > 23/400 23/16000 < 23/57 "
                                     "> 23/400 < 23/16401 23/16401 23/20";
    (void)state;
    two_requests(full);
    two_requests(client_certificate);
    two_requests(resumed);
    two_requests(retried);
    two_requests(without_ccs);
    two_requests(no_tickets);
}

static void test_tls12(void **state)
{
    static const char gcm[] = "> 22/155 < 22/65 22/791 22/300 22/4 > 22/37 20/1 22/40 < 22/186 20/1 22/40 "
                              "> 23/59 < 23/64 > 23/59 < 23/64 > 21/26 < 21/26";
    static const char cbc[] = "> 22/155 < 22/69 22/791 22/300 22/4 > 22/37 20/1 22/96 < 22/186 20/1 22/96 "
                              "> 23/112 23/112 < 23/112 > 23/112 < 23/112 23/112 > 21/80";
    static const char chacha[] = "> 22/155 < 22/65 22/791 22/300 22/4 > 22/37 20/1 22/32 < 22/186 20/1 22/32 "
                                 "> 23/19 < 23/19 > 23/53 < 23/69";
    static const char resumed[] = "> 22/512 < 22/85 20/1 22/40 > 20/1 22/40 23/59 < 23/64 > 23/59 < 23/64 > 21/26";
    static const char greeting[] = "> 22/155 < 22/65 22/791 22/300 22/4 > 22/37 20/1 22/40 < 22/186 20/1 22/40 23/100 "
                                   "> 23/53 < 23/64 > 23/59 < 23/64";
    (void)state;
    two_requests(gcm);
    two_requests(cbc);
    two_requests(chacha);
    two_requests(resumed);
    two_requests(greeting);
}

static void test_joined_in_the_middle(void **state)
{
    static const char flights[] = "> 23/53 < 23/57 > 23/52 < 23/57 > 23/19";

    (void)state;
    two_requests(flights);
}

/* A client whose certificate and Finished share a record: its flight is over when the server speaks. */
static void test_coalesced_client_flight(void **state)
{
    static const char flights[] = "> 22/238 < 22/122 20/1 23/1200 > 20/1 23/1190 < 23/250 > 23/52 < 23/57 "
                                  "> 23/52 < 23/57";
    (void)state;
    two_requests(flights);
}

static void test_asks_are_turns(void **state)
{
    static const char flights[] = "> 23/40 > 23/40 23/40 < 23/40 < 23/40 > 23/40 > 23/40";

    (void)state;
    told.offsets = true;
    play(flights, CUT_NOT);
    expect("ask@0|answer@0|ask@0|");
}

static void test_what_is_ignored(void **state)
{
    static const char handshake[] = "> 22/238 < 22/122 20/1 23/1200 > 20/1 23/53 < 23/250";
    static const char first[] = "> 23/40 < 23/50";
    static const char close[] = "> 23/19 < 23/19 > 24/20";
    static const char together[] = "> 21/26 23/52";

    (void)state;
    told.ignored = told.offsets = true;
    play(handshake, CUT_NOT);
    expect("ignore@0|ignore@0|ignore@0|ignore@0|");
    play(first, CUT_RECORDS);
    expect("ask@0|answer@0|");
    play(close, CUT_RECORDS);
    expect("ignore@0|ignore@0|ignore@0|ignore@0|ignore@0|ignore@0|");
    play(together, CUT_NOT);
    expect("ask@31|");
    log_feed(&told, SJ_DIR_ASK, "\x17\x03", 2, 0);
    log_feed(&told, SJ_DIR_ASK, "", 0, 0);
    expect("");
}

/* The server is gone without an answer: its alert is none. */
static void test_alert_is_no_answer(void **state)
{
    static const char flights[] = "> 23/40 < 23/19";
    static const char more[] = "< 23/40";

    (void)state;
    play(flights, CUT_RECORDS);
    expect("ask|");
    play(more, CUT_RECORDS);
    expect("answer|");
}

static void test_early_data(void **state)
{
    static const char flights[] = "> 22/500 20/1 23/400 < 22/122 20/1 23/100 23/57 > 23/21 23/53 < 23/250 "
                                  "> 23/52 < 23/57 > 23/52 < 23/57";
    (void)state;
    two_requests(flights);
}

static void test_whole(void **state)
{
    static uint8_t bytes[FLIGHT_MAX];
    size_t n = bytes_of("23/100", bytes);

    (void)state;
    assert_true(whole());
    log_feed(&told, SJ_DIR_ASK, bytes, 50, 0);
    assert_true(whole());
    log_feed(&told, SJ_DIR_ASK, bytes + 50, n - 50, 0);
    log_feed(&told, SJ_DIR_ANSWER, bytes, 3, 0);
    assert_false(whole());
    log_feed(&told, SJ_DIR_ANSWER, bytes + 3, 50, 20);
    assert_false(whole());
    log_feed(&told, SJ_DIR_ANSWER, NULL, 0, n - 73);
    assert_true(whole());
    expect("ask|answer|");
}

static void test_lost_and_found(void **state)
{
    static uint8_t bytes[FLIGHT_MAX];
    size_t n = bytes_of("23/100", bytes);

    (void)state;
    told.offsets = true;
    log_feed(&told, SJ_DIR_ASK, bytes, n, 1);
    expect("ask@0|lost@105|");
    /* an answer that cannot be read is an answer */
    log_feed(&told, SJ_DIR_ANSWER, NULL, 0, 1000);
    expect("answer@0|lost@0|");
    log_feed(&told, SJ_DIR_ASK, "nothing of the sort", 19, 7);
    log_feed(&told, SJ_DIR_ANSWER, NULL, 0, UINT64_MAX);
    log_feed(&told, SJ_DIR_ANSWER, NULL, 0, 0);
    expect("lost@0|lost@0|");
    assert_true(whole());
    log_feed(&told, SJ_DIR_ASK, bytes, n, 0);
    expect("ask@0|");
    log_feed(&told, SJ_DIR_ANSWER, "\x18\x03\x03\x00\x00", 5, 0);
    expect("answer@0|lost@0|");
    log_feed(&told, SJ_DIR_ASK, bytes, n, 0);
    log_feed(&told, SJ_DIR_ANSWER, bytes, n, 0);
    expect("ask@0|answer@0|");
    log_feed(&told, SJ_DIR_ANSWER, bytes, 3, 1);
    expect("lost@3|");
    log_feed(&told, SJ_DIR_ASK, bytes, n, 0);
    log_feed(&told, SJ_DIR_ANSWER, bytes, n, 0);
    expect("ask@0|answer@0|");
}

/* A client that reads header and body apart: of its handshake's answers only the first five bytes were captured. */
static void test_lost_in_handshake(void **state)
{
    static const char flights[] = "> 20/1 23/69 23/52 < 23/57 > 23/52 < 23/57";
    static uint8_t bytes[FLIGHT_MAX];

    (void)state;
    log_feed(&told, SJ_DIR_ASK, bytes, bytes_of("22/238", bytes), 0);
    size_t n = bytes_of("22/122 20/1 23/23 23/811 23/281 23/69", bytes);
    log_feed(&told, SJ_DIR_ANSWER, bytes, 5, n - 5);
    expect("lost|");
    play(flights, CUT_BODIES_HIDDEN);
    expect("ask|answer|ask|answer|");
}

/* What could not be followed is not taken for a certificate: the first ask counts. */
static void test_lost_client_flight(void **state)
{
    static const char hello[] = "> 22/238 < 22/122 20/1 23/1200";
    static const char flights[] = "> 23/52 < 23/57 > 23/52 < 23/57";

    (void)state;
    play(hello, CUT_NOT);
    log_feed(&told, SJ_DIR_ASK, NULL, 0, 80);
    expect("lost|");
    play(flights, CUT_NOT);
    expect("ask|answer|ask|answer|");
}

static void test_bad_headers(void **state)
{
    static const uint8_t bad[][5] = {
        {19, 3, 3, 0, 40}, {25, 3, 3, 0, 40},   {23, 2, 3, 0, 40}, {23, 4, 3, 0, 40},
        {23, 3, 5, 0, 40}, {23, 3, 3, 0x48, 1}, {23, 3, 3, 0, 0},  {20, 3, 3, 0, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        log_close(&told);
        log_open(&told, &sj_tls_decoder);
        log_feed(&told, SJ_DIR_ASK, bad[i], 5, 0);
        expect("lost|");
        log_feed(&told, SJ_DIR_ASK, bad[i], 5, 0);
        expect("lost|");
    }
}

static void test_probe(void **state)
{
    static const struct {
        bool ask;
        bool answer;
        uint8_t n;
        uint8_t p[12];
    } cases[] = {
        {true, false, 11, {22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}},
        {false, true, 11, {22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3}},
        {true, true, 5, {22, 3, 1, 2, 0}},
        {true, false, 6, {22, 3, 0, 2, 0, 1}},
        {false, false, 4, {22, 3, 1, 2}},
        {false, false, 0, {0}},
        {false, false, 5, {22, 3, 1, 0, 41}},
        {false, false, 5, {22, 3, 5, 2, 0}},
        {false, false, 5, {22, 2, 1, 2, 0}},
        {false, false, 5, {22, 3, 3, 0x41, 1}},
        {false, false, 6, {22, 3, 1, 2, 0, 3}},
        {false, false, 11, {22, 3, 1, 2, 0, 1, 1, 1, 0xfc, 3, 3}},
        {false, false, 11, {22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 2, 3}},
        {true, true, 5, {23, 3, 3, 0, 17}},
        {true, true, 5, {23, 3, 3, 0x41, 0}},
        {false, false, 5, {23, 3, 3, 0x41, 1}},
        {false, false, 5, {23, 3, 3, 0, 16}},
        {false, false, 5, {23, 3, 1, 0, 17}},
        {false, false, 5, {20, 3, 3, 0, 1}},
        {false, false, 5, {21, 3, 3, 0, 2}},
        {false, false, 12, "GET / HTTP/1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(sj_tls_decoder.probe(SJ_DIR_ASK, cases[i].p, cases[i].n), cases[i].ask);
        assert_int_equal(sj_tls_decoder.probe(SJ_DIR_ANSWER, cases[i].p, cases[i].n), cases[i].answer);
    }
    static uint8_t bytes[FLIGHT_MAX];
    size_t n = bytes_of("23/20 23/20", bytes);
    assert_true(sj_tls_decoder.probe(SJ_DIR_ASK, bytes, n));
    bytes[25] = 0;
    assert_false(sj_tls_decoder.probe(SJ_DIR_ASK, bytes, n));
    assert_true(sj_tls_decoder.probe(SJ_DIR_ASK, bytes, 29));
}

/* Any cut anywhere: the same messages. */
static void test_every_cut(void **state)
{
    static const char flights[] =
        "> 22/238 < 22/122 20/1 23/90 23/69 > 20/1 23/69 23/52 < 23/57 > 23/52 < 23/57 > 23/19";
    static uint8_t bytes[FLIGHT_MAX];

    (void)state;
    for (size_t at = 0; at < 300; at++) {
        log_close(&told);
        log_open(&told, &sj_tls_decoder);
        for (const char *f = flights; *f;) {
            enum sj_dir dir = *f == '>' ? SJ_DIR_ASK : SJ_DIR_ANSWER;

            f += 2;
            size_t n = flight(&f, bytes);
            size_t first = at < n ? at : n;

            log_feed(&told, dir, bytes, first, 0);
            log_feed(&told, dir, bytes + first, n - first, 0);
        }
        expect("ask|answer|ask|answer|");
    }
}

static void test_noise(void **state)
{
    static uint8_t noise[4096];
    uint64_t rng = 88172645463325252ULL;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof(noise); i++) {
            rng ^= rng << 13;
            rng ^= rng >> 7;
            rng ^= rng << 17;
            noise[i] = (uint8_t)(rng >> 32);
        }
        for (enum sj_dir dir = SJ_DIR_ASK; dir <= SJ_DIR_ANSWER; dir++) {
            size_t n = (rng >> 13) % sizeof(noise);

            assert_false(sj_tls_decoder.probe(dir, noise, n));
            log_close(&told);
            log_open(&told, &sj_tls_decoder);
            log_feed(&told, dir, noise, n, rng);
            log_feed(&told, dir, noise, n, 0);
            expect(n ? "lost|lost|" : "lost|");
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_tls13),
        TEST(test_tls12),
        TEST(test_joined_in_the_middle),
        TEST(test_coalesced_client_flight),
        TEST(test_asks_are_turns),
        TEST(test_what_is_ignored),
        TEST(test_alert_is_no_answer),
        TEST(test_early_data),
        TEST(test_whole),
        TEST(test_lost_and_found),
        TEST(test_lost_in_handshake),
        TEST(test_lost_client_flight),
        TEST(test_bad_headers),
        TEST(test_probe),
        TEST(test_every_cut),
        TEST(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

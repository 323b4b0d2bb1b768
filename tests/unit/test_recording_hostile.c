// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/varint.h"
#include "model/hist_codec.h"

#include "recording_make.h"

/* Files that were made to harm: right checksums around wrong content. */

/* Reads a header and one more block, and expects that it is refused with these words. */
static void expect_refused(uint32_t kind, const void *body, size_t n, uint32_t raw, const char *words)
{
    struct sj_err err = {0};
    struct captured c = {0};
    struct bytes b = bytes_with_header();
    bytes_add_block(&b, kind, body, n, raw);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_non_null(strstr(err.text, words));
    captured_free(&c);
    free(b.p);
}

static void a_bomb_does_not_go_off(void **state)
{
    (void)state;
    static uint8_t zeros[4 * SJ_RECORDING_RAW_MAX];
    static uint8_t packed[SJ_RECORDING_RAW_MAX];
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = zeros;
    z.avail_in = sizeof(zeros);
    z.next_out = packed;
    z.avail_out = sizeof(packed);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = z.total_out;
    deflateEnd(&z);
    expect_refused(SJ_RECORDING_REQUESTS, packed, n, sizeof(zeros), "larger than any");
    expect_refused(SJ_RECORDING_REQUESTS, packed, n, UINT32_MAX, "larger than any");
    expect_refused(SJ_RECORDING_REQUESTS, packed, n, SJ_RECORDING_RAW_MAX, "does not inflate");
    expect_refused(SJ_RECORDING_REQUESTS, packed, n, (uint32_t)n - 1, "larger than any");
    expect_refused(SJ_RECORDING_REQUESTS, packed, n / 2, (uint32_t)n, "does not inflate");
    expect_refused(SJ_RECORDING_REQUESTS, zeros, 100, 101, "does not inflate");
}

static void numbers_beyond_their_limits_are_refused(void **state)
{
    (void)state;
    uint8_t body[64] = {SJ_RECORDING_FRESH};
    uint8_t *p = body + 1;
    p += sj_varint_put(p, UINT64_MAX); /* requests, in columns of no length */
    expect_refused(SJ_RECORDING_REQUESTS, body, (size_t)(p - body) + SJ_COL_MAX_, (uint32_t)(p - body) + SJ_COL_MAX_,
                   "a request makes no sense");
    expect_refused(SJ_RECORDING_REQUESTS, body, 3, 3, "makes no sense");
    expect_refused(SJ_RECORDING_REQUESTS, "\0\0\x7f", 3, 3, "makes no sense");
    uint8_t long_column[2 + SJ_COL_MAX_] = {0, 0, 0x7f};
    expect_refused(SJ_RECORDING_REQUESTS, long_column, sizeof(long_column), sizeof(long_column),
                   "shorter than its columns");
    uint8_t more[3 + SJ_COL_MAX_] = {0, 0, 1};
    expect_refused(SJ_RECORDING_REQUESTS, more, sizeof(more), sizeof(more), "longer than its requests");
    expect_refused(SJ_RECORDING_COUNTED, "\0\x03", 2, 2, "makes no sense");
    expect_refused(SJ_RECORDING_COUNTED, "\x01\0", 2, 2, "makes no sense");
    expect_refused(SJ_RECORDING_END, "\x01", 1, 1, "its end makes no sense");
    expect_refused(SJ_RECORDING_HEADER, "\0\0\0\0\0\0", 6, 6, "out of order");
    expect_refused(SJ_RECORDING_MAX_, "", 0, 0, "unknown kind");
    expect_refused(0, "x", 1, 1, "out of order");
}

static void nothing_may_follow_the_end(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct captured c = {0};
    struct bytes b = bytes_with_header();
    bytes_add_block(&b, SJ_RECORDING_END, "\0\0\0\0\0\0\0\0\0", 9, 9);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), 0);
    assert_int_equal(c.ends, 1);
    captured_free(&c);
    bytes_add_block(&b, SJ_RECORDING_END, "\0\0\0\0\0\0\0\0\0", 9, 9);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), -1);
    assert_non_null(strstr(err.text, "bytes follow its end"));
    assert_int_equal(c.ends, 0);
    captured_free(&c);
    free(b.p);
}

static void another_version_is_named(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct captured c = {0};
    struct bytes b = bytes_with_header();
    sj_put_le32(b.p + SJ_RECORDING_MAGIC_LEN, 77);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_non_null(strstr(err.text, "format 77"));
    assert_int_equal(c.begins, 0);
    captured_free(&c);
    free(b.p);
}

/* A body of counts: one byte of service, a role, and an empty histogram as the codec writes it. */
static size_t make_counts(uint8_t body[256], uint8_t service, uint8_t role)
{
    struct sj_hist empty;
    uint8_t *hist;
    size_t n;
    sj_hist_init(&empty);
    assert_int_equal(sj_hist_encode_plain(&empty, &hist, &n), 0);
    uint8_t *p = body;
    *p++ = 1;
    *p++ = service;
    *p++ = role;
    memset(p, 0, 3);
    p += 3;
    *p++ = SJ_STAGE_MAX_;
    memset(p, 0, SJ_STAGE_MAX_);
    p += SJ_STAGE_MAX_;
    assert_true(n < 200);
    memcpy(p, hist, n);
    free(hist);
    return (size_t)(p - body) + n;
}

static void a_name_holds_no_zero_and_a_role_is_one(void **state)
{
    (void)state;
    uint8_t body[256];
    struct sj_err err = {0};
    struct captured c = {0};
    struct bytes b = bytes_with_header();
    size_t n = make_counts(body, 'a', SJ_ROLE_CLIENT);
    bytes_add_block(&b, SJ_RECORDING_COUNTED, body, n, (uint32_t)n);
    bytes_add_block(&b, SJ_RECORDING_END, "\0\0\0\0\0\0\0\0\0", 9, 9);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), 0);
    assert_int_equal(c.n_counted, 1);
    assert_string_equal(c.counted[0].service, "a");
    captured_free(&c);
    free(b.p);

    n = make_counts(body, 0, SJ_ROLE_CLIENT);
    expect_refused(SJ_RECORDING_COUNTED, body, n, (uint32_t)n, "block of counts makes no sense");
    n = make_counts(body, 'a', SJ_ROLE_MAX_);
    expect_refused(SJ_RECORDING_COUNTED, body, n, (uint32_t)n, "block of counts makes no sense");
    n = make_counts(body, 'a', SJ_ROLE_CLIENT);
    expect_refused(SJ_RECORDING_COUNTED, body, n - 1, (uint32_t)n - 1, "histogram makes no sense");
    body[n] = 0;
    expect_refused(SJ_RECORDING_COUNTED, body, n + 1, (uint32_t)n + 1, "histogram makes no sense");
}

/*
 * Adds a block of n requests without times. Each defines an entry of the dictionary of column `defines`, by the def_len
 * bytes at def; the other dictionaries get one entry, in the first request of a fresh block.
 */
static void add_requests(struct bytes *to, bool fresh, size_t n, enum sj_recording_column defines, const void *def,
                         size_t def_len)
{
    static const uint8_t who[9], endpoint[3], what[3];
    static uint8_t body[SJ_RECORDING_RAW_MAX];
    static uint8_t column[SJ_COL_MAX_][SJ_RECORDING_RAW_MAX];
    size_t len[SJ_COL_MAX_] = {0};
    const struct {
        enum sj_recording_column column;
        const uint8_t *def;
        size_t len;
    } dictionaries[] = {{SJ_COL_WHO, who, sizeof(who)},
                        {SJ_COL_LOCAL, endpoint, sizeof(endpoint)},
                        {SJ_COL_PEER, endpoint, sizeof(endpoint)},
                        {SJ_COL_WHAT, what, sizeof(what)}};
    for (size_t i = 0; i < n; i++) {
        for (size_t d = 0; d < 4; d++) {
            enum sj_recording_column c = dictionaries[d].column;
            bool again = c != defines && (i > 0 || !fresh);
            column[c][len[c]++] = again ? 1 : 0;
            if (again)
                continue;
            size_t k = c == defines ? def_len : dictionaries[d].len;
            assert_true(len[SJ_COL_DEFS] + k <= SJ_RECORDING_RAW_MAX);
            memcpy(column[SJ_COL_DEFS] + len[SJ_COL_DEFS], c == defines ? def : dictionaries[d].def, k);
            len[SJ_COL_DEFS] += k;
        }
        for (int c = SJ_COL_TID; c < SJ_COL_MAX_; c++)
            if (c < SJ_COL_SLOT || c == SJ_COL_END)
                column[c][len[c]++] = 0;
    }
    uint8_t *p = body;
    p += sj_varint_put(p, fresh ? SJ_RECORDING_FRESH : 0);
    p += sj_varint_put(p, n);
    for (int c = 0; c < SJ_COL_MAX_; c++)
        p += sj_varint_put(p, len[c]);
    for (int c = 0; c < SJ_COL_MAX_; c++) {
        assert_true((size_t)(p - body) + len[c] <= sizeof(body));
        memcpy(p, column[c], len[c]);
        p += len[c];
    }
    bytes_add_block(to, SJ_RECORDING_REQUESTS, body, (size_t)(p - body), (uint32_t)(p - body));
}

/* Blocks that define more and more are taken until a dictionary is full, and no further. */
static void expect_bounded(enum sj_recording_column defines, const void *def, size_t def_len, size_t per_block,
                           size_t bound)
{
    struct bytes b = bytes_with_header();
    for (size_t n = 0; n <= bound; n += per_block)
        add_requests(&b, n == 0, per_block, defines, def, def_len);
    struct sj_err err = {0};
    struct captured c = {0};
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), -1);
    assert_non_null(strstr(err.text, "a request makes no sense"));
    assert_in_range(c.n, bound / 2, bound);
    captured_free(&c);
    free(b.p);
}

static void dictionaries_are_bounded(void **state)
{
    (void)state;
    expect_bounded(SJ_COL_WHO, "\0\0\0\0\0\0\0\0\0", 9, 3000, SJ_RECORDING_DEFS_MAX);
    expect_bounded(SJ_COL_PEER, "\2\1\0", 3, 5000, SJ_RECORDING_DEFS_MAX);
    expect_bounded(SJ_COL_WHAT, "\0\0\0", 3, 5000, SJ_RECORDING_DEFS_MAX);
    static uint8_t what[4 + SJ_RECORDING_STRING_MAX]; /* the longest operation, no status, no flags */
    sj_varint_put(what, SJ_RECORDING_STRING_MAX);
    memset(what + 2, 'x', SJ_RECORDING_STRING_MAX);
    expect_bounded(SJ_COL_WHAT, what, sizeof(what), 31, 2 * SJ_RECORDING_DEFS_BYTES / SJ_RECORDING_STRING_MAX);
    /* Longer ones are not taken at all. */
    struct sj_err err = {0};
    struct captured c = {0};
    struct bytes b = bytes_with_header();
    sj_varint_put(what, SJ_RECORDING_STRING_MAX + 1);
    add_requests(&b, true, 1, SJ_COL_WHAT, what, sizeof(what));
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), -1);
    assert_int_equal(c.n, 0);
    captured_free(&c);
    free(b.p);
}

static void a_number_names_what_was_defined(void **state)
{
    (void)state;
    struct bytes b = bytes_with_header();
    struct sj_err err = {0};
    struct captured c = {0};
    add_requests(&b, false, 1, SJ_COL_DEFS, "", 0); /* all of number 1, of nothing */
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), -1);
    assert_non_null(strstr(err.text, "a request makes no sense"));
    captured_free(&c);
    free(b.p);

    b = bytes_with_header();
    add_requests(&b, true, 2, SJ_COL_DEFS, "", 0);
    add_requests(&b, false, 3, SJ_COL_DEFS, "", 0);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), 1); /* it has no end */
    assert_int_equal(c.n, 5);
    captured_free(&c);
    free(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bomb_does_not_go_off),
        cmocka_unit_test(numbers_beyond_their_limits_are_refused),
        cmocka_unit_test(nothing_may_follow_the_end),
        cmocka_unit_test(another_version_is_named),
        cmocka_unit_test(a_name_holds_no_zero_and_a_role_is_one),
        cmocka_unit_test(dictionaries_are_bounded),
        cmocka_unit_test(a_number_names_what_was_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

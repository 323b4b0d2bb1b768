// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "hist_random.h"
#include "model/hist_codec.h"

typedef int encoder(const struct sj_hist *h, uint8_t **out, size_t *len);

/* Latencies as a service has them: around some milliseconds, with a tail. */
static void fill(struct sj_hist *h, struct random_state *r, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(sj_hist_add(h, (uint64_t)(5e6 * exp(0.7 * random_normal(r)))), 0);
}

static void fill_anything(struct sj_hist *h, struct random_state *r, int n)
{
    for (int i = 0; i < n; i++) {
        uint64_t v = random_bits(r) % 20 == 0 ? 0 : random_latency(r);

        assert_int_equal(sj_hist_add_n(h, v, random_bits(r) >> (12 + random_bits(r) % 52)), 0);
    }
}

/* Encodes, decodes in front of other bytes, compares; returns the length. */
static size_t round_trip(encoder *encode, const struct sj_hist *h)
{
    struct sj_hist back;
    uint8_t *bytes = NULL;
    size_t used = 0;
    size_t len = 0;

    sj_hist_init(&back);
    assert_int_equal(sj_hist_add(&back, 4711), 0); /* to be replaced */
    assert_int_equal(encode(h, &bytes, &len), 0);
    assert_true(len > 0 && len <= SJ_HIST_ENCODED_MAX);
    bytes = realloc(bytes, len + 3);
    assert_non_null(bytes);
    memset(bytes + len, 0xff, 3);
    assert_int_equal(sj_hist_decode(bytes, len + 3, &used, &back), 0);
    assert_int_equal(used, len);
    assert_true(sj_hist_equal(h, &back));
    assert_int_equal(sj_hist_decode(bytes, len, NULL, &back), 0);
    assert_true(sj_hist_equal(h, &back));
    sj_hist_free(&back);
    free(bytes);
    return len;
}

static void round_trips(void **state)
{
    struct random_state r = {1};
    struct sj_hist h;

    (void)state;
    sj_hist_init(&h);
    assert_true(round_trip(sj_hist_encode, &h) <= 4);
    assert_true(round_trip(sj_hist_encode_plain, &h) <= 4);
    for (int round = 0; round < 300; round++) {
        sj_hist_reset(&h);
        if (round % 2)
            fill(&h, &r, (int)(random_bits(&r) % 2000));
        else
            fill_anything(&h, &r, (int)(random_bits(&r) % 500));
        round_trip(sj_hist_encode, &h);
        round_trip(sj_hist_encode_plain, &h);
    }
    sj_hist_free(&h);
}

static void extremes_round_trip(void **state)
{
    struct sj_hist h;

    (void)state;
    sj_hist_init(&h);
    assert_int_equal(sj_hist_add_n(&h, 0, 5), 0);
    round_trip(sj_hist_encode, &h);
    assert_int_equal(sj_hist_add(&h, 1), 0);
    assert_int_equal(sj_hist_add_n(&h, INT64_MAX, UINT64_MAX - 6), 0);
    assert_int_equal(h.count, UINT64_MAX);
    round_trip(sj_hist_encode, &h);
    sj_hist_reset(&h);
    for (int i = SJ_HIST_INDEX_MIN; i <= SJ_HIST_INDEX_MAX; i++) { /* every bucket there is, neighbours far apart */
        int rc = sj_hist_add_bucket(&h, i, i % 2 ? UINT64_C(1) << 50 : 1, 1);

        assert_true(rc == 0 || (rc == -ERANGE && i < -600));
    }
    round_trip(sj_hist_encode, &h);
    round_trip(sj_hist_encode_plain, &h);
    assert_int_equal(sj_hist_add_bucket(&h, 10, 3, UINT64_MAX), 0);
    assert_int_equal(h.sum_ns, UINT64_MAX);
    round_trip(sj_hist_encode, &h);
    sj_hist_free(&h);
}

/* A hundred thousand requests of one service: some 200 buckets. */
static void is_compact(void **state)
{
    struct random_state r = {2};
    struct sj_hist h;
    size_t plain;
    int first = 0;
    int last = 0;

    (void)state;
    sj_hist_init(&h);
    fill(&h, &r, 100000);
    assert_true(sj_hist_range(&h, &first, &last));
    plain = round_trip(sj_hist_encode_plain, &h);
    assert_true(plain < 2 * (size_t)(last - first + 1));
    assert_true(round_trip(sj_hist_encode, &h) <= plain);
    sj_hist_reset(&h);
    for (int i = -300; i < 300; i++)
        assert_int_equal(sj_hist_add_bucket(&h, i, 1000 + (uint64_t)(i % 3), 1), 0);
    plain = round_trip(sj_hist_encode_plain, &h);
    assert_true(round_trip(sj_hist_encode, &h) < plain / 4);
    sj_hist_free(&h);
}

static void refuse(const uint8_t *bytes, size_t len)
{
    struct sj_hist out = {0};
    size_t used = 4711;

    assert_int_equal(sj_hist_decode(bytes, len, &used, &out), -EBADMSG);
    assert_int_equal(used, 4711);
    assert_int_equal(out.len, 0);
}

static void refuses_what_ends_early(void **state)
{
    static encoder *const encoders[] = {sj_hist_encode, sj_hist_encode_plain};
    struct random_state r = {3};
    struct sj_hist h;

    (void)state;
    sj_hist_init(&h);
    fill(&h, &r, 10000);
    for (size_t e = 0; e < 2; e++) {
        uint8_t *bytes = NULL;
        size_t len = 0;

        assert_int_equal(encoders[e](&h, &bytes, &len), 0);
        for (size_t n = 0; n < len; n++) {
            uint8_t *exact = malloc(n + 1);

            assert_non_null(exact);
            memcpy(exact, bytes, n);
            exact = realloc(exact, n ? n : 1); /* so that reading on would be noticed */
            refuse(exact, n);
            free(exact);
        }
        free(bytes);
    }
    sj_hist_free(&h);
}

static void refuses_lies(void **state)
{
    /* packing, length, zeros, spans, sum, min, range, then skip, more and differences. 2 ns are bucket -924. */
    static const uint8_t unknown_packing[] = {3, 2, 0, 0};
    static const uint8_t trailing[] = {1, 3, 0, 0, 0};
    static const uint8_t no_counts[] = {1, 9, 0, 1, 2, 2, 0, 0xb7, 0x0e, 0, 0};
    static const uint8_t min_outside[] = {1, 9, 0, 1, 2, 1, 1, 0xb7, 0x0e, 0, 2};
    static const uint8_t max_outside[] = {1, 9, 0, 1, 2, 2, 1, 0xb7, 0x0e, 0, 2};
    static const uint8_t min_not_zero[] = {1, 9, 1, 1, 2, 2, 0, 0xb7, 0x0e, 0, 2};
    static const uint8_t below_range[] = {1, 9, 0, 1, 2, 1, 0, 0xfb, 0x0e, 0, 2};
    static const uint8_t above_range[] = {1, 10, 0, 1, 2, 1, 0, 0xc8, 0x10, 1, 2, 2};
    static const uint8_t no_such_nanosecond[] = {1, 9, 0, 1, 2, 2, 0, 0xf1, 0x0e, 0, 2};
    static const uint8_t overflow[] = {1, 14, 0, 1, 2, 0xc0, 0x84, 0x3d, 0xb0, 0xea, 0x01, 0xfb, 0x04, 1, 1, 0};
    static const uint8_t long_varint[] = {1,    14,   0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                          0xff, 0xff, 0xff, 0x02, 0,    0,    0,    0};
    static const uint8_t one[] = {1, 9, 0, 1, 2, 2, 0, 0xb7, 0x0e, 0, 2};
    static const uint8_t two[] = {1, 14, 0, 1, 2, 0xc0, 0x84, 0x3d, 0xb0, 0xea, 0x01, 0xfb, 0x04, 1, 2, 0};
    struct sj_hist out = {0};

    (void)state;
    refuse(unknown_packing, sizeof(unknown_packing));
    refuse(trailing, sizeof(trailing));
    refuse(no_counts, sizeof(no_counts));
    refuse(min_outside, sizeof(min_outside));
    refuse(max_outside, sizeof(max_outside));
    refuse(min_not_zero, sizeof(min_not_zero));
    refuse(below_range, sizeof(below_range));
    refuse(above_range, sizeof(above_range));
    refuse(no_such_nanosecond, sizeof(no_such_nanosecond));
    refuse(overflow, sizeof(overflow));
    refuse(long_varint, sizeof(long_varint));
    refuse(NULL, 0);
    /* The truth beside which those differ by one byte. */
    assert_int_equal(sj_hist_decode(one, sizeof(one), NULL, &out), 0);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.min_ns, 2);
    assert_int_equal(sj_hist_decode(two, sizeof(two), NULL, &out), 0);
    assert_int_equal(out.count, 2);
    assert_int_equal(out.max_ns, 1030000);
    sj_hist_free(&out);
}

/* A stream that inflates to more than it says, to less, and one with bytes behind it. */
static void refuses_false_lengths(void **state)
{
    uint8_t body[200] = {0};
    uint8_t bytes[300];
    uLongf len = 250;

    (void)state;
    assert_int_equal(compress(bytes + 4, &len, body, sizeof(body)), Z_OK);
    assert_true(len < 0x7e);
    bytes[0] = 2;
    bytes[1] = (uint8_t)(len + 2);
    bytes[2] = 0x80 | (100 & 0x7f);
    bytes[3] = 0;
    refuse(bytes, len + 4);
    bytes[2] = 0x80 | (201 & 0x7f);
    bytes[3] = 201 >> 7;
    refuse(bytes, len + 4);
    bytes[2] = bytes[3] = 0xff; /* longer than any histogram */
    refuse(bytes, len + 4);
    len = 250;
    assert_int_equal(compress(bytes + 3, &len, body, 2), Z_OK); /* an empty histogram, deflated */
    bytes[1] = (uint8_t)(len + 1);
    bytes[2] = 2;
    {
        struct sj_hist out = {0};

        assert_int_equal(sj_hist_decode(bytes, len + 3, NULL, &out), 0);
        assert_int_equal(out.count, 0);
    }
    bytes[1]++;
    refuse(bytes, len + 4);
}

/* Whatever one changes, the answer is a refusal or a histogram that is consistent and encodes again. */
static void survives_noise(void **state)
{
    struct random_state r = {4};
    struct sj_hist h;
    uint8_t *bytes = NULL;
    size_t len = 0;
    int decoded = 0;

    (void)state;
    sj_hist_init(&h);
    fill(&h, &r, 1000);
    assert_int_equal(sj_hist_encode_plain(&h, &bytes, &len), 0);
    for (int round = 0; round < 20000; round++) {
        size_t at = 2 + random_bits(&r) % (len - 2);
        uint8_t before = bytes[at];
        struct sj_hist out;

        sj_hist_init(&out);
        bytes[at] = (uint8_t)random_bits(&r);
        if (sj_hist_decode(bytes, len, NULL, &out) == 0) {
            uint64_t count = out.zero_count;

            decoded++;
            for (uint32_t k = 0; k < out.len; k++)
                count += out.counts[k];
            assert_int_equal(count, out.count);
            round_trip(sj_hist_encode, &out);
        }
        sj_hist_free(&out);
        bytes[at] = before;
    }
    assert_true(decoded > 100 && decoded < 20000);
    sj_hist_free(&h);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),    cmocka_unit_test(extremes_round_trip),
        cmocka_unit_test(is_compact),     cmocka_unit_test(refuses_what_ends_early),
        cmocka_unit_test(refuses_lies),   cmocka_unit_test(refuses_false_lengths),
        cmocka_unit_test(survives_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

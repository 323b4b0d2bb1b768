// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/hist_codec.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/cleanup.h"

/*
 * Layout, every number a little-endian base-128 varint, "signed" meaning zigzag:
 *
 *     byte    PLAIN or DEFLATED
 *     length  of what follows
 *     body, or for DEFLATED the body's length and then the body as a zlib stream
 *
 *     body:   zero count, number of spans; nothing more if both are 0
 *             sum, min, max - min, in ns
 *             per span: buckets since the previous span's end (the first: its bucket, signed), buckets - 1,
 *                       and per bucket the difference of its count from the one written before (signed)
 */
enum packing {
    PLAIN = 1,
    DEFLATED = 2,
};

/* So many empty buckets are cheaper inside a span than a new span is. */
#define GAP_MAX 2

/* Below this many bytes deflating never gains. */
#define DEFLATE_MIN 64

#define VARINT_MAX 10

static uint8_t *put(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)((value >> 1) ^ (value & 1 ? UINT64_MAX : 0));
}

/* The end, exclusive, of the span that starts at bucket first; last is the histogram's last bucket. */
static int span_end(const struct sj_hist *h, int first, int last)
{
    int end = first + 1;

    for (int i = end; i <= last && i - end <= GAP_MAX; i++)
        if (sj_hist_count_at(h, i))
            end = i + 1;
    return end;
}

static int next_used(const struct sj_hist *h, int index, int last)
{
    while (index <= last && sj_hist_count_at(h, index) == 0)
        index++;
    return index;
}

static uint8_t *put_spans(const struct sj_hist *h, uint8_t *to, int first, int last)
{
    uint64_t before = 0;
    int end = 0;

    for (int at = first; at <= last; at = next_used(h, end, last)) {
        to = put(to, at == first ? zigzag(at) : (uint64_t)(at - end));
        end = span_end(h, at, last);
        to = put(to, (uint64_t)(end - at - 1));
        for (int i = at; i < end; i++) {
            uint64_t n = sj_hist_count_at(h, i);

            to = put(to, zigzag((int64_t)(n - before)));
            before = n;
        }
    }
    return to;
}

/* Writes the body and returns its end. */
static uint8_t *put_body(const struct sj_hist *h, uint8_t *to)
{
    uint64_t spans = 0;
    int first = 0;
    int last = -1;

    sj_hist_range(h, &first, &last);
    for (int at = first; at <= last; at = next_used(h, span_end(h, at, last), last))
        spans++;
    to = put(to, h->zero_count);
    to = put(to, spans);
    if (h->count == 0)
        return to;
    to = put(to, h->sum_ns);
    to = put(to, h->min_ns);
    to = put(to, h->max_ns - h->min_ns);
    return put_spans(h, to, first, last);
}

/* Deflates n bytes into at most *m; false when they do not fit or memory is short: the plain form serves then. */
static bool deflate_body(const uint8_t *body, size_t n, uint8_t *to, size_t *m)
{
    z_stream z = {0};
    int rc;

    /* A histogram is small: a window of 4 KiB and little state instead of the usual quarter of a megabyte. */
    if (deflateInit2(&z, 6, Z_DEFLATED, 12, 5, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    z.next_in = (z_const Bytef *)(uintptr_t)body;
    z.avail_in = (uInt)n;
    z.next_out = to;
    z.avail_out = (uInt)*m;
    rc = deflate(&z, Z_FINISH);
    *m = z.total_out;
    deflateEnd(&z);
    return rc == Z_STREAM_END;
}

static int encode(const struct sj_hist *h, bool deflated, uint8_t **out, size_t *len)
{
    sj_autofree uint8_t *body = malloc(SJ_HIST_ENCODED_MAX);
    sj_autofree uint8_t *result = NULL;
    uint8_t prefix[1 + VARINT_MAX] = {PLAIN};
    uint8_t length[VARINT_MAX];
    size_t prefix_len;
    size_t length_len = 0;
    size_t n;
    size_t m;

    if (!body)
        return -ENOMEM;
    n = (size_t)(put_body(h, body) - body);
    if (deflated && n >= DEFLATE_MIN) {
        sj_autofree uint8_t *packed = malloc(n);

        length_len = (size_t)(put(length, n) - length);
        m = n - length_len;
        if (packed && deflate_body(body, n, packed, &m)) {
            prefix[0] = DEFLATED;
            memcpy(body, packed, m);
            n = m;
        }
    }
    if (prefix[0] == PLAIN)
        length_len = 0;
    prefix_len = (size_t)(put(prefix + 1, length_len + n) - prefix);
    result = malloc(prefix_len + length_len + n);
    if (!result)
        return -ENOMEM;
    memcpy(result, prefix, prefix_len);
    memcpy(result + prefix_len, length, length_len);
    memcpy(result + prefix_len + length_len, body, n);
    *len = prefix_len + length_len + n;
    *out = SJ_TAKE(result);
    return 0;
}

int sj_hist_encode(const struct sj_hist *h, uint8_t **out, size_t *len)
{
    return encode(h, true, out, len);
}

int sj_hist_encode_plain(const struct sj_hist *h, uint8_t **out, size_t *len)
{
    return encode(h, false, out, len);
}

/* What is left to read. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* Reads one varint; false at the end of the bytes or when it has more than 64 bits. */
static bool get(struct reader *r, uint64_t *value)
{
    uint64_t v = 0;

    for (unsigned int shift = 0; r->at < r->end && shift < 64; shift += 7) {
        uint8_t byte = *r->at++;

        if (shift == 63 && byte > 1)
            return false;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value = v;
            return true;
        }
    }
    return false;
}

static int bad_unless_memory(int rc)
{
    return rc == 0 || rc == -ENOMEM ? rc : -EBADMSG;
}

static int get_spans(struct reader *r, uint64_t spans, struct sj_hist *h)
{
    uint64_t before = 0;
    int64_t at = 0;

    for (uint64_t s = 0; s < spans; s++) {
        uint64_t skip;
        uint64_t more;

        if (!get(r, &skip) || !get(r, &more))
            return -EBADMSG;
        if (s > 0 && skip > INT32_MAX)
            return -EBADMSG;
        at = s == 0 ? unzigzag(skip) : at + (int64_t)skip;
        if (at < SJ_HIST_INDEX_MIN || at > SJ_HIST_INDEX_MAX || more > (uint64_t)(SJ_HIST_INDEX_MAX - at))
            return -EBADMSG;
        for (int64_t end = at + (int64_t)more + 1; at < end; at++) {
            uint64_t delta;
            int rc;

            if (!get(r, &delta))
                return -EBADMSG;
            before += (uint64_t)unzigzag(delta);
            rc = before ? sj_hist_add_bucket(h, (int)at, before, 0) : 0;
            if (rc < 0)
                return bad_unless_memory(rc);
        }
    }
    return 0;
}

/* Whether min and max lie where the counts say that they must. */
static bool extremes_fit(const struct sj_hist *h)
{
    uint64_t low;
    uint64_t high;
    int first;
    int last;

    if (!sj_hist_range(h, &first, &last))
        return h->min_ns == 0 && h->max_ns == 0;
    sj_hist_bucket_ns(first, &low, &high);
    if (h->zero_count ? h->min_ns != 0 : h->min_ns < low || h->min_ns > high)
        return false;
    sj_hist_bucket_ns(last, &low, &high);
    return h->max_ns >= low && h->max_ns <= high;
}

static int decode_body(const uint8_t *p, size_t n, struct sj_hist *h)
{
    struct reader r = {p, p + n};
    uint64_t zeros;
    uint64_t spans;
    uint64_t sum;
    uint64_t min;
    uint64_t range;
    int rc;

    if (!get(&r, &zeros) || !get(&r, &spans))
        return -EBADMSG;
    if (zeros || spans) {
        if (!get(&r, &sum) || !get(&r, &min) || !get(&r, &range) || min > SJ_HIST_NS_MAX ||
            range > SJ_HIST_NS_MAX - min)
            return -EBADMSG;
        rc = get_spans(&r, spans, h);
        if (rc == 0)
            rc = bad_unless_memory(sj_hist_add_n(h, 0, zeros));
        if (rc < 0)
            return rc;
        h->sum_ns = sum;
        h->min_ns = min;
        h->max_ns = min + range;
        if (h->count == 0 || !extremes_fit(h))
            return -EBADMSG;
    }
    return r.at == r.end ? 0 : -EBADMSG;
}

static int decode_deflated(struct reader r, struct sj_hist *h)
{
    sj_autofree uint8_t *body = NULL;
    uint64_t n;
    uLong taken;
    uLongf m;

    if (!get(&r, &n) || n > SJ_HIST_ENCODED_MAX)
        return -EBADMSG;
    m = (uLongf)n;
    taken = (uLong)(r.end - r.at);
    body = malloc(n + 1);
    if (!body)
        return -ENOMEM;
    switch (uncompress2(body, &m, r.at, &taken)) {
    case Z_OK:
        return m == n && taken == (uLong)(r.end - r.at) ? decode_body(body, n, h) : -EBADMSG;
    case Z_MEM_ERROR:
        return -ENOMEM;
    default:
        return -EBADMSG;
    }
}

int sj_hist_decode(const uint8_t *p, size_t n, size_t *used, struct sj_hist *out)
{
    struct reader r = {p, p + n};
    struct sj_hist h;
    uint64_t length;
    int packing;
    int rc;

    if (n == 0)
        return -EBADMSG;
    packing = *r.at++;
    if ((packing != PLAIN && packing != DEFLATED) || !get(&r, &length) || length > (uint64_t)(r.end - r.at) ||
        length > SJ_HIST_ENCODED_MAX)
        return -EBADMSG;
    r.end = r.at + length;
    sj_hist_init(&h);
    rc = packing == PLAIN ? decode_body(r.at, (size_t)length, &h) : decode_deflated(r, &h);
    if (rc < 0) {
        sj_hist_free(&h);
        return rc;
    }
    sj_hist_free(out);
    *out = h;
    if (used)
        *used = (size_t)(r.end - p);
    return 0;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode/http.h"
#include "decode_log.h"

/*
 * Random conversations, told as they are made. However they are cut into pieces, and whatever is hidden of their
 * bodies, the decoder must tell the same.
 */
enum { STREAM_MAX = 1 << 14, TELL_MAX = 1 << 13, EXCHANGES = 6 };

struct stream {
    size_t len;
    size_t told_len;
    char bytes[STREAM_MAX];
    uint8_t opaque[STREAM_MAX]; /* this byte and the next belong to the same run of body or chunk data */
    char told[TELL_MAX];
};

static uint64_t rng;

static unsigned pick(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)((rng >> 11) % n);
}
#define ONE_OF(array) ((array)[pick(sizeof(array) / sizeof((array)[0]))])

static void put(struct stream *s, const char *text)
{
    size_t n = strlen(text);

    assert_true(s->len + n < STREAM_MAX);
    memcpy(s->bytes + s->len, text, n);
    memset(s->opaque + s->len, 0, n);
    s->len += n;
}

static void line(struct stream *s, const char *text)
{
    put(s, text);
    put(s, pick(8) ? "\r\n" : "\n");
}

static void tell(struct stream *s, const char *text)
{
    size_t n = strlen(text);

    assert_true(s->told_len + n < TELL_MAX);
    memcpy(s->told + s->told_len, text, n + 1);
    s->told_len += n;
}

/* Half of the bodies try to be mistaken for messages. */
static void data(struct stream *s, size_t n)
{
    static const char lure[] = "\r\n\r\nHTTP/1.1 200 OK\r\n\r\nGET / HTTP/1.1\r\n\r\n0\r\n\r\n";
    size_t from = pick(2) ? 0 : sizeof(lure);

    assert_true(s->len + n < STREAM_MAX);
    for (size_t i = 0; i < n; i++) {
        s->bytes[s->len + i] = from < sizeof(lure) ? lure[(from + i) % (sizeof(lure) - 1)] : (char)pick(256);
        s->opaque[s->len + i] = i + 1 < n;
    }
    s->len += n;
}

static void some_fields(struct stream *s)
{
    static const char *const fields[] = {
        "Host: example.com",
        "Content-Type: text/html; charset=utf-8",
        "Cache-Control: no-cache",
        "Connection: keep-alive",
        "Cookie: a=b; c=d",
        "ETag: \"x\"",
        "Expires: 0",
        "TE: trailers",
        "Transfer-Encodings: chunked",
        "Content-Lengths: 5",
        "X-Folded: a\r\n\tContent-Length: 77",
        "X:",
        "c: d",
        "t",
    };
    for (unsigned n = pick(4); n > 0; n--)
        line(s, ONE_OF(fields));
}

static void chunked_body(struct stream *s)
{
    char size[40];

    for (unsigned n = pick(4); n > 0; n--) {
        unsigned len = 1 + pick(40);

        snprintf(size, sizeof(size), pick(2) ? "%x" : "00%X;ext=\"1\"", len);
        line(s, size);
        data(s, len);
        line(s, "");
    }
    line(s, "0");
    if (pick(3) == 0)
        line(s, "Trailer: Content-Length: 5");
    line(s, "");
}

/* The fields that give the length, the empty line, and the body unless there is none in spite of them. */
static void framed_body(struct stream *s, bool none, bool expect)
{
    static const char *const codings[] = {"Transfer-Encoding: chunked", "transfer-encoding: gzip, CHUNKED",
                                          "Transfer-Encoding:\r\n chunked"};
    bool chunks = pick(3) == 0;
    unsigned len = pick(3) ? pick(120) : 0;
    char text[60];

    some_fields(s);
    if (expect)
        line(s, "Expect: 100-continue");
    if (chunks) {
        line(s, ONE_OF(codings));
    } else {
        static const char *const names[] = {"Content-Length: ", "content-length:", "Content-LENGTH:\t",
                                            "Content-Length:\r\n "};

        snprintf(text, sizeof(text), "%s%u%s", ONE_OF(names), len, pick(4) ? "" : " \t");
        line(s, text);
    }
    some_fields(s);
    line(s, "");
    if (none)
        return;
    if (chunks)
        chunked_body(s);
    else
        data(s, len);
}

enum kind { PLAIN, HEAD, CONNECT };

static enum kind make_ask(struct stream *s)
{
    static const char *const targets[][2] = {
        {"/", "/"},
        {"/users/42?secret=1", "/users/:id"},
        {"/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/*"},
        {"http://example.com/x", "/x"},
        {"/words-of-reasonable-length/words-of-reasonable-length/words-of-reasonable-length/words-of-reasonable-length/"
         "words-of-reasonable-length/words",
         "/words-of-reasonable-length/words-of-reasonable-length/words-of-reasonable-length/"
         "words-of-reasonable-length/*"},
    };
    static const char *const methods[][2] = {
        {"GET", "GET"}, {"HEAD", "HEAD"}, {"POST", "POST"}, {"PROPFIND", "PROPFIND"}, {"ANYTHING-GOES", "OTHER"}};
    const char *const *method = ONE_OF(methods);
    const char *const *target = ONE_OF(targets);
    char text[300];

    if (pick(6) == 0)
        line(s, "");
    snprintf(text, sizeof(text), "%s %s HTTP/1.%u", method[0], target[0], pick(2));
    line(s, text);
    snprintf(text, sizeof(text), "ask %s %s|ask-end|", method[1], target[1]);
    tell(s, text);
    if (pick(2)) {
        some_fields(s);
        line(s, "");
    } else {
        framed_body(s, false, pick(4) == 0);
    }
    return strcmp(method[0], "HEAD") == 0 ? HEAD : PLAIN;
}

static void make_answer(struct stream *s, enum kind kind)
{
    static const char *const statuses[][2] = {
        {"200 OK", "200"},         {"204 No Content", "204"}, {"304", "304"}, {"404 Not Found", "404 client-error"},
        {"500 \xff", "500 error"},
    };
    const char *const *status = ONE_OF(statuses);
    char text[100];

    if (pick(6) == 0) {
        line(s, "HTTP/1.1 100 Continue");
        some_fields(s);
        line(s, "");
        tell(s, "interim 100|");
    }
    snprintf(text, sizeof(text), "HTTP/1.%u %s", pick(2), status[0]);
    line(s, text);
    framed_body(s, kind == HEAD || strncmp(status[0], "204", 3) == 0 || strncmp(status[0], "304", 3) == 0, false);
    snprintf(text, sizeof(text), "answer %s|answer-end|", status[1]);
    tell(s, text);
}

/* Something that ends all: a body until the connection closes, or a protocol that is not HTTP. */
static void make_last(struct stream *asks, struct stream *answers)
{
    switch (pick(3)) {
    case 0:
        line(asks, "GET / HTTP/1.1");
        line(asks, "");
        tell(asks, "ask GET /|ask-end|");
        line(answers, "HTTP/1.0 200 OK");
        some_fields(answers);
        line(answers, "");
        data(answers, 50);
        tell(answers, "answer 200|");
        break;
    case 1:
        line(asks, "CONNECT a:443 HTTP/1.1");
        line(asks, "");
        tell(asks, "ask CONNECT *:443|ask-end|");
        line(answers, "HTTP/1.1 200 OK");
        framed_body(answers, true, false);
        data(answers, 50);
        tell(answers, "answer 200|answer-end|switch 0|");
        break;
    default:
        line(asks, "GET / HTTP/1.1");
        line(asks, "");
        tell(asks, "ask GET /|ask-end|");
        line(answers, "HTTP/1.1 101 Switching");
        framed_body(answers, true, false);
        data(answers, 50);
        tell(answers, "answer 101|answer-end|switch 0|");
    }
}

static struct stream asks, answers;
static struct decode_log told;

static void make_conversation(uint64_t seed)
{
    enum kind kinds[EXCHANGES];

    rng = seed * 0x9e3779b97f4a7c15ULL + 1;
    asks.len = answers.len = asks.told_len = answers.told_len = 0;
    for (unsigned i = 0; i < EXCHANGES; i++)
        kinds[i] = make_ask(&asks);
    for (unsigned i = 0; i < EXCHANGES; i++)
        make_answer(&answers, kinds[i]);
    make_last(&asks, &answers);
}

/* How long the next piece is. */
typedef size_t (*cutter)(const struct stream *s, size_t from, size_t arg);

static void play(cutter cut, size_t ask_arg, size_t answer_arg, bool hide)
{
    const struct stream *const streams[] = {&asks, &answers};
    const size_t args[] = {ask_arg, answer_arg};

    log_open(&told, &sj_http_decoder);
    for (enum sj_dir dir = SJ_DIR_ASK; dir <= SJ_DIR_ANSWER; dir++) {
        const struct stream *s = streams[dir];

        for (size_t from = 0; from < s->len;) {
            size_t n = cut(s, from, args[dir]), gap = 0;

            /* what follows the piece is hidden as long as it is the same body */
            if (hide)
                while (n > 0 && from + n + gap < s->len && s->opaque[from + n + gap - 1] && pick(16))
                    gap++;
            log_feed(&told, dir, s->bytes + from, n, gap);
            from += n + gap;
        }
    }
    size_t split = asks.told_len;
    assert_int_equal(told.len, asks.told_len + answers.told_len);
    assert_memory_equal(told.text, asks.told, split);
    assert_memory_equal(told.text + split, answers.told, answers.told_len);
    assert_true(told.decoder->whole(told.state));
    log_close(&told);
}

static size_t cut_once(const struct stream *s, size_t from, size_t at)
{
    return from < at && at < s->len ? at - from : s->len - from;
}

static size_t cut_evenly(const struct stream *s, size_t from, size_t size)
{
    return s->len - from < size ? s->len - from : size;
}

static size_t cut_anyhow(const struct stream *s, size_t from, size_t most)
{
    size_t size = 1 + pick((unsigned)most);

    return s->len - from < size ? s->len - from : size;
}

static void test_every_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        make_conversation(seed);
        size_t most = asks.len > answers.len ? asks.len : answers.len;
        for (size_t at = 0; at <= most; at++)
            play(cut_once, at, at, false);
    }
}

static void test_small_pieces(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        make_conversation(seed);
        for (size_t size = 1; size <= 20; size++)
            play(cut_evenly, size, size, false);
    }
}

static void test_random_pieces(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        make_conversation(seed);
        for (size_t most = 1; most < 4000; most *= 3)
            play(cut_anyhow, most, most, false);
    }
}

static void test_hidden_bodies(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        make_conversation(seed);
        for (size_t most = 1; most < 4000; most *= 3)
            play(cut_anyhow, most, most, true);
    }
}

/* Random bytes are nobody's protocol, and neither are they messages. */
static void test_noise(void **state)
{
    static uint8_t noise[4096];

    (void)state;
    rng = 7;
    for (int i = 0; i < 2000; i++) {
        size_t n = 1 + pick(sizeof(noise));

        for (size_t k = 0; k < n; k++)
            noise[k] = (uint8_t)pick(256);
        for (enum sj_dir dir = SJ_DIR_ASK; dir <= SJ_DIR_ANSWER; dir++) {
            assert_null(sj_decoder_probe(dir, noise, n));
            log_open(&told, &sj_http_decoder);
            for (size_t from = 0; from < n;) {
                size_t piece = 1 + pick((unsigned)(n - from));

                log_feed(&told, dir, noise + from, piece, pick(3) ? 0 : pick(100));
                from += piece;
                assert_string_equal(told.text, "lost|");
                log_clear(&told);
            }
            log_close(&told);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),     cmocka_unit_test(test_small_pieces), cmocka_unit_test(test_random_pieces),
        cmocka_unit_test(test_hidden_bodies), cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

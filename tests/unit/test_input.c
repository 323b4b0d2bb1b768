// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "hist_random.h"
#include "recording_make.h"

static char folder[64];
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    temporary_folder(folder);
    temporary_path(path, folder, "in");
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* Appends a gzip member to *to. */
static void add_gzip(struct bytes *to, const void *p, size_t n)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&z, n);
    uint8_t *copy = malloc(n ? n : 1);
    to->p = realloc(to->p, to->n + room);
    assert_non_null(copy);
    assert_non_null(to->p);
    memcpy(copy, p, n);
    z.next_in = copy;
    z.avail_in = (uInt)n;
    z.next_out = to->p + to->n;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    to->n += z.total_out;
    deflateEnd(&z);
    free(copy);
}

static struct sj_input *open_bytes(const void *p, size_t n)
{
    struct sj_input *in = NULL;
    struct sj_err err = {0};
    assert_int_equal(sj_input_open_memory(p, n, &in, &err), 0);
    return in;
}

static void bytes_come_as_they_are(void **state)
{
    (void)state;
    struct random_state r = {.state = 3};
    struct sj_err err = {0};
    size_t n = 500000;
    uint8_t *data = malloc(n);
    uint8_t *got = malloc(n);
    assert_non_null(data);
    assert_non_null(got);
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)(random_bits(&r) % 5);
    struct bytes gz = {0};
    add_gzip(&gz, data, 300000);
    add_gzip(&gz, data, 0);
    add_gzip(&gz, data + 300000, n - 300000);
    const struct bytes forms[] = {{data, n}, gz};
    for (size_t f = 0; f < 2; f++) {
        struct sj_input *in = open_bytes(forms[f].p, forms[f].n);
        size_t done = 0;
        while (done < n) {
            const uint8_t *p;
            size_t want = random_bits(&r) % 3 ? random_bits(&r) % 200 : random_bits(&r) % 200000;
            size_t peek = random_bits(&r) % 513;
            size_t k;
            assert_int_equal(sj_input_peek(in, peek, &p, &k, &err), 0);
            assert_int_equal(k, peek < n - done ? peek : n - done);
            assert_memory_equal(p, data + done, k);
            assert_int_equal(sj_input_read(in, got, want, &k, &err), 0);
            assert_int_equal(k, want < n - done ? want : n - done);
            assert_memory_equal(got, data + done, k);
            done += k;
            assert_int_equal(sj_input_offset(in), done);
        }
        size_t k;
        assert_int_equal(sj_input_read(in, got, 1, &k, &err), 0);
        assert_int_equal(k, 0);
        assert_false(sj_input_cut_off(in));
        sj_input_close(in);
    }
    free(gz.p);
    free(data);
    free(got);
}

static void lines_end_where_they_end(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct sj_line line;
    size_t n = 3 * SJ_INPUT_LINE_MAX;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'x', n);
    text[0] = text[3] = '\n';
    text[4 + SJ_INPUT_LINE_MAX] = '\n';
    text[5 + 2 * SJ_INPUT_LINE_MAX] = '\n';
    const size_t lengths[] = {0, 2, SJ_INPUT_LINE_MAX, SJ_INPUT_LINE_MAX, n - 6 - 2 * SJ_INPUT_LINE_MAX};
    struct sj_input *in = open_bytes(text, n);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sj_input_line(in, &line, &err), 1);
        assert_int_equal(line.len, lengths[i]);
        assert_int_equal(line.ended, i < 4);
    }
    assert_int_equal(sj_input_line(in, &line, &err), 0);
    sj_input_close(in);

    in = open_bytes(text + 4, SJ_INPUT_LINE_MAX);
    assert_int_equal(sj_input_line(in, &line, &err), 1);
    assert_false(line.ended);
    sj_input_close(in);

    text[4 + SJ_INPUT_LINE_MAX] = 'x';
    in = open_bytes(text + 4, SJ_INPUT_LINE_MAX + 2);
    assert_int_equal(sj_input_line(in, &line, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    sj_input_close(in);
    free(text);
}

static void a_cut_gzip_file_is_told_from_a_broken_one(void **state)
{
    (void)state;
    static char text[30000];
    static char got[sizeof(text) + 1];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "0123456789abcdef"[(i * i / 7 + i) % 16];
    struct bytes gz = {0};
    add_gzip(&gz, text, sizeof(text));
    for (size_t n = 2; n <= gz.n; n += n < 30 || n > gz.n - 30 ? 1 : 97) {
        struct sj_err err = {0};
        size_t k;
        struct sj_input *in = open_bytes(gz.p, n);
        assert_int_equal(sj_input_read(in, got, sizeof(got), &k, &err), 0);
        assert_int_equal(sj_input_cut_off(in), n < gz.n);
        assert_memory_equal(got, text, k);
        assert_int_equal(k == sizeof(text), n >= gz.n - 8); /* before its checksum and length */
        sj_input_close(in);
    }
    /* From the length of the deflated data on, every bit counts: the data itself, its checksum, its length. */
    for (size_t at = gz.n - 8; at < gz.n; at++) {
        struct sj_err err = {0};
        size_t k;
        gz.p[at] ^= 0x10;
        struct sj_input *in = open_bytes(gz.p, gz.n);
        assert_int_equal(sj_input_read(in, got, sizeof(got), &k, &err), -1);
        assert_int_equal(err.status, EX_DATAERR);
        assert_non_null(strstr(err.text, "gzip"));
        sj_input_close(in);
        gz.p[at] ^= 0x10;
    }
    free(gz.p);
}

static void expect_run(const char *name, int rc, int status, const char *words)
{
    struct captured c = {0};
    struct sj_sink sink = captured_sink(&c);
    struct sj_err err = {0};
    assert_int_equal(sj_input_run(name, NULL, &sink, &err), rc);
    assert_int_equal(err.status, status);
    assert_non_null(strstr(err.text, words));
    assert_null(strchr(err.text, '\n'));
    assert_int_equal(c.begins, 0);
    captured_free(&c);
}

static void what_cannot_be_read_is_refused(void **state)
{
    (void)state;
    char none[128];
    expect_run(temporary_path(none, folder, "none"), -1, EX_NOINPUT, strerror(ENOENT));
    expect_run(folder, -1, EX_NOINPUT, strerror(EISDIR));
    const char *bad[] = {"", "  \n\n", "hello", "[{\"total\":1}]", "\x89PNG\r\n\x1a\n", "\x89SJREC", "SQLite format 3"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        file_of_bytes(path, bad[i], strlen(bad[i]));
        expect_run(path, -1, EX_DATAERR, path);
    }
}

static void access_denied_is_its_own_status(void **state)
{
    (void)state;
    bool root = geteuid() == 0; /* who may read everything */
    file_of_bytes(path, "{\"total\":1}\n", 12);
    assert_int_equal(chmod(path, 0), 0);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    expect_run(path, -1, EX_NOPERM, strerror(EACCES));
    if (root)
        assert_int_equal(seteuid(0), 0);
}

static const struct sj_measurement measurement = {.host = "h", .start_mono_ns = 1000000000000U};

static struct sj_counted make_counted(const char *service, uint8_t role, uint16_t port, uint64_t n)
{
    struct sj_counted c = {.service = service, .role = role, .port = port, .lower_bound = port == 6379};
    sj_hist_init(&c.total);
    assert_int_equal(sj_hist_add_n(&c.total, 1000000, n), 0);
    return c;
}

/* Hundred requests of two ports, and two services that were counted without detail. Ends whole, or not. */
static void make_recording(bool whole)
{
    struct sj_err err = {0};
    struct sj_recording_writer *w;
    assert_int_equal(sj_recording_writer_open(path, &w, &err), 0);
    struct sj_sink sink = sj_recording_sink(w);
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), 0);
    for (uint32_t i = 0; i < 100; i++) {
        struct sj_request req = request_usual(i);
        req.port = i % 4 ? 8080 : 9090;
        req.flags |= i % 10 ? 0 : SJ_REQ_UNPARSED;
        assert_int_equal(sink.request(sink.ctx, &req, &err), 0);
    }
    struct sj_counted counted[] = {make_counted("nginx", SJ_ROLE_SERVER, 8080, 1000),
                                   make_counted("redis", SJ_ROLE_CLIENT, 6379, 500)};
    struct sj_outcome outcome = {.duration_s = 1, .completeness = {100, 1500, 10, 3, 2, 0, true}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sink.counted(sink.ctx, &counted[i], &err), 0);
        sj_hist_free(&counted[i].total);
    }
    if (whole)
        assert_int_equal(sink.end(sink.ctx, &outcome, &err), 0);
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
}

static struct captured run(const struct sj_filter *filter, int rc)
{
    struct captured c = {0};
    struct sj_sink sink = captured_sink(&c);
    struct sj_err err = {0};
    assert_int_equal(sj_input_run(path, filter, &sink, &err), rc);
    return c;
}

static void expect_completeness(const struct captured *c, uint64_t detailed, uint64_t counted, uint64_t unparsed,
                                bool lower_bound)
{
    const struct sj_completeness *k = &c->outcome.completeness;
    assert_int_equal(c->n, detailed);
    assert_int_equal(k->detailed, detailed);
    assert_int_equal(k->counted_only, counted);
    assert_int_equal(k->unparsed, unparsed);
    assert_int_equal(k->cut_off, 3);
    assert_int_equal(k->lost, 2);
    assert_int_equal(k->lower_bound, lower_bound);
}

static void completeness_is_that_of_what_matches(void **state)
{
    (void)state;
    struct sj_filter f;
    make_recording(true);

    struct captured c = run(NULL, 0);
    expect_completeness(&c, 100, 1500, 10, true);
    assert_int_equal(c.n_counted, 2);
    captured_free(&c);

    sj_filter_init(&f);
    c = run(&f, 0);
    expect_completeness(&c, 100, 1500, 10, true);
    captured_free(&c);

    f.port = 8080;
    c = run(&f, 0);
    expect_completeness(&c, 75, 1000, 5, false);
    assert_int_equal(c.n_counted, 1);
    assert_string_equal(c.counted[0].service, "nginx");
    captured_free(&c);

    f.port = 0;
    f.role = SJ_ROLE_CLIENT;
    c = run(&f, 0);
    expect_completeness(&c, 0, 500, 0, true);
    captured_free(&c);

    /* Whether counted turns were slow, or of a process, is not known: they are left out and that is said. */
    sj_filter_init(&f);
    f.slower_ns = 1;
    c = run(&f, 0);
    expect_completeness(&c, 100, 0, 10, true);
    assert_int_equal(c.n_counted, 0);
    captured_free(&c);
    f.port = 9090;
    c = run(&f, 0);
    expect_completeness(&c, 25, 0, 5, false);
    captured_free(&c);
}

static void a_cut_is_a_lower_bound_whatever_the_filter(void **state)
{
    (void)state;
    struct sj_filter f;
    make_recording(false);
    struct bytes b = bytes_of_file(path);
    /* Also without the counts: then nothing but the cut makes a bound. */
    struct captured c = run(NULL, 1);
    assert_int_equal(c.outcome.completeness.counted_only, 1500);
    assert_true(c.outcome.completeness.lower_bound);
    captured_free(&c);

    file_of_bytes(path, b.p, b.n - 100);
    sj_filter_init(&f);
    f.port = 9090;
    c = run(&f, 1);
    assert_int_equal(c.n, 25);
    assert_int_equal(c.outcome.completeness.detailed, 25);
    assert_true(c.outcome.completeness.lower_bound);
    captured_free(&c);
    free(b.p);
}

static void a_recording_may_be_gzipped(void **state)
{
    (void)state;
    make_recording(true);
    struct bytes b = bytes_of_file(path);
    struct bytes gz = {0};
    add_gzip(&gz, b.p, b.n);
    file_of_bytes(path, gz.p, gz.n);
    struct captured c = run(NULL, 0);
    expect_completeness(&c, 100, 1500, 10, true);
    captured_free(&c);
    file_of_bytes(path, gz.p, gz.n - 1); /* what is missing is gzip's checksum: the recording has its own */
    c = run(NULL, 0);
    assert_int_equal(c.n, 100);
    captured_free(&c);
    file_of_bytes(path, gz.p, gz.n - 30);
    c = run(NULL, 1);
    assert_int_equal(c.n, 100);
    captured_free(&c);
    free(gz.p);
    free(b.p);
}

static void lines_may_be_gzipped_and_filtered(void **state)
{
    (void)state;
    const char *text =
        " \n{\"total\":1,\"pid\":7}\n{\"total\":2,\"pid\":8}\n{\"total\":3,\"pid\":8,\"unparsed\":true}\n";
    struct bytes gz = {0};
    struct sj_filter f;
    add_gzip(&gz, text, strlen(text));
    file_of_bytes(path, gz.p, gz.n);
    sj_filter_init(&f);
    f.pid = 8;
    struct captured c = run(&f, 0);
    assert_int_equal(c.n, 2);
    assert_int_equal(c.outcome.completeness.detailed, 2);
    assert_int_equal(c.outcome.completeness.unparsed, 1);
    assert_false(c.outcome.completeness.lower_bound);
    captured_free(&c);
    file_of_bytes(path, gz.p, gz.n - 4);
    c = run(&f, 1);
    assert_int_equal(c.n, 2);
    assert_true(c.outcome.completeness.lower_bound);
    captured_free(&c);
    free(gz.p);
}

static void on_signal(int number)
{
    (void)number;
}

struct interruption {
    pthread_t reader;
    int reader_end; /* of a socket pair between the two threads */
    int signaller_end;
    struct captured *captured;
};

static int say_when_two_were_read(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    struct interruption *i = ctx;
    if (captured_request(i->captured, req, err) < 0)
        return -1;
    if (i->captured->n == 2)
        assert_int_equal(send(i->reader_end, "2", 1, 0), 1);
    return 0;
}

/* One signal might come just before the read that it is meant for. */
static void *signal_until_done(void *arg)
{
    struct interruption *i = arg;
    struct timespec pause = {.tv_nsec = 1000000};
    char byte;
    if (recv(i->signaller_end, &byte, 1, 0) != 1)
        return NULL;
    while (recv(i->signaller_end, &byte, 1, MSG_DONTWAIT) < 0) {
        pthread_kill(i->reader, SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Standard input is a pipe that stays open: only the signal ends it, and that is a regular end. */
static void a_signal_ends_the_input(void **state)
{
    (void)state;
    int ends[2];
    int talk[2];
    pthread_t thread;
    struct sigaction action = {.sa_handler = on_signal};
    struct captured c = {0};
    struct sj_err err = {0};
    const char *text = "{\"total\":1}\n{\"total\":2}\n{\"tot";
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, talk), 0);
    struct interruption i = {.reader = pthread_self(), .reader_end = talk[0], .signaller_end = talk[1], .captured = &c};
    struct sj_sink sink = {.ctx = &i, .request = say_when_two_were_read};
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    int stdin_before = dup(STDIN_FILENO);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(pthread_create(&thread, NULL, signal_until_done, &i), 0);
    int rc = sj_input_run("-", NULL, &sink, &err);
    assert_int_equal(send(talk[0], "x", 1, 0), 1);
    pthread_join(thread, NULL);
    if (stdin_before >= 0) {
        dup2(stdin_before, STDIN_FILENO);
        close(stdin_before);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(c.n, 2);
    for (int k = 0; k < 2; k++) {
        close(ends[k]);
        close(talk[k]);
    }
    captured_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_as_they_are),
        cmocka_unit_test(lines_end_where_they_end),
        cmocka_unit_test(a_cut_gzip_file_is_told_from_a_broken_one),
        cmocka_unit_test_teardown(what_cannot_be_read_is_refused, remove_file),
        cmocka_unit_test_teardown(access_denied_is_its_own_status, remove_file),
        cmocka_unit_test_teardown(completeness_is_that_of_what_matches, remove_file),
        cmocka_unit_test_teardown(a_cut_is_a_lower_bound_whatever_the_filter, remove_file),
        cmocka_unit_test_teardown(a_recording_may_be_gzipped, remove_file),
        cmocka_unit_test_teardown(lines_may_be_gzipped_and_filtered, remove_file),
        cmocka_unit_test(a_signal_ends_the_input),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

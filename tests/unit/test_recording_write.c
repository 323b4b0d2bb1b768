// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "recording_make.h"

/* What happens to the file: what is there before, what is left when things go wrong. */

static char folder[64];
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    temporary_folder(folder);
    temporary_path(path, folder, "out.sj");
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

static const struct sj_measurement measurement = {.host = "h", .start_mono_ns = 1000000000000U};
static const struct sj_outcome outcome = {.duration_s = 1, .completeness = {.detailed = 10}};

static struct sj_recording_writer *open_writer(struct sj_sink *sink)
{
    struct sj_err err = {0};
    struct sj_recording_writer *w = NULL;
    assert_int_equal(sj_recording_writer_open(path, &w, &err), 0);
    *sink = sj_recording_sink(w);
    return w;
}

static void put_requests(const struct sj_sink *sink, uint32_t from, uint32_t to)
{
    struct sj_err err = {0};
    for (uint32_t i = from; i < to; i++) {
        struct sj_request req = request_usual(i);
        assert_int_equal(sink->request(sink->ctx, &req, &err), 0);
    }
}

static void expect_in_file(int rc, size_t requests)
{
    struct captured c = {0};
    struct sj_err err = {0};
    struct bytes b = bytes_of_file(path);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), rc);
    assert_int_equal(c.n, requests);
    for (size_t i = 0; i < c.n; i++) {
        struct sj_request req = request_usual((uint32_t)i);
        assert_true(request_equal(&c.requests[i], &req));
    }
    captured_free(&c);
    free(b.p);
}

static void a_file_is_replaced_when_the_measurement_begins(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct sj_sink sink;
    static char old[100000];
    memset(old, 'o', sizeof(old));
    file_of_bytes(path, old, sizeof(old));

    struct sj_recording_writer *w = open_writer(&sink);
    struct bytes b = bytes_of_file(path);
    assert_int_equal(b.n, sizeof(old));
    free(b.p);
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), 0);
    put_requests(&sink, 0, 10);
    assert_int_equal(sink.end(sink.ctx, &outcome, &err), 0);
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
    expect_in_file(0, 10);
}

static void nothing_is_left_when_no_measurement_begins(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct sj_sink sink;
    struct sj_recording_writer *w = open_writer(&sink);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
    assert_int_equal(access(path, F_OK), -1);

    file_of_bytes(path, "precious", 8);
    w = open_writer(&sink);
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
    struct bytes b = bytes_of_file(path);
    assert_int_equal(b.n, 8);
    assert_memory_equal(b.p, "precious", 8);
    free(b.p);
}

static void what_is_pending_is_written_within_a_second(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct sj_sink sink;
    struct sj_recording_writer *w = open_writer(&sink);
    const uint64_t second = 1000000000U;
    const uint64_t t = 77 * second;
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), 0);
    assert_int_equal(sink.tick(sink.ctx, t, &err), 0);
    put_requests(&sink, 0, 5);
    assert_int_equal(sink.tick(sink.ctx, t + second - 1, &err), 0);
    expect_in_file(-1, 0);
    assert_int_equal(sink.tick(sink.ctx, t + second, &err), 0);
    expect_in_file(1, 5);
    put_requests(&sink, 5, 7);
    assert_int_equal(sink.tick(sink.ctx, t + second + second / 2, &err), 0);
    expect_in_file(1, 5);
    assert_int_equal(sink.tick(sink.ctx, t + 2 * second, &err), 0);
    expect_in_file(1, 7);
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
}

static void a_measurement_that_fails_keeps_its_requests(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct sj_sink sink;
    struct sj_recording_stats stats;
    struct sj_recording_writer *w = open_writer(&sink);
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), 0);
    put_requests(&sink, 0, 25);
    assert_int_equal(sj_recording_writer_close(w, &stats, &err), 0);
    assert_false(stats.whole);
    assert_int_equal(stats.requests, 25);
    expect_in_file(1, 25);
}

/* Killed without warning: what ticks have written is there. */
static void a_kill_leaves_a_readable_file(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sj_err err = {0};
        struct sj_sink sink;
        open_writer(&sink);
        sink.begin(sink.ctx, &measurement, &err);
        put_requests(&sink, 0, 10000);
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    struct captured c = {0};
    struct sj_err err = {0};
    struct bytes b = bytes_of_file(path);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), 1);
    assert_in_range(c.n, 1, 9999);
    captured_free(&c);
    free(b.p);
}

static void put_until_refused(const struct sj_sink *sink, struct sj_err *err, uint64_t *n)
{
    for (*n = 0; *n < 1000000; (*n)++) {
        struct sj_request req = request_usual((uint32_t)*n);
        if (sink->request(sink->ctx, &req, err) < 0)
            return;
    }
    fail_msg("a full disk is not noticed");
}

/* A limit on the size of files stands in for a full disk: a write that fits in part, then none. */
static void a_full_disk_leaves_whole_blocks(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct sj_sink sink;
    struct sj_recording_stats stats;
    struct rlimit before;
    uint64_t n;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct sj_recording_writer *w = open_writer(&sink);
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), 0);
    struct rlimit limit = {.rlim_cur = 150001, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    put_until_refused(&sink, &err, &n);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err.status, EX_IOERR);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, strerror(EFBIG)));

    /* There is room again, but a block is missing: nothing may follow. */
    assert_int_equal(sink.end(sink.ctx, &outcome, NULL), -1);
    assert_int_equal(sj_recording_writer_close(w, &stats, NULL), 0);
    assert_false(stats.whole);
    assert_in_range(stats.requests, 1, n);
    struct bytes b = bytes_of_file(path);
    assert_int_equal(b.n, stats.bytes);
    free(b.p);
    expect_in_file(1, stats.requests);
    char words[64];
    snprintf(words, sizeof(words), "first %" PRIu64 " requests", stats.requests);
    assert_non_null(strstr(err.text, words));
}

static void expect_cannot_open(const char *name, int status, int error)
{
    struct sj_err err = {0};
    struct sj_recording_writer *w = NULL;
    assert_int_equal(sj_recording_writer_open(name, &w, &err), -1);
    assert_null(w);
    assert_int_equal(err.status, status);
    assert_non_null(strstr(err.text, name));
    if (error)
        assert_non_null(strstr(err.text, strerror(error)));
    assert_null(strchr(err.text, '\n'));
}

static void what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    char below[128];
    expect_cannot_open(folder, EX_CANTCREAT, EISDIR);
    expect_cannot_open(temporary_path(below, folder, "none/x"), EX_CANTCREAT, ENOENT);
    expect_cannot_open("", EX_CANTCREAT, ENOENT);
    file_of_bytes(path, "", 0);
    expect_cannot_open(temporary_path(below, folder, "out.sj/x"), EX_CANTCREAT, ENOTDIR);
}

static void two_do_not_write_to_one_file(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct sj_sink sink;
    struct sj_recording_writer *w = open_writer(&sink);
    expect_cannot_open(path, EX_CANTCREAT, 0);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), 0);
    assert_int_equal(sink.end(sink.ctx, &outcome, &err), 0);
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
    w = open_writer(&sink);
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
    expect_in_file(0, 0);
}

static void a_full_device_is_told_at_once(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct sj_recording_writer *w;
    assert_int_equal(sj_recording_writer_open("/dev/full", &w, &err), 0);
    struct sj_sink sink = sj_recording_sink(w);
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), -1);
    assert_int_equal(err.status, EX_IOERR);
    assert_non_null(strstr(err.text, strerror(ENOSPC)));
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
    assert_int_equal(access("/dev/full", F_OK), 0);
}

static void a_reader_that_goes_away_is_no_complaint(void **state)
{
    (void)state;
    struct sj_err err = {.status = EX_SOFTWARE, .text = "x"};
    struct sj_recording_writer *w;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(sj_recording_writer_open(path, &w, &err), 0);
    struct sj_sink sink = sj_recording_sink(w);
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), 0);
    close(reader);
    assert_int_equal(sink.end(sink.ctx, &outcome, &err), -1);
    assert_int_equal(err.status, EX_OK);
    assert_string_equal(err.text, "");
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_file_is_replaced_when_the_measurement_begins, remove_file),
        cmocka_unit_test_teardown(nothing_is_left_when_no_measurement_begins, remove_file),
        cmocka_unit_test_teardown(what_is_pending_is_written_within_a_second, remove_file),
        cmocka_unit_test_teardown(a_measurement_that_fails_keeps_its_requests, remove_file),
        cmocka_unit_test_teardown(a_kill_leaves_a_readable_file, remove_file),
        cmocka_unit_test_teardown(a_full_disk_leaves_whole_blocks, remove_file),
        cmocka_unit_test_teardown(what_cannot_be_written_is_refused, remove_file),
        cmocka_unit_test_teardown(two_do_not_write_to_one_file, remove_file),
        cmocka_unit_test_teardown(a_full_device_is_told_at_once, remove_file),
        cmocka_unit_test_teardown(a_reader_that_goes_away_is_no_complaint, remove_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

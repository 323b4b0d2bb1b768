// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/out.h"

/* A pipe with an end that nobody empties while it is written to, so at most its 64 KiB fit. */
static void bytes_arrive_in_order(void **state)
{
    (void)state;
    struct sj_err err;
    struct sj_out out;
    int ends[2];
    char got[4096];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(sj_out_init(&out, ends[1], "pipe", &err), 0);
    sj_out_text(&out, "one ");
    sj_out_printf(&out, "%s %d", "two", 3);
    sj_out_fill(&out, '.', 3000);
    assert_int_equal(sj_out_flush(&out, &err), 0);
    assert_int_equal(read(ends[0], got, sizeof(got)), 9 + 3000);
    assert_memory_equal(got, "one two 3...", 12);
    assert_int_equal(sj_out_flush(&out, &err), 0);
    sj_out_fini(&out);
    close(ends[0]);
    close(ends[1]);
}

static void memory_grows(void **state)
{
    (void)state;
    struct sj_out out;
    assert_int_equal(sj_out_init(&out, -1, "memory", NULL), 0);
    for (uint32_t i = 0; i < 100000; i++)
        sj_out_write(&out, (const char *)&i, sizeof(i));
    assert_int_equal(sj_out_flush(&out, NULL), 0);
    assert_int_equal(out.len, 100000 * sizeof(uint32_t));
    for (uint32_t i = 0; i < 100000; i++)
        assert_memory_equal(out.buf + i * sizeof(i), &i, sizeof(i));
    sj_out_fini(&out);
}

static void more_than_the_buffer_is_written_through(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct sj_err err;
    struct sj_out out;
    static char big[300000];
    memset(big, 'a', sizeof(big));
    assert_non_null(file);
    assert_int_equal(sj_out_init(&out, fileno(file), "file", &err), 0);
    sj_out_write(&out, big, sizeof(big));
    sj_out_fill(&out, 'b', 200000);
    assert_int_equal(sj_out_flush(&out, &err), 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_CUR), 500000);
    sj_out_fini(&out);
    fclose(file);
}

static void a_full_device_is_an_error(void **state)
{
    (void)state;
    struct sj_err err = {.status = -1};
    struct sj_out out;
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(sj_out_init(&out, fd, "the file", &err), 0);
    sj_out_text(&out, "x");
    assert_int_equal(sj_out_flush(&out, &err), -1);
    assert_int_equal(err.status, EX_IOERR);
    assert_string_equal(err.text, "cannot write to the file: No space left on device");
    assert_false(out.closed);
    /* It stays one, however much follows. */
    sj_out_fill(&out, 'x', 1000000);
    err.status = -1;
    assert_int_equal(sj_out_flush(&out, &err), -1);
    assert_int_equal(err.status, EX_IOERR);
    sj_out_fini(&out);
    close(fd);
}

static void a_closed_pipe_is_a_quiet_end(void **state)
{
    (void)state;
    struct sj_err err = {.status = -1, .text = "?"};
    struct sj_out out;
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    for (int with_text = 0; with_text < 2; with_text++) {
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(sj_out_init(&out, ends[1], "pipe", &err), 0);
        assert_int_equal(sj_out_flush(&out, &err), 0);
        close(ends[0]);
        sj_out_text(&out, with_text ? "x" : "");
        assert_int_equal(sj_out_flush(&out, &err), -1);
        assert_int_equal(err.status, EX_OK);
        assert_string_equal(err.text, "");
        assert_true(out.closed);
        sj_out_fini(&out);
        close(ends[1]);
    }
}

static void long_formatted_text_is_cut(void **state)
{
    (void)state;
    struct sj_out out;
    char text[2 * SJ_OUT_RESERVE_MAX];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(sj_out_init(&out, -1, "memory", NULL), 0);
    sj_out_printf(&out, "%s", text);
    assert_int_equal(out.len, SJ_OUT_RESERVE_MAX - 1);
    sj_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_in_order),
        cmocka_unit_test(memory_grows),
        cmocka_unit_test(more_than_the_buffer_is_written_through),
        cmocka_unit_test(a_full_device_is_an_error),
        cmocka_unit_test(a_closed_pipe_is_a_quiet_end),
        cmocka_unit_test(long_formatted_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

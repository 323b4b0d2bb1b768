// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "fit_input.h"
#include "made_request.h"
#include "recording_make.h"

struct place {
    char folder[64];
    char path[128];
};

static int make_place(void **state)
{
    static struct place p;

    temporary_folder(p.folder);
    temporary_path(p.path, p.folder, "numbers");
    *state = &p;
    return 0;
}

static int remove_place(void **state)
{
    const struct place *p = *state;

    unlink(p->path);
    return rmdir(p->folder);
}

/* An array may hold bytes that a string cannot. */
#define READ(place, text, schema, in, err) read_text(place, text, sizeof(text) - 1, schema, in, err)

static int read_text(const struct place *p, const char *text, size_t n, int schema, struct sj_fit_input *in,
                     struct sj_err *err)
{
    file_of_bytes(p->path, text, n);
    return sj_fit_input_read(p->path, schema, in, err);
}

static void numbers_are_seconds(void **state)
{
    struct sj_fit_input in;

    assert_int_equal(READ(*state, "# seconds\n0.5\n\n  1.5e-3\t\r\n0.5\n2+\n 3 +\n-0\n7", -1, &in, NULL), 0);
    assert_true(in.sample->seen == 5 && in.sample->timeouts == 2 && in.schema_binned == -1 && !in.note[0]);
    assert_int_equal(in.lines, 9);
    assert_true(in.sample->points[0].x == 0 && in.sample->points[1].x == 0.0015);
    assert_true(in.sample->points[2].count == 2 && in.sample->censored[1].at == 3);
    sj_fit_input_free(&in);
    assert_int_equal(READ(*state,
                          "\xef\xbb\xbf"
                          "1\n2\n",
                          3, &in, NULL),
                     0);
    assert_true(in.sample->n == 2 && in.sample->schema == 3 && in.schema_binned == 3);
    assert_true(in.sample->bins[0].hi == 1);
    sj_fit_input_free(&in);
    assert_int_equal(READ(*state, "", -1, &in, NULL), 0); /* what that means is not for the reader to say */
    assert_true(in.sample->n == 0 && in.lines == 1);
    sj_fit_input_free(&in);
}

static void what_is_no_time_is_named_with_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } bad[] = {
        {"1\n2\nabc\n", "line 3: 'abc' is not a number"},
        {"1\n-2\n", "line 2: '-2' is negative"},
        {"nan\n", "line 1: 'nan' is not a finite number"},
        {"1\n\ninf\n", "line 3: 'inf' is not a finite number"},
        {"1\n-inf", "line 2: '-inf' is not a finite number"},
        {"1e308\n", "line 1: '1e308' is too large"},
        {"1e400\n", "line 1: '1e400' is too large"},
        {"1\n1e-320\n", "line 2: '1e-320' is too small"},
        {"1\n1e-400\n", "line 2: '1e-400' is too small"},
        {"1,5\n", "line 1: '1,5' is not a number"},
        {"1 2\n", "line 1: '1 2' is not a number"},
        {"0x10\n", "line 1: '0x10' is not a number"},
        {"+\n", "line 1: '+' is not a number"},
        {"5++\n", "line 1: '5++' is not a number"},
        {"1e\n", "line 1: '1e' is not a number"},
        {"1\n{\"total\": 1}\n", "line 2: '{"},
        {"{\"total\": 1}\n{}\n", "line 2: \"total\" is missing"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sj_fit_input in = {.lines = 77};
        struct sj_err err = {.status = 0};
        assert_int_equal(read_text(*state, bad[i].text, strlen(bad[i].text), -1, &in, &err), -1);
        assert_int_equal(err.status, EX_DATAERR);
        if (!strstr(err.text, bad[i].says))
            fail_msg("'%s', not '%s'", err.text, bad[i].says);
        assert_int_equal(in.lines, 77);
    }
    struct sj_err err = {.status = 0};
    struct sj_fit_input in;
    assert_int_equal(READ(*state, "1\n2\0003\n", -1, &in, &err), -1);
    assert_non_null(strstr(err.text, "line 2: '2?3' is not a number"));
    char *longest = malloc(200000);
    assert_non_null(longest);
    memset(longest, '1', 200000);
    assert_int_equal(read_text(*state, longest, 200000, -1, &in, &err), -1);
    assert_non_null(strstr(err.text, "line 1: "));
    assert_int_equal(read_text(*state, longest, 5000, -1, &in, &err), -1);
    assert_non_null(strstr(err.text, "line 1: "));
    free(longest);
    assert_int_equal(sj_fit_input_read("/nonexistent/file", -1, &in, &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
}

/* The last value that is kept, and the first that is not. */
static void many_values_are_kept_as_bins(void **state)
{
    const struct place *p = *state;
    const size_t most = SJ_FIT_RAW_MAX;

    for (int more = 0; more < 2; more++) {
        FILE *f = fopen(p->path, "w");
        assert_non_null(f);
        for (size_t i = 0; i < most + (size_t)more; i++)
            fprintf(f, "%zu%s\n", i % 1000 + 1, i % 100 == 99 ? "+" : "");
        fclose(f);
        struct sj_fit_input in;
        assert_int_equal(sj_fit_input_read(p->path, -1, &in, NULL), 0);
        assert_true(in.sample->seen == 990000 + more && in.sample->timeouts == 10000);
        assert_int_equal(in.schema_binned, more ? SJ_FIT_RAW_SCHEMA : -1);
        assert_int_equal(in.note[0] != '\0', more);
        assert_true(more ? in.sample->n_bins > 500 : in.sample->n_points == 990);
        /* Every hundredth, so the points at which the others were given up stay what they were. */
        assert_int_equal(in.sample->n_censored, 10);
        assert_true(in.sample->censored[9].at == 1000 && in.sample->censored[9].count == 1000);
        sj_fit_input_free(&in);
    }
}

static void requests_are_read(void **state)
{
    static const char lines[] = "{\"total\": 0.25, \"service\": \"a\"}\n{\"service\": \"b\", \"total\": 2}\n";
    struct sj_fit_input in;

    assert_int_equal(READ(*state, lines, -1, &in, NULL), 0);
    assert_true(in.sample->n == 2 && in.sample->points[0].x == 0.25 && in.sample->points[1].x == 2);
    assert_int_equal(in.lines, 0);
    sj_fit_input_free(&in);
}

/* Turns that were only counted have no values, so all are binned at the schema that those have, or coarser. */
static void counted_turns_are_in_bins(void **state)
{
    const struct place *p = *state;
    struct sj_measurement m = made_measurement();
    struct sj_request r = made_server_request();
    struct sj_outcome outcome = {.duration_s = 1, .completeness = {.detailed = 1, .counted_only = 3}};
    struct sj_counted counted = {.service = "nginx", .role = SJ_ROLE_SERVER, .port = 8080};
    struct sj_recording_writer *w;
    struct sj_err err = {.status = 0};

    sj_hist_init(&counted.total);
    assert_int_equal(sj_hist_add_n(&counted.total, 50000000, 3), 0);
    assert_int_equal(sj_recording_writer_open(p->path, &w, &err), 0);
    struct sj_sink sink = sj_recording_sink(w);
    assert_int_equal(sink.begin(sink.ctx, &m, &err), 0);
    assert_int_equal(sink.request(sink.ctx, &r, &err), 0);
    assert_int_equal(sink.counted(sink.ctx, &counted, &err), 0);
    assert_int_equal(sink.end(sink.ctx, &outcome, &err), 0);
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
    for (int schema = -1; schema <= 8; schema += 3) {
        struct sj_fit_input in;
        assert_int_equal(sj_fit_input_read(p->path, schema, &in, &err), 0);
        assert_int_equal(in.schema_binned, schema == 2 ? 2 : 5);
        assert_int_equal(in.sample->n_bins, 2);
        assert_true(in.sample->bins[0].lo < 0.0031003 && in.sample->bins[0].hi >= 0.0031003);
        assert_true(in.sample->bins[1].lo < 0.05 && in.sample->bins[1].hi >= 0.05 && in.sample->bins[1].count == 3);
        sj_fit_input_free(&in);
    }
    sj_hist_free(&counted.total);
}

static void counts_are_counted(void **state)
{
    const struct place *p = *state;
    struct sj_fit_counts c = {.len = 77};
    struct sj_err err = {.status = 0};
    char text[20000], *end = text;

    file_of_bytes(p->path, "3\n0\n3\n 12 \n3e0\n", 15);
    assert_int_equal(sj_fit_counts_read(p->path, &c, &err), 0);
    assert_int_equal(c.len, 3);
    assert_true(c.counts[0].events == 0 && c.counts[1].events == 3 && c.counts[1].intervals == 3);
    assert_true(c.counts[2].events == 12 && c.lines == 5);
    sj_fit_counts_free(&c);
    for (int i = 0; i < 2000; i++)
        end += snprintf(end, 10, "%d\n", i * 7919 % 2000);
    file_of_bytes(p->path, text, (size_t)(end - text));
    assert_int_equal(sj_fit_counts_read(p->path, &c, &err), 0);
    assert_int_equal(c.len, 2000);
    for (size_t i = 0; i < c.len; i++)
        assert_true(c.counts[i].events == i && c.counts[i].intervals == 1);
    sj_fit_counts_free(&c);

    const char *const bad[] = {"1\n2.5\n", "1\n-1\n", "1\n1e300\n", "1\n9007199254740992\n", "1\n3+\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        file_of_bytes(p->path, bad[i], strlen(bad[i]));
        assert_int_equal(sj_fit_counts_read(p->path, &c, &err), -1);
        assert_int_equal(err.status, EX_DATAERR);
        assert_non_null(strstr(err.text, "line 2: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_are_seconds, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_is_no_time_is_named_with_its_line, make_place, remove_place),
        cmocka_unit_test_setup_teardown(many_values_are_kept_as_bins, make_place, remove_place),
        cmocka_unit_test_setup_teardown(requests_are_read, make_place, remove_place),
        cmocka_unit_test_setup_teardown(counted_turns_are_in_bins, make_place, remove_place),
        cmocka_unit_test_setup_teardown(counts_are_counted, make_place, remove_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/units.h"
#include "options.h"

#include "said.h"

static const struct sj_command cmd = {.name = "report", .summary = "Sum up", .usage = "report [OPTION...]"};
#define EVERYTHING "dfjomtc"

static int parse(const char *accepts, const char *line, struct sj_measure_options *out, int *status, struct said *said,
                 int fd)
{
    /* Words live until the test ends: options point into them. */
    static char words[1024];
    static char *argv[64];
    int argc = 0;
    snprintf(words, sizeof(words), "report %s", line);
    char *rest = words;
    while ((argv[argc] = strsep(&rest, " ")) != NULL)
        if (*argv[argc])
            argc++;
    listen_to(said, fd);
    int rc = sj_options_parse(&cmd, accepts, argc, argv, out, status);
    stop_listening(said);
    return rc;
}

static struct sj_measure_options parsed(const char *accepts, const char *line)
{
    struct sj_measure_options o;
    struct said said;
    int status = -1;
    assert_int_equal(parse(accepts, line, &o, &status, &said, STDERR_FILENO), 0);
    assert_string_equal(said.text, "");
    return o;
}

/* Usage errors are one line that names what is wrong. */
static void refused(const char *accepts, const char *line, const char *because)
{
    struct sj_measure_options o;
    struct said said;
    int status = 0;
    assert_true(parse(accepts, line, &o, &status, &said, STDERR_FILENO) < 0);
    assert_int_equal(status, EX_USAGE);
    if (!strstr(said.text, because))
        fail_msg("'%s' is refused with: %s", line, said.text);
    char *newline = strchr(said.text, '\n');
    assert_non_null(newline);
    assert_string_equal(newline, "\n");
    assert_memory_equal(said.text, "sojourn: report: ", 17);
}

static void without_options_everything_is_measured(void **state)
{
    (void)state;
    struct sj_measure_options o = parsed(EVERYTHING, "");
    assert_int_equal(o.duration_ns, 0);
    assert_int_equal(o.stages, SJ_STAGES_ALL);
    assert_true(o.payload);
    assert_int_equal(o.ring_bytes, SJ_RING_BYTES_DEFAULT);
    assert_null(o.probe_set);
    assert_null(o.label);
    assert_null(o.from);
    assert_null(o.output);
    assert_null(o.child);
    assert_null(o.fit);
    assert_false(o.json);
    assert_int_equal(o.filter.pid, 0);
    assert_int_equal(o.filter.protocol, -1);
}

static void options_arrive(void **state)
{
    (void)state;
    struct sj_measure_options o =
        parsed(EVERYTHING, "-d 1.5s -p 42 --port=8080 --role server --protocol http --operation GET* --slower 10ms "
                           "--comm nginx --container abc --json --fit none -o out.rec --label v2 "
                           "--stages queue --ring 64KiB --probe-set syscall");
    assert_int_equal(o.duration_ns, 1500000000);
    assert_int_equal(o.filter.pid, 42);
    assert_int_equal(o.filter.port, 8080);
    assert_int_equal(o.filter.role, SJ_ROLE_SERVER);
    assert_int_equal(o.filter.protocol, SJ_PROTO_HTTP);
    assert_int_equal(o.filter.slower_ns, 10000000);
    assert_string_equal(o.filter.operation, "GET*");
    assert_string_equal(o.filter.comm, "nginx");
    assert_string_equal(o.filter.container, "abc");
    assert_true(o.json);
    assert_string_equal(o.fit, "none");
    assert_string_equal(o.output, "out.rec");
    assert_string_equal(o.label, "v2");
    assert_int_equal(o.stages, SJ_STAGES_QUEUE);
    assert_int_equal(o.ring_bytes, 65536);
    assert_string_equal(o.probe_set, "syscall");
    assert_false(parsed(EVERYTHING, "--payload off").payload);
    assert_true(parsed(EVERYTHING, "--payload auto").payload);
    assert_int_equal(parsed(EVERYTHING, "--stages none").stages, SJ_STAGES_NONE);
    refused(EVERYTHING, "--stages accept", "none, queue or all");
    assert_string_equal(parsed(EVERYTHING, "--from -").from, "-");
}

static void a_command_follows_two_dashes(void **state)
{
    (void)state;
    struct sj_measure_options o = parsed(EVERYTHING, "-p 1 -- ls -d --json");
    assert_non_null(o.child);
    assert_string_equal(o.child[0], "ls");
    assert_string_equal(o.child[1], "-d");
    assert_string_equal(o.child[2], "--json");
    assert_null(o.child[3]);
    assert_int_equal(o.duration_ns, 0);
    assert_false(o.json);
    refused(EVERYTHING, "--", "a command is missing");
    refused(EVERYTHING, "ls", "unexpected argument 'ls'");
    refused(EVERYTHING, "--label -- ls", "unexpected argument 'ls'"); /* those dashes are a label */
    refused("d", "-- ls", "runs no other");
}

static void mistakes_are_named(void **state)
{
    (void)state;
    refused(EVERYTHING, "--frobnicate", "unknown option '--frobnicate'");
    refused(EVERYTHING, "--frobnicate=3", "unknown option '--frobnicate'");
    refused(EVERYTHING, "-x", "unknown option '-x'");
    refused(EVERYTHING, "--p 3", "ambiguous option '--p'");
    refused(EVERYTHING, "--json=yes", "option '--json' takes no value");
    refused(EVERYTHING, "-d", "option '--duration' needs a value");
    refused(EVERYTHING, "--port", "option '--port' needs a value");
    refused("f", "-d 10s", "unknown option '-d'");
    refused("d", "--from x", "unknown option '--from'");
    refused(EVERYTHING, "-d 10", "such as 500ms, 10s or 2m, not '10'");
    refused(EVERYTHING, "-d 0s", "not '0s'");
    refused(EVERYTHING, "--port 10abc", "not '10abc'");
    refused(EVERYTHING, "--stages some", "none, queue or all");
    refused(EVERYTHING, "--payload on", "auto or off");
    refused(EVERYTHING, "--ring 1KiB", "from 4KiB to 1GiB");
    refused(EVERYTHING, "--ring 2GiB", "from 4KiB to 1GiB");
    refused(EVERYTHING, "--probe-set kprobe", "socket or syscall");
    refused(EVERYTHING, "--fit all", "takes none");
    refused(EVERYTHING, "--label 0123456789012345678901234567890123456789012345678901234567890123", "1 to 63");
    refused(EVERYTHING, "--label=", "1 to 63");
    refused(EVERYTHING, "--from=", "name of a file");
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    refused(EVERYTHING, "--from x -d 10s", "--duration cannot go with --from");
    refused(EVERYTHING, "--ring 1MiB --from x", "--ring cannot go with --from");
    refused(EVERYTHING, "--from x --stages all", "--stages cannot go with --from");
    refused(EVERYTHING, "--from x --payload auto", "--payload cannot go with --from");
    refused(EVERYTHING, "--from x --probe-set socket", "--probe-set cannot go with --from");
    refused(EVERYTHING, "--from x -- ls", "a command cannot go with --from");
    refused(EVERYTHING, "-d 1s -- ls", "--duration cannot go with a command");
    refused(EVERYTHING, "--payload off --protocol http", "--protocol cannot go with --payload off");
    refused(EVERYTHING, "--payload off --operation GET*", "--operation cannot go with --payload off");
    assert_int_equal(parsed(EVERYTHING, "--payload off --protocol unknown").filter.protocol, SJ_PROTO_UNKNOWN);
}

static void help_names_what_the_command_takes(void **state)
{
    (void)state;
    struct sj_measure_options o;
    struct said said;
    int status = -1;
    assert_true(parse("dj", "--help", &o, &status, &said, STDOUT_FILENO) < 0);
    assert_int_equal(status, EX_OK);
    assert_non_null(strstr(said.text, "Usage: sojourn report [OPTION...]\n\nSum up.\n"));
    assert_non_null(strstr(said.text, "-d, --duration TIME"));
    assert_non_null(strstr(said.text, "--json"));
    assert_non_null(strstr(said.text, "-p, --pid PID"));
    assert_non_null(strstr(said.text, "--probe-set NAME"));
    assert_null(strstr(said.text, "--from"));
    assert_null(strstr(said.text, "COMMAND"));
    assert_true(parse("c", "-h", &o, &status, &said, STDOUT_FILENO) < 0);
    assert_non_null(strstr(said.text, "-- COMMAND..."));
    assert_null(strstr(said.text, "--duration"));
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"250us", 250000},
        {"10ms", 10000000},
        {"1.5s", 1500000000},
        {"2m", 120000000000},
        {"1h", 3600000000000},
        {"7ns", 7},
        {"0s", 0},
        {"0.000000001s", 1},
        {"0.0000000019s", 1},
        {"1.25m", 75000000000},
        {"18446744073709551615ns", UINT64_MAX},
        {"18446744073.709551615s", UINT64_MAX},
    };
    static const char *const bad[] = {"",
                                      "10",
                                      "10abc",
                                      "s",
                                      "-1s",
                                      "+1s",
                                      " 1s",
                                      "1 s",
                                      "1s ",
                                      "1e3s",
                                      "1.s",
                                      ".5s",
                                      "1..5s",
                                      "1,5s",
                                      "0x1s",
                                      "1S",
                                      "1w",
                                      "18446744073709551616ns",
                                      "18446744073.709551616s",
                                      "5124096h",
                                      "99999999999999999999999s"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t ns = 5;
        assert_int_equal(sj_parse_duration(good[i].text, &ns), 0);
        assert_true(ns == good[i].ns);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns = 5;
        if (sj_parse_duration(bad[i], &ns) == 0)
            fail_msg("'%s' is taken for a duration", bad[i]);
        assert_int_equal(ns, 5);
    }
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"65536", 65536}, {"65536B", 65536}, {"64KiB", 65536}, {"4MiB", 4194304}, {"1.5KiB", 1536}, {"1GiB", 1 << 30},
    };
    static const char *const bad[] = {"", "KiB", "64kb", "64K", "1.5", "1.5B", "-1", "17179869184GiB", "1KiBs"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t bytes = 5;
        assert_int_equal(sj_parse_size(good[i].text, &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t bytes = 5;
        assert_int_equal(sj_parse_size(bad[i], &bytes), -1);
        assert_int_equal(bytes, 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_everything_is_measured),
        cmocka_unit_test(options_arrive),
        cmocka_unit_test(a_command_follows_two_dashes),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(help_names_what_the_command_takes),
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

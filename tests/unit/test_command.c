// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

#include "command.h"

#include "said.h"

static const struct sj_command cmd = {
    .name = "fit",
    .summary = "Fit something",
    .usage = "fit [FILE]",
    .options = "  --json   write JSON\n",
};

static void a_complaint_is_one_harmless_line(void **state)
{
    (void)state;
    struct said said;
    listen_to(&said, STDERR_FILENO);
    int status = sj_complain(EX_NOINPUT, "cannot read %s", "a\nb\033[2J");
    stop_listening(&said);
    assert_int_equal(status, EX_NOINPUT);
    assert_string_equal(said.text, "sojourn: cannot read a\\nb\\e[2J\n");
}

static void a_long_complaint_is_cut(void **state)
{
    (void)state;
    struct said said;
    char name[5000];
    memset(name, '\033', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    listen_to(&said, STDERR_FILENO);
    sj_complain(EX_NOINPUT, "cannot read %s", name);
    sj_usage_error(&cmd, "cannot read %s", name);
    stop_listening(&said);
    char *second = strchr(said.text, '\n') + 1;
    assert_memory_equal(second, "sojourn: fit: cannot read \\e\\e", 29);
    assert_non_null(strstr(second, "\\e; see 'sojourn fit --help'\n"));
}

static void a_usage_error_tells_how_to_get_help(void **state)
{
    (void)state;
    struct said said;
    listen_to(&said, STDERR_FILENO);
    int status = sj_usage_error(&cmd, "--%s is missing", "what");
    stop_listening(&said);
    assert_int_equal(status, EX_USAGE);
    assert_string_equal(said.text, "sojourn: fit: --what is missing; see 'sojourn fit --help'\n");
}

static void help_goes_to_standard_output(void **state)
{
    (void)state;
    struct said said;
    listen_to(&said, STDOUT_FILENO);
    int status = sj_print_help(&cmd);
    stop_listening(&said);
    assert_int_equal(status, EX_OK);
    assert_string_equal(said.text, "Usage: sojourn fit [FILE]\n\nFit something.\n\nOptions:\n  --json   write JSON\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complaint_is_one_harmless_line),
        cmocka_unit_test(a_long_complaint_is_cut),
        cmocka_unit_test(a_usage_error_tells_how_to_get_help),
        cmocka_unit_test(help_goes_to_standard_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

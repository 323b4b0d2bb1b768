// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"

static void a_secret_becomes_a_star(void **state)
{
    (void)state;
    static const struct {
        const char *text, *secret, *hidden;
    } cases[] = {
        {"the token s3cr3t is unknown", "s3cr3t", "the token * is unknown"},
        {"s3cr3ts3cr3t", "s3cr3t", "**"},
        {"s3cr3t", "s3cr3t", "*"},
        {"no such field", "s3cr3t", "no such field"},
        {"", "s3cr3t", ""},
        {"text", "", "text"},
        {"text", NULL, "text"},
        {"banana", "a", "b*n*n*"},
        {"aaaa", "aa", "**"},
        /* cut off by the end of the text */
        {"the token s3cr3", "s3cr3t", "the token *"},
        {"the token s3cr", "s3cr3t", "the token *"},
        {"the token s3c", "s3cr3t", "the token s3c"},
        {"s3cr3t s3cr3", "s3cr3t", "* *"},
        {"s3cr3", "s3cr3t", "*"},
        {"abababa", "ababababab", "*"},
        {"xababab", "abababc", "x*"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s", cases[i].text);
        sj_secret_hide(text, cases[i].secret);
        assert_string_equal(text, cases[i].hidden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_secret_becomes_a_star)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

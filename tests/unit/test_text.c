// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void utf8_is_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t took;
        uint32_t cp;
    } cases[] = {
        {"A", 1, 'A'},
        {"\xc3\xa9", 2, 0xe9},
        {"\xe2\x82\xac", 3, 0x20ac},
        {"\xf0\x9f\x98\x80", 4, 0x1f600},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
        {"\x80", 0, 0},             /* continues nothing */
        {"\xc3", 0, 0},             /* cut short */
        {"\xc3(", 0, 0},            /* continued by something else */
        {"\xc0\xaf", 0, 0},         /* a slash, too long */
        {"\xe0\x80\xaf", 0, 0},     /* and longer */
        {"\xed\xa0\x80", 0, 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0, 0}, /* beyond the last */
        {"\xfe", 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t cp = 0;
        assert_int_equal(sj_utf8_next(cases[i].text, strlen(cases[i].text), &cp), cases[i].took);
        assert_int_equal(cp, cases[i].cp);
    }
    uint32_t cp = 7;
    assert_int_equal(sj_utf8_next("", 0, &cp), 0);
    assert_int_equal(cp, 7);
}

static void nothing_printed_can_steer_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *in, *utf8, *ascii;
    } cases[] = {
        {"plain", "plain", "plain"},
        {"\033[31mred\033[0m", "\\e[31mred\\e[0m", "\\e[31mred\\e[0m"},
        {"a\nb\rc\td", "a\\nb\\rc\\td", "a\\nb\\rc\\td"},
        {"\001\177", "\\x01\\x7f", "\\x01\\x7f"},
        {"\xc2\x9b"
         "2J",
         "\\u009b2J", "\\u009b2J"}, /* the one-character form of ESC [ */
        {"\xe2\x80\xae"
         "x",
         "\\u202ex", "\\u202ex"}, /* from right to left */
        {"\xff\xfe", "\\xff\\xfe", "\\xff\\xfe"},
        {"a\\b", "a\\\\b", "a\\\\b"},
        {"caf\xc3\xa9", "caf\xc3\xa9", "caf\\u00e9"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\\U0001f600"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[64];
        assert_int_equal(sj_text_printable(out, sizeof(out), cases[i].in, true), strlen(cases[i].utf8));
        assert_string_equal(out, cases[i].utf8);
        sj_text_printable(out, sizeof(out), cases[i].in, false);
        assert_string_equal(out, cases[i].ascii);
    }
}

/* Any bytes, any size of the array: what comes out is short enough, whole, and without a control character. */
static void printable_text_is_whole_and_bounded(void **state)
{
    (void)state;
    uint32_t x = 1;
    for (int round = 0; round < 20000; round++) {
        char in[24], out[32];
        for (size_t i = 0; i < sizeof(in) - 1; i++) {
            x = x * 1664525 + 1013904223;
            in[i] = (char)(x >> 24 ? x >> 24 : 1);
        }
        in[sizeof(in) - 1] = '\0';
        size_t size = 1 + x % sizeof(out);
        memset(out, 'x', sizeof(out));
        size_t n = sj_text_printable(out, size, in, round & 1);
        assert_true(n < size);
        assert_int_equal(out[n], '\0');
        for (size_t i = 0, took; i < n; i += took) {
            uint32_t cp = 0;
            took = sj_utf8_next(out + i, n - i, &cp);
            assert_true(took > 0);
            assert_false(sj_text_is_control(cp));
        }
    }
    char nothing = 'x';
    assert_int_equal(sj_text_printable(&nothing, 0, "a", true), 0);
    assert_int_equal(nothing, 'x');
}

static void width_counts_columns(void **state)
{
    (void)state;
    assert_int_equal(sj_text_width(""), 0);
    assert_int_equal(sj_text_width("abc"), 3);
    assert_int_equal(sj_text_width("caf\xc3\xa9"), 4);
    assert_int_equal(sj_text_width("e\xcc\x81"), 1);                /* a combining accent */
    assert_int_equal(sj_text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4); /* two wide characters */
    assert_int_equal(sj_text_width("\xf0\x9f\x98\x80"), 2);
}

static void cutting_leaves_an_ellipsis(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t width;
        bool utf8;
        const char *out;
        size_t columns;
    } cases[] = {
        {"abcdef", 6, true, "abcdef", 6},
        {"abcdef", 5, true, "abcd\xe2\x80\xa6", 5},
        {"abcdef", 5, false, "abcd~", 5},
        {"abcdef", 1, false, "~", 1},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5", 4, true, "\xe6\x97\xa5\xe2\x80\xa6", 3}, /* half a character is none */
        {"\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5", 5, true, "\xe6\x97\xa5\xe6\x9c\xac\xe2\x80\xa6", 5},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[32];
        snprintf(text, sizeof(text), "%s", cases[i].in);
        assert_int_equal(sj_text_cut(text, sizeof(text), cases[i].width, cases[i].utf8), cases[i].columns);
        assert_string_equal(text, cases[i].out);
    }
    char tight[7] = "abcdef"; /* no room for the three bytes of an ellipsis */
    assert_int_equal(sj_text_cut(tight, sizeof(tight), 5, true), 5);
    assert_string_equal(tight, "abcd~");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_taken_apart),
        cmocka_unit_test(nothing_printed_can_steer_a_terminal),
        cmocka_unit_test(printable_text_is_whole_and_bounded),
        cmocka_unit_test(width_counts_columns),
        cmocka_unit_test(cutting_leaves_an_ellipsis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

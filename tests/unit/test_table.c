// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <locale.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "term/table.h"

#include "made_request.h"

static const struct sj_screen ascii = {.width = 80}, utf8 = {.width = 80, .utf8 = true};

static void a_pipe_is_plain(void **state)
{
    (void)state;
    struct sj_screen s;
    int fd = open("/dev/null", O_WRONLY);
    setenv("TERM", "xterm", 1);
    unsetenv("COLUMNS");
    sj_screen_detect(&s, fd);
    assert_false(s.color);
    assert_int_equal(s.width, 120);
    static const struct {
        const char *columns;
        size_t width;
    } cases[] = {
        {"100", 100}, {"10", SJ_SCREEN_MIN}, {"10000", SJ_SCREEN_MAX}, {"x", SJ_SCREEN_MIN}, {"-5", SJ_SCREEN_MIN}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setenv("COLUMNS", cases[i].columns, 1);
        sj_screen_detect(&s, fd);
        assert_int_equal(s.width, cases[i].width);
    }
    close(fd);
}

static void a_terminal_has_colours_unless_told(void **state)
{
    (void)state;
    struct winsize size = {.ws_row = 24, .ws_col = 132};
    struct sj_screen s;
    int master, terminal;
    assert_int_equal(openpty(&master, &terminal, NULL, NULL, &size), 0);
    setenv("COLUMNS", "90", 1);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    sj_screen_detect(&s, terminal);
    assert_true(s.color);
    assert_int_equal(s.width, 132);
    setenv("NO_COLOR", "", 1);
    sj_screen_detect(&s, terminal);
    assert_true(s.color);
    setenv("NO_COLOR", "1", 1);
    sj_screen_detect(&s, terminal);
    assert_false(s.color);
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    sj_screen_detect(&s, terminal);
    assert_false(s.color);
    close(master);
    close(terminal);
}

static void the_locale_decides_about_utf8(void **state)
{
    (void)state;
    struct sj_screen s;
    setlocale(LC_CTYPE, "C");
    sj_screen_detect(&s, STDOUT_FILENO);
    assert_false(s.utf8);
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    sj_screen_detect(&s, STDOUT_FILENO);
    assert_true(s.utf8);
    setlocale(LC_CTYPE, "C");
}

static void bars(void **state)
{
    (void)state;
    static const struct {
        double share;
        size_t width;
        const char *ascii, *utf8;
    } cases[] = {
        {0, 8, "", ""},
        {1, 4, "####", "\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88"},
        {0.5, 4, "##", "\xe2\x96\x88\xe2\x96\x88"},
        {0.625, 2, "#", "\xe2\x96\x88\xe2\x96\x8e"}, /* one and a quarter */
        {0.03, 4, "", "\xe2\x96\x8f"},
        {7, 2, "##", "\xe2\x96\x88\xe2\x96\x88"},
        {-1, 2, "", ""},
        {__builtin_nan(""), 2, "", ""},
    };
    char bar[SJ_BAR_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sj_screen_bar(bar, &ascii, cases[i].share, cases[i].width);
        assert_string_equal(bar, cases[i].ascii);
        sj_screen_bar(bar, &utf8, cases[i].share, cases[i].width);
        assert_string_equal(bar, cases[i].utf8);
    }
    sj_screen_bar(bar, &utf8, 1, 1000);
    assert_int_equal(sj_text_width(bar), SJ_BAR_MAX);
}

static const char *printed(struct sj_out *out, const struct sj_screen *screen, const struct sj_column *columns,
                           size_t n, const char *const *cells, size_t n_cells, size_t indent)
{
    struct sj_table *t = sj_table_new(columns, n);
    assert_non_null(t);
    for (size_t i = 0; i < n_cells; i++)
        sj_table_cell(t, screen, cells[i], SJ_STYLE_PLAIN);
    assert_int_equal(sj_table_print(t, out, screen, indent, true), 0);
    sj_table_free(t);
    return made_text(out);
}

static void columns_are_aligned(void **state)
{
    (void)state;
    static const struct sj_column columns[] = {{.title = "NAME"}, {.title = "N", .right = true}, {.title = "WORD"}};
    static const char *const cells[] = {"a", "1", "x", "abcdef", "1234", "", "\xc3\xa9\n", "7", "yy"};
    struct sj_out out;
    made_out(&out);
    assert_string_equal(printed(&out, &utf8, columns, 3, cells, 9, 2), "  NAME       N  WORD\n"
                                                                       "  a          1  x\n"
                                                                       "  abcdef  1234\n"
                                                                       "  \xc3\xa9\\n        7  yy\n");
    sj_out_fini(&out);
}

static void empty_columns_are_left_out(void **state)
{
    (void)state;
    static const struct sj_column columns[] = {{.title = "A"}, {.title = "EMPTY", .width = 30}, {.title = "B"}};
    static const char *const cells[] = {"1", "", "2", "3", "", "4"};
    struct sj_out out;
    made_out(&out);
    assert_string_equal(printed(&out, &ascii, columns, 3, cells, 6, 0), "A  B\n1  2\n3  4\n");
    sj_out_fini(&out);
}

static void what_matters_least_gives_way(void **state)
{
    (void)state;
    static const struct sj_column columns[] = {
        {.title = "A", .shrink = 30},
        {.title = "B", .drop = 1},
        {.title = "C", .drop = 2},
    };
    char a[41], b[31], c[21];
    memset(a, 'a', 40);
    memset(b, 'b', 30);
    memset(c, 'c', 20);
    a[40] = b[30] = c[20] = '\0';
    const char *const cells[] = {a, b, c};
    struct sj_screen screen = ascii;
    struct sj_out out;
    made_out(&out);
    screen.width = 94; /* 40 + 30 + 20 and two gaps */
    assert_non_null(strstr(printed(&out, &screen, columns, 3, cells, 3, 0), a));
    screen.width = 93;
    const char *text = printed(&out, &screen, columns, 3, cells, 3, 0);
    assert_null(strstr(text, a)); /* cut, but nothing is lost */
    assert_non_null(strstr(text, "aaa~  bbb"));
    assert_non_null(strstr(text, c));
    screen.width = 83;
    text = printed(&out, &screen, columns, 3, cells, 3, 0);
    assert_non_null(strstr(text, a)); /* C went, so there is room again */
    assert_non_null(strstr(text, b));
    assert_null(strstr(text, "C"));
    screen.width = 20; /* impossible: the columns that stay are as narrow as they may be */
    text = printed(&out, &screen, columns, 3, cells, 3, 0);
    assert_null(strstr(text, "B"));
    assert_non_null(strstr(text, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa~\n"));
    sj_out_fini(&out);
}

static void styles_do_not_count_as_width(void **state)
{
    (void)state;
    static const struct sj_column columns[] = {{.title = "A"}, {.title = "B", .right = true}};
    const struct sj_screen screen = {.width = 80, .color = true};
    struct sj_table *t = sj_table_new(columns, 2);
    struct sj_out out;
    made_out(&out);
    sj_table_cell(t, &screen, "ab", SJ_STYLE_BAD);
    sj_table_cell(t, &screen, "1", SJ_STYLE_PLAIN);
    sj_table_cell(t, &screen, "c", SJ_STYLE_PLAIN);
    sj_table_cell(t, &screen, "22", SJ_STYLE_BOLD);
    assert_int_equal(sj_table_print(t, &out, &screen, 0, false), 0);
    assert_string_equal(made_text(&out), "\033[31mab\033[0m   1\nc   \033[1m22\033[0m\n");
    sj_table_free(t);
    sj_table_free(NULL);
    sj_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_is_plain),
        cmocka_unit_test(a_terminal_has_colours_unless_told),
        cmocka_unit_test(the_locale_decides_about_utf8),
        cmocka_unit_test(bars),
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(empty_columns_are_left_out),
        cmocka_unit_test(what_matters_least_gives_way),
        cmocka_unit_test(styles_do_not_count_as_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

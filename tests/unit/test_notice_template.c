// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "made_notice.h"
#include "notify/template.h"

static struct sj_template *parsed(const char *text)
{
    struct sj_template *t = NULL;
    struct sj_err err = {.text = ""};
    if (sj_template_parse(text, strlen(text), "t.json", &t, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return t;
}

static json_t *filled(const char *text, const struct sj_notice *notice)
{
    struct sj_template *t = parsed(text);
    struct sj_out out = made_memory();
    sj_template_write(t, notice, &out);
    sj_template_free(t);
    return made_json(&out);
}

static void placeholders_become_text_in_strings_and_values_outside(void **state)
{
    (void)state;
    struct made_notice m;
    made_notice(&m, true);
    json_t *j =
        filled("{\"s\": \"{{ $status }}: {{$name}} on {{ $host }} ({{\t$value\t}})\", \"v\": {{ $value }},\n"
               " \"n\": {{ $no_data }}, \"i\": {{ $id }}, \"l\": {{ $labels }}, \"a\": {{ $annotations }},\n"
               " \"x\": \"{{ $labels.service }}\", \"y\": {{ $annotations.summary }}, \"b\": {{ $starts_at }},\n"
               " \"e\": {{ $ends_at }}, \"f\": \"{{ $ends_at }}\", \"{{ $labels.service }}\": 1}",
               &m.notice);
    assert_string_equal(made_at(j, "s"), "firing: slow on node1 (1.25)");
    assert_string_equal(made_at(j, "v"), "1.25");
    assert_true(json_is_real(json_object_get(j, "v")));
    assert_string_equal(made_at(j, "n"), "false");
    assert_string_equal(made_at(j, "i"), "0123456789abcdef0123456789abcdef");
    assert_string_equal(made_at(j, "l.service"), "api");
    assert_string_equal(made_at(j, "l.instance"), "node1");
    assert_string_equal(made_at(j, "a.summary"), "p99 is 1.2 s");
    assert_string_equal(made_at(j, "x"), "api");
    assert_string_equal(made_at(j, "y"), "p99 is 1.2 s");
    assert_string_equal(made_at(j, "b"), "2026-11-25T20:00:00.000000001Z");
    assert_string_equal(made_at(j, "e"), "(null)"); /* it has not ended */
    assert_string_equal(made_at(j, "f"), "");
    assert_string_equal(made_at(j, "api"), "1");
    json_decref(j);
    made_notice(&m, false);
    m.alert.no_data = true;
    j = filled("[{{ $status }}, {{ $ends_at }}, \"{{ $no_data }}\"]", &m.notice);
    assert_string_equal(made_at(j, "0"), "resolved");
    assert_string_equal(made_at(j, "1"), "2026-11-25T20:01:01.500000000Z");
    assert_string_equal(made_at(j, "2"), "true");
    json_decref(j);
}

/* Whatever a label or an annotation holds, it stays one text in one place, and is not taken for a template again. */
static void no_text_breaks_out(void **state)
{
    (void)state;
    struct made_notice m;
    made_notice(&m, true);
    m.alert.name = MADE_NASTY;
    m.notice.host = MADE_NASTY;
    json_t *j = filled("{\"a\": \"<{{ $labels.nasty }}>\", \"b\": {{ $annotations.nasty }}, \"c\": {{ $labels }},"
                       " \"d\": \"{{ $name }}{{ $host }}\", \"e\": {{ $name }}, \"{{ $labels.nasty }}\": 2}",
                       &m.notice);
    assert_string_equal(made_at(j, "a"), "<" MADE_NASTY_READ ">");
    assert_string_equal(made_at(j, "b"), MADE_NASTY_READ);
    assert_string_equal(made_at(j, "c.nasty"), MADE_NASTY_READ);
    assert_string_equal(made_at(j, "c.instance"), MADE_NASTY_READ);
    assert_string_equal(made_at(j, "d"), MADE_NASTY_READ MADE_NASTY_READ);
    assert_string_equal(made_at(j, "e"), MADE_NASTY_READ);
    assert_int_equal(json_object_size(j), 6);
    json_decref(j);
}

static void what_there_is_not_is_null_or_nothing(void **state)
{
    (void)state;
    static const double odd[] = {NAN, INFINITY, -INFINITY};
    struct made_notice m;
    made_notice(&m, true);
    m.alert.labels = m.alert.annotations = (struct sj_labels){0};
    for (size_t i = 0; i < 3; i++) {
        m.alert.value = odd[i];
        json_t *j = filled("[{{ $value }}, \"{{ $value }}\", {{ $labels.no }}, \"<{{ $annotations.no }}>\","
                           " {{ $annotations }}]",
                           &m.notice);
        assert_string_equal(made_at(j, "0"), "(null)");
        assert_string_equal(made_at(j, "1"), "");
        assert_string_equal(made_at(j, "2"), "(null)");
        assert_string_equal(made_at(j, "3"), "<>");
        assert_int_equal(json_object_size(json_array_get(j, 4)), 0);
        json_decref(j);
    }
    static const double numbers[] = {0, -0.0, 1e300, 1e-300, 1234567890123, -2.5};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        m.alert.value = numbers[i];
        json_t *j = filled("[{{ $value }}]", &m.notice);
        assert_true(json_number_value(json_array_get(j, 0)) == numbers[i]);
        json_decref(j);
    }
}

static void braces_that_are_json_stay(void **state)
{
    (void)state;
    struct made_notice m;
    made_notice(&m, true);
    json_t *j = filled("{\"a\":{\"b\":{\"c\":\"}} { } \\u007b{ \\\" \\\\\"}}}", &m.notice);
    assert_string_equal(made_at(j, "a.b.c"), "}} { } {{ \" \\");
    json_decref(j);
    j = filled("{\"a\":{\"b\":{{ $labels }}}}", &m.notice); /* five closing ones in a row */
    assert_string_equal(made_at(j, "a.b.service"), "api");
    json_decref(j);
    j = filled("[]", &m.notice);
    assert_int_equal(json_array_size(j), 0);
    json_decref(j);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "t.json:1: the document is no JSON"},
        {"{{ $value }}", "t.json:1: the document is no JSON"}, /* a number alone */
        {"{\n\"a\": \"{{ $naem }}\"}", "t.json:2: unknown placeholder; known are $status, "},
        {"{\"a\":\n\n{{ $value }", "t.json:3: {{ without }}"},
        {"{\"a\": \"{{", "t.json:1: {{ without }}"},
        {"{{", "t.json:1: {{ without }}"},
        {"[\"{{ }}\"]", "t.json:1: unknown placeholder"},
        {"[{{}}]", "t.json:1: unknown placeholder"},
        {"[{{ name }}]", "t.json:1: unknown placeholder"},
        {"[{{ $ name }}]", "t.json:1: unknown placeholder"},
        {"[{{ $name $id }}]", "t.json:1: unknown placeholder"},
        {"[{{ $name }}{{ $value ]", "t.json:1: {{ without }}"},
        {"[{{ {{ $name }} }}]", "t.json:1: unknown placeholder"},
        {"[{{ $names }}]", "t.json:1: unknown placeholder"},
        {"[{{ $nam }}]", "t.json:1: unknown placeholder"},
        {"[{{ $name.x }}]", "t.json:1: unknown placeholder"},
        {"[{{ $labels. }}]", "t.json:1: unknown placeholder"},
        {"[{{ $labelsx }}]", "t.json:1: unknown placeholder"},
        {"[{{\n$name }}]", "t.json:1: unknown placeholder"},
        {"[\n\"{{ $labels }}\"]", "t.json:2: $labels is an object, which does not go into a string"},
        {"[\"{{ $annotations }}\"]", "t.json:1: $annotations is an object"},
        {"[{{ $name }} {{ $id }}]", "t.json:1: the document is no JSON"},
        {"[1{{ $value }}]", "t.json:1: the document is no JSON"},
        {"[-{{ $value }}]", "t.json:1: the document is no JSON"},
        {"{ {{ $labels.x }}: 1}", "t.json:1: the document is no JSON"}, /* null is no key */
        {"[\"{{ $name }}]", "t.json:1: the document is no JSON"},
        {"[\"\\{{ $name }}\"]", "t.json:1: the document is no JSON"},
        {"{\"a\": 1,\n\"a\": 2}", "t.json:2: the document is no JSON"},
        {"[\"\xff\"]", "t.json:1: the document is no JSON"},
        {"[\"a\nb\"]", "t.json:"},
        {"[\"\\", "t.json:"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sj_template *t = NULL;
        struct sj_err err = {.text = ""};
        size_t n = strlen(bad[i].text);
        char *exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, bad[i].text, n);
        if (sj_template_parse(exact, n, "t.json", &t, &err) != -1)
            fail_msg("'%s' is taken for good", bad[i].text);
        assert_int_equal(err.status, EX_CONFIG);
        assert_null(t);
        if (strncmp(err.text, bad[i].why, strlen(bad[i].why)) != 0 || strchr(err.text, '\n'))
            fail_msg("'%s': %s", bad[i].text, err.text);
        free(exact);
    }
    struct sj_template *t = NULL;
    struct sj_err err;
    assert_int_equal(sj_template_parse("[\"a\0b\"]", 7, "t.json", &t, &err), -1);
    assert_int_equal(sj_template_parse("[]\0", 3, "t.json", &t, &err), -1);
    sj_template_free(NULL);
}

static void the_largest_template_works(void **state)
{
    (void)state;
    struct made_notice m;
    char *text = malloc(SJ_TEMPLATE_MAX + 1);
    size_t n = 1, places = 0;
    made_notice(&m, true);
    assert_non_null(text);
    for (text[0] = '['; n + 16 < SJ_TEMPLATE_MAX; places++)
        n += (size_t)snprintf(text + n, 16, "%s{{$value}}", places ? "," : "");
    text[n++] = ']';
    text[n] = '\0';
    json_t *j = filled(text, &m.notice);
    assert_int_equal(json_array_size(j), places);
    assert_true(places > 5000);
    json_decref(j);
    free(text);
    /* deeper than any document that is meant */
    char deep[8192];
    memset(deep, '[', sizeof(deep) / 2);
    memset(deep + sizeof(deep) / 2, ']', sizeof(deep) / 2);
    struct sj_template *t = NULL;
    struct sj_err err;
    assert_int_equal(sj_template_parse(deep, sizeof(deep), "t.json", &t, &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_become_text_in_strings_and_values_outside),
        cmocka_unit_test(no_text_breaks_out),
        cmocka_unit_test(what_there_is_not_is_null_or_nothing),
        cmocka_unit_test(braces_that_are_json_stay),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(the_largest_template_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "watch/template.h"

static struct sj_label of_alert[] = {{"ops", "b"}, {"service", "ngin\303\266"}};
static const struct sj_labels labels = {of_alert, 2};

static bool known(const void *ctx, const char *name)
{
    return sj_labels_get(ctx, name) != NULL;
}

static const char *fill(const char *text, double value, enum sj_unit unit)
{
    static char out[256];
    const struct sj_template_values values = {&labels, value, 0.05, unit};
    size_t n = sj_template_fill(out, sizeof(out), text, &values);
    assert_int_equal(n, strlen(out));
    return out;
}

static void places_are_filled(void **state)
{
    (void)state;
    assert_string_equal(fill("", 1, SJ_UNIT_NUMBER), "");
    assert_string_equal(fill("no place } {", 1, SJ_UNIT_NUMBER), "no place } {");
    assert_string_equal(fill("{{ $labels.service }}:{{$labels.ops}}", 1, SJ_UNIT_NUMBER), "ngin\303\266:b");
    assert_string_equal(fill("<{{ $labels.none }}>", 1, SJ_UNIT_NUMBER), "<>");
    assert_string_equal(fill("{{$value}} {{  $value\t}}", 17, SJ_UNIT_NUMBER), "17 17");
    /* What a label's value looks like is no template again. */
    struct sj_label odd[] = {{"a", "{{ $value }}"}};
    const struct sj_labels all = {odd, 1};
    const struct sj_template_values values = {&all, 1, 2, SJ_UNIT_NUMBER};
    char out[64];
    sj_template_fill(out, sizeof(out), "{{ $labels.a }}", &values);
    assert_string_equal(out, "{{ $value }}");
}

static void values_have_the_unit_of_their_measure(void **state)
{
    (void)state;
    assert_string_equal(fill("{{ $value }} > {{ $threshold }}", 1.2, SJ_UNIT_SECONDS), "1.20 s > 50.0 ms");
    assert_string_equal(fill("{{ $value }} > {{ $threshold }}", 0.1234, SJ_UNIT_RATIO), "12.3% > 5%");
    assert_string_equal(fill("{{ $value }} > {{ $threshold }}", 12.345, SJ_UNIT_PER_SECOND), "12.3/s > 0.05/s");
    assert_string_equal(fill("{{ $value }} > {{ $threshold }}", 123456789, SJ_UNIT_NUMBER), "123456789 > 0.05");
    assert_string_equal(fill("{{ $value }}", NAN, SJ_UNIT_SECONDS), "no data");
    assert_string_equal(fill("{{ $value | humanize }}", NAN, SJ_UNIT_SECONDS), "no data");
}

static void functions_say_how(void **state)
{
    (void)state;
    assert_string_equal(fill("{{ $value | humanize }}", 1234567, SJ_UNIT_SECONDS), "1.235M");
    assert_string_equal(fill("{{ $value|humanize}}", 999, SJ_UNIT_SECONDS), "999");
    assert_string_equal(fill("{{ $value | humanize }}", -1500, SJ_UNIT_SECONDS), "-1.5k");
    assert_string_equal(fill("{{ $value | humanize }}", 1e30, SJ_UNIT_NUMBER), "1e+12E");
    assert_string_equal(fill("{{ $value | humanizeDuration }}", 90, SJ_UNIT_NUMBER), "90.0 s");
    assert_string_equal(fill("{{ $value | humanizePercentage }}", 0.034, SJ_UNIT_NUMBER), "3.4%");
    assert_string_equal(fill("{{ $threshold | humanizePercentage }}", 1, SJ_UNIT_NUMBER), "5%");
}

static void what_does_not_fit_is_cut_between_characters(void **state)
{
    (void)state;
    const struct sj_template_values values = {&labels, 12.5, 2, SJ_UNIT_NUMBER};
    static const char text[] = "{{ $labels.service }}: {{ $value }}!";
    static const char whole[] = "ngin\303\266: 12.5!";
    for (size_t size = 1; size <= sizeof(whole); size++) {
        char out[sizeof(whole) + 1];
        memset(out, 'x', sizeof(out));
        size_t n = sj_template_fill(out, size, text, &values);
        assert_int_equal(n, size == 6 ? 4 : size - 1);
        assert_memory_equal(out, whole, n);
        assert_int_equal(out[n], 0);
        assert_int_equal(out[size], 'x');
    }
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    static const char *const right[] = {"", "}}", "{ {", "{{$labels.ops}}{{ $value | humanize }}{{ $threshold }}"};
    static const char *const wrong[] = {
        "{{",
        "{{ }}",
        "{{ $value",
        "{{ $value }",
        "{{ $value } }",
        "{{ value }}",
        "{{ $ }}",
        "{{ $val }}",
        "{{ $values }}",
        "{{ $value.x }}",
        "{{ $labels }}",
        "{{ $labels. }}",
        "{{ $value $value }}",
        "{{ $value | }}",
        "{{ $value | nothing }}",
        "{{ $value | humanize | humanize }}",
        "{{ $labels.ops | humanize }}",
        "{{ range . }}",
        "ok {{ $value }} {{ $labels.other }}",
    };
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        assert_int_equal(sj_template_check(right[i], known, &labels, NULL), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct sj_err err = {0};
        assert_int_equal(sj_template_check(wrong[i], known, &labels, &err), -1);
        assert_int_equal(err.status, EX_CONFIG);
        assert_memory_equal(err.text, "a template", 10);
        fill(wrong[i], 1, SJ_UNIT_NUMBER); /* and filling copes */
    }
    struct sj_err err = {0};
    sj_template_check("{{ $labels.othr }}", known, &labels, &err);
    assert_string_equal(err.text, "a template names the label 'othr', which the alert does not have");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_filled),     cmocka_unit_test(values_have_the_unit_of_their_measure),
        cmocka_unit_test(functions_say_how),     cmocka_unit_test(what_does_not_fit_is_cut_between_characters),
        cmocka_unit_test(what_is_wrong_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/json.h"

#include "made_request.h"

static void a_line_has_no_spaces(void **state)
{
    (void)state;
    struct sj_out out;
    struct sj_json w;
    made_out(&out);
    sj_json_init(&w, &out, false);
    sj_json_object(&w);
    sj_json_key(&w, "a");
    sj_json_uint(&w, UINT64_MAX);
    sj_json_key(&w, "b");
    sj_json_array(&w);
    sj_json_bool(&w, true);
    sj_json_bool(&w, false);
    sj_json_array(&w);
    sj_json_array_end(&w);
    sj_json_object(&w);
    sj_json_object_end(&w);
    sj_json_array_end(&w);
    sj_json_key(&w, "c");
    sj_json_seconds(&w, 1500000001);
    sj_json_key_real(&w, "d", 0.25);
    sj_json_key_real(&w, "left out", NAN);
    sj_json_key_real(&w, "left out", INFINITY);
    sj_json_key_text(&w, "\"e\n");
    sj_json_string(&w, "");
    sj_json_object_end(&w);
    assert_string_equal(made_text(&out), "{\"a\":18446744073709551615,\"b\":[true,false,[],{}],\"c\":1.500000001,"
                                         "\"d\":0.25,\"\\\"e\\n\":\"\"}");
    sj_out_fini(&out);
}

static void lines_are_indented(void **state)
{
    (void)state;
    struct sj_out out;
    struct sj_json w;
    made_out(&out);
    sj_json_init(&w, &out, true);
    sj_json_object_lines(&w);
    sj_json_key(&w, "a");
    sj_json_uint(&w, 1);
    sj_json_key(&w, "b");
    sj_json_array_lines(&w);
    for (unsigned i = 0; i < 2; i++) {
        sj_json_object(&w);
        sj_json_key(&w, "c");
        sj_json_uint(&w, i);
        sj_json_key(&w, "d");
        sj_json_array(&w);
        sj_json_uint(&w, 2);
        sj_json_uint(&w, 3);
        sj_json_array_end(&w);
        sj_json_object_end(&w);
    }
    sj_json_array_end(&w);
    sj_json_key(&w, "e");
    sj_json_array_lines(&w);
    sj_json_array_end(&w);
    sj_json_object_end(&w);
    assert_string_equal(made_text(&out), "{\n \"a\": 1,\n \"b\": [\n  {\"c\": 0, \"d\": [2, 3]},\n"
                                         "  {\"c\": 1, \"d\": [2, 3]}\n ],\n \"e\": []\n}");
    sj_out_fini(&out);
}

static const char *written(struct sj_out *out, const char *text)
{
    struct sj_json w;
    sj_json_init(&w, out, false);
    sj_json_string(&w, text);
    return made_text(out);
}

static void strings_are_safe(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "\"plain\""},
        {"\"\\/", "\"\\\"\\\\/\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\033[2J\001\177", "\"\\u001b[2J\\u0001\\u007f\""},
        {"\xc2\x9b", "\"\\u009b\""},
        {"\xe2\x80\xae", "\"\\u202e\""},
        {"\xe2\x80\xa8", "\"\\u2028\""},
        {"caf\xc3\xa9 \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xf0\x9f\x98\x80\""},
        {"a\xff"
         "b\xc3",
         "\"a\xef\xbf\xbd"
         "b\xef\xbf\xbd\""},
    };
    struct sj_out out;
    made_out(&out);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(written(&out, cases[i].in), cases[i].out);
    sj_out_fini(&out);
}

/* Whatever the bytes, another reader takes them for one string, and valid text comes back as it was. */
static void any_bytes_make_valid_json(void **state)
{
    (void)state;
    struct sj_out out;
    uint32_t x = 7;
    made_out(&out);
    for (int round = 0; round < 5000; round++) {
        char in[6000];
        size_t n = round % 100 == 0 ? sizeof(in) - 1 : 20;
        bool ascii = round & 1;
        for (size_t i = 0; i < n; i++) {
            x = x * 1664525 + 1013904223;
            unsigned char c = (unsigned char)(x >> 24 & (ascii ? 0x7f : 0xff));
            in[i] = (char)(c ? c : 1);
        }
        in[n] = '\0';
        json_t *back = json_loads(written(&out, in), JSON_DECODE_ANY, NULL);
        assert_non_null(back);
        if (ascii)
            assert_string_equal(json_string_value(back), in);
        json_decref(back);
    }
    sj_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_no_spaces),
        cmocka_unit_test(lines_are_indented),
        cmocka_unit_test(strings_are_safe),
        cmocka_unit_test(any_bytes_make_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

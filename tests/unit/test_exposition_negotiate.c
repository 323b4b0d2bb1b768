// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "export/exposition.h"

#define PROTOBUF "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

static void the_best_format_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        enum sj_exposition_format format;
    } cases[] = {
        {NULL, SJ_EXPOSITION_TEXT},
        {"", SJ_EXPOSITION_TEXT},
        {"*/*", SJ_EXPOSITION_TEXT},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", SJ_EXPOSITION_TEXT},
        /* Prometheus 2.42, without and with native histograms */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         SJ_EXPOSITION_OPENMETRICS},
        {PROTOBUF ",application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
                  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         SJ_EXPOSITION_PROTOBUF},
        /* Prometheus 3 */
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
         "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         SJ_EXPOSITION_OPENMETRICS},
        {PROTOBUF, SJ_EXPOSITION_PROTOBUF},
        {"application/vnd.google.protobuf; proto=\"io.prometheus.client.MetricFamily\"; encoding=\"delimited\"",
         SJ_EXPOSITION_PROTOBUF},
        {"APPLICATION/VND.GOOGLE.PROTOBUF;PROTO=io.prometheus.client.MetricFamily;Encoding=Delimited",
         SJ_EXPOSITION_PROTOBUF},
        /* what of it there is not */
        {"application/vnd.google.protobuf", SJ_EXPOSITION_TEXT},
        {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", SJ_EXPOSITION_TEXT},
        {"application/vnd.google.protobuf;proto=other.Message;encoding=delimited", SJ_EXPOSITION_TEXT},
        {"application/openmetrics-text;version=0.0.1", SJ_EXPOSITION_TEXT},
        {"image/png", SJ_EXPOSITION_TEXT},
        {"application/openmetrics-text", SJ_EXPOSITION_OPENMETRICS},
        {"application/*", SJ_EXPOSITION_OPENMETRICS},
        /* weights */
        {PROTOBUF ";q=0.1,text/plain;q=0.2", SJ_EXPOSITION_TEXT},
        {PROTOBUF ";q=0.2,text/plain;q=0.1", SJ_EXPOSITION_PROTOBUF},
        {PROTOBUF ";q=0.500,application/openmetrics-text;q=0.501", SJ_EXPOSITION_OPENMETRICS},
        {PROTOBUF ";q=0", SJ_EXPOSITION_TEXT},
        {PROTOBUF ";q=0,application/openmetrics-text;q=0.001", SJ_EXPOSITION_OPENMETRICS},
        {"text/plain;q=0.3,application/openmetrics-text;q=0.3", SJ_EXPOSITION_OPENMETRICS},
        {"text/plain;q=0.3, */*;q=0.9, application/openmetrics-text;q=0.4", SJ_EXPOSITION_OPENMETRICS},
        {" \t, ,application/openmetrics-text ; q=1 ,", SJ_EXPOSITION_OPENMETRICS},
        /* garbage */
        {"application/openmetrics-text;q=2", SJ_EXPOSITION_TEXT},
        {"application/openmetrics-text;q=", SJ_EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0.1234", SJ_EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0.5x", SJ_EXPOSITION_TEXT},
        {"application/openmetrics-text;q=-1", SJ_EXPOSITION_TEXT},
        {";;;=;q", SJ_EXPOSITION_TEXT},
        {"\"application/openmetrics-text", SJ_EXPOSITION_TEXT},
        {"text/x;a=\",application/openmetrics-text,\"", SJ_EXPOSITION_TEXT},
        {"text/x;a=\"\\\",application/openmetrics-text", SJ_EXPOSITION_TEXT},
        {"\xff\xfe,,,\x01", SJ_EXPOSITION_TEXT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (sj_exposition_negotiate(cases[i].accept) != cases[i].format)
            fail_msg("%s: %d", cases[i].accept, (int)sj_exposition_negotiate(cases[i].accept));
}

static void what_is_sent_is_what_was_asked_for(void **state)
{
    (void)state;
    for (int f = 0; f < SJ_EXPOSITION_MAX_; f++)
        assert_int_equal(sj_exposition_negotiate(sj_exposition_content_type((enum sj_exposition_format)f)), f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_format_is_chosen),
        cmocka_unit_test(what_is_sent_is_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/json.h"

#include "made_exposition.h"

/*
 * Random requests in all three formats, read by readers that are not ours and compared by exposition_oracle.py, under
 * the interpreter that the distribution installs those readers for.
 */

static void put_request(struct sj_json *w, const struct sj_request *r)
{
    bool server = r->role == SJ_ROLE_SERVER;
    sj_json_array(w);
    sj_json_string(w, r->service);
    sj_json_string(w, sj_role_name((enum sj_role)r->role));
    sj_json_string(w, sj_protocol_name((enum sj_protocol)r->protocol));
    sj_json_string(w, r->operation);
    sj_json_string(w, r->status);
    sj_json_uint(w, (r->flags & SJ_REQ_ERROR) != 0);
    sj_json_uint(w, r->total_ns);
    sj_json_array(w);
    for (int i = 0; i < SJ_STAGE_MAX_; i++) {
        bool known = server ? i <= SJ_STAGE_SEND : i >= SJ_STAGE_SEND;
        if (i == SJ_STAGE_QUEUE && (r->flags & SJ_REQ_NO_ARRIVAL))
            known = false;
        if (i >= SJ_STAGE_ONCPU && i <= SJ_STAGE_HANDOFF && (r->flags & SJ_REQ_NO_STAGES))
            known = false;
        if (known)
            sj_json_uint(w, r->stage_ns[i]);
        else
            sj_json_bool(w, false);
    }
    sj_json_array_end(w);
    sj_json_array_end(w);
    sj_out_text(w->out, "\n");
}

/* Zeros, bucket edges, and latencies over all magnitudes. */
static uint64_t random_ns(struct random_state *random)
{
    double u = random_unit(random);
    if (u < 0.1)
        return 0;
    if (u < 0.2)
        return (uint64_t)(1e9 * exp2(floor(20 * random_unit(random)) - 15)) + (u < 0.15);
    return (uint64_t)(1e9 * draw_lognormal(random, -6, 4));
}

static struct sj_request random_request(struct random_state *random)
{
    static const char *const services[] = {"nginx", "a \"b\" \\c", "caf\xc3\xa9", "x\ny", "other"};
    static const char *const operations[] = {"GET /", "POST /a/:id", "", "{le=\"1\"} 5 # x", "GET /\\\\\"", "other"};
    static const char *const statuses[] = {"200", "204", "301", "404", "503", "", "OK", "101", "599", "7"};
    bool server = random_unit(random) < 0.7;
    struct sj_request r = server ? made_server_request() : made_client_request();
    memset(r.stage_ns, 0, sizeof(r.stage_ns));
    memset(r.blocked_ns, 0, sizeof(r.blocked_ns));
    r.service = services[(int)(5 * random_unit(random))];
    r.operation = operations[(int)(6 * random_unit(random))];
    r.status = statuses[(int)(10 * random_unit(random))];
    r.protocol = random_unit(random) < 0.9 ? SJ_PROTO_HTTP : SJ_PROTO_UNKNOWN;
    r.container = random_unit(random) < 0.5 ? "" : "c1";
    r.port = (uint16_t)(8080 + (int)(3 * random_unit(random)));
    r.flags |= r.status[0] == '5' ? SJ_REQ_ERROR : 0;
    r.flags |= server && random_unit(random) < 0.1 ? SJ_REQ_NO_ARRIVAL : 0;
    r.flags |= server && random_unit(random) < 0.1 ? SJ_REQ_NO_STAGES : 0;
    for (int i = server ? SJ_STAGE_QUEUE : SJ_STAGE_SEND; i <= (server ? SJ_STAGE_SEND : SJ_STAGE_RECEIVE); i++) {
        if (i == SJ_STAGE_QUEUE && (r.flags & SJ_REQ_NO_ARRIVAL))
            continue;
        if (i >= SJ_STAGE_ONCPU && i <= SJ_STAGE_HANDOFF && (r.flags & SJ_REQ_NO_STAGES))
            continue;
        r.stage_ns[i] = random_ns(random) / 8;
    }
    r.blocked_ns[SJ_CAUSE_NET] = r.stage_ns[SJ_STAGE_BLOCKED];
    r.total_ns = random_ns(random);
    return r;
}

static void other_readers_find_what_was_counted(void **state)
{
    (void)state;
    static const char *const names[SJ_EXPOSITION_MAX_] = {"text", "openmetrics", "protobuf"};
    char folder[] = "/tmp/sj-exposition-XXXXXX", command[256];
    struct random_state random = {.state = 5};
    struct made_exposition m;
    struct sj_out requests;
    assert_non_null(mkdtemp(folder));
    made_exposition_init(&m, 2000);
    m.e.max_series = 100000; /* nothing is part of the rest */
    made_out(&requests);
    for (int i = 0; i < 4000; i++) {
        struct sj_json w;
        struct sj_request r = random_request(&random);
        made_exposition_add(&m, &r);
        sj_json_init(&w, &requests, false);
        put_request(&w, &r);
    }
    made_file(folder, "requests", requests.buf, requests.len);
    for (int f = 0; f < SJ_EXPOSITION_MAX_; f++) {
        made_exposition_write(&m, (enum sj_exposition_format)f);
        made_file(folder, names[f], m.out.buf, m.out.len);
    }
    snprintf(command, sizeof(command), "/usr/bin/python3 tests/unit/exposition_oracle.py %s && rm -r %s", folder,
             folder);
    int status = system(command);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    sj_out_fini(&requests);
    made_exposition_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_readers_find_what_was_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "hist_index.skel.h"
#include "hist_oracle.h"
#include "hist_random.h"
#include "model/hist.h"

/*
 * The bucket index as this kernel's verifier and compiler make it, run by BPF_PROG_TEST_RUN, against the definition.
 * Needs the right to load programs: without it there is nothing to test, and the test fails.
 */

#define RANDOM_VALUES 1000000

struct fixture {
    struct hist_index_bpf *skel;
    struct oracle oracle;
    size_t filled;
};

static int set_up(void **state)
{
    static struct fixture f;

    f.skel = hist_index_bpf__open_and_load();
    if (!f.skel)
        return -1;
    oracle_init(&f.oracle, SJ_HIST_SCHEMA);
    *state = &f;
    return f.oracle.edge ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f) {
        hist_index_bpf__destroy(f->skel);
        free(f->oracle.edge);
    }
    return 0;
}

/* Runs the program over what was collected and checks every answer. */
static void run(struct fixture *f)
{
    LIBBPF_OPTS(bpf_test_run_opts, opts);

    assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(f->skel->progs.on_test_run), &opts), 0);
    for (size_t i = 0; i < f->filled; i++) {
        uint64_t v = f->skel->bss->latencies[i];

        if (f->skel->bss->indexes[i] != oracle_index(&f->oracle, v))
            fail_msg("%llu ns: bucket %d, but it is in %d", (unsigned long long)v, f->skel->bss->indexes[i],
                     oracle_index(&f->oracle, v));
    }
    f->filled = 0;
}

static void collect(struct fixture *f, uint64_t v)
{
    f->skel->bss->latencies[f->filled] = v;
    f->skel->bss->indexes[f->filled++] = INT32_MIN;
    if (f->filled == sizeof(f->skel->bss->latencies) / sizeof(f->skel->bss->latencies[0]))
        run(f);
}

static void edges(void **state)
{
    struct fixture *f = *state;

    for (size_t k = 0; k < f->oracle.len; k++) {
        uint64_t edge = f->oracle.edge[k];

        for (uint64_t v = edge > 1 ? edge - 1 : 1; v <= edge + 1 && v <= INT64_MAX; v++)
            collect(f, v);
    }
    run(f);
}

static void random_values(void **state)
{
    struct fixture *f = *state;
    struct random_state r = {42};

    for (int i = 0; i < RANDOM_VALUES; i++)
        collect(f, random_latency(&r));
    run(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(edges), cmocka_unit_test(random_values)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

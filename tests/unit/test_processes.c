// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/processes.h"
#include "made_records.h"

#define SLOTS 4096U

static void expect_service(const char *comm, const char *argv0, const char *expected)
{
    char out[64];
    sj_process_service(comm, argv0, out, sizeof(out));
    assert_string_equal(out, expected);
}

static void a_name_that_was_cut_is_completed_from_the_command_line(void **state)
{
    (void)state;
    expect_service("nginx", "nginx: worker process", "nginx");
    expect_service("nginx", "/usr/sbin/nginx", "nginx");
    expect_service("a-service-with-", "/opt/a-service-with-a-long-name", "a-service-with-a-long-name");
    expect_service("a-service-with-", "a-service-with-a-long-name", "a-service-with-a-long-name");
    expect_service("a-service-with-", "/opt/a-service-with-", "a-service-with-");
    expect_service("renamed-to-some", "/opt/a-service-with-a-long-name", "renamed-to-some");
    expect_service("a-service-with", "/opt/a-service-with-a-long-name", "a-service-with");
    expect_service("a-service-with-", "", "a-service-with-");
    expect_service("a-service-with-", "/", "a-service-with-");
    expect_service("", "", "");
}

static void a_service_fits_its_place(void **state)
{
    (void)state;
    char out[20];
    sj_process_service("a-service-with-", "/opt/a-service-with-a-long-name", out, sizeof(out));
    assert_string_equal(out, "a-service-with-a-lo");
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

#define INNER "f000000000000000000000000000000000000000000000000000000000000000"

static void expect_container(const char *text, const char *expected)
{
    char out[80] = "before";
    sj_container_of_cgroup(text, out, sizeof(out));
    assert_string_equal(out, expected);
}

static void a_container_is_the_last_long_number_of_the_cgroup(void **state)
{
    (void)state;
    expect_container("", "");
    expect_container("0::/\n", "");
    expect_container("0::/user.slice/user-0.slice/session-1.scope\n", "");
    expect_container("0::/docker/" ID "\n", ID);
    expect_container("0::/docker/" ID, ID);
    expect_container("0::/system.slice/docker-" ID ".scope\n", ID);
    expect_container("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-f" ID ".scope\n", "");
    expect_container("12:cpu:/docker/" ID "\n0::/docker/f" ID "0" ID "\n", ID);
    expect_container("0::/docker/" ID "/" INNER "\n", INNER);
    expect_container("0::/docker/012345\n", "");
}

static void learn(struct sj_processes *t, uint32_t tgid, const char *comm, uint64_t start)
{
    struct made_record r = record_conn(tgid, comm, 5);
    ((struct sj_rec_conn *)r.rec)->thread_group_start = start;
    ((struct sj_rec_conn *)r.rec)->cgroup = 17;
    sj_processes_learn(t, (const struct sj_rec_conn *)r.rec);
    free(r.rec);
}

/* Numbers beyond what any kernel gives: /proc has nothing on them. */
enum { NOBODY = 0x40000000 };

static void what_a_record_told_outlives_the_process(void **state)
{
    (void)state;
    struct sj_processes *t = sj_processes_new();
    assert_non_null(t);
    learn(t, NOBODY, "gone", 1);
    const struct sj_process *p = sj_processes_find(t, NOBODY);
    assert_int_equal(p->tgid, NOBODY);
    assert_int_equal(p->start, 1);
    assert_int_equal(p->cgroup, 17);
    assert_string_equal(p->comm, "gone");
    assert_string_equal(p->service, "gone");
    assert_string_equal(p->container, "");
    sj_processes_free(t);
}

static void a_number_that_is_given_again_is_another_process(void **state)
{
    (void)state;
    struct sj_processes *t = sj_processes_new();
    assert_non_null(t);
    learn(t, NOBODY, "first", 1);
    learn(t, NOBODY, "second", 2);
    assert_string_equal(sj_processes_find(t, NOBODY)->service, "second");
    learn(t, NOBODY, "renamed", 2);
    assert_string_equal(sj_processes_find(t, NOBODY)->service, "renamed");
    /* another one of the same slot takes its place, with nothing of the old one left */
    struct made_record r = record_conn(NOBODY + SLOTS, "", 5);
    sj_processes_learn(t, (const struct sj_rec_conn *)r.rec);
    free(r.rec);
    const struct sj_process *p = sj_processes_find(t, NOBODY + SLOTS);
    assert_string_equal(p->service, "");
    assert_int_equal(p->start, 0);
    assert_string_equal(sj_processes_find(t, NOBODY)->service, "");
    sj_processes_free(t);
}

static void a_stranger_is_asked_for(void **state)
{
    (void)state;
    struct sj_processes *t = sj_processes_new();
    assert_non_null(t);
    assert_int_equal(prctl(PR_SET_NAME, "sj test name"), 0);
    const struct sj_process *p = sj_processes_find(t, (uint32_t)getpid());
    assert_int_equal(p->tgid, getpid());
    assert_string_equal(p->comm, "sj test name");
    assert_string_equal(p->service, "sj test name");
    p = sj_processes_find(t, NOBODY + 1);
    assert_string_equal(p->comm, "");
    assert_string_equal(p->service, "");
    p = sj_processes_find(t, 0);
    assert_int_equal(p->tgid, 0);
    assert_string_equal(p->service, "");
    sj_processes_free(t);
}

/* The name that a record brings may fill its field; 15 bytes are told, and a control character stays what it is. */
static void names_without_end_are_cut(void **state)
{
    (void)state;
    struct sj_processes *t = sj_processes_new();
    assert_non_null(t);
    struct made_record r = record_conn(NOBODY, "", 5);
    memset(((struct sj_rec_conn *)r.rec)->comm, '\n', SJ_COMM_LEN);
    sj_processes_learn(t, (const struct sj_rec_conn *)r.rec);
    free(r.rec);
    assert_int_equal(strlen(sj_processes_find(t, NOBODY)->comm), SJ_COMM_LEN - 1);
    sj_processes_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_was_cut_is_completed_from_the_command_line),
        cmocka_unit_test(a_service_fits_its_place),
        cmocka_unit_test(a_container_is_the_last_long_number_of_the_cgroup),
        cmocka_unit_test(what_a_record_told_outlives_the_process),
        cmocka_unit_test(a_number_that_is_given_again_is_another_process),
        cmocka_unit_test(a_stranger_is_asked_for),
        cmocka_unit_test(names_without_end_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

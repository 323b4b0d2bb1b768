// SPDX-License-Identifier: GPL-3.0-or-later
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cmocka.h>

#include "filter.h"

#include "made_request.h"

#define ID "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

/* A filter with one option set to a value. */
static struct sj_filter with(const char *name, const char *value)
{
    struct sj_filter f;
    struct sj_err err;
    sj_filter_init(&f);
    if (sj_filter_set(&f, name, value, &err) < 0)
        fail_msg("--%s %s is refused: %s", name, value, err.text);
    return f;
}

static bool matches(const char *name, const char *value, const struct sj_request *req)
{
    struct sj_filter f = with(name, value);
    return sj_filter_match(&f, req);
}

static void without_options_everything_matches(void **state)
{
    (void)state;
    struct sj_filter f;
    struct sj_request server = made_server_request(), client = made_client_request();
    struct sj_request bare = {
        .service = "", .comm = "", .container = "", .operation = "", .status = "", .unix_path = ""};
    sj_filter_init(&f);
    assert_true(sj_filter_match(&f, &server));
    assert_true(sj_filter_match(&f, &client));
    assert_true(sj_filter_match(&f, &bare));
}

static void each_option_chooses(void **state)
{
    (void)state;
    struct sj_request r = made_server_request();
    r.container = ID;
    static const struct {
        const char *name, *match, *other;
    } cases[] = {
        {"pid", "7201", "7202"},
        {"comm", "nginx", "ngin"},
        {"port", "8080", "80"},
        {"role", "server", "client"},
        {"protocol", "http", "tls"},
        {"operation", "GET /users/:id", "GET /users/"},
        {"operation", "GET *", "POST *"},
        {"operation", "GET /users/???", "GET /users/??"},
        {"container", ID, "9f86d081884d"},
        {"container", "9f86d081884c", "f86d"},
        {"slower", "3100300ns", "3100301ns"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(matches(cases[i].name, cases[i].match, &r));
        assert_false(matches(cases[i].name, cases[i].other, &r));
    }
}

static void all_options_must_match(void **state)
{
    (void)state;
    struct sj_request r = made_server_request();
    struct sj_filter f = with("port", "8080");
    assert_int_equal(sj_filter_set(&f, "role", "server", NULL), 0);
    assert_true(sj_filter_match(&f, &r));
    assert_int_equal(sj_filter_set(&f, "comm", "apache2", NULL), 0);
    assert_false(sj_filter_match(&f, &r));
}

static void a_containers_name_must_be_whole(void **state)
{
    (void)state;
    struct sj_request r = made_server_request();
    r.container = "web-frontend";
    assert_true(matches("container", "web-frontend", &r));
    assert_false(matches("container", "web", &r));
    r.container = "";
    assert_false(matches("container", "web", &r));
}

static void an_unknown_protocol_can_be_asked_for(void **state)
{
    (void)state;
    struct sj_request r = made_server_request();
    assert_false(matches("protocol", "unknown", &r));
    r.protocol = SJ_PROTO_UNKNOWN;
    assert_true(matches("protocol", "unknown", &r));
}

static void cgroups_match_by_their_id(void **state)
{
    (void)state;
    struct sj_request r = made_server_request();
    struct sj_filter f;
    sj_filter_init(&f);
    f.cgroup = 4711;
    assert_false(sj_filter_match(&f, &r));
    r.cgroup = 4711;
    assert_true(sj_filter_match(&f, &r));
}

static void a_cgroups_id_is_its_inode(void **state)
{
    (void)state;
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    struct statfs fs;
    struct stat st;
    size_t i = 0;
    while (i < 2 && (statfs(roots[i], &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC))
        i++;
    if (i == 2)
        skip();
    assert_int_equal(stat(roots[i], &st), 0);
    assert_int_equal(with("cgroup", roots[i]).cgroup, st.st_ino);
    assert_int_equal(with("cgroup", ".").cgroup, st.st_ino);
    assert_int_equal(with("cgroup", ".").cgroup_level, 0);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *because;
    } cases[] = {
        {"pid", "", "number of a process"},
        {"pid", "0", "number of a process, not '0'"},
        {"pid", "12x", "not '12x'"},
        {"pid", "-1", "not '-1'"},
        {"pid", "4194305", "not '4194305'"},
        {"pid", "99999999999999999999999999", "number of a process"},
        {"port", "0", "1 to 65535, not '0'"},
        {"port", "65536", "1 to 65535, not '65536'"},
        {"port", " 80", "not ' 80'"},
        {"comm", "", "name of a program"},
        {"comm", "0123456789abcdef", "at most 15 characters, as the kernel keeps no more: try '0123456789abcde'"},
        {"role", "unknown", "server or client, not 'unknown'"},
        {"role", "", "server or client"},
        {"protocol", "gopher", "one of unknown, http, tls"},
        {"slower", "10", "10ms or 1.5s, not '10'"},
        {"operation", "", "takes an operation"},
        {"container", "", "container's name"},
        {"cgroup", "", "directory below /sys/fs/cgroup"},
        {"cgroup", "/proc", "'/proc' is none"},
        {"cgroup", "/no/such/place", "'/no/such/place' does not exist"},
        {"cgroup", "no-such-group", "'no-such-group' does not exist"},
        {"colour", "red", "--colour is not a filter"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sj_filter f, before;
        struct sj_err err = {0};
        sj_filter_init(&f);
        before = f;
        assert_int_equal(sj_filter_set(&f, cases[i].name, cases[i].value, &err), -1);
        assert_int_equal(err.status, EX_USAGE);
        if (!strstr(err.text, cases[i].because))
            fail_msg("--%s %s: %s", cases[i].name, cases[i].value, err.text);
        assert_memory_equal(&f, &before, sizeof(f));
    }
}

static void long_values_are_refused_not_cut(void **state)
{
    (void)state;
    char value[512];
    struct sj_filter f;
    sj_filter_init(&f);
    memset(value, 'a', sizeof(value));
    value[sizeof(f.operation) - 1] = '\0';
    assert_int_equal(sj_filter_set(&f, "operation", value, NULL), 0);
    value[sizeof(f.operation) - 1] = 'a';
    value[sizeof(f.operation)] = '\0';
    assert_int_equal(sj_filter_set(&f, "operation", value, NULL), -1);
    value[sizeof(f.container)] = '\0';
    assert_int_equal(sj_filter_set(&f, "container", value, NULL), -1);
    value[sizeof(f.container) - 1] = '\0';
    assert_int_equal(sj_filter_set(&f, "container", value, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_everything_matches),
        cmocka_unit_test(each_option_chooses),
        cmocka_unit_test(all_options_must_match),
        cmocka_unit_test(a_containers_name_must_be_whole),
        cmocka_unit_test(an_unknown_protocol_can_be_asked_for),
        cmocka_unit_test(cgroups_match_by_their_id),
        cmocka_unit_test(a_cgroups_id_is_its_inode),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(long_values_are_refused_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

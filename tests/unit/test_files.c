// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "config/config.h"
#include "courier/courier.h"
#include "own_folder.h"
#include "probe/rights.h"

static void names_are_meant_beside_their_file(void **state)
{
    (void)state;
    static const char *const all[][3] = {{"/etc/a.yml", "b", "/etc/b"},
                                         {"/etc/a.yml", "/x/b", "/x/b"},
                                         {"/etc/a.yml", "../b", "/etc/../b"},
                                         {"a.yml", "b", "b"},
                                         {"d/a.yml", "e/b", "d/e/b"},
                                         {"/a.yml", "b", "/b"},
                                         {NULL, "b", "b"}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char *path = sj_file_beside(all[i][0], all[i][1]);
        assert_string_equal(path, all[i][2]);
        free(path);
    }
}

static void files_are_read_to_their_limit(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 7;
    struct sj_err err;
    write_file("f", "a\0bcd", 5);
    assert_int_equal(sj_file_read(path_of("f"), 5, &text, &n, &err), 0);
    assert_int_equal(n, 5);
    assert_memory_equal(text, "a\0bcd", 6);
    free(text);
    text = NULL;
    assert_int_equal(sj_file_read(path_of("f"), 4, &text, &n, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_null(text);
    write_file("f", "", 0);
    assert_int_equal(sj_file_read(path_of("f"), 0, &text, &n, &err), 0);
    assert_int_equal(n, 0);
    free(text);
    assert_int_equal(sj_file_check(path_of("f"), &err), 0);
    assert_int_equal(sj_file_check(path_of("none"), &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    assert_int_equal(sj_file_check(own_folder, &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    assert_int_equal(unlink(path_of("f")), 0);
    assert_int_equal(mkfifo(path_of("f"), 0600), 0); /* without a writer: it does not wait */
    assert_int_equal(sj_file_read(path_of("f"), 10, &text, &n, &err), 0);
    assert_int_equal(n, 0);
    free(text);
}

static void a_secret_is_one_line_and_never_shown(void **state)
{
    (void)state;
    static const struct {
        const char *text, *secret;
    } all[] = {{"hunter2", "hunter2"},
               {"hunter2\n", "hunter2"},
               {"hunter2\r\n", "hunter2"},
               {"hunter2 \t\n\n", "hunter2"},
               {" hunter2 x\n", " hunter2 x"},
               {"h\xc3\xbcnter2\n", "h\xc3\xbcnter2"},
               {"", NULL},
               {"\n", NULL},
               {" \t\r\n", NULL},
               {"hunter2\nhunter3\n", NULL},
               {"hunter2\r\nX-Injected: hunter2\r\n", NULL},
               {"hunter2\x01", NULL},
               {"hunter2\x7f", NULL},
               {"hunter2\t3", NULL}};
    struct sj_err err = {.text = ""};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        write_file("secret", all[i].text, strlen(all[i].text));
        char *secret = sj_secret_read(path_of("secret"), &err);
        assert_int_equal(sj_secret_check(path_of("secret"), &err), all[i].secret ? 0 : -1);
        if (all[i].secret) {
            assert_string_equal(secret, all[i].secret);
        } else {
            assert_null(secret);
            assert_int_equal(err.status, EX_DATAERR);
            assert_non_null(strstr(err.text, path_of("secret")));
            assert_null(strstr(err.text, "hunter"));
        }
        sj_secret_free(secret);
    }
    write_file("secret", "a\0b", 3);
    assert_null(sj_secret_read(path_of("secret"), &err));
    char big[SJ_SECRET_MAX + 1];
    memset(big, 'x', sizeof(big));
    write_file("secret", big, sizeof(big));
    assert_null(sj_secret_read(path_of("secret"), &err));
    assert_null(sj_secret_read(path_of("none"), &err));
    assert_int_equal(err.status, EX_NOINPUT);
    assert_int_equal(sj_secret_check(NULL, &err), 0);
    sj_secret_free(NULL);
}

/* What the daemon's configuration names, by the checks that it makes at the start, at SIGHUP and with --check-config.
 */
static int check(const char *notify, struct sj_err *err)
{
    char text[512];
    struct sj_config *config = NULL;
    snprintf(text, sizeof(text), "%s\n", notify);
    err->text[0] = '\0';
    if (sj_config_parse(text, strlen(text), path_of("sojourn.yaml"), &config, err) < 0)
        fail_msg("%s", err->text);
    int rc = sj_courier_check(config, path_of("sojourn.yaml"), err);
    sj_config_free(config);
    return rc;
}

static const char *const users_of_secrets[] = {
    "notify:\n- pagerduty: {routing_key_file: secret}",
    "notify:\n- webhook: {url_file: secret}",
    "notify:\n- webhook: {url: 'http://h/', bearer_token_file: secret}",
    "notify:\n- webhook: {url: 'http://h/', username: u, password_file: secret}",
    "notify:\n- webhook: {url: 'http://h/', template_file: secret}",
    "notify:\n- webhook: {url: 'https://h/', ca_file: secret}",
    "web_config_file: secret",
};

static void what_is_missing_is_told_before_it_is_needed(void **state)
{
    (void)state;
    struct sj_err err;
    for (size_t i = 0; i < sizeof(users_of_secrets) / sizeof(users_of_secrets[0]); i++) {
        assert_int_equal(check(users_of_secrets[i], &err), -1);
        if (err.status != EX_NOINPUT || !strstr(err.text, path_of("secret")) || strchr(err.text, '\n'))
            fail_msg("%s: %d %s", users_of_secrets[i], err.status, err.text);
    }
    write_file("secret", "https://hooks.example/hunter2\n", 30);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(check(users_of_secrets[i], &err), 0);
    write_file("secret", "ftp://hunter2\n", 14);
    assert_int_equal(check(users_of_secrets[1], &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
    assert_null(strstr(err.text, "hunter2"));
}

/* In a process of its own, which gives its rights up as the courier does. */
static int check_without_rights(void)
{
    struct sj_err err;
    char *text, id[32];
    size_t n;
    snprintf(id, sizeof(id), "the id %u,", (unsigned)geteuid());
    if (sj_rights_drop(SJ_RIGHTS_COURIER, NULL, NULL, NULL, &err) < 0)
        return 2;
    for (size_t i = 0; i < sizeof(users_of_secrets) / sizeof(users_of_secrets[0]); i++)
        if (check(users_of_secrets[i], &err) != -1 || err.status != EX_NOPERM || !strstr(err.text, path_of("secret")) ||
            !strstr(err.text, "Permission denied") || !strstr(err.text, id) || !strstr(err.text, "owner and mode"))
            return 3 + (int)i;
    if (sj_config_read(path_of("secret"), &text, &n, &err) != -1 || err.status != EX_NOPERM ||
        !strstr(err.text, "owner and mode"))
        return 20;
    return 0;
}

/* As root, the courier reads as root does whom nothing else is allowed: it says so, and what to do. */
static void what_needs_special_rights_is_told_with_its_remedy(void **state)
{
    (void)state;
    int status = -1;
    write_file("secret", "hunter2\n", 8);
    if (geteuid() == 0) /* somebody else's */
        assert_int_equal(chown(path_of("secret"), 65534, 65534), 0);
    assert_int_equal(chmod(path_of("secret"), geteuid() == 0 ? 0600 : 0), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(check_without_rights());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_OWN_FOLDER(names_are_meant_beside_their_file),
        IN_OWN_FOLDER(files_are_read_to_their_limit),
        IN_OWN_FOLDER(a_secret_is_one_line_and_never_shown),
        IN_OWN_FOLDER(what_is_missing_is_told_before_it_is_needed),
        IN_OWN_FOLDER(what_needs_special_rights_is_told_with_its_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

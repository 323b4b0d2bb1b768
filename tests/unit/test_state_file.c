// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "courier/state_file.h"
#include "own_folder.h"

static bool exists(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

static size_t read_file(const char *name, char *data, size_t size)
{
    FILE *f = fopen(path_of(name), "rb");
    assert_non_null(f);
    size_t n = fread(data, 1, size, f);
    fclose(f);
    return n;
}

static struct sj_state_dir *opened(void)
{
    struct sj_state_dir *d = NULL;
    struct sj_err err = {.text = ""};
    if (sj_state_open(own_folder, &d, &err) != 0)
        fail_msg("%s", err.text);
    return d;
}

static void saved(struct sj_state_dir *d, enum sj_state_kind kind, const char *text)
{
    struct sj_err err = {.text = ""};
    if (sj_state_save(d, kind, text, strlen(text), &err) != 0)
        fail_msg("%s", err.text);
}

static void assert_loads(struct sj_state_dir *d, enum sj_state_kind kind, const char *wanted)
{
    struct sj_err err = {.text = ""};
    char *data = NULL;
    size_t n = 0;
    if (sj_state_load(d, kind, &data, &n, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(n, strlen(wanted));
    assert_memory_equal(data, wanted, n);
    free(data);
}

static void what_was_saved_is_loaded(void **state)
{
    (void)state;
    struct sj_state_dir *d = opened();
    struct sj_err err;
    struct stat st;
    char *data;
    size_t n;
    assert_int_equal(sj_state_load(d, SJ_STATE_WATCH, &data, &n, &err), 1);
    saved(d, SJ_STATE_WATCH, "one");
    saved(d, SJ_STATE_DELIVERIES, "");
    saved(d, SJ_STATE_WATCH, "another, longer one");
    saved(d, SJ_STATE_WATCH, "two");
    assert_loads(d, SJ_STATE_WATCH, "two");
    assert_loads(d, SJ_STATE_DELIVERIES, "");
    assert_false(exists("watch.state.new"));
    assert_int_equal(stat(path_of("watch.state"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    sj_state_close(d);
    d = opened(); /* by another process, later */
    assert_loads(d, SJ_STATE_WATCH, "two");
    sj_state_close(d);
    sj_state_close(NULL);
}

static void a_folder_that_is_missing_is_made_but_not_those_above_it(void **state)
{
    (void)state;
    struct sj_state_dir *d;
    struct sj_err err;
    struct stat st;
    assert_int_equal(rmdir(own_folder), 0);
    d = opened();
    saved(d, SJ_STATE_WATCH, "x");
    assert_int_equal(stat(own_folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    sj_state_close(d);
    assert_int_equal(sj_state_open(path_of("not/there"), &d, &err), 1);
    assert_int_equal(err.status, EX_CANTCREAT);
    assert_non_null(strstr(err.text, "No such file"));
    sj_state_close(d);
    write_file("file", "", 0);
    assert_int_equal(sj_state_open(path_of("file"), &d, &err), 1);
    assert_non_null(strstr(err.text, "Not a directory"));
    assert_int_equal(sj_state_save(d, SJ_STATE_WATCH, "x", 1, &err), -1);
    sj_state_close(d);
}

/* Whatever was there before the write stays when it cannot be done, and nothing half stays beside it. */
static void a_write_that_fails_leaves_the_old_file(void **state)
{
    (void)state;
    struct sj_state_dir *d = opened();
    struct sj_err err = {.text = ""};
    struct rlimit old, small;
    char *big = calloc(1, 1 << 20);
    saved(d, SJ_STATE_WATCH, "good");
    assert_non_null(big);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = 65536, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = sj_state_save(d, SJ_STATE_WATCH, big, 1 << 20, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(rc, -1);
    assert_int_equal(err.status, EX_CANTCREAT);
    assert_non_null(strstr(err.text, own_folder));
    assert_non_null(strstr(err.text, "File too large"));
    assert_false(exists("watch.state.new"));
    assert_loads(d, SJ_STATE_WATCH, "good");
    assert_int_equal(sj_state_save(d, SJ_STATE_WATCH, big, 1 << 20, &err), 0); /* mended */
    free(big);
    sj_state_close(d);
}

/* A crash between writing and renaming leaves this, which is neither read nor in the way. */
static void a_write_that_was_cut_off_is_overwritten(void **state)
{
    (void)state;
    struct sj_state_dir *d = opened();
    struct sj_err err;
    saved(d, SJ_STATE_WATCH, "good");
    write_file("watch.state.new", "half of a longer text that is longer than the next one", 54);
    assert_loads(d, SJ_STATE_WATCH, "good");
    saved(d, SJ_STATE_WATCH, "next");
    assert_loads(d, SJ_STATE_WATCH, "next");
    assert_int_equal(symlink("elsewhere", path_of("watch.state.new")), 0);
    assert_int_equal(sj_state_save(d, SJ_STATE_WATCH, "x", 1, &err), -1); /* nobody's file is overwritten by a link */
    assert_false(exists("elsewhere"));
    sj_state_close(d);
}

/* Sets the folder up with these bytes as the watch's state, and loads; what was wrong is in why. */
static void assert_set_aside(const void *bytes, size_t n, const char *why)
{
    struct sj_state_dir *d = opened();
    struct sj_err err = {.text = ""};
    char *data = NULL, back[256];
    size_t length = 7;
    unlink(path_of("watch.state.corrupt"));
    write_file("watch.state", bytes, n);
    assert_int_equal(sj_state_load(d, SJ_STATE_WATCH, &data, &length, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    if (!strstr(err.text, why) || !strstr(err.text, ".corrupt") || strchr(err.text, '\n'))
        fail_msg("%s", err.text);
    assert_true(!data && length == 7);
    assert_false(exists("watch.state"));
    assert_int_equal(read_file("watch.state.corrupt", back, sizeof(back)), n);
    assert_memory_equal(back, bytes, n);
    assert_int_equal(sj_state_load(d, SJ_STATE_WATCH, &data, &length, &err), 1); /* as on the first day */
    saved(d, SJ_STATE_WATCH, "new");
    assert_loads(d, SJ_STATE_WATCH, "new");
    sj_state_close(d);
}

static void what_is_damaged_is_set_aside_and_told(void **state)
{
    (void)state;
    struct sj_state_dir *d = opened();
    char file[256];
    saved(d, SJ_STATE_WATCH, "content");
    sj_state_close(d);
    const size_t n = read_file("watch.state", file, sizeof(file)), head = sizeof(struct sj_state_head);
    assert_int_equal(n, head + strlen("content"));
    for (size_t i = 0; i < n; i++) /* any bit anywhere */
        for (unsigned bit = 0; bit < 8; bit += 7) {
            file[i] ^= (char)(1 << bit);
            assert_set_aside(file, n,
                             i < 8 || (i >= offsetof(struct sj_state_head, kind) && i < 12) ? "no such file"
                             : i < 10                                                       ? "another version"
                             : i < 16 || i >= head                                          ? "checksum"
                                                                                            : "cut short");
            file[i] ^= (char)(1 << bit);
        }
    for (size_t cut = 0; cut < n; cut++)
        assert_set_aside(file, cut, cut < head ? "too short" : "cut short");
    file[n] = 'x';
    assert_set_aside(file, n + 1, "cut short");
    assert_set_aside("nonsense that somebody put there", 32, "no such file");
}

static void one_file_is_not_taken_for_the_other(void **state)
{
    (void)state;
    struct sj_state_dir *d = opened();
    struct sj_err err;
    char *data = NULL;
    size_t n;
    saved(d, SJ_STATE_DELIVERIES, "told");
    assert_int_equal(rename(path_of("deliveries.state"), path_of("watch.state")), 0);
    assert_int_equal(sj_state_load(d, SJ_STATE_WATCH, &data, &n, &err), -1);
    assert_non_null(strstr(err.text, "no such file"));
    sj_state_close(d);
}

static void what_is_no_file_is_no_trap(void **state)
{
    (void)state;
    struct sj_state_dir *d = opened();
    struct sj_err err;
    char *data = NULL;
    size_t n;
    assert_int_equal(mkfifo(path_of("watch.state"), 0600), 0); /* nobody writes to it: a read would wait for ever */
    assert_int_equal(sj_state_load(d, SJ_STATE_WATCH, &data, &n, &err), -1);
    assert_true(exists("watch.state.corrupt"));
    assert_int_equal(symlink("/etc/passwd", path_of("deliveries.state")), 0);
    assert_int_equal(sj_state_load(d, SJ_STATE_DELIVERIES, &data, &n, &err), -1);
    assert_null(data);
    int fd = open(path_of("watch.state"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, (off_t)SJ_STATE_MAX_BYTES + 1) == 0); /* sparse */
    close(fd);
    assert_int_equal(sj_state_load(d, SJ_STATE_WATCH, &data, &n, &err), -1);
    assert_non_null(strstr(err.text, "too large"));
    sj_state_close(d);
}

static void one_daemon_at_a_time(void **state)
{
    (void)state;
    struct sj_state_dir *d = opened(), *other = NULL;
    struct sj_err err = {.text = ""};
    assert_int_equal(sj_state_open(own_folder, &other, &err), -1);
    assert_int_equal(err.status, EX_UNAVAILABLE);
    assert_non_null(strstr(err.text, "in use by another"));
    assert_null(other);
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(sj_state_open(own_folder, &other, &err) == -1 && err.status == EX_UNAVAILABLE ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    saved(d, SJ_STATE_WATCH, "mine");
    sj_state_close(d);
    other = opened(); /* the lock went with its holder */
    sj_state_close(other);
}

/* Somebody moves the folder away while the daemon runs: what is saved next lies in a new one, and that is locked too.
 */
static void a_folder_that_went_away_is_made_again(void **state)
{
    (void)state;
    struct sj_state_dir *d = opened(), *other = NULL;
    struct sj_err err;
    char moved[80];
    saved(d, SJ_STATE_WATCH, "before");
    snprintf(moved, sizeof(moved), "%s.moved", own_folder);
    assert_int_equal(rename(own_folder, moved), 0);
    saved(d, SJ_STATE_WATCH, "after");
    assert_loads(d, SJ_STATE_WATCH, "after");
    assert_int_equal(sj_state_open(own_folder, &other, &err), -1);
    assert_int_equal(sj_state_open(moved, &other, &err), 0); /* the old one is anybody's */
    assert_loads(other, SJ_STATE_WATCH, "before");
    sj_state_close(other);
    sj_state_close(d);
    remove_folder(moved);
}

/* In a process of its own, with flock() failing as given. */
static int open_without_locks(int error)
{
    struct sj_state_dir *d = NULL;
    struct sj_err err = {.text = ""};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter || seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)error), SCMP_SYS(flock), 0) ||
        seccomp_load(filter))
        return 2;
    seccomp_release(filter);
    int rc = sj_state_open(own_folder, &d, &err);
    if (error == EWOULDBLOCK)
        return rc == -1 && err.status == EX_UNAVAILABLE ? 0 : 3;
    if (rc != 1 || err.status != EX_CANTCREAT || !strstr(err.text, "cannot lock it") ||
        !strstr(err.text, strerror(error)) || strstr(err.text, "another"))
        return 4;
    return sj_state_save(d, SJ_STATE_WATCH, "x", 1, &err) == -1 && !exists("watch.state") ? 0 : 5;
}

/* A file system without locks, or no memory for one: that is told, and not that another daemon is there. */
static void what_keeps_from_locking_is_told_as_it_is(void **state)
{
    (void)state;
    static const int errors[] = {ENOLCK, EOPNOTSUPP, EIO, EWOULDBLOCK};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0)
            _exit(open_without_locks(errors[i]));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_OWN_FOLDER(what_was_saved_is_loaded),
        IN_OWN_FOLDER(a_folder_that_is_missing_is_made_but_not_those_above_it),
        IN_OWN_FOLDER(a_write_that_fails_leaves_the_old_file),
        IN_OWN_FOLDER(a_write_that_was_cut_off_is_overwritten),
        IN_OWN_FOLDER(what_is_damaged_is_set_aside_and_told),
        IN_OWN_FOLDER(one_file_is_not_taken_for_the_other),
        IN_OWN_FOLDER(what_is_no_file_is_no_trap),
        IN_OWN_FOLDER(one_daemon_at_a_time),
        IN_OWN_FOLDER(a_folder_that_went_away_is_made_again),
        IN_OWN_FOLDER(what_keeps_from_locking_is_told_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe/rights.h"

/* What is given up is gone for good, so each test does it in a process of its own, which tells by a bit per claim. */
static unsigned in_child(unsigned (*body)(void))
{
    int ends[2];
    unsigned claims = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        claims = body();
        ssize_t n = write(ends[1], &claims, sizeof(claims));
        _exit(n == sizeof(claims) ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &claims, sizeof(claims)), sizeof(claims));
    close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return claims;
}

static uint64_t permitted(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    return syscall(SYS_capget, &head, data) ? UINT64_MAX : data[0].permitted | (uint64_t)data[1].permitted << 32;
}

static bool refused(long result)
{
    return result < 0 && errno == EPERM;
}

static bool runs_a_command(void)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static unsigned measuring(void)
{
    unsigned claims = 0;
    struct sj_err err;
    bool kept = true;
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    if (sj_rights_drop(SJ_RIGHTS_MEASURE, NULL, NULL, &kept, &err))
        return 0;
    claims |= !kept ? 1U << 0 : 0;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    claims |= fd >= 0 ? 1U << 1 : 0;
    claims |= refused(open("/dev/null", O_WRONLY | O_CLOEXEC)) ? 1U << 2 : 0;
    claims |= refused(open("/dev/null", O_RDWR | O_CLOEXEC)) ? 1U << 3 : 0;
    claims |= refused(open("/tmp", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600)) ? 1U << 4 : 0;
    claims |= refused(socket(AF_INET, SOCK_STREAM, 0)) ? 1U << 5 : 0;
    claims |= refused(execl("/bin/true", "true", NULL)) ? 1U << 6 : 0;
    claims |= refused(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr))) ? 1U << 7 : 0;
    /* reading a map goes through to the kernel, which finds nothing wrong but the descriptor, or wants a right for it
     */
    attr.map_fd = 1000000;
    long looked = syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr));
    claims |= looked < 0 && (errno == EBADF || errno == EPERM || errno == EINVAL) ? 1U << 8 : 0;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    claims |= page != MAP_FAILED ? 1U << 9 : 0;
    return claims;
}

static void test_measuring_keeps_what_it_needs(void **state)
{
    (void)state;
    assert_int_equal(in_child(measuring), (1U << 10) - 1);
}

static unsigned courier(void)
{
    unsigned claims = 0;
    struct sj_err err;
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    if (sj_rights_drop(SJ_RIGHTS_COURIER, NULL, NULL, NULL, &err))
        return 0;
    claims |= socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 ? 1U << 0 : 0;
    claims |= open("/dev/null", O_RDWR | O_CLOEXEC) >= 0 ? 1U << 1 : 0;
    claims |= runs_a_command() ? 1U << 2 : 0;
    claims |= refused(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr))) ? 1U << 3 : 0;
    claims |= refused(mount("none", "/proc", "tmpfs", 0, NULL)) ? 1U << 4 : 0;
    claims |= permitted() == 0 ? 1U << 5 : 0;
    claims |= prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 1U << 6 : 0;
    return claims;
}

static void test_the_courier_speaks_to_the_world(void **state)
{
    (void)state;
    assert_int_equal(in_child(courier), (1U << 7) - 1);
}

/* A kernel that wants CAP_BPF for what the process is there for. */
static bool wants_bpf(void *ctx)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    ++*(int *)ctx;
    syscall(SYS_capget, &head, data);
    return data[CAP_BPF / 32].effective & 1U << CAP_BPF % 32;
}

static unsigned keeping(void)
{
    unsigned claims = 0;
    struct sj_err err = {0};
    int asked = 0;
    bool kept = false, had = permitted() & 1ULL << CAP_BPF;
    int rc = sj_rights_drop(SJ_RIGHTS_MEASURE, wants_bpf, &asked, &kept, &err);
    if (!had)
        return rc < 0 && err.status == EX_NOPERM && err.text[0] ? 7 : 0;
    claims |= rc == 0 && kept ? 1U << 0 : 0;
    claims |= asked == 2 ? 1U << 1 : 0;
    /* capget is none of the calls that stay */
    claims |= permitted() == UINT64_MAX ? 1U << 2 : 0;
    return claims;
}

static void test_one_capability_stays_where_nothing_works_without(void **state)
{
    (void)state;
    assert_int_equal(in_child(keeping), 7);
}

static bool never_works(void *ctx)
{
    (void)ctx;
    return false;
}

static unsigned failing(void)
{
    struct sj_err err = {0};
    bool kept = false;
    int rc = sj_rights_drop(SJ_RIGHTS_MEASURE, never_works, NULL, &kept, &err);
    return rc < 0 && err.status == EX_NOPERM && err.text[0] && !kept;
}

static void test_what_never_works_is_told(void **state)
{
    (void)state;
    assert_int_equal(in_child(failing), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measuring_keeps_what_it_needs),
        cmocka_unit_test(test_the_courier_speaks_to_the_world),
        cmocka_unit_test(test_one_capability_stays_where_nothing_works_without),
        cmocka_unit_test(test_what_never_works_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

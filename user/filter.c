// SPDX-License-Identifier: GPL-3.0-or-later
#include "filter.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/units.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define PID_LIMIT 4194304 /* the kernel's PID_MAX_LIMIT */

void sj_filter_init(struct sj_filter *f)
{
    *f = (struct sj_filter){.role = SJ_ROLE_UNKNOWN, .protocol = -1};
}

/* Digits and nothing else, from 1 to max. */
static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text))
            return false;
        v = 10 * v + (uint64_t)(*text - '0');
        if (v > max)
            return false;
    }
    *out = v;
    return v > 0;
}

static int set_pid(struct sj_filter *f, const char *value, struct sj_err *err)
{
    uint64_t v;
    if (!parse_number(value, PID_LIMIT, &v))
        return sj_fail(err, EX_USAGE, "--pid takes the number of a process, not '%s'", value);
    f->pid = (uint32_t)v;
    return 0;
}

static int set_port(struct sj_filter *f, const char *value, struct sj_err *err)
{
    uint64_t v;
    if (!parse_number(value, UINT16_MAX, &v))
        return sj_fail(err, EX_USAGE, "--port takes a number from 1 to 65535, not '%s'", value);
    f->port = (uint16_t)v;
    return 0;
}

static int set_comm(struct sj_filter *f, const char *value, struct sj_err *err)
{
    if (!*value)
        return sj_fail(err, EX_USAGE, "--comm takes the name of a program, as ps -o comm shows it");
    size_t n = strlen(value);
    if (n >= sizeof(f->comm))
        return sj_fail(err, EX_USAGE, "--comm takes at most %zu characters, as the kernel keeps no more: try '%.*s'",
                       sizeof(f->comm) - 1, (int)sizeof(f->comm) - 1, value);
    memcpy(f->comm, value, n + 1);
    return 0;
}

/* How deep below the root of its hierarchy a cgroup's directory lies; 0 is the root. */
static uint32_t cgroup_level(const char *path)
{
    char parent[PATH_MAX];
    struct statfs fs;
    uint32_t level = 0;
    if (!realpath(path, parent))
        return 0;
    for (;;) {
        char *slash = strrchr(parent, '/');
        if (!slash || slash == parent)
            return level;
        *slash = '\0';
        if (statfs(parent, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
            return level;
        level++;
    }
}

/* The id of a version 2 cgroup is the number of its directory's inode. */
static int set_cgroup(struct sj_filter *f, const char *value, struct sj_err *err)
{
    /* Where both versions are in use, version 2 has a folder of its own. */
    static const char *const roots[] = {CGROUP_ROOT "/", CGROUP_ROOT "/unified/"};
    bool absolute = value[0] == '/';
    int error = ENOENT;
    for (size_t i = 0; *value && i < (absolute ? 1 : sizeof(roots) / sizeof(roots[0])); i++) {
        char path[PATH_MAX];
        struct statfs fs;
        struct stat st;
        int n = snprintf(path, sizeof(path), "%s%s", absolute ? "" : roots[i], value);
        if (n < 0 || (size_t)n >= sizeof(path) || stat(path, &st) < 0 || statfs(path, &fs) < 0)
            continue;
        error = ENOTDIR;
        if (!S_ISDIR(st.st_mode) || fs.f_type != CGROUP2_SUPER_MAGIC)
            continue;
        f->cgroup = st.st_ino;
        f->cgroup_level = cgroup_level(path);
        return 0;
    }
    return sj_fail(err, EX_USAGE, "--cgroup takes a version 2 cgroup's directory below " CGROUP_ROOT "; '%s' %s", value,
                   error == ENOENT ? "does not exist" : "is none");
}

static int set_text(char *to, size_t size, const char *option, const char *takes, const char *value, struct sj_err *err)
{
    size_t n = strlen(value);
    if (n == 0)
        return sj_fail(err, EX_USAGE, "--%s takes %s", option, takes);
    if (n >= size)
        return sj_fail(err, EX_USAGE, "--%s takes %s of at most %zu bytes", option, takes, size - 1);
    memcpy(to, value, n + 1);
    return 0;
}

static int set_container(struct sj_filter *f, const char *value, struct sj_err *err)
{
    return set_text(f->container, sizeof(f->container), "container", "a container's name or the beginning of its id",
                    value, err);
}

static int set_operation(struct sj_filter *f, const char *value, struct sj_err *err)
{
    return set_text(f->operation, sizeof(f->operation), "operation", "an operation (with * and ? as wildcards)", value,
                    err);
}

static int set_role(struct sj_filter *f, const char *value, struct sj_err *err)
{
    int role = sj_role_by_name(value);
    if (role != SJ_ROLE_SERVER && role != SJ_ROLE_CLIENT)
        return sj_fail(err, EX_USAGE, "--role takes server or client, not '%s'", value);
    f->role = (uint8_t)role;
    return 0;
}

static int set_protocol(struct sj_filter *f, const char *value, struct sj_err *err)
{
    int protocol = sj_protocol_by_name(value);
    if (protocol >= 0) {
        f->protocol = (int8_t)protocol;
        return 0;
    }
    char names[256] = "";
    for (int p = 0; p < SJ_PROTO_MAX_; p++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s", p ? ", " : "", sj_protocol_name((enum sj_protocol)p));
    }
    return sj_fail(err, EX_USAGE, "--protocol takes one of %s, not '%s'", names, value);
}

static int set_slower(struct sj_filter *f, const char *value, struct sj_err *err)
{
    uint64_t ns;
    if (sj_parse_duration(value, &ns) < 0)
        return sj_fail(err, EX_USAGE, "--slower takes a time such as 250us, 10ms or 1.5s, not '%s'", value);
    f->slower_ns = ns;
    return 0;
}

int sj_filter_set(struct sj_filter *f, const char *name, const char *value, struct sj_err *err)
{
    static const struct {
        const char *name;
        int (*set)(struct sj_filter *f, const char *value, struct sj_err *err);
    } setters[] = {
        {"pid", set_pid},           {"comm", set_comm},           {"port", set_port},
        {"cgroup", set_cgroup},     {"container", set_container}, {"role", set_role},
        {"protocol", set_protocol}, {"operation", set_operation}, {"slower", set_slower},
    };
    for (size_t i = 0; i < sizeof(setters) / sizeof(setters[0]); i++)
        if (strcmp(setters[i].name, name) == 0)
            return setters[i].set(f, value, err);
    return sj_fail(err, EX_USAGE, "--%s is not a filter", name);
}

static bool is_hex(const char *s)
{
    return s[strspn(s, "0123456789abcdef")] == '\0';
}

/* A name must be whole; of an id, which is long and hexadecimal, the beginning is enough. */
static bool container_matches(const char *want, const char *have)
{
    if (strcmp(want, have) == 0)
        return true;
    return strlen(have) >= 32 && is_hex(have) && strncmp(have, want, strlen(want)) == 0;
}

bool sj_filter_match(const struct sj_filter *f, const struct sj_request *req)
{
    return (f->pid == 0 || f->pid == req->pid) && (f->port == 0 || f->port == req->port) &&
           (f->role == SJ_ROLE_UNKNOWN || f->role == req->role) && (f->protocol < 0 || f->protocol == req->protocol) &&
           (f->cgroup == 0 || f->cgroup == req->cgroup) && req->total_ns >= f->slower_ns &&
           (!f->comm[0] || strcmp(f->comm, req->comm) == 0) &&
           (!f->container[0] || container_matches(f->container, req->container)) &&
           (!f->operation[0] || fnmatch(f->operation, req->operation, 0) == 0);
}

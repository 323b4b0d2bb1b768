// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The files of the daemon's state. The first byte of an input says how the rest is meant: as a whole file, which a
 * checksum protects from being explored, or as the deliveries in one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "courier/deliveries.h"
#include "courier/state_file.h"
#include "expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AS_FILE = 1 };

static void nothing(void *ctx)
{
    (void)ctx;
}

static struct sj_now now(void *ctx)
{
    (void)ctx;
    return (struct sj_now){.mono_ns = 5000000000, .real_ns = 1795636800000000000};
}

/* Two receivers, to which nothing is sent: that is begun by ticks and by what the disk says. */
static struct sj_deliveries *make_deliveries(const struct sj_notify_env *env)
{
    const struct sj_notifier config[2] = {{.kind = SJ_NOTIFY_SYSLOG, .name = "a"},
                                          {.kind = SJ_NOTIFY_SYSLOG, .name = "b"}};
    struct sj_deliveries *d = sj_deliveries_new(env, &(struct sj_deliveries_hooks){.changed = nothing, .now = now});
    struct sj_notify **list = calloc(2, sizeof(struct sj_notify *));
    expect(d && list);
    for (int i = 0; i < 2; i++)
        expect(sj_notify_new(env, &config[i], &list[i], NULL) == 0);
    expect(sj_deliveries_receivers(d, list, 2) == 0);
    return d;
}

static struct sj_out written(struct sj_deliveries *d)
{
    struct sj_out out;
    expect(sj_out_init(&out, -1, "memory", NULL) == 0);
    sj_deliveries_write(d, &out);
    expect(!out.error);
    return out;
}

/* What was understood is written so that it is understood again, and is the same then. */
static void try_deliveries(const void *data, size_t n)
{
    const struct sj_notify_env env = {.config_path = "f.yaml", .host = "host"};
    struct sj_err err = {.status = 0};
    struct sj_notifier_status status[SJ_NOTIFY_MAX_];
    struct sj_deliveries *d = make_deliveries(&env);
    int rc = sj_deliveries_read(d, data, n, &err);
    sj_deliveries_status(d, status);
    if (rc != 0) {
        expect_told(&err);
        expect(status[SJ_NOTIFY_SYSLOG].waiting == 0);
    }
    struct sj_out first = written(d);
    sj_deliveries_free(d);
    d = make_deliveries(&env);
    expect(sj_deliveries_read(d, first.buf, first.len, &err) == 0);
    struct sj_out second = written(d);
    expect(first.len == second.len && memcmp(first.buf, second.buf, first.len) == 0);
    sj_out_fini(&first);
    sj_out_fini(&second);
    sj_deliveries_free(d);
}

static void try_file(const void *data, size_t n)
{
    for (int kind = 0; kind < SJ_STATE_MAX_; kind++) {
        struct sj_err err = {.status = 0};
        size_t length = 0;
        const char *content = sj_state_unpack(data, n, (enum sj_state_kind)kind, &length, &err);
        if (!content) {
            expect_told(&err);
            continue;
        }
        expect(content == (const char *)data + sizeof(struct sj_state_head));
        expect(length == n - sizeof(struct sj_state_head));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t *exact = malloc(size);
    expect(exact != NULL);
    memcpy(exact, data + 1, size - 1);
    uint8_t *fitting = realloc(exact, size > 1 ? size - 1 : 1);
    exact = fitting ? fitting : exact;
    if (data[0] == AS_FILE)
        try_file(exact, size - 1);
    else
        try_deliveries(exact, size - 1);
    free(exact);
    return 0;
}

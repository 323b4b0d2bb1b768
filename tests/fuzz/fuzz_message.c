// SPDX-License-Identifier: GPL-3.0-or-later
/* What one process of `serve` takes from the other: a stream of messages, and the alerts in it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "expect.h"
#include "serve/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_sorted(const struct sj_labels *l)
{
    for (size_t i = 1; i < l->n; i++)
        expect(strcmp(l->v[i - 1].name, l->v[i].name) < 0);
}

/* What was understood is written as the same bytes again, unless a number had a longer form than it needs. */
static void try_alert(const void *data, size_t n)
{
    struct sj_alert a;
    struct sj_err err = {0};
    void *room;
    if (sj_message_get_alert(data, n, &a, &room, &err)) {
        expect_told(&err);
        return;
    }
    struct sj_out out;
    expect(a.state < SJ_ALERT_MAX_);
    expect_sorted(&a.labels);
    expect_sorted(&a.annotations);
    if (sj_out_init(&out, -1, "memory", &err) == 0) {
        sj_message_put_alert(&out, &a);
        expect(out.len <= n);
        sj_out_fini(&out);
    }
    free(room);
}

static int on_message(void *ctx, const struct sj_message *head, const void *data, struct sj_err *err)
{
    size_t *seen = ctx;
    (void)err;
    expect(head->version == SJ_MESSAGE_VERSION && head->type > 0 && head->type < SJ_MSG_MAX_);
    *seen += sizeof(*head) + head->length;
    try_alert(data, head->length);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd[2];
    size_t seen = 0;
    struct sj_err err = {0};
    try_alert(data, size);
    if (size > 65536 || socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0)
        return 0;
    struct sj_channel *from = sj_channel_new(fd[0]), *to = sj_channel_new(fd[1]);
    if (from && to && send(fd[0], data, size, MSG_DONTWAIT) == (ssize_t)size) {
        sj_channel_free(from);
        from = NULL;
        int rc = sj_channel_receive(to, on_message, &seen, &err);
        expect(rc == 1 || (rc == -1 && err.status != 0));
        expect(seen <= size);
    }
    sj_channel_free(from);
    sj_channel_free(to);
    return 0;
}

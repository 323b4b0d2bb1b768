// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/message.h"

struct got {
    unsigned messages;
    struct sj_message head;
    size_t bytes;
    uint64_t sum; /* over all bodies, in order */
    int fail;
};

static int on_message(void *ctx, const struct sj_message *head, const void *data, struct sj_err *err)
{
    struct got *g = ctx;
    const uint8_t *p = data;
    g->messages++;
    g->head = *head;
    g->bytes += head->length;
    for (uint32_t i = 0; i < head->length; i++)
        g->sum = g->sum * 31 + p[i];
    return g->fail ? sj_fail(err, EX_SOFTWARE, "enough") : 0;
}

struct pair {
    struct sj_channel *a;
    struct sj_channel *b;
};

static struct pair pair(void)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    struct pair p = {sj_channel_new(fd[0]), sj_channel_new(fd[1])};
    assert_non_null(p.a);
    assert_non_null(p.b);
    assert_int_equal(sj_channel_fd(p.a), fd[0]);
    return p;
}

static void done(struct pair p)
{
    sj_channel_free(p.a);
    sj_channel_free(p.b);
}

static void messages_arrive_whole_and_in_order(void **state)
{
    (void)state;
    struct pair p = pair();
    struct got g = {0};
    struct sj_err err;
    assert_int_equal(sj_channel_send(p.a, SJ_MSG_SCRAPE, SJ_MSG_LAST, 7, "abc", 3, &err), 0);
    assert_int_equal(sj_channel_send(p.a, SJ_MSG_STOP, 0, 0, NULL, 0, &err), 0);
    assert_int_equal(sj_channel_receive(p.b, on_message, &g, &err), 0);
    assert_int_equal(g.messages, 2);
    assert_int_equal(g.bytes, 3);
    assert_int_equal(g.head.type, SJ_MSG_STOP);
    assert_int_equal(sj_channel_send(p.b, SJ_MSG_SCRAPE, SJ_MSG_LAST, 9, "x", 1, &err), 0);
    assert_int_equal(sj_channel_receive(p.a, on_message, &g, &err), 0);
    assert_int_equal(g.head.id, 9);
    assert_int_equal(g.head.flags, SJ_MSG_LAST);
    done(p);
}

/* Larger than what a socket takes at once, in both ends' small steps. */
static void a_large_message_takes_several_rounds(void **state)
{
    (void)state;
    struct pair p = pair();
    struct got g = {0};
    struct sj_err err;
    uint8_t *body = malloc(SJ_MESSAGE_MAX);
    uint64_t sum = 0;
    assert_non_null(body);
    for (uint32_t i = 0; i < SJ_MESSAGE_MAX; i++) {
        body[i] = (uint8_t)(i * 2654435761U >> 13);
        sum = sum * 31 + body[i];
    }
    assert_int_equal(sj_channel_backlog(p.a), 0);
    assert_int_equal(sj_channel_send(p.a, SJ_MSG_STATE, 0, 0, body, SJ_MESSAGE_MAX, &err), 0);
    assert_int_equal(sj_channel_flush(p.a, &err), 1);
    assert_in_range(sj_channel_backlog(p.a), 1, SJ_MESSAGE_MAX - 1);
    for (int i = 0; i < 1000 && g.messages == 0; i++) {
        assert_int_equal(sj_channel_receive(p.b, on_message, &g, &err), 0);
        assert_true(sj_channel_flush(p.a, &err) >= 0);
    }
    assert_int_equal(g.messages, 1);
    assert_int_equal(g.bytes, SJ_MESSAGE_MAX);
    assert_true(g.sum == sum);
    assert_int_equal(sj_channel_flush(p.a, &err), 0);
    assert_int_equal(sj_channel_backlog(p.a), 0);
    assert_int_equal(sj_channel_send(p.a, SJ_MSG_STATE, 0, 0, body, (size_t)SJ_MESSAGE_MAX + 1, &err), -1);
    assert_int_equal(err.status, EX_SOFTWARE);
    free(body);
    done(p);
}

static void who_does_not_read_is_given_up(void **state)
{
    (void)state;
    struct pair p = pair();
    struct sj_err err = {0};
    char *body = calloc(1, 1 << 20);
    int sent = 0;
    assert_non_null(body);
    while (sent < 100 && sj_channel_send(p.a, SJ_MSG_STATE, 0, 0, body, 1 << 20, &err) == 0)
        sent++;
    assert_in_range(sent, 15, 18);
    assert_int_equal(err.status, EX_OSERR);
    assert_int_equal(sj_channel_flush(p.a, &err), -1);
    assert_int_equal(sj_channel_send(p.a, SJ_MSG_STOP, 0, 0, NULL, 0, &err), -1);
    free(body);
    done(p);
}

static void a_byte_at_a_time_is_no_different(void **state)
{
    (void)state;
    struct pair p = pair();
    struct got g = {0};
    struct sj_err err;
    uint8_t raw[2 * (sizeof(struct sj_message) + 5)];
    const struct sj_message head = {
        .version = SJ_MESSAGE_VERSION, .type = SJ_MSG_CONFIG, .flags = SJ_MSG_LAST, .id = 3, .length = 5};
    for (int i = 0; i < 2; i++) {
        memcpy(raw + (size_t)i * sizeof(raw) / 2, &head, sizeof(head));
        memcpy(raw + (size_t)i * sizeof(raw) / 2 + sizeof(head), "hello", 5);
    }
    for (size_t i = 0; i < sizeof(raw); i++) {
        assert_int_equal(g.messages, i / (sizeof(raw) / 2));
        assert_int_equal(write(sj_channel_fd(p.a), raw + i, 1), 1);
        assert_int_equal(sj_channel_receive(p.b, on_message, &g, &err), 0);
    }
    assert_int_equal(g.messages, 2);
    assert_int_equal(g.bytes, 10);
    done(p);
}

static void what_came_before_the_end_is_handed_on(void **state)
{
    (void)state;
    struct pair p = pair();
    struct got g = {0};
    struct sj_err err;
    assert_int_equal(sj_channel_send(p.a, SJ_MSG_STOP, 0, 0, NULL, 0, &err), 0);
    sj_channel_free(p.a);
    assert_int_equal(sj_channel_receive(p.b, on_message, &g, &err), 1);
    assert_int_equal(g.messages, 1);
    assert_int_equal(sj_channel_send(p.b, SJ_MSG_STOP, 0, 0, NULL, 0, &err), -1);
    assert_int_equal(err.status, EX_OSERR);
    sj_channel_free(p.b);
    sj_channel_free(NULL);
}

static void a_receiver_may_stop(void **state)
{
    (void)state;
    struct pair p = pair();
    struct got g = {.fail = 1};
    struct sj_err err;
    assert_int_equal(sj_channel_send(p.a, SJ_MSG_READY, 0, 0, "x", 1, &err), 0);
    assert_int_equal(sj_channel_receive(p.b, on_message, &g, &err), -1);
    assert_string_equal(err.text, "enough");
    done(p);
}

static void what_is_not_understood_ends_the_connection(void **state)
{
    (void)state;
    const struct sj_message good = {.version = SJ_MESSAGE_VERSION, .type = SJ_MSG_STOP};
    struct sj_message bad[6];
    for (size_t i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].version = SJ_MESSAGE_VERSION + 1;
    bad[1].type = 0;
    bad[2].type = SJ_MSG_MAX_;
    bad[3].length = SJ_MESSAGE_MAX + 1;
    bad[4].flags = 1 << 15;
    bad[5].reserved = 1;
    for (size_t i = 0; i < 6; i++) {
        struct pair p = pair();
        struct got g = {0};
        struct sj_err err;
        assert_int_equal(write(sj_channel_fd(p.a), &bad[i], sizeof(bad[i])), sizeof(bad[i]));
        assert_int_equal(sj_channel_receive(p.b, on_message, &g, &err), -1);
        assert_int_equal(err.status, EX_SOFTWARE);
        assert_int_equal(g.messages, 0);
        assert_int_equal(sj_channel_receive(p.b, on_message, &g, &err), -1);
        done(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_whole_and_in_order),
        cmocka_unit_test(a_large_message_takes_several_rounds),
        cmocka_unit_test(who_does_not_read_is_given_up),
        cmocka_unit_test(a_byte_at_a_time_is_no_different),
        cmocka_unit_test(what_came_before_the_end_is_handed_on),
        cmocka_unit_test(a_receiver_may_stop),
        cmocka_unit_test(what_is_not_understood_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

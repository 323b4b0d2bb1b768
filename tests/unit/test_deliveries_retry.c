// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "deliveries_world.h"
#include "said.h"

#define S SJ_SECOND_NS
#define TICK (S / 20)

/* How long it is until the next attempt, to a twentieth of a second. */
static uint64_t wait_for_attempt(struct world *w)
{
    const uint64_t begin = w->now.mono_ns;
    while (!world_attempts && w->now.mono_ns - begin < 1000 * S)
        pass(w, TICK, TICK);
    assert_non_null(world_attempts);
    return w->now.mono_ns - begin;
}

static void assert_pauses(struct world *w, enum sj_send_outcome outcome, const uint64_t *most_s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        answer(w, outcome);
        uint64_t pause = wait_for_attempt(w);
        if (pause < most_s[i] * S / 2 || pause > most_s[i] * S + TICK)
            fail_msg("pause %zu took %.2f s, of at most %" PRIu64, i, (double)pause / 1e9, most_s[i]);
    }
}

/* A receiver, to which a message about an alert is under way; what is told of it is listened to. */
static void begin(struct world *w, struct said *s, const char *name, enum sj_notifier_kind kind)
{
    *w = made_world();
    listen_to(s, STDERR_FILENO);
    restart(w, receiver(name, kind), NULL);
    fires(w, "a1", 1);
    disk(w, true);
}

static const uint64_t usual[] = {1, 2, 4, 8, 16, 32, 60, 60, 60}, forgetful[] = {1, 2, 4, 8, 15, 15, 15, 15};

static void pauses_grow_to_a_minute(void **state)
{
    (void)state;
    struct world w;
    struct said s;
    begin(&w, &s, "w", SJ_NOTIFY_WEBHOOK);
    assert_pauses(&w, SJ_SEND_DOWN, usual, sizeof(usual) / sizeof(usual[0]));
    answer(&w, SJ_SEND_ACCEPTED);
    resolves(&w, "a1", 1, 2);
    disk(&w, true);
    assert_pauses(&w, SJ_SEND_DOWN, usual, 3);   /* from the beginning again */
    assert_pauses(&w, SJ_SEND_FAILED, usual, 3); /* this message, not the receiver: counted on its own */
    stop_listening(&s);
    /* told when it begins and when it is over, not at each attempt */
    const char *first = strstr(s.text, "so it is; it is tried again");
    assert_non_null(first);
    const char *over = strstr(first, "accepts messages again");
    assert_non_null(over);
    const char *second = strstr(over, "so it is; it is tried again");
    assert_non_null(second);
    assert_null(strstr(second + 1, "so it is"));
    world_end(&w);
}

static void who_forgets_waits_less(void **state)
{
    (void)state;
    struct world w;
    struct said s;
    begin(&w, &s, "m", SJ_NOTIFY_ALERTMANAGER);
    assert_pauses(&w, SJ_SEND_DOWN, forgetful, sizeof(forgetful) / sizeof(forgetful[0]));
    stop_listening(&s);
    world_end(&w);
}

static void a_receiver_may_say_when(void **state)
{
    (void)state;
    struct world w;
    struct said s;
    begin(&w, &s, "w", SJ_NOTIFY_WEBHOOK);
    answer_after(&w, SJ_SEND_DOWN, 120 * S);
    assert_false(sj_deliveries_busy(w.d)); /* nothing can be done now */
    uint64_t pause = wait_for_attempt(&w);
    assert_true(pause >= 120 * S && pause <= 121 * S);
    answer_after(&w, SJ_SEND_DOWN, S / 100); /* sooner than would be polite */
    assert_true(wait_for_attempt(&w) >= S);
    answer(&w, SJ_SEND_DOWN);
    receivers(&w, receiver("w", SJ_NOTIFY_WEBHOOK), NULL); /* a reload tries at once */
    pass(&w, TICK, TICK);
    assert_non_null(world_attempts);
    stop_listening(&s);
    world_log[0] = '\0';
    world_end(&w);
}

/* Four are under way at once; that all of them fail is one failure. */
static void failures_at_once_are_one(void **state)
{
    (void)state;
    struct world w = made_world();
    struct said s;
    listen_to(&s, STDERR_FILENO);
    restart(&w, receiver("w", SJ_NOTIFY_WEBHOOK), NULL);
    for (int i = 1; i <= 9; i++) {
        char id[3] = {'a', (char)('0' + i), 0};
        fires(&w, id, 1);
    }
    disk(&w, true);
    assert_sent("w:a1+ w:a2+ w:a3+ w:a4+");
    for (size_t round = 0; round < 4; round++) {
        unsigned failed = 0;
        for (; world_attempts; failed++)
            answer(&w, SJ_SEND_DOWN);
        assert_int_equal(failed, 4);
        uint64_t pause = wait_for_attempt(&w);
        assert_true(pause >= usual[round] * S / 2 && pause <= usual[round] * S + TICK);
    }
    answer_after(&w, SJ_SEND_DOWN, 30 * S);
    answer_after(&w, SJ_SEND_DOWN, 50 * S); /* the longest wish counts */
    answer(&w, SJ_SEND_DOWN);
    answer_after(&w, SJ_SEND_DOWN, 5 * S);
    assert_true(wait_for_attempt(&w) >= 50 * S);
    /* all nine arrive, each once, when it is up again */
    world_log[0] = '\0';
    unsigned told = 0;
    for (; world_attempts; told++)
        answer(&w, SJ_SEND_ACCEPTED);
    assert_int_equal(told, 9);
    stop_listening(&s);
    world_log[0] = '\0';
    world_end(&w);
}

static void one_message_that_fails_holds_up_no_other(void **state)
{
    (void)state;
    struct world w;
    struct said s;
    begin(&w, &s, "w", SJ_NOTIFY_WEBHOOK);
    answer(&w, SJ_SEND_FAILED);
    assert_sent("w:a1+");
    fires(&w, "a2", 1);
    disk(&w, true);
    assert_sent("w:a2+");
    answer(&w, SJ_SEND_ACCEPTED);
    assert_true(wait_for_attempt(&w) <= S + TICK);
    assert_sent("w:a1+");
    stop_listening(&s);
    world_end(&w);
}

static void what_is_refused_is_dropped_and_its_end_is_told(void **state)
{
    (void)state;
    struct world w;
    struct said s;
    struct sj_notifier_status status[SJ_NOTIFY_MAX_];
    begin(&w, &s, "w", SJ_NOTIFY_WEBHOOK);
    answer(&w, SJ_SEND_REFUSED);
    disk(&w, true);
    stop_listening(&s);
    assert_non_null(strstr(s.text, "so it is; that alert slow (id a1) is firing is not told again"));
    assert_null(strstr(s.text, "tried again"));
    pass(&w, 600 * S, S);
    assert_sent("w:a1+");
    sj_deliveries_status(w.d, status);
    assert_int_equal(status[SJ_NOTIFY_WEBHOOK].dropped, 1);
    assert_int_equal(status[SJ_NOTIFY_WEBHOOK].failed, 0);
    assert_int_equal(status[SJ_NOTIFY_WEBHOOK].waiting, 0);
    crash(&w); /* and it stays dropped */
    restart(&w, receiver("w", SJ_NOTIFY_WEBHOOK), NULL);
    pass(&w, 10 * S, S);
    assert_sent("");
    resolves(&w, "a1", 1, 700);
    disk(&w, true);
    assert_sent("w:a1-");
    world_end(&w);
}

/* A batch of which something is refused is sent again one by one, so that only what is wrong is lost. */
static void a_refused_batch_is_taken_apart(void **state)
{
    (void)state;
    struct world w = made_world();
    struct said s;
    struct sj_notifier_status status[SJ_NOTIFY_MAX_];
    listen_to(&s, STDERR_FILENO);
    restart(&w, receiver("m", SJ_NOTIFY_ALERTMANAGER), NULL);
    fires(&w, "a1", 1);
    fires(&w, "a2", 1);
    fires(&w, "a3", 1);
    disk(&w, true);
    assert_sent("m:a1+ m:a2+ m:a3+");
    assert_int_equal(world_attempts->n, 3);
    answer(&w, SJ_SEND_REFUSED);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world_attempts->n, 1);
        answer(&w, strcmp(world_attempts->of[0].id, "a2") == 0 ? SJ_SEND_REFUSED : SJ_SEND_ACCEPTED);
    }
    assert_null(world_attempts);
    assert_sent("m:a1+ m:a2+ m:a3+");
    sj_deliveries_status(w.d, status);
    assert_int_equal(status[SJ_NOTIFY_ALERTMANAGER].dropped, 1);
    assert_int_equal(status[SJ_NOTIFY_ALERTMANAGER].waiting, 0);
    stop_listening(&s);
    assert_non_null(strstr(s.text, "(id a2) is firing is not told again"));
    assert_null(strstr(s.text, "(id a1)"));
    world_end(&w);
}

static void a_batch_has_its_limit(void **state)
{
    (void)state;
    struct world w = made_world();
    char id[8];
    restart(&w, receiver("m", SJ_NOTIFY_ALERTMANAGER), NULL);
    for (int i = 0; i < 150; i++) {
        snprintf(id, sizeof(id), "a%03d", i);
        fires(&w, id, 1);
    }
    disk(&w, true);
    static const size_t sizes[] = {64, 64, 22};
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(world_attempts);
        assert_null(world_attempts->next);
        assert_int_equal(world_attempts->n, sizes[i]);
        answer(&w, SJ_SEND_ACCEPTED);
    }
    assert_null(world_attempts);
    world_log[0] = '\0';
    world_end(&w);
}

static void a_command_is_tried_until_it_ends_well(void **state)
{
    (void)state;
    struct world w;
    struct said s;
    begin(&w, &s, "x", SJ_NOTIFY_EXEC);
    for (unsigned tries = 0; tries < 100; tries++) {
        answer(&w, SJ_SEND_FAILED);
        world_log[0] = '\0';
        pass(&w, 70 * S, TICK);
        assert_sent("x:a1+");
    }
    answer(&w, SJ_SEND_ACCEPTED);
    resolves(&w, "a1", 1, 2);
    disk(&w, true);
    assert_sent("x:a1-");
    answer(&w, SJ_SEND_ACCEPTED);
    stop_listening(&s);
    assert_null(strstr(s.text, "not told again"));
    world_end(&w);
}

/* A failed attempt changes nothing that has to be on disk. */
static void failures_write_nothing(void **state)
{
    (void)state;
    struct world w;
    struct said s;
    begin(&w, &s, "w", SJ_NOTIFY_WEBHOOK);
    answer(&w, SJ_SEND_DOWN);
    assert_false(w.dirty);
    wait_for_attempt(&w);
    answer(&w, SJ_SEND_FAILED);
    assert_false(w.dirty);
    wait_for_attempt(&w);
    answer(&w, SJ_SEND_REFUSED);
    assert_true(w.dirty);
    stop_listening(&s);
    world_log[0] = '\0';
    world_end(&w);
}

static void more_alerts_than_are_kept_are_told_of(void **state)
{
    (void)state;
    struct world w = made_world();
    struct said s;
    char id[16];
    restart(&w, receiver("m", SJ_NOTIFY_ALERTMANAGER), NULL);
    listen_to(&s, STDERR_FILENO);
    for (int i = 0; i < SJ_DELIVERIES_MAX + 5; i++) {
        snprintf(id, sizeof(id), "c%05d", i);
        fires(&w, id, 1);
    }
    stop_listening(&s);
    const char *said = strstr(s.text, "more than 10000 alerts");
    assert_non_null(said);
    assert_null(strstr(said + 1, "more than"));
    disk(&w, true);
    crash(&w);
    restart(&w, receiver("m", SJ_NOTIFY_ALERTMANAGER), NULL); /* so many are read again */
    struct sj_notifier_status status[SJ_NOTIFY_MAX_];
    sj_deliveries_status(w.d, status);
    assert_int_equal(status[SJ_NOTIFY_ALERTMANAGER].waiting, SJ_DELIVERIES_MAX);
    world_log[0] = '\0';
    world_end(&w);
}

/* Tries to read these bytes into a new run; whether it worked or not, it goes on. */
static int read_bytes(struct world *w, const char *bytes, size_t n)
{
    struct sj_err err = {.text = ""};
    struct sj_notifier_status status[SJ_NOTIFY_MAX_];
    char *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, n);
    world_begin(w);
    receivers(w, receiver("w", SJ_NOTIFY_WEBHOOK), receiver("m", SJ_NOTIFY_ALERTMANAGER));
    int rc = sj_deliveries_read(w->d, exact, n, &err);
    free(exact);
    assert_true(rc == 0 || (rc == -1 && err.status == EX_DATAERR && err.text[0]));
    sj_deliveries_status(w->d, status);
    if (rc < 0)
        assert_int_equal(status[SJ_NOTIFY_WEBHOOK].waiting + status[SJ_NOTIFY_ALERTMANAGER].waiting, 0);
    fires(w, "a9", 1);
    sj_deliveries_saved(w->d, false);
    assert_non_null(world_attempts);
    world_log[0] = '\0';
    crash(w);
    return rc;
}

static void damaged_deliveries_are_none(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, receiver("w", SJ_NOTIFY_WEBHOOK), receiver("m", SJ_NOTIFY_ALERTMANAGER));
    fires(&w, "a1", 1);
    fires(&w, "a2", 1);
    resolves(&w, "a2", 1, 2);
    disk(&w, true);
    crash(&w);
    char *bytes = malloc(w.length + 1);
    assert_non_null(bytes);
    memcpy(bytes, w.file, w.length);
    assert_int_equal(read_bytes(&w, bytes, w.length), 0);
    for (size_t cut = 0; cut < w.length; cut++)
        assert_int_equal(read_bytes(&w, bytes, cut), -1);
    bytes[w.length] = 0;
    assert_int_equal(read_bytes(&w, bytes, w.length + 1), -1);
    for (size_t i = 0; i < w.length; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (char)(1 << bit);
            read_bytes(&w, bytes, w.length);
            bytes[i] ^= (char)(1 << bit);
        }
    free(bytes);
    free(w.file);
    world_log[0] = '\0';
}

static void a_damaged_alert_ends_the_connection(void **state)
{
    (void)state;
    struct world w = made_world();
    struct sj_err err = {.text = ""};
    restart(&w, receiver("w", SJ_NOTIFY_WEBHOOK), NULL);
    w.dirty = false;
    assert_int_equal(sj_deliveries_alert(w.d, "nonsense", 8, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_int_equal(sj_deliveries_alert(w.d, "", 0, &err), -1);
    assert_false(w.dirty);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_to_a_minute),
        cmocka_unit_test(who_forgets_waits_less),
        cmocka_unit_test(a_receiver_may_say_when),
        cmocka_unit_test(failures_at_once_are_one),
        cmocka_unit_test(one_message_that_fails_holds_up_no_other),
        cmocka_unit_test(what_is_refused_is_dropped_and_its_end_is_told),
        cmocka_unit_test(a_refused_batch_is_taken_apart),
        cmocka_unit_test(a_batch_has_its_limit),
        cmocka_unit_test(a_command_is_tried_until_it_ends_well),
        cmocka_unit_test(failures_write_nothing),
        cmocka_unit_test(more_alerts_than_are_kept_are_told_of),
        cmocka_unit_test(damaged_deliveries_are_none),
        cmocka_unit_test(a_damaged_alert_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

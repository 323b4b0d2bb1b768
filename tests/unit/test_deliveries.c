// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliveries_world.h"
#include "said.h"

#define S SJ_SECOND_NS

static struct sj_notify *webhook(void)
{
    return receiver("w", SJ_NOTIFY_WEBHOOK);
}

static struct sj_notify *forgetful(void)
{
    return receiver("m", SJ_NOTIFY_ALERTMANAGER);
}

static struct sj_notifier_status status_of(const struct world *w, enum sj_notifier_kind kind)
{
    struct sj_notifier_status all[SJ_NOTIFY_MAX_];
    sj_deliveries_status(w->d, all);
    return all[kind];
}

static void each_change_is_told_once(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    sj_deliveries_ready(w.d);
    fires(&w, "a1", 1);
    disk(&w, true);
    assert_sent("w:a1+");
    pass(&w, 5 * S, S);
    assert_sent(""); /* it is under way */
    assert_true(sj_deliveries_busy(w.d));
    assert_int_equal(status_of(&w, SJ_NOTIFY_WEBHOOK).waiting, 1);
    answer(&w, SJ_SEND_ACCEPTED);
    assert_false(sj_deliveries_busy(w.d));
    for (int minute = 0; minute < 60; minute++) { /* the collector repeats what it knows */
        fires(&w, "a1", 1);
        pass(&w, 60 * S, S);
    }
    assert_sent("");
    resolves(&w, "a1", 1, 3610);
    disk(&w, true);
    assert_sent("w:a1-");
    answer(&w, SJ_SEND_ACCEPTED);
    for (int minute = 0; minute < 15; minute++) {
        resolves(&w, "a1", 1, 3610);
        pass(&w, 60 * S, S);
    }
    pass(&w, 3600 * S, 10 * S);
    assert_sent("");
    assert_int_equal(status_of(&w, SJ_NOTIFY_WEBHOOK).delivered, 2);
    assert_int_equal(status_of(&w, SJ_NOTIFY_WEBHOOK).waiting, 0);
    fires(&w, "a1", 9000); /* and it begins anew */
    disk(&w, true);
    assert_sent("w:a1+");
    world_end(&w);
}

/* If it were not on disk when it is told, its end might be lost. */
static void nothing_is_told_before_it_is_on_disk(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    disk(&w, true);
    fires(&w, "a1", 1);
    fires(&w, "a2", 1);
    pass(&w, 0, S);
    sj_deliveries_tick(w.d);
    assert_sent("");
    /* a write that began before the change does not hold it */
    struct sj_out out;
    assert_int_equal(sj_out_init(&out, -1, "memory", NULL), 0);
    sj_deliveries_write(w.d, &out);
    sj_out_fini(&out);
    fires(&w, "a3", 1);
    sj_deliveries_saved(w.d, true);
    assert_sent("w:a1+ w:a2+");
    disk(&w, false); /* disks do not work: better told than not */
    assert_sent("w:a3+");
    world_end(&w);
}

static void an_alert_that_is_over_before_it_was_told_is_told_whole(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    fires(&w, "a1", 1);
    disk(&w, true);
    answer(&w, SJ_SEND_DOWN);
    resolves(&w, "a1", 1, 2);
    fires(&w, "a2", 2);
    resolves(&w, "a2", 2, 3);
    disk(&w, true);
    assert_sent("w:a1+");
    pass(&w, S, S / 10);
    assert_sent("w:a2+ w:a1+"); /* everybody gets a turn */
    answer(&w, SJ_SEND_ACCEPTED);
    assert_sent("w:a2-");
    answer(&w, SJ_SEND_ACCEPTED);
    assert_sent("w:a1-");
    answer(&w, SJ_SEND_ACCEPTED);
    answer(&w, SJ_SEND_ACCEPTED);
    pass(&w, 60 * S, S);
    assert_sent("");
    world_end(&w);
}

static void what_changes_while_it_is_told_is_told_after(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    fires(&w, "a1", 1);
    disk(&w, true);
    resolves(&w, "a1", 1, 2);
    disk(&w, true);
    pass(&w, S, S / 10);
    assert_sent("w:a1+"); /* one after the other */
    answer(&w, SJ_SEND_ACCEPTED);
    assert_sent("w:a1-");
    fires(&w, "a1", 5); /* again, while its end is under way */
    disk(&w, true);
    assert_sent("");
    answer(&w, SJ_SEND_ACCEPTED);
    disk(&w, true);
    assert_sent("w:a1+");
    answer(&w, SJ_SEND_DOWN);
    resolves(&w, "a1", 5, 6);
    disk(&w, true);
    pass(&w, 2 * S, S / 10);
    assert_sent("w:a1+");
    answer(&w, SJ_SEND_ACCEPTED);
    assert_sent("w:a1-");
    answer(&w, SJ_SEND_ACCEPTED);
    assert_sent("");
    world_end(&w);
}

static void a_resolve_survives_restarts(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    fires(&w, "a1", 1);
    disk(&w, true);
    answer(&w, SJ_SEND_ACCEPTED);
    assert_sent("w:a1+");
    resolves(&w, "a1", 1, 2);
    disk(&w, true);
    answer(&w, SJ_SEND_DOWN);
    assert_sent("w:a1-");
    for (int i = 0; i < 3; i++) { /* and no collector says it again */
        crash(&w);
        restart(&w, webhook(), NULL);
        pass(&w, S, S);
        assert_sent("w:a1-");
    }
    answer(&w, SJ_SEND_ACCEPTED);
    disk(&w, true);
    crash(&w);
    restart(&w, webhook(), NULL);
    pass(&w, 10 * S, S);
    resolves(&w, "a1", 1, 2);
    pass(&w, 10 * S, S);
    assert_sent("");
    world_end(&w);
}

static void what_fired_when_the_program_was_killed_is_resolved_after(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    fires(&w, "a1", 1);
    fires(&w, "a2", 1);
    disk(&w, true);
    answer(&w, SJ_SEND_ACCEPTED);
    answer(&w, SJ_SEND_ACCEPTED);
    disk(&w, true);
    crash(&w);
    assert_sent("w:a1+ w:a2+");
    restart(&w, webhook(), NULL);
    pass(&w, 600 * S, S); /* the collector is still starting */
    assert_sent("");
    sj_deliveries_ready(w.d);
    fires(&w, "a1", 1); /* of a2 it knows nothing */
    pass(&w, 179 * S, S);
    assert_sent("");
    fires(&w, "a1", 1);
    pass(&w, 3 * S, S);
    assert_sent("w:a2-");
    answer(&w, SJ_SEND_ACCEPTED);
    tell(&w, "a1", SJ_ALERT_INACTIVE, 0, 0);
    disk(&w, true);
    assert_sent("w:a1-");
    world_end(&w);
}

/* Between the receiver's acceptance and the disk there is no way to know: then it is told again, the same. */
static void a_crash_before_the_disk_repeats_the_same_message(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    fires(&w, "a1", 7);
    disk(&w, true);
    answer(&w, SJ_SEND_ACCEPTED);
    assert_true(w.dirty);
    crash(&w);
    assert_sent("w:a1+");
    restart(&w, webhook(), NULL);
    pass(&w, S, S);
    assert_sent("w:a1+");
    assert_true(world_attempts->of[0].starts_ns == WORLD_START_NS + 7 * S);
    answer(&w, SJ_SEND_ACCEPTED);
    disk(&w, true);
    crash(&w);
    restart(&w, webhook(), NULL);
    pass(&w, S, S);
    assert_sent("");
    world_end(&w);
}

static void pending_and_unknown_alerts_are_nobodys_business(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), forgetful());
    tell(&w, "a1", SJ_ALERT_PENDING, 0, 0);
    tell(&w, "a2", SJ_ALERT_INACTIVE, 0, 0);
    disk(&w, true);
    pass(&w, S, S);
    assert_sent("");
    fires(&w, "a1", 3);
    disk(&w, true);
    answer(&w, SJ_SEND_ACCEPTED);
    answer(&w, SJ_SEND_ACCEPTED);
    assert_sent("w:a1+ m:a1+");
    tell(&w, "a1", SJ_ALERT_PENDING, 0, 0); /* it has not ended by that */
    disk(&w, true);
    pass(&w, S, S);
    assert_sent("");
    world_end(&w);
}

/* The file of deliveries is gone, and the collector still knows of an end: whoever heard of the beginning hears it. */
static void an_end_without_a_known_beginning_is_told(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    resolves(&w, "a1", 1, 2);
    disk(&w, true);
    assert_sent("w:a1-");
    answer(&w, SJ_SEND_ACCEPTED);
    pass(&w, 60 * S, S);
    assert_sent("");
    world_end(&w);
}

static void who_forgets_is_told_again(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, forgetful(), NULL);
    fires(&w, "a1", 0);
    fires(&w, "a2", 1);
    disk(&w, true);
    assert_sent("m:a1+ m:a2+");
    answer(&w, SJ_SEND_ACCEPTED);
    disk(&w, true);
    pass(&w, 59 * S, S);
    assert_sent("");
    pass(&w, S, S);
    assert_sent("m:a1+ m:a2+");
    answer(&w, SJ_SEND_ACCEPTED);
    disk(&w, true);
    crash(&w);
    w.now.mono_ns = 5 * S; /* the machine has just booted */
    restart(&w, forgetful(), NULL);
    pass(&w, S, S);
    assert_sent("m:a1+ m:a2+"); /* at once: the receiver may have thought that it was over */
    answer(&w, SJ_SEND_ACCEPTED);
    const uint64_t end_s = (w.now.real_ns - WORLD_START_NS) / S;
    resolves(&w, "a1", 0, end_s);
    disk(&w, true);
    assert_sent("m:a1-");
    answer(&w, SJ_SEND_ACCEPTED);
    unsigned ends = 0;
    for (int s = 0; s < 1800; s++) {
        pass(&w, S, S);
        while (world_attempts) {
            for (size_t i = 0; i < world_attempts->n; i++)
                ends += strcmp(world_attempts->of[i].id, "a1") == 0;
            answer(&w, SJ_SEND_ACCEPTED);
        }
    }
    assert_int_equal(ends, 14); /* each minute, for less than 15 minutes */
    world_log[0] = '\0';
    world_end(&w);
}

static void receivers_are_told_what_they_want(void **state)
{
    (void)state;
    struct world w = made_world();
    struct sj_notify *picky = receiver("p", SJ_NOTIFY_WEBHOOK);
    picky->only = "other";
    restart(&w, picky, webhook());
    fires(&w, "a1", 1);
    fires(&w, "b1", 1);
    disk(&w, true);
    assert_sent("p:b1+ w:a1+ w:b1+");
    world_end(&w);
}

static void a_reload_adds_and_takes_away(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    sj_deliveries_ready(w.d);
    fires(&w, "a1", 1);
    fires(&w, "a2", 1);
    fires(&w, "a3", 1);
    disk(&w, true);
    while (world_attempts)
        answer(&w, SJ_SEND_ACCEPTED);
    resolves(&w, "a1", 1, 2);
    disk(&w, true);
    answer(&w, SJ_SEND_ACCEPTED);
    assert_sent("w:a1+ w:a2+ w:a3+ w:a1-");
    receivers(&w, webhook(), receiver("n", SJ_NOTIFY_EXEC)); /* the same one, and a new one */
    disk(&w, true);
    assert_sent("n:a2+ n:a3+"); /* not of what is over */
    answer(&w, SJ_SEND_ACCEPTED);
    resolves(&w, "a2", 1, 3);
    disk(&w, true);
    assert_sent("w:a2- n:a2-");
    receivers(&w, receiver("n", SJ_NOTIFY_EXEC), NULL); /* w goes, though something is under way to it */
    disk(&w, true);
    while (world_attempts)
        answer(&w, SJ_SEND_ACCEPTED);
    disk(&w, true);
    assert_int_equal(world_receivers, 1);
    assert_int_equal(status_of(&w, SJ_NOTIFY_WEBHOOK).delivered, 4); /* a counter never goes back; the last was late */
    assert_int_equal(status_of(&w, SJ_NOTIFY_EXEC).delivered, 3);
    resolves(&w, "a3", 1, 4);
    disk(&w, true);
    assert_sent("n:a3-");
    receivers(&w, NULL, NULL);
    disk(&w, true);
    while (world_attempts)
        answer(&w, SJ_SEND_DOWN);
    pass(&w, 5 * S, S);
    assert_sent("");
    assert_int_equal(world_receivers, 0);
    world_end(&w);
}

static void receivers_that_come_and_go_between_runs(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), receiver("n", SJ_NOTIFY_EXEC));
    fires(&w, "a1", 1);
    resolves(&w, "a1", 1, 2);
    fires(&w, "a2", 1);
    disk(&w, true);
    while (world_attempts)
        answer(&w, SJ_SEND_ACCEPTED);
    disk(&w, true);
    world_log[0] = '\0';
    crash(&w);
    restart(&w, receiver("n", SJ_NOTIFY_EXEC), receiver("x", SJ_NOTIFY_SYSLOG)); /* in another order, too */
    pass(&w, S, S);
    assert_sent("x:a2+");
    resolves(&w, "a2", 1, 3);
    disk(&w, true);
    assert_sent("n:a2-");
    world_end(&w);
}

static void what_everybody_knows_to_be_over_is_forgotten(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), NULL);
    disk(&w, true);
    const size_t empty = w.length;
    fires(&w, "a1", 1);
    fires(&w, "a2", 1);
    disk(&w, true);
    answer(&w, SJ_SEND_ACCEPTED);
    answer(&w, SJ_SEND_DOWN);
    resolves(&w, "a1", 1, 2);
    resolves(&w, "a2", 1, 2);
    pass(&w, S, S / 10);
    while (world_attempts)
        answer(&w, SJ_SEND_DOWN);
    pass(&w, 1300 * S, 10 * S);
    while (world_attempts)
        answer(&w, SJ_SEND_DOWN);
    assert_true(w.length > empty);  /* both stay until they could be told */
    receivers(&w, webhook(), NULL); /* which is also what makes it try at once */
    for (int i = 0; i < 100; i++) {
        pass(&w, S, S);
        while (world_attempts)
            answer(&w, SJ_SEND_ACCEPTED);
    }
    disk(&w, true);
    pass(&w, 300 * S, S);
    assert_int_equal(w.length, empty);
    world_log[0] = '\0';
    world_end(&w);
}

/* A day later nobody is told any more that something fires that has long been over; its end still is. */
static void what_is_stale_is_not_told_as_news(void **state)
{
    (void)state;
    struct world w = made_world();
    restart(&w, webhook(), receiver("n", SJ_NOTIFY_EXEC));
    fires(&w, "a1", 1);
    disk(&w, true);
    answer(&w, SJ_SEND_ACCEPTED);
    answer(&w, SJ_SEND_DOWN);
    resolves(&w, "a1", 1, 2);
    disk(&w, true);
    world_log[0] = '\0';
    crash(&w);
    w.now.mono_ns = 100 * S;
    w.now.real_ns += 2 * DAY_NS;
    restart(&w, webhook(), receiver("n", SJ_NOTIFY_EXEC));
    pass(&w, S, S);
    assert_sent("w:a1-");
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_is_told_once),
        cmocka_unit_test(nothing_is_told_before_it_is_on_disk),
        cmocka_unit_test(an_alert_that_is_over_before_it_was_told_is_told_whole),
        cmocka_unit_test(what_changes_while_it_is_told_is_told_after),
        cmocka_unit_test(a_resolve_survives_restarts),
        cmocka_unit_test(what_fired_when_the_program_was_killed_is_resolved_after),
        cmocka_unit_test(a_crash_before_the_disk_repeats_the_same_message),
        cmocka_unit_test(pending_and_unknown_alerts_are_nobodys_business),
        cmocka_unit_test(an_end_without_a_known_beginning_is_told),
        cmocka_unit_test(who_forgets_is_told_again),
        cmocka_unit_test(receivers_are_told_what_they_want),
        cmocka_unit_test(a_reload_adds_and_takes_away),
        cmocka_unit_test(receivers_that_come_and_go_between_runs),
        cmocka_unit_test(what_everybody_knows_to_be_over_is_forgotten),
        cmocka_unit_test(what_is_stale_is_not_told_as_news),
    };
    struct said s;
    listen_to(&s, STDERR_FILENO); /* what is told of failures is looked at elsewhere */
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stop_listening(&s);
    if (failed)
        fputs(s.text, stderr);
    return failed;
}

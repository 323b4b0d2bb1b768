// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "serve/fits.h"

#include "fit_draw.h"
#include "made_request.h"

#define SECOND 1000000000ULL

/* A series, its fits, and a clock that the test moves. */
struct made {
    struct sj_series *series;
    struct sj_fits *fits;
    struct random_state random;
    uint64_t mono_ns;
};

static struct made made(void)
{
    const struct sj_series_limits limits = {.rows = 200, .bytes = 4 << 20, .idle_ns = 1000 * SECOND, .series = 200};
    struct sj_err err;
    struct made m = {.series = sj_series_new(&limits), .fits = sj_fits_new(&err), .random = {.state = 7}};
    assert_non_null(m.series);
    assert_non_null(m.fits);
    return m;
}

static void done(struct made *m)
{
    sj_fits_free(m->fits);
    sj_series_free(m->series);
}

static void add(struct made *m, const char *service, uint16_t port, int n)
{
    for (int i = 0; i < n; i++) {
        struct sj_request r = made_server_request();
        memset(r.stage_ns, 0, sizeof(r.stage_ns));
        memset(r.blocked_ns, 0, sizeof(r.blocked_ns));
        r.service = service;
        r.port = port;
        r.total_ns = r.stage_ns[SJ_STAGE_QUEUE] = (uint64_t)(1e9 * draw_lognormal(&m->random, -6, 0.5));
        assert_int_equal(sj_series_add(m->series, &r), 0);
    }
}

static void tick(struct made *m, uint64_t seconds)
{
    m->mono_ns += seconds * SECOND;
    assert_int_equal(sj_fits_tick(m->fits, m->series, m->mono_ns), 0);
}

/* How many services of the snapshot have a fit. */
static size_t fitted(struct made *m, struct sj_snapshot *snap, struct sj_report_fits *fits)
{
    size_t n = 0;
    assert_int_equal(sj_series_snapshot(m->series, snap), 0);
    sj_fits_of(m->fits, snap, fits);
    for (size_t i = 0; i < SJ_REPORT_FITS; i++)
        n += fits->of[i] != NULL;
    return n;
}

/* The fit of a service; n is how many requests it is of, 0 when there is none. */
static double fit_of(struct made *m, const char *service, struct sj_fit_result *out)
{
    struct sj_snapshot snap;
    struct sj_report_fits fits;
    double n = 0;
    fitted(m, &snap, &fits);
    for (size_t i = 0; i < snap.n_services && i < SJ_REPORT_FITS; i++) {
        if (strcmp(snap.services[i].service, service) == 0 && fits.of[i]) {
            n = fits.of[i]->n;
            if (out)
                *out = *fits.of[i];
        }
    }
    sj_snapshot_free(&snap);
    return n;
}

/* Until the thread has come to it, however late; the clock of the series stands still meanwhile. */
static void await(struct made *m, const char *service, double n)
{
    struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 300000 && fit_of(m, service, NULL) != n; i++) {
        nanosleep(&pause, NULL);
        tick(m, 0);
    }
    assert_true(fit_of(m, service, NULL) == n);
}

static void a_fit_is_that_of_the_report(void **state)
{
    (void)state;
    struct made m = made();
    struct sj_snapshot snap;
    struct sj_report_fits fits;
    struct sj_fit_result got;
    struct sj_err err;
    add(&m, "few", 80, SJ_REPORT_FIT_REQUESTS - 1);
    add(&m, "shop", 80, 700);
    tick(&m, 1);
    await(&m, "shop", 700);
    assert_true(fit_of(&m, "shop", &got) == 700);
    assert_int_equal(sj_series_snapshot(m.series, &snap), 0);
    assert_int_equal(sj_report_fits_make(&snap, &fits, &err), 0);
    assert_string_equal(snap.services[0].service, "shop");
    assert_ptr_equal(got.fits[0].family, fits.of[0]->fits[0].family);
    assert_memory_equal(got.fits[0].theta, fits.of[0]->fits[0].theta, sizeof(got.fits[0].theta));
    assert_true(got.has_tail && got.tail.quantile[0] == fits.of[0]->tail.quantile[0]);
    assert_true(fit_of(&m, "few", NULL) == 0);
    sj_report_fits_free(&fits);
    sj_snapshot_free(&snap);
    done(&m);
}

/* Nothing new: nothing to fit. A few more: each minute. Many more: soon. */
static void a_fit_is_made_again_when_it_is_due(void **state)
{
    (void)state;
    struct made m = made();
    add(&m, "a", 80, 400);
    add(&m, "b", 80, 300);
    tick(&m, 1);
    await(&m, "a", 400);
    await(&m, "b", 300);
    add(&m, "a", 80, 5);
    add(&m, "b", 80, 75);
    tick(&m, 2);
    assert_true(fit_of(&m, "b", NULL) == 300);
    tick(&m, 1);
    await(&m, "b", 375);
    assert_true(fit_of(&m, "a", NULL) == 400);
    tick(&m, 57);
    await(&m, "a", 405);
    done(&m);
}

/* Ports tell services apart, and a fit stays its service's when the order changes. */
static void a_fit_stays_with_its_service(void **state)
{
    (void)state;
    struct made m = made();
    struct sj_snapshot snap;
    struct sj_report_fits fits;
    add(&m, "x", 80, 400);
    add(&m, "x", 81, 200);
    tick(&m, 1);
    await(&m, "x", 200);
    assert_int_equal(fitted(&m, &snap, &fits), 2);
    assert_true(snap.services[0].port == 80 && fits.of[0]->n == 400 && fits.of[1]->n == 200);
    sj_snapshot_free(&snap);
    add(&m, "x", 81, 300);
    add(&m, "y", 80, 350);
    assert_int_equal(fitted(&m, &snap, &fits), 2);
    assert_true(snap.services[0].port == 81 && fits.of[0]->n == 200 && fits.of[1]->n == 400 && !fits.of[2]);
    sj_snapshot_free(&snap);
    done(&m);
}

static void only_the_largest_are_fitted(void **state)
{
    (void)state;
    struct made m = made();
    struct sj_snapshot snap;
    struct sj_report_fits fits;
    char name[16];
    for (int i = 0; i < SJ_REPORT_FITS; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        add(&m, name, 80, 100 + i);
    }
    tick(&m, 1);
    await(&m, "s0", 100);
    assert_int_equal(fitted(&m, &snap, &fits), SJ_REPORT_FITS);
    sj_snapshot_free(&snap);
    for (int i = 0; i < 3; i++) { /* the smallest three make room */
        snprintf(name, sizeof(name), "t%d", i);
        add(&m, name, 80, 300);
    }
    tick(&m, 10);
    await(&m, "t2", 300);
    assert_int_equal(fitted(&m, &snap, &fits), SJ_REPORT_FITS);
    sj_snapshot_free(&snap);
    assert_true(fit_of(&m, "s2", NULL) == 0 && fit_of(&m, "s3", NULL) == 103);
    done(&m);
}

/* At once, in the middle of a round, and after one. */
static void it_can_be_ended_at_any_time(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct made m = made();
        add(&m, "a", 80, 500);
        add(&m, "b", 80, 500);
        if (i)
            tick(&m, 1);
        if (i == 2)
            await(&m, "b", 500);
        done(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fit_is_that_of_the_report),  cmocka_unit_test(a_fit_is_made_again_when_it_is_due),
        cmocka_unit_test(a_fit_stays_with_its_service), cmocka_unit_test(only_the_largest_are_fitted),
        cmocka_unit_test(it_can_be_ended_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

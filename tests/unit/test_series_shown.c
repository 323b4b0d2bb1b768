// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "export/exposition_rows.h"

#include "hist_random.h"
#include "made_request.h"

/* What an exporter shows of rows that come and go under limits: at most so much, never less than before, and all. */

#define SECOND 1000000000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define SEEN_MAX 4096

static struct sj_series *limited(size_t rows, size_t bytes, uint64_t series)
{
    const struct sj_series_limits limits = {.rows = rows, .bytes = bytes, .idle_ns = HOUR, .series = series};
    struct sj_series *s = sj_series_new(&limits);
    assert_non_null(s);
    return s;
}

static void add(struct sj_series *s, const char *service, uint16_t port, const char *operation, const char *status)
{
    struct sj_request r = made_server_request();
    r.service = service;
    r.port = port;
    r.operation = operation;
    r.status = status;
    assert_int_equal(sj_series_add(s, &r), 0);
}

static void count(struct sj_series *s, const char *service, uint64_t n)
{
    struct sj_counted c = {.service = service, .role = SJ_ROLE_SERVER, .protocol = SJ_PROTO_HTTP, .port = 80};
    sj_hist_init(&c.total);
    assert_int_equal(sj_hist_add_n(&c.total, 5000000, n), 0);
    assert_int_equal(sj_series_add_counted(s, &c), 0);
    sj_hist_free(&c.total);
}

/* The series of one kind of metric, as they were at the latest look. */
struct seen {
    struct one {
        char key[96];
        uint64_t value;
        bool there;
    } v[SEEN_MAX];
    size_t n;
    uint64_t ended; /* what those had that are gone */
    size_t ends;
};

struct look {
    struct seen *seen;
    size_t series;
    uint64_t sum;
};

static size_t place_of(const struct seen *seen, const char *key)
{
    size_t i = 0;
    for (const char *p = key; *p; p++)
        i = i * 31 + (unsigned char)*p;
    for (i %= SEEN_MAX; seen->v[i].key[0] && strcmp(seen->v[i].key, key) != 0; i = (i + 1) % SEEN_MAX)
        ;
    return i;
}

static void look_at(struct look *look, const char *key, uint64_t value)
{
    struct seen *seen = look->seen;
    if (value == 0)
        return;
    size_t i = place_of(seen, key);
    if (!seen->v[i].key[0]) {
        assert_true(++seen->n < SEEN_MAX);
        snprintf(seen->v[i].key, sizeof(seen->v[i].key), "%s", key);
    }
    if (value < seen->v[i].value)
        fail_msg("%s went from %llu to %llu", key, (unsigned long long)seen->v[i].value, (unsigned long long)value);
    seen->v[i].value = value;
    seen->v[i].there = true;
    look->series++;
    look->sum += value;
}

static uint64_t requests_of(const struct sj_row *r)
{
    return (r->cell ? r->cell->requests : 0) + (r->counted ? r->counted->count : 0);
}

static void look_at_group(struct look *look, enum sj_kind kind, const struct sj_row *rows, size_t n)
{
    char key[96];
    uint64_t classes[SJ_CLASSES] = {0}, total = 0, known = 0;
    for (size_t i = 0; i < n; i++) {
        const struct sj_cell *c = rows[i].cell;
        uint64_t without = requests_of(&rows[i]);
        total += (c ? c->total.count : 0) + (rows[i].counted ? rows[i].counted->count : 0);
        known += c ? sj_cell_known(c, SJ_STAGE_QUEUE) : 0;
        for (int k = 0; c && k < SJ_CLASS_MAX_; k++) {
            classes[k] += rows[i].classes >> k & 1 ? c->classes[k] : 0;
            without -= c->classes[k];
        }
        classes[SJ_CLASS_MAX_] += rows[i].classes >> SJ_CLASS_MAX_ & 1 ? without : 0;
    }
    for (int k = 0; k < SJ_CLASSES; k++) {
        snprintf(key, sizeof(key), "%s %s %d", rows->service, rows->operation, k);
        if (kind == SJ_KIND_CLASSES)
            look_at(look, key, classes[k]);
        else if (kind == SJ_KIND_STAGES) /* a server's have as many stages as there are classes */
            look_at(look, key, known);
    }
    snprintf(key, sizeof(key), "%s %s", rows->service, rows->operation);
    if (kind == SJ_KIND_TOTAL)
        look_at(look, key, total);
}

/* Returns the sum of all there is; nothing but what ends by its own name may be less than before. */
static uint64_t look(struct sj_series *s, enum sj_kind kind, struct seen *seen, size_t limit)
{
    struct look now = {.seen = seen};
    struct sj_snapshot snap;
    struct sj_rows rows;
    assert_int_equal(sj_series_snapshot(s, &snap), 0);
    assert_int_equal(sj_rows_make(&snap, kind, &rows), 0);
    for (size_t i = 0, end; i < rows.n; i = end) {
        end = sj_rows_end(&rows, i);
        look_at_group(&now, kind, &rows.v[i], end - i);
    }
    sj_rows_free(&rows);
    sj_snapshot_free(&snap);
    for (size_t i = 0; i < SEEN_MAX; i++) {
        struct one *one = &seen->v[i];
        if (!one->there && one->value) {
            assert_false(strncmp(one->key, SJ_REST_NAME " " SJ_REST_NAME, 2 * sizeof(SJ_REST_NAME) - 1) == 0);
            seen->ended += one->value;
            seen->ends++;
            one->value = 0;
        }
        one->there = false;
    }
    if (now.series > limit)
        fail_msg("%zu series of kind %d, more than %zu", now.series, (int)kind, limit);
    return now.sum;
}

static uint64_t value_of(const struct seen *seen, const char *key)
{
    return seen->v[place_of(seen, key)].value;
}

/* As many operations as there is room for, and one more. */
static void up_to_the_limit_all_have_names(void **state)
{
    (void)state;
    static struct seen seen[SJ_KIND_MAX_];
    struct sj_series *s = limited(1000, 64 << 20, 93); /* 93 - 3 for the rest of all: 60 for operations */
    char name[32];
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "GET /w%d", i);
        add(s, "a", 80, name, "200");
    }
    assert_int_equal(look(s, SJ_KIND_TOTAL, &seen[0], 60), 60);
    assert_int_equal(value_of(&seen[0], "a other"), 0);
    add(s, "a", 80, "GET /more", "200");
    add(s, "a", 80, "GET /and more", "200");
    add(s, "a", 80, "GET /w7", "200");
    assert_int_equal(look(s, SJ_KIND_TOTAL, &seen[0], 61), 63);
    assert_int_equal(value_of(&seen[0], "a other"), 2);
    assert_int_equal(value_of(&seen[0], "a GET /w7"), 2);
    /* (93 - 18) * 2 / 3 / 7 = 7 have stages of their own, the others are the rest's */
    assert_int_equal(look(s, SJ_KIND_STAGES, &seen[1], 8 * 7), 63 * 7);
    assert_int_equal(value_of(&seen[1], "a GET /w6 0"), 1);
    assert_int_equal(value_of(&seen[1], "a GET /w7 0"), 0);
    assert_int_equal(value_of(&seen[1], "a other 0"), 56);
    /* (93 - 21) * 2 / 3 = 48 classes */
    assert_int_equal(look(s, SJ_KIND_CLASSES, &seen[2], 49), 63);
    assert_int_equal(value_of(&seen[2], "a GET /w1 2"), 0);
    sj_series_free(s);
}

/* A class that comes when there is no more room is the rest's, and stays there when there is. */
static void a_class_stays_where_it_was_shown(void **state)
{
    (void)state;
    static struct seen seen;
    struct sj_series *s = limited(1000, 64 << 20, 21 + 3); /* two classes of operations, one of services */
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(sj_series_tick(s, MINUTE), 0);
    add(s, "a", 80, "GET /", "200");
    add(s, "b", 80, "GET /", "200");
    assert_int_equal(look(s, SJ_KIND_CLASSES, &seen, 24), 2);
    add(s, "a", 80, "GET /", "404");
    add(s, "b", 80, "GET /", "500");
    assert_int_equal(look(s, SJ_KIND_CLASSES, &seen, 24), 4);
    assert_int_equal(value_of(&seen, "a other 4") + value_of(&seen, "b other 5"), 1);
    assert_int_equal(value_of(&seen, "other other 4") + value_of(&seen, "other other 5"), 1);
    for (uint64_t t = 2; t < 80; t++) { /* b goes, and makes room */
        assert_int_equal(sj_series_tick(s, t * MINUTE), 0);
        add(s, "a", 80, "GET /", t % 2 ? "404" : "200");
        assert_int_equal(look(s, SJ_KIND_CLASSES, &seen, 24) + seen.ended, 4 + t - 1);
    }
    assert_int_equal(value_of(&seen, "b GET / 2"), 0);
    assert_int_equal(value_of(&seen, "a GET / 4"), 0);
    sj_series_free(s);
}

static void one_service_does_not_hide_the_others(void **state)
{
    (void)state;
    static struct seen seen;
    struct sj_series *s = limited(400, 64 << 20, 93);
    char name[32];
    memset(&seen, 0, sizeof(seen));
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "GET /w%d", i);
        add(s, "a", 80, name, "200");
    }
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        add(s, name, 80, "", "200");
    }
    assert_int_equal(look(s, SJ_KIND_TOTAL, &seen, 93), 20020);
    assert_int_equal(value_of(&seen, "s19 "), 1);
    assert_int_equal(value_of(&seen, "a GET /w59"), 1);
    assert_int_equal(value_of(&seen, "a other"), 20000 - 60);
    sj_series_free(s);
}

static const char *const services[] = {"a", "b", "c", "d", "e", "f", SJ_REST_NAME};
static const char *const statuses[] = {"200", "200", "200", "404", "500", "302", ""};

/* Quiet and busy hours, in which now these and now those are used. */
static uint64_t some_traffic(struct sj_series *s, struct random_state *rng, uint64_t minute)
{
    uint64_t hour = minute / 100, busy = hour * 2654435761U >> 3, n = 0;
    char operation[16] = "";
    for (int i = 0; i < 6 && random_bits(rng) % 5 == 0; i++) {
        uint64_t which = (busy / 16 + random_bits(rng) % 8) % 40;
        const char *service = services[(busy + random_bits(rng) % 3) % 7];
        if (which == 1)
            snprintf(operation, sizeof(operation), SJ_REST_NAME);
        else if (which)
            snprintf(operation, sizeof(operation), "GET /%u", (unsigned)which);
        else
            operation[0] = '\0';
        if (random_bits(rng) % 16 == 0) {
            count(s, service, 3);
            n += 3;
            continue;
        }
        add(s, service, (uint16_t)(80 + (busy / 4 + random_bits(rng) % 2) % 3), operation,
            statuses[random_bits(rng) % 7]);
        n++;
    }
    return n;
}

static void look_everywhere(struct sj_series *s, struct seen seen[SJ_KIND_MAX_], size_t limit, uint64_t n)
{
    static const size_t rest_of_all[SJ_KIND_MAX_] = {3, 18, 21}; /* is there whatever the limit */
    for (int kind = 0; kind < SJ_KIND_MAX_; kind++) {
        uint64_t sum = look(s, (enum sj_kind)kind, &seen[kind], limit > rest_of_all[kind] ? limit : rest_of_all[kind]);
        if (kind != SJ_KIND_STAGES && sum + seen[kind].ended != n)
            fail_msg("limit %zu, kind %d: %llu are shown and %llu went, of %llu", limit, kind, (unsigned long long)sum,
                     (unsigned long long)seen[kind].ended, (unsigned long long)n);
    }
}

/* For limits from hopeless to ample: rows, names and services come and go for weeks. */
static void nothing_falls_and_all_is_there(void **state)
{
    (void)state;
    static const struct {
        size_t rows;
        uint64_t series;
    } limits[] = {{200, 5}, {200, 24}, {200, 45}, {60, 45}, {200, 90}, {30, 1000}, {400, 2000}};
    static struct seen seen[SJ_KIND_MAX_];
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct sj_series *s = limited(limits[i].rows, 64 << 20, limits[i].series);
        struct random_state rng = {17 + i};
        uint64_t n = 0;
        memset(seen, 0, sizeof(seen));
        for (uint64_t minute = 1; minute < 1200; minute++) {
            assert_int_equal(sj_series_tick(s, minute * MINUTE), 0);
            look_everywhere(s, seen, limits[i].series, n); /* what has gone is not there before it comes again */
            n += some_traffic(s, &rng, minute);
            look_everywhere(s, seen, limits[i].series, n);
        }
        assert_true(limits[i].series < 45 || seen[0].ends > 10);
        sj_series_free(s);
    }
}

/* When memory is short, stages are given up: their series end, and those of a rest stay. */
static void stages_that_are_given_up_end(void **state)
{
    (void)state;
    static struct seen seen;
    struct sj_series *s = limited(200, 200000, 150);
    struct random_state rng = {3};
    char name[16];
    memset(&seen, 0, sizeof(seen));
    for (uint64_t n = 0; n < 60000; n++) {
        struct sj_request r = made_server_request();
        snprintf(name, sizeof(name), "GET /%d", (int)(random_bits(&rng) % 60));
        r.operation = name;
        r.port = (uint16_t)(80 + random_bits(&rng) % 2);
        r.stage_ns[SJ_STAGE_QUEUE] = random_bits(&rng) % 1000000000;
        r.stage_ns[SJ_STAGE_ONCPU] = random_bits(&rng) % 1000000000;
        r.total_ns = r.stage_ns[SJ_STAGE_QUEUE] + r.stage_ns[SJ_STAGE_ONCPU] + 2000300;
        assert_int_equal(sj_series_add(s, &r), 0);
        if (n % 200 == 0)
            look(s, SJ_KIND_STAGES, &seen, 150);
    }
    look(s, SJ_KIND_STAGES, &seen, 150);
    assert_true(seen.ends > 0);
    assert_true(value_of(&seen, "nginx other 0") > 0);
    sj_series_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_to_the_limit_all_have_names),       cmocka_unit_test(a_class_stays_where_it_was_shown),
        cmocka_unit_test(one_service_does_not_hide_the_others), cmocka_unit_test(nothing_falls_and_all_is_there),
        cmocka_unit_test(stages_that_are_given_up_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

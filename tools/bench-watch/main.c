// SPDX-License-Identifier: GPL-3.0-or-later
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "watch/watch.h"

/*
 * What evaluating rules costs:  bench-watch [RULES [SERIES [REQUESTS]]]
 * Every rule (100) looks at every series (1,000), each of which has so many requests (20) in each interval of a second.
 * Time is made up and goes on until all windows are full; then some evaluations are measured, one by one.
 */

#define S 1000000000ULL
#define WARM 330 /* the longest window, and some */
#define MEASURED 60
#define SLICES 64

struct bench {
    unsigned rules, series, requests;
    struct sj_cell cells[SLICES]; /* made once; what is measured is the rules */
    struct sj_hist slow[SLICES];
    struct sj_watch *watch;
    struct sj_now now;
    uint64_t alerts;
};

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *fmt, ...)
{
    va_list ap;
    fputs("bench-watch: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(EX_SOFTWARE);
}

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All kinds of measures, over three lengths; few of them ever hold. */
static char *configuration(unsigned rules)
{
    static const char *const when[] = {"p99 > 3s",    "error_ratio > 5%", "rate > 1000/s", "mean > 1s",
                                       "p50 > 500ms", "max > 1m",         "errors > 9999", "rate < 1/h"};
    static const char *const over[] = {"1m", "1m", "1m", "5m", "10s"};
    size_t size = 64 + (size_t)rules * 128, used;
    char *text = malloc(size);
    if (!text)
        die("out of memory");
    used = (size_t)snprintf(text, size, "interval: 1s\nalerts:\n");
    for (unsigned i = 0; i < rules; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "- {name: r%u, when: '%s', over: %s, for: 30s}\n", i,
                             when[i % (sizeof(when) / sizeof(when[0]))], over[i % (sizeof(over) / sizeof(over[0]))]);
    return text;
}

/* Latencies from 1 to 100 ms, one in 100 of them an error. */
static void make_cells(struct bench *b)
{
    uint64_t random = 88172645463325252ULL;
    for (int i = 0; i < SLICES; i++) {
        struct sj_cell *c = &b->cells[i];
        c->requests = b->requests;
        c->error_total = &b->slow[i];
        for (unsigned k = 0; k < b->requests; k++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            uint64_t latency_ns = 1000000 + random % 99000000;
            bool error = random >> 32 & 1 && k % 50 == 0;
            c->errors += error;
            if (sj_hist_add(&c->total, latency_ns) < 0 || (error && sj_hist_add(c->error_total, latency_ns) < 0))
                die("out of memory");
        }
    }
}

static int on_alert(void *ctx, const struct sj_alert *alert)
{
    (void)alert;
    ++*(uint64_t *)ctx;
    return 0;
}

/* One interval: the time that taking it in took, and that evaluating took. */
static void interval(struct bench *b, unsigned n, double *take_s, double *evaluate_s)
{
    double start = cpu();
    for (unsigned i = 0; i < b->series; i++) {
        char name[32];
        snprintf(name, sizeof(name), "service-%u", i);
        const struct sj_slice slice = {
            .id = {name, "", "", SJ_ROLE_SERVER, SJ_PROTO_HTTP, 80},
            .cell = &b->cells[(i + n * 7) % SLICES],
        };
        if (sj_watch_slice(b->watch, &slice) < 0)
            die("out of memory");
    }
    double middle = cpu();
    b->now.mono_ns += S;
    b->now.real_ns += S;
    if (sj_watch_evaluate(b->watch, b->now, on_alert, &b->alerts) < 0)
        die("out of memory");
    *take_s = middle - start;
    *evaluate_s = cpu() - middle;
}

static unsigned argument(int argc, char **argv, int at, unsigned usual)
{
    return argc > at ? (unsigned)strtoul(argv[at], NULL, 10) : usual;
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct sj_config *config;
    struct sj_err err;
    struct sj_watch_stats stats;
    double take_s = 0, evaluate_s = 0, most_s = 0;
    b.rules = argument(argc, argv, 1, 100);
    b.series = argument(argc, argv, 2, 1000);
    b.requests = argument(argc, argv, 3, 20);
    b.now = (struct sj_now){S, 1795338000 * S};
    char *text = configuration(b.rules);
    if (sj_config_parse(text, strlen(text), "rules", &config, &err) < 0)
        die("%s", err.text);
    b.watch = sj_watch_new(config, b.now);
    if (!b.watch)
        die("out of memory");
    make_cells(&b);
    for (unsigned i = 0; i < WARM + MEASURED; i++) {
        double take, evaluate;
        interval(&b, i, &take, &evaluate);
        if (i < WARM)
            continue;
        take_s += take / MEASURED;
        evaluate_s += evaluate / MEASURED;
        most_s = evaluate > most_s ? evaluate : most_s;
    }
    sj_watch_stats(b.watch, &stats);
    printf("%u rules, %u series, %u requests each: taking in %.2f ms, evaluating %.2f ms (at most %.2f), which is "
           "%.0f ns a rule and series; %.1f MiB, %zu series, %" PRIu64 " refused, %" PRIu64 " alerts told\n",
           b.rules, b.series, b.requests, take_s * 1e3, evaluate_s * 1e3, most_s * 1e3,
           evaluate_s * 1e9 / b.rules / b.series, (double)stats.bytes / (1 << 20), stats.series, stats.refused,
           b.alerts);
    sj_watch_free(b.watch);
    sj_config_free(config);
    for (int i = 0; i < SLICES; i++) {
        sj_hist_free(&b.cells[i].total);
        sj_hist_free(&b.slow[i]);
    }
    free(text);
    return EX_OK;
}

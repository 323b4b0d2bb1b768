// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "series/cell.h"
#include "watch/watch.h"

/*
 * Plays rules and objectives through a made-up time:  play CONFIG <SCRIPT
 * Each line of the script is one of
 *
 *     r SERVICE LATENCY_NS REQUESTS ERRORS   so many requests, and how many of them were errors
 *     e MONO_NS REAL_NS                      an evaluation, at that time of both clocks
 *     s MONO_NS REAL_NS                      what is known is saved
 *     b MONO_NS REAL_NS                      the program begins again, with what was saved last
 *     a                                      all alerts that there are
 *
 * Each e prints what changed, each a what there is, one alert a line, and an empty line behind the last one:
 *
 *     NAME LONG_WINDOW SERVICE STATE NO_DATA ACTIVE_REAL_NS STARTS_REAL_NS ENDS_REAL_NS
 *
 * LONG_WINDOW is - for rules.
 */

struct play {
    struct sj_config *config;
    struct sj_watch *watch;
    struct sj_out saved;
};

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *fmt, ...)
{
    va_list ap;
    fputs("play: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(EX_DATAERR);
}

static int print(void *ctx, const struct sj_alert *a)
{
    (void)ctx;
    const char *window = sj_labels_get(&a->labels, "long_window");
    printf("%s %s %s %s %d %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", a->name, window ? window : "-",
           sj_labels_get(&a->labels, "service"), sj_alert_state_name(a->state), a->no_data, a->active_real_ns,
           a->starts_real_ns, a->ends_real_ns);
    return 0;
}

/* The next word of a line, which is cut there. */
static const char *word(char **line)
{
    char *w = strsep(line, " ");
    if (!w || !*w)
        die("a word is missing");
    return w;
}

static uint64_t number(char **line)
{
    const char *w = word(line);
    char *end;
    errno = 0;
    uint64_t n = strtoull(w, &end, 10);
    if (errno || *end || w[0] < '0' || w[0] > '9')
        die("no number: %s", w);
    return n;
}

/* As many requests as one likes, in no time: they are counted, not made one by one. */
static void requests(struct play *p, char *line)
{
    struct sj_hist slow = {0};
    struct sj_cell cell = {.error_total = &slow};
    const char *service = word(&line);
    const uint64_t latency_ns = number(&line), n = number(&line), errors = number(&line);
    if (errors > n)
        die("more errors than requests");
    cell.requests = n;
    cell.errors = errors;
    if (sj_hist_add_n(&cell.total, latency_ns, n) < 0 || sj_hist_add_n(&slow, latency_ns, errors) < 0)
        die("a histogram takes no more");
    const struct sj_slice slice = {
        .id = {service, "", "", SJ_ROLE_SERVER, SJ_PROTO_HTTP, 80},
        .cell = &cell,
    };
    if (sj_watch_wants(p->watch, &slice.id) && sj_watch_slice(p->watch, &slice) < 0)
        die("out of memory");
    sj_hist_free(&cell.total);
    sj_hist_free(&slow);
}

static struct sj_now moment(char *line)
{
    const uint64_t mono_ns = number(&line);
    return (struct sj_now){mono_ns, number(&line)};
}

static void save(struct play *p, struct sj_now now)
{
    struct sj_err err = {0};
    sj_out_fini(&p->saved);
    if (sj_out_init(&p->saved, -1, "memory", &err) < 0)
        die("%s", err.text);
    sj_watch_save(p->watch, now, &p->saved);
}

static void begin(struct play *p, struct sj_now now)
{
    struct sj_err err = {0};
    sj_watch_free(p->watch);
    p->watch = sj_watch_new(p->config, now);
    if (!p->watch)
        die("out of memory");
    if (p->saved.buf && sj_watch_restore(p->watch, p->saved.buf, p->saved.len, now, &err) < 0)
        die("%s", err.text);
}

static void step(struct play *p, char *line)
{
    const char what = *word(&line);
    if (!strchr("reasb", what))
        die("not understood: %c", what);
    if (what != 'b' && !p->watch)
        die("begin first");
    switch (what) {
    case 'r':
        requests(p, line);
        break;
    case 'a':
        if (sj_watch_alerts(p->watch, print, NULL) < 0)
            die("out of memory");
        putchar('\n');
        break;
    case 'e':
        if (sj_watch_evaluate(p->watch, moment(line), print, NULL) < 0)
            die("out of memory");
        putchar('\n');
        break;
    case 's':
        save(p, moment(line));
        break;
    default:
        begin(p, moment(line));
        break;
    }
}

int main(int argc, char **argv)
{
    struct play p = {0};
    struct sj_err err = {0};
    char *text, line[256];
    size_t n;
    if (argc != 2) {
        fputs("usage: play CONFIG <SCRIPT\n", stderr);
        return EX_USAGE;
    }
    if (sj_config_read(argv[1], &text, &n, &err) < 0 || sj_config_parse(text, n, argv[1], &p.config, &err) < 0)
        die("%s", err.text);
    free(text);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0])
            step(&p, line);
    }
    struct sj_watch_stats stats = {0};
    if (p.watch)
        sj_watch_stats(p.watch, &stats);
    if (stats.refused)
        die("%" PRIu64 " times something did not fit", stats.refused);
    sj_watch_free(p.watch);
    sj_out_fini(&p.saved);
    sj_config_free(p.config);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "export/exposition.h"
#include "export/report_json.h"
#include "serve/daemon.h"

#define PIECE ((size_t)256 << 10)

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t rss_bytes(void)
{
    char text[128], *second;
    sj_autofclose FILE *f = fopen("/proc/self/statm", "re");
    if (!f || !fgets(text, sizeof(text), f) || !(second = strchr(text, ' ')))
        return 0;
    return strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int put_metrics(struct sj_daemon *d, const struct sj_snapshot *snap, uint8_t format, struct sj_out *out)
{
    struct sj_report_fits fits;
    sj_fits_of(d->fits, snap, &fits);
    const struct sj_exposition e = {
        .measurement = &d->measurement,
        .snapshot = snap,
        .fits = &fits,
        .status = &d->status,
        .watch = d->watch,
        .courier = d->courier_known ? &d->courier : NULL,
        .max_series = d->config->max_series,
        .now_real_ns = sj_daemon_now().real_ns,
        .collector_cpu_seconds = cpu_seconds(),
        .collector_rss_bytes = rss_bytes(),
    };
    return sj_exposition_write(out, (enum sj_exposition_format)format, &e);
}

static int put_report(struct sj_daemon *d, const struct sj_snapshot *snap, struct sj_out *out)
{
    double seconds = (double)(sj_daemon_now().mono_ns - d->measurement.start_mono_ns) / 1e9;
    const struct sj_outcome outcome = {
        .duration_s = seconds,
        .completeness = d->status.completeness,
        .kernel_seconds_per_request = d->status.kernel_seconds_per_request,
        .user_cpu_ratio = cpu_seconds() / seconds,
    };
    struct sj_report_fits fits;
    sj_fits_of(d->fits, snap, &fits);
    const struct sj_report report = {&d->measurement, &outcome, snap, &fits};
    return sj_report_json(out, &report, d->watch);
}

static int refuse(struct sj_daemon *d, uint32_t id, struct sj_err *err)
{
    return sj_channel_send(d->channel, SJ_MSG_BODY, SJ_MSG_LAST | SJ_MSG_FAILED, id, NULL, 0, err);
}

/* 0, or -1 without memory. */
static int make_body(struct sj_daemon *d, const struct sj_scrape *scrape, struct sj_out *out)
{
    struct sj_snapshot snap;
    if (sj_series_snapshot(d->series, &snap) < 0)
        return -1;
    int rc = scrape->what == SJ_SCRAPE_REPORT ? put_report(d, &snap, out) : put_metrics(d, &snap, scrape->format, out);
    sj_snapshot_free(&snap);
    return rc < 0 || out->error ? -1 : 0;
}

int sj_daemon_asked(struct sj_daemon *d, uint32_t id, const struct sj_scrape *scrape, struct sj_err *err)
{
    struct sj_answers *a = &d->answers;
    if (!d->ready || scrape->format >= SJ_EXPOSITION_MAX_ || a->n == SJ_ANSWERS_MAX)
        return refuse(d, id, err);
    a->waiting[a->n++] = (struct sj_question){id, *scrape};
    return 0;
}

/* The next one is made. */
static int begin(struct sj_daemon *d, struct sj_err *err)
{
    struct sj_answers *a = &d->answers;
    const struct sj_question q = a->waiting[0];
    memmove(a->waiting, a->waiting + 1, --a->n * sizeof(q));
    if (sj_out_init(&a->body, -1, "the answer", err))
        return refuse(d, q.id, err);
    if (make_body(d, &q.scrape, &a->body) < 0) {
        sj_out_fini(&a->body);
        return refuse(d, q.id, err);
    }
    a->sending = true;
    a->sent = 0;
    a->id = q.id;
    return 0;
}

/* What is sent is in the other process now: whole pages of it go, so that the two do not hold the answer twice. */
static void give_back(char *p, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), skip = (page - (uintptr_t)p % page) % page;
    if (n >= skip + page)
        madvise(p + skip, (n - skip) / page * page, MADV_DONTNEED);
}

static int send_piece(struct sj_daemon *d, struct sj_err *err)
{
    struct sj_answers *a = &d->answers;
    size_t left = a->body.len - a->sent, n = left < PIECE ? left : PIECE;
    uint16_t flags = n == left ? SJ_MSG_LAST : 0;
    if (sj_channel_send(d->channel, SJ_MSG_BODY, flags, a->id, a->body.buf + a->sent, n, err))
        return -1;
    give_back(a->body.buf + a->sent, n);
    a->sent += n;
    if (flags)
        sj_daemon_forget_answers(d);
    return 0;
}

int sj_daemon_answer(struct sj_daemon *d, struct sj_err *err)
{
    struct sj_answers *a = &d->answers;
    while ((a->sending || a->n > 0) && sj_channel_backlog(d->channel) < PIECE)
        if (a->sending ? send_piece(d, err) : begin(d, err))
            return -1;
    return 0;
}

void sj_daemon_forget_answers(struct sj_daemon *d)
{
    if (d->answers.sending)
        sj_out_fini(&d->answers.body);
    d->answers.sending = false;
}

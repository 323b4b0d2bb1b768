// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    const struct sj_exposition e = {
        .measurement = &d->measurement,
        .snapshot = snap,
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
    const struct sj_report report = {&d->measurement, &outcome, snap, NULL};
    return sj_report_json(out, &report, d->watch);
}

static int send_body(struct sj_daemon *d, uint32_t id, const struct sj_out *out, struct sj_err *err)
{
    size_t done = 0;
    do {
        size_t n = out->len - done < PIECE ? out->len - done : PIECE;
        uint16_t flags = done + n == out->len ? SJ_MSG_LAST : 0;
        if (sj_channel_send(d->channel, SJ_MSG_BODY, flags, id, out->buf + done, n, err))
            return -1;
        done += n;
    } while (done < out->len);
    return 0;
}

int sj_daemon_answer(struct sj_daemon *d, uint32_t id, const struct sj_scrape *scrape, struct sj_err *err)
{
    struct sj_snapshot snap;
    struct sj_out out;
    int failed = 0;
    if (sj_out_init(&out, -1, "the answer", err))
        return -1;
    if (!d->ready || scrape->format >= SJ_EXPOSITION_MAX_ || sj_series_snapshot(d->series, &snap) < 0) {
        failed = 1;
    } else {
        if (scrape->what == SJ_SCRAPE_REPORT)
            failed = put_report(d, &snap, &out) < 0;
        else
            failed = put_metrics(d, &snap, scrape->format, &out) < 0;
        sj_snapshot_free(&snap);
    }
    int status = failed || out.error
                     ? sj_channel_send(d->channel, SJ_MSG_BODY, SJ_MSG_LAST | SJ_MSG_FAILED, id, NULL, 0, err)
                     : send_body(d, id, &out, err);
    sj_out_fini(&out);
    return status;
}

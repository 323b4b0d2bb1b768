// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdio.h>

#include "export/exposition.h"

#include "made_report.h"

/* What a scrape is made from, over requests that a test adds to a series that it may go on using. */
struct made_exposition {
    struct sj_measurement measurement;
    struct sj_live_status status;
    struct sj_courier_status courier;
    struct sj_series *series;
    struct sj_snapshot snapshot;
    struct sj_exposition e;
    struct sj_out out;
};

static inline void made_exposition_limited(struct made_exposition *m, const struct sj_series_limits *limits)
{
    *m = (struct made_exposition){
        .measurement = made_measurement(),
        .status = {.kernel_seconds = NAN, .kernel_seconds_per_request = NAN},
        .series = sj_series_new(limits),
    };
    m->e = (struct sj_exposition){
        .measurement = &m->measurement,
        .snapshot = &m->snapshot,
        .status = &m->status,
        .max_series = 2000,
        .now_real_ns = m->measurement.start_real_ns + 60000000000U,
    };
    if (!m->series)
        abort();
    made_out(&m->out);
}

static inline void made_exposition_init(struct made_exposition *m, size_t rows)
{
    made_exposition_limited(m, &(struct sj_series_limits){.rows = rows, .bytes = (size_t)64 << 20});
}

static inline void made_exposition_add(struct made_exposition *m, const struct sj_request *r)
{
    if (sj_series_add(m->series, r) < 0)
        abort();
    m->status.completeness.detailed++;
}

/* Takes a picture and writes it; m->out.buf[0..m->out.len) is the result, with a NUL behind it. */
static inline const char *made_exposition_write(struct made_exposition *m, enum sj_exposition_format format)
{
    sj_snapshot_free(&m->snapshot);
    m->out.len = 0;
    if (sj_series_snapshot(m->series, &m->snapshot) < 0 || sj_exposition_write(&m->out, format, &m->e) < 0 ||
        m->out.error)
        abort();
    *sj_out_reserve(&m->out, 1) = '\0';
    return m->out.buf;
}

static inline void made_file(const char *folder, const char *name, const char *data, size_t n)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f))
        abort();
}

/* The same as a reader that is not ours understands it, a sample per line (exposition_read.py); to be freed. */
static inline char *made_exposition_read(struct made_exposition *m, enum sj_exposition_format format)
{
    static const char *const names[SJ_EXPOSITION_MAX_] = {"text", "openmetrics", "protobuf"};
    char folder[] = "/tmp/sj-exposition-XXXXXX", command[256];
    char *text = NULL;
    size_t size = 0;
    made_exposition_write(m, format);
    if (!mkdtemp(folder))
        abort();
    made_file(folder, "scrape", m->out.buf, m->out.len);
    snprintf(command, sizeof(command), "/usr/bin/python3 tests/unit/exposition_read.py %s %s/scrape; rm -r %s",
             names[format], folder, folder);
    FILE *said = popen(command, "r");
    if (!said || getdelim(&text, &size, '\0', said) <= 0 || pclose(said) != 0)
        abort();
    return text;
}

static inline bool made_has_line(const char *text, const char *line)
{
    size_t n = strlen(line);
    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, line, n) == 0 && (p[n] == '\n' || !p[n]))
            return true;
    }
    return false;
}

/* How many lines begin so. */
static inline size_t made_count_lines(const char *text, const char *start)
{
    size_t n = 0;
    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        n += strncmp(p, start, strlen(start)) == 0;
    }
    return n;
}

static inline void made_exposition_fini(struct made_exposition *m)
{
    sj_out_fini(&m->out);
    sj_snapshot_free(&m->snapshot);
    sj_series_free(m->series);
}

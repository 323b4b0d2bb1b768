// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/arena.h"
#include "watch/burn.h"
#include "watch/watch.h"
#include "watch/window.h"

/* What a watch is made of; for the files of this folder only. Times are on the clock that never jumps, in ns. */

/* An alert that is, or was of late. Where its rule is gone it owns what it needs to tell that it is over. */
struct sj_entry {
    struct sj_entry *next, *before;
    struct sj_point *point; /* who evaluates it; NULL: its rule or series is gone */
    char id[SJ_ALERT_ID_SIZE];
    struct sj_labels labels; /* owned, texts included, as is the next */
    struct sj_labels told;   /* annotations; only without a point */
    enum sj_alert_state state;
    bool no_data;
    bool changed; /* nobody was told yet */
    double value;
    int64_t active_ns;
    int64_t keep_ns; /* since when only keep_firing_for holds it; INT64_MIN: it does not */
    int64_t resolved_ns;
    uint64_t active_real_ns;
    uint64_t starts_real_ns;
    uint64_t ends_real_ns;
};

/* A rule, or one pair of burn rates of an SLO, that looks at a row. */
struct sj_point {
    struct sj_row *row;
    struct sj_entry *entry;
    double value;
    uint16_t rule; /* of the alerts, or of the SLOs */
    uint8_t pair;  /* of an SLO: enum sj_burn_pair */
    bool slo;
    uint8_t verdict; /* enum sj_verdict, of the latest evaluation */
    union {
        struct sj_window *window; /* of an alert; the row's */
        struct sj_burn *burn;     /* of an SLO; owned by its first point */
    };
};

/* A service as a whole, or an operation of it. Points of one window follow each other; those of SLOs come last. */
struct sj_row {
    struct sj_row *next; /* of the same slot */
    uint64_t hash;
    struct sj_series_id id; /* in text */
    bool whole;             /* id.operation is "" then, as it is for what has none */
    int64_t seen_ns;        /* the latest request */
    struct sj_window **windows;
    struct sj_point *points;
    uint32_t n_windows;
    uint32_t n_points;
    uint32_t n_alert_points; /* the first ones */
    uint32_t bytes;          /* that the budget knows of */
    char text[];
};

#define SJ_ROW_SLOTS 2048u

struct sj_watch {
    const struct sj_config *config;
    struct sj_budget budget;
    struct sj_tally tally;
    uint8_t *bytes;
    struct sj_row *rows[SJ_ROW_SLOTS];
    size_t n_rows;
    size_t n_burns;
    struct sj_entry *first, *last;
    size_t n_entries;
    size_t n_orphans; /* without a point */
    size_t entry_bytes;
    bool any_operation; /* does any match ask for operations? */
    struct sj_now now;  /* of the latest evaluation, or the start */
    struct sj_ticks ticks;
    struct sj_arena told; /* what was handed out last */
};

static inline struct sj_window_room sj_room(struct sj_watch *w)
{
    return (struct sj_window_room){&w->budget, &w->tally, w->bytes, &w->ticks};
}

/*
 * The moment by which burn rates count the interval that ends now: its middle, so that an interval that ends where a
 * slot does lies in that slot, and a window of whole slots that ends there is whole.
 */
static inline int64_t sj_burn_moment(const struct sj_watch *w, int64_t now_ns)
{
    return now_ns - (int64_t)w->config->interval_ns / 2;
}

int sj_watch_init(struct sj_watch *w, const struct sj_config *config, struct sj_now now);
void sj_watch_fini(struct sj_watch *w);

/* What a rule says of a window. */
enum sj_verdict { SJ_VERDICT_NO = 0, SJ_VERDICT_YES, SJ_VERDICT_NO_DATA };

/* The row of a series, made when it is new; NULL when there is no memory for it. */
struct sj_row *sj_row_get(struct sj_watch *w, const struct sj_series_id *id, bool whole);
struct sj_row *sj_row_find(const struct sj_watch *w, const struct sj_series_id *id, bool whole);
/* Takes it out of the table and frees it; its alerts must have left it. */
void sj_row_drop(struct sj_watch *w, struct sj_row *row);

/*
 * Does a rule want to know of it even when it does nothing, one that tells of missing data or of few requests? Such
 * series are still known after a restart.
 */
bool sj_row_awaited(const struct sj_watch *w, const struct sj_row *row);

/* A match's part that rows decide. */
bool sj_row_matches(const struct sj_match *m, const struct sj_series_id *id, bool whole);

/* Are these the labels of a point's alert? */
bool sj_point_has(const struct sj_watch *w, const struct sj_point *point, const struct sj_labels *labels);
/* The alert of a point: its labels and id. Inactive, unless there was one without a point. NULL without memory. */
struct sj_entry *sj_entry_new(struct sj_watch *w, struct sj_point *point);
/* An alert without a point, with labels and annotations copied. NULL without memory. */
struct sj_entry *sj_entry_orphan(struct sj_watch *w, const struct sj_alert *alert);
void sj_entry_drop(struct sj_watch *w, struct sj_entry *e);
/* The id of a point's alert. */
void sj_point_id(const struct sj_watch *w, const struct sj_point *point, char id[SJ_ALERT_ID_SIZE]);
/* Makes it independent of its rule: its annotations are copied as they are now. -ENOMEM. */
int sj_entry_keep(struct sj_watch *w, struct sj_entry *e);
/* Cuts it off its point, after that; from then on it can only be resolved. */
void sj_entry_detach(struct sj_watch *w, struct sj_entry *e);
/* As it is shown, without annotations if it has a point. */
void sj_entry_state(const struct sj_entry *e, struct sj_alert *out);
/* Gives one without a point to a point. */
void sj_entry_attach(struct sj_watch *w, struct sj_entry *e, struct sj_point *point);
/* As it is shown; strings live until the next call. -ENOMEM when annotations find no memory. */
int sj_entry_show(struct sj_watch *w, const struct sj_entry *e, struct sj_alert *out);

/* Goes on by one evaluation, after Prometheus's rules. -ENOMEM when a new alert finds no memory. */
int sj_entry_step(struct sj_watch *w, struct sj_point *point, enum sj_verdict verdict, double value, bool settled,
                  struct sj_now now);
/* The same for one without a point: it is over. */
void sj_entry_step_orphan(struct sj_entry *e, struct sj_now now);

/* Evaluates a condition over the sum in w->tally. */
enum sj_verdict sj_measure(const struct sj_alert_rule *rule, const struct sj_tally *t, double covered_s, bool filled,
                           double *value);

/* How long a resolved alert is still told. */
#define SJ_RESOLVED_NS (15LL * 60 * 1000000000)
/* Alerts that exist at once, and the memory that their texts take; more are refused, and counted. */
#define SJ_ENTRIES_MAX 2000u
#define SJ_ENTRY_BYTES_MAX ((size_t)2 << 20)
#define SJ_BURNS_MAX 128u

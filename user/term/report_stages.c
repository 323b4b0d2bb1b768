// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "term/fit_text.h"
#include "term/report_parts.h"
#include "term/table.h"

#define SERVICES_SHOWN 8
#define SHARE_SHOWN 0.0005

/* What fits beside the numbers and a list of causes. */
static size_t bar_width(const struct sj_screen *screen)
{
    return screen->width >= 140 ? 40 : screen->width >= 110 ? 24 : 12;
}

static bool is_narrow(const struct sj_screen *screen)
{
    return screen->width < 110;
}

char *sj_percent(char out[SJ_PERCENT_SIZE], double share)
{
    double v = 100 * share;
    int decimals = v < 0.995 ? 2 : v < 9.95 ? 1 : 0;
    snprintf(out, SJ_PERCENT_SIZE, "%.*f", v == 0 ? 0 : decimals, v);
    return out;
}

const char *sj_service_name(const struct sj_service_view *s)
{
    return s->rest ? SJ_REST_NAME : s->service[0] ? s->service : "?";
}

/* "sleep 30.1 %, net 7.6 %": the causes of blocking as shares of the total, those that matter. */
static void list_causes(char *out, size_t size, const struct sj_summed *s)
{
    char percent[SJ_PERCENT_SIZE];
    out[0] = '\0';
    for (int i = 0; i < SJ_CAUSE_MAX_; i++) {
        double share = sj_summed_cause_share(s, (enum sj_cause)i);
        size_t used = strlen(out);
        if (share >= SHARE_SHOWN)
            snprintf(out + used, size - used, "%s%s %s %%", used ? ", " : "", sj_cause_name((enum sj_cause)i),
                     sj_percent(percent, share));
    }
}

static void stage_row(struct sj_table *t, const struct sj_screen *screen, const struct sj_summed *s,
                      enum sj_stage stage)
{
    char bar[SJ_BAR_SIZE], text[SJ_HUMAN_SIZE], percent[SJ_PERCENT_SIZE], note[128] = "";
    double share = sj_summed_stage_share(s, stage);
    sj_table_cell(t, screen, sj_stage_title(stage), SJ_STYLE_PLAIN);
    snprintf(text, sizeof(text), "%s %%", sj_percent(percent, share));
    sj_table_cell(t, screen, text, SJ_STYLE_PLAIN);
    sj_screen_bar(bar, screen, share, bar_width(screen));
    sj_table_cell(t, screen, bar, stage == SJ_STAGE_QUEUE ? SJ_STYLE_NOTABLE : SJ_STYLE_PLAIN);
    sj_time_human(text, sj_summed_stage_mean(s, stage));
    sj_table_cell(t, screen, is_narrow(screen) ? "" : text, SJ_STYLE_PLAIN);
    sj_table_cell(t, screen, sj_time_human(text, sj_cell_stage_quantile(s->cell, stage, .5)), SJ_STYLE_PLAIN);
    sj_table_cell(t, screen, sj_time_human(text, sj_cell_stage_quantile(s->cell, stage, .99)), SJ_STYLE_PLAIN);
    if (stage == SJ_STAGE_BLOCKED)
        list_causes(note, sizeof(note), s);
    sj_table_cell(t, screen, note, SJ_STYLE_DIM);
}

static void put_title(struct sj_out *out, const struct sj_screen *screen, const struct sj_service_view *s)
{
    char mean[SJ_HUMAN_SIZE], count[SJ_HUMAN_SIZE];
    sj_out_printf(out, "\n%s", sj_style_on(screen, SJ_STYLE_BOLD));
    sj_screen_text(out, screen, sj_service_name(s));
    if (s->port && !s->rest)
        sj_out_printf(out, ":%u", s->port);
    sj_out_printf(out, "%s %s", sj_style_off(screen, SJ_STYLE_BOLD), sj_role_name((enum sj_role)s->role));
    sj_out_printf(out, ", mean %s", sj_time_human(mean, sj_hist_mean(s->total)));
    if (s->cell->interleaved)
        sj_out_printf(out, ", %s interleaved (on-cpu and busy are attributions)",
                      sj_count_human(count, s->cell->interleaved));
    sj_out_text(out, "\n");
}

/* Has it anything to say about stages: is there one with a share that would be shown? */
static bool tells_stages(const struct sj_report *r, const struct sj_service_view *s)
{
    struct sj_summed sum = sj_summed_service(s);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        if (sj_summed_has_stage(&sum, r, s->role, (enum sj_stage)i) &&
            sj_summed_stage_share(&sum, (enum sj_stage)i) >= SHARE_SHOWN)
            return true;
    return false;
}

/* "fit: lognormal (quantiles within 3.0 %), p99.9 41.2 ms (36.7 ms to 45.2 ms)", on two lines where one is too long. */
static void put_fit(struct sj_out *out, const struct sj_screen *screen, const struct sj_fit_result *fit)
{
    if (!fit)
        return;
    sj_out_text(out, "  fit: ");
    sj_fit_text_best(out, fit, is_narrow(screen) ? ",\n       " : ", ");
    sj_out_text(out, "\n");
}

static int put_service(struct sj_out *out, const struct sj_screen *screen, const struct sj_report *r,
                       const struct sj_service_view *s)
{
    const struct sj_column columns[] = {
        {.title = "", .width = 9},
        {.title = "SHARE", .right = true, .width = 6},
        {.title = "", .width = (uint8_t)bar_width(screen)},
        {.title = "MEAN", .right = true, .width = 8},
        {.title = "P50", .right = true, .width = 8},
        {.title = "P99", .right = true, .width = 8},
        {.title = "", .drop = 1},
    };
    struct sj_summed sum = sj_summed_service(s);
    struct sj_table *t = sj_table_new(columns, sizeof(columns) / sizeof(columns[0]));
    if (!t)
        return -ENOMEM;
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        if (sj_summed_has_stage(&sum, r, s->role, (enum sj_stage)i) &&
            sj_summed_stage_share(&sum, (enum sj_stage)i) >= SHARE_SHOWN)
            stage_row(t, screen, &sum, (enum sj_stage)i);
    put_title(out, screen, s);
    int rc = tells_stages(r, s) ? sj_table_print(t, out, screen, 2, true) : 0;
    sj_table_free(t);
    put_fit(out, screen, sj_report_fit(r, s));
    return rc;
}

int sj_report_stages(struct sj_out *out, const struct sj_screen *screen, const struct sj_report *r)
{
    size_t shown = 0;
    for (size_t i = 0; i < r->snapshot->n_services && shown < SERVICES_SHOWN; i++) {
        const struct sj_service_view *s = &r->snapshot->services[i];
        if (!tells_stages(r, s) && !sj_report_fit(r, s))
            continue;
        shown++;
        if (put_service(out, screen, r, s) < 0)
            return -ENOMEM;
    }
    return 0;
}

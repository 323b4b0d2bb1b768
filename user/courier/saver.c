// SPDX-License-Identifier: GPL-3.0-or-later
#include "courier/saver.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"

#define RETRY_NS (5 * SJ_SECOND_NS)
#define AGAIN_NS (600 * SJ_SECOND_NS)

struct save {
    struct sj_job job; /* first */
    struct sj_saver *saver;
    enum sj_state_kind kind;
    struct sj_out out;
    struct sj_err err;
    int rc;
};

struct sj_saver {
    struct sj_worker *worker;
    struct sj_state_dir *dir;
    struct sj_saver_hooks hooks;
    bool changed[SJ_STATE_MAX_], busy[SJ_STATE_MAX_];
    bool failed[SJ_STATE_MAX_]; /* its last save, or there was none for that */
    uint64_t not_before_ns;     /* after a failure */
    uint64_t told_ns;           /* when that was told; 0: all is well */
    uint64_t errors;
    bool last; /* no more retries: the end */
};

static void run(struct sj_job *job)
{
    struct save *s = (struct save *)job;
    s->rc = sj_state_save(s->saver->dir, s->kind, s->out.buf, s->out.len, &s->err);
}

/* A nearly full disk may take one file and not the other: all is well again when it has taken both. */
static bool any_failed(const struct sj_saver *s)
{
    bool any = false;
    for (int i = 0; i < SJ_STATE_MAX_; i++)
        any = any || s->failed[i];
    return any;
}

static void settle(struct sj_saver *s, enum sj_state_kind kind, bool ok, const struct sj_err *err)
{
    uint64_t now = sj_mono_ns();
    s->failed[kind] = !ok;
    if (ok) {
        if (s->told_ns && !any_failed(s)) {
            sj_complain(EX_OK, "the state is saved again");
            s->told_ns = 0;
        }
        return;
    }
    s->errors++;
    s->not_before_ns = now + RETRY_NS;
    if (s->told_ns && now - s->told_ns < AGAIN_NS)
        return;
    s->told_ns = now;
    sj_complain(err->status, "%s; alerts do not survive a restart until that is mended", err->text);
}

static void begin(struct sj_saver *s, enum sj_state_kind kind);

static void done(struct sj_job *job)
{
    struct save *save = (struct save *)job;
    struct sj_saver *s = save->saver;
    enum sj_state_kind kind = save->kind;
    bool ok = save->rc == 0;
    settle(s, kind, ok, &save->err);
    sj_out_fini(&save->out);
    free(save);
    s->busy[kind] = false;
    if (!ok)
        s->changed[kind] = true;
    s->hooks.saved(s->hooks.ctx, kind, ok);
    if (!s->last)
        begin(s, kind);
}

static void begin(struct sj_saver *s, enum sj_state_kind kind)
{
    if (!s->changed[kind] || s->busy[kind] || (!s->last && sj_mono_ns() < s->not_before_ns))
        return;
    struct save *save = calloc(1, sizeof(*save));
    if (!save || sj_out_init(&save->out, -1, "the state", NULL) < 0) {
        free(save); /* later, perhaps */
        return;
    }
    save->job = (struct sj_job){.run = run, .done = done};
    save->saver = s;
    save->kind = kind;
    s->hooks.make(s->hooks.ctx, kind, &save->out);
    if (save->out.error) {
        sj_out_fini(&save->out);
        free(save);
        return;
    }
    s->changed[kind] = false;
    s->busy[kind] = true;
    sj_worker_add(s->worker, &save->job);
}

struct sj_saver *sj_saver_new(struct event_base *base, struct sj_state_dir *dir, const struct sj_saver_hooks *hooks,
                              struct sj_err *err)
{
    struct sj_saver *s = calloc(1, sizeof(*s));
    if (!s) {
        sj_err_set(err, EX_OSERR, "out of memory");
        return NULL;
    }
    s->worker = sj_worker_new(base, err);
    if (!s->worker) {
        free(s);
        return NULL;
    }
    s->dir = dir;
    s->hooks = *hooks;
    return s;
}

void sj_saver_cannot(struct sj_saver *s)
{
    s->told_ns = sj_mono_ns();
    s->not_before_ns = s->told_ns + RETRY_NS;
    for (int i = 0; i < SJ_STATE_MAX_; i++)
        s->failed[i] = s->changed[i] = true;
}

void sj_saver_touch(struct sj_saver *s, enum sj_state_kind kind)
{
    s->changed[kind] = true;
    if (sj_mono_ns() >= s->not_before_ns) {
        begin(s, kind);
        return;
    }
    /* The disk is known not to work: nobody waits for it. */
    s->failed[kind] = true;
    s->hooks.saved(s->hooks.ctx, kind, false);
}

void sj_saver_tick(struct sj_saver *s)
{
    for (int i = 0; i < SJ_STATE_MAX_; i++)
        begin(s, (enum sj_state_kind)i);
}

uint64_t sj_saver_errors(const struct sj_saver *s)
{
    return s->errors;
}

void sj_saver_free(struct sj_saver *s)
{
    if (!s)
        return;
    s->last = true;
    sj_worker_finish(s->worker);
    sj_saver_tick(s);
    sj_worker_free(s->worker);
    sj_state_close(s->dir);
    free(s);
}

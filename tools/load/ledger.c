// SPDX-License-Identifier: GPL-3.0-or-later
#include "ledger.h"

#include "base/json.h"
#include "stat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

const char *const sj_cost_names[SJ_COST_MAX_] = {
    [SJ_COST_CPU] = "cpu",         [SJ_COST_BUSY] = "busy",       [SJ_COST_RUNQ] = "runq",
    [SJ_COST_SLEEP] = "sleep",     [SJ_COST_FUTEX] = "futex",     [SJ_COST_FSYNC] = "fsync",
    [SJ_COST_SEND] = "send",       [SJ_COST_HANDOFF] = "handoff", [SJ_COST_DOWNSTREAM] = "downstream",
    [SJ_COST_SERVICE] = "service",
};

struct sj_ledger *sj_ledger_open(struct sj_err *err)
{
    void *at =
        mmap(NULL, sizeof(struct sj_ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        sj_fail(err, EX_OSERR, "cannot map the shared counters: %s", strerror(errno));
        return NULL;
    }
    return at;
}

void sj_ledger_close(struct sj_ledger *ledger)
{
    if (ledger)
        munmap(ledger, sizeof(*ledger));
}

void sj_ledger_sample(struct sj_ledger *ledger, const uint64_t costs[static SJ_COST_MAX_])
{
    uint64_t i = atomic_fetch_add(&ledger->n_samples, 1);
    if (i < SJ_LEDGER_SAMPLES)
        memcpy(ledger->samples[i].costs, costs, sizeof(ledger->samples[i].costs));
}

static void cost_json(struct sj_ledger *ledger, enum sj_cost cost, struct sj_json *w)
{
    struct sj_stat stat = {0};
    uint64_t n = atomic_load(&ledger->n_samples);
    for (uint64_t i = 0; i < n && i < SJ_LEDGER_SAMPLES; i++)
        sj_stat_add(&stat, ledger->samples[i].costs[cost]);
    sj_json_key(w, sj_cost_names[cost]);
    sj_stat_json(&stat, w);
    sj_stat_free(&stat);
}

static void statuses_json(struct sj_ledger *ledger, struct sj_json *w)
{
    sj_json_key(w, "status");
    sj_json_object(w);
    for (int i = 0; i < SJ_LEDGER_STATUSES; i++) {
        uint64_t n = atomic_load(&ledger->statuses[i]);
        char code[16];
        if (!n)
            continue;
        snprintf(code, sizeof(code), "%d", i);
        sj_json_key(w, code);
        sj_json_uint(w, n);
    }
    sj_json_object_end(w);
}

void sj_ledger_json(struct sj_ledger *ledger, struct sj_out *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"served", atomic_load(&ledger->served)},           {"unanswered", atomic_load(&ledger->unanswered)},
        {"failed", atomic_load(&ledger->failed)},           {"bad", atomic_load(&ledger->bad)},
        {"echoed", atomic_load(&ledger->echoed)},           {"in_service", atomic_load(&ledger->in_service)},
        {"connections", atomic_load(&ledger->connections)}, {"bytes_in", atomic_load(&ledger->bytes_in)},
        {"bytes_out", atomic_load(&ledger->bytes_out)},
    };
    struct sj_json w;
    sj_json_init(&w, out, false);
    sj_json_object(&w);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        sj_json_key(&w, counts[i].name);
        sj_json_uint(&w, counts[i].value);
    }
    statuses_json(ledger, &w);
    sj_json_key(&w, "stages");
    sj_json_object(&w);
    for (int i = 0; i < SJ_COST_SERVICE; i++)
        cost_json(ledger, (enum sj_cost)i, &w);
    sj_json_object_end(&w);
    cost_json(ledger, SJ_COST_SERVICE, &w);
    cost_json(ledger, SJ_COST_SEND, &w);
    sj_json_object_end(&w);
    sj_out_text(out, "\n");
}

// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What the kernel's verifier makes of a BPF object: loads every program, attaches none, and prints for each the
 * instructions that were processed, taken from the verifier's own words, since kernels before 5.16 tell them nowhere
 * else. A program that is refused is shown with the end of the verifier's log.
 *
 *   verifier FILE.bpf.o...
 *
 * One line a program, "verified FILE PROGRAM INSTRUCTIONS", or "refused FILE PROGRAM" when the kernel has none of its
 * kind and did not even look at it. Exit status 0; 1 when the verifier refused one.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "probe/lockdown.h"

#define PROGRAMS 64
#define STATS 4 /* log level: the summary alone */
#define STATS_BYTES 4096
#define LOG_BYTES (16 << 20)
#define TOLD_BYTES 3000

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
    (void)level;
    (void)fmt;
    (void)ap;
    return 0;
}

/* From "processed 1234 insns (limit 1000000) ..."; -1 when the verifier did not get as far as that. */
static long processed(const char *log)
{
    const char *found = NULL;
    for (const char *p = log; (p = strstr(p, "processed ")) != NULL; p++)
        found = p;
    return found ? strtol(found + strlen("processed "), NULL, 10) : -1;
}

static void tell_end(const char *log)
{
    size_t n = strlen(log);
    fprintf(stderr, "%s\n", log + (n > TOLD_BYTES ? n - TOLD_BYTES : 0));
}

/* Loads one program of the file with the whole log, to show why it is refused. */
static void explain(const char *path, const char *name)
{
    struct bpf_object *obj = bpf_object__open_file(path, NULL);
    char *log = calloc(1, LOG_BYTES);
    struct bpf_program *prog;
    if (!obj || !log)
        exit(1);
    bpf_object__for_each_program(prog, obj)
    {
        bool wanted = strcmp(bpf_program__name(prog), name) == 0;
        bpf_program__set_autoload(prog, wanted);
        if (wanted) {
            bpf_program__set_log_buf(prog, log, LOG_BYTES);
            bpf_program__set_log_level(prog, 1);
        }
    }
    bpf_object__load(obj);
    tell_end(log);
    free(log);
    bpf_object__close(obj);
}

struct attempt {
    const char *path;
    const char *without[PROGRAMS]; /* programs that are left out */
    unsigned n_without;
    char *logs; /* STATS_BYTES for each program */
};

static bool left_out(const struct attempt *a, const char *name)
{
    for (unsigned i = 0; i < a->n_without; i++)
        if (strcmp(a->without[i], name) == 0)
            return true;
    return false;
}

/* Opens the object, prepared so that the verifier tells its sums. */
static struct bpf_object *prepare(struct attempt *a)
{
    struct bpf_object *obj = bpf_object__open_file(a->path, NULL);
    struct bpf_program *prog;
    unsigned n = 0;
    memset(a->logs, 0, (size_t)PROGRAMS * STATS_BYTES);
    if (!obj)
        return NULL;
    bpf_object__for_each_program(prog, obj)
    {
        if (n == PROGRAMS)
            break;
        bpf_program__set_autoload(prog, !left_out(a, bpf_program__name(prog)));
        bpf_program__set_log_buf(prog, a->logs + (size_t)n++ * STATS_BYTES, STATS_BYTES);
        bpf_program__set_log_level(prog, STATS);
    }
    return obj;
}

/* The object gives up with the program that is refused: the last one that left a log. */
static const struct bpf_program *last_with_log(struct bpf_object *obj, const char *logs, const char **log)
{
    const struct bpf_program *last = NULL;
    struct bpf_program *prog;
    unsigned n = 0;
    bpf_object__for_each_program(prog, obj)
    {
        const char *its = logs + (size_t)n++ * STATS_BYTES;
        if (its[0]) {
            last = prog;
            *log = its;
        }
    }
    return last;
}

static void tell(struct bpf_object *obj, const struct attempt *a)
{
    struct bpf_program *prog;
    unsigned n = 0;
    bpf_object__for_each_program(prog, obj)
    {
        const char *log = a->logs + (size_t)n++ * STATS_BYTES;
        if (log[0])
            printf("verified %s %s %ld\n", a->path, bpf_program__name(prog), processed(log));
    }
}

/* 1: refused; 0: loaded, or to be tried again without one more program, when *again. */
static int try(struct attempt *a, bool *again)
{
    const char *log = "";
    struct bpf_object *obj = prepare(a);
    *again = false;
    if (!obj) {
        fprintf(stderr, "%s: %s\n", a->path, strerror(errno));
        return 1;
    }
    int error = bpf_object__load(obj);
    const struct bpf_program *refused = error ? last_with_log(obj, a->logs, &log) : NULL;
    if (!error) {
        tell(obj, a);
    } else if (refused && processed(log) == 0 && a->n_without < PROGRAMS) {
        /* not the verifier's word: this kernel has no such programs */
        a->without[a->n_without++] = strdup(bpf_program__name(refused));
        printf("refused %s %s\n", a->path, bpf_program__name(refused));
        *again = true;
    } else {
        fprintf(stderr, "%s: %s refused: %s\n", a->path, refused ? bpf_program__name(refused) : "the object",
                strerror(-error));
        if (refused)
            explain(a->path, bpf_program__name(refused));
    }
    bpf_object__close(obj);
    return error && !*again;
}

static int verify(const char *path)
{
    struct attempt a = {.path = path, .logs = calloc(PROGRAMS, STATS_BYTES)};
    bool again = true;
    int status = !a.logs;
    while (!status && again)
        status = try(&a, &again);
    free(a.logs);
    return status;
}

int main(int argc, char **argv)
{
    int status = argc < 2;
    /* kernels before 5.11 count BPF memory against it; elsewhere it does not matter */
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &unlimited);
    libbpf_set_print(quiet);
    struct sj_lockdown *lockdown = sj_lockdown_hides_kernel() ? sj_lockdown_begin() : NULL;
    for (int i = 1; i < argc; i++)
        status |= verify(argv[i]);
    sj_lockdown_end(lockdown);
    return status;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <bpf/libbpf.h>
#include <stddef.h>

#include "base/err.h"

/*
 * A BPF object of which everything is found by its name: programs, maps, settings and variables. So whoever uses it
 * need not know which probe set it is.
 */
struct sj_object {
    struct bpf_object *bpf;
    void *variables; /* .bss, shared with the kernel once it is loaded */
    size_t variables_len;
};

/* Opens the object that lies in memory, which must stay. 0, or -1 with *err: EX_SOFTWARE. Closed by the caller. */
int sj_object_open(struct sj_object *o, const void *elf, size_t len, struct sj_err *err);
void sj_object_close(struct sj_object *o);

/* Sets a variable of .rodata, which has exactly this size; before the object is loaded. A name that is none is a bug.
 */
void sj_object_set(struct sj_object *o, const char *name, const void *value, size_t size);

/* Loads. 0, or -1 with errno. */
int sj_object_load(struct sj_object *o);

/* NULL when there is none of that name. */
struct bpf_program *sj_object_program(const struct sj_object *o, const char *name);
/* -1 when there is none. */
int sj_object_map_fd(const struct sj_object *o, const char *name);

/* A variable of .bss, shared with the kernel; after the object was loaded. A name or a size that is wrong is a bug. */
void *sj_object_variable(const struct sj_object *o, const char *name, size_t size);

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * The probe sets: the same maps, settings and variables under the same names, and programs of which all that differs is
 * said here.
 */
struct sj_probe_set {
    const char *name;
    const void *(*elf)(size_t *len); /* the object, built in */
    /* Its tracepoints' programs, in the order in which they are attached. */
    const struct sj_probe_program {
        const char *name;
        const char *tracepoint;
        bool listeners; /* attached before the listeners that are there already are noted */
        bool clock;     /* of the thread clock alone */
        bool counts;    /* a run that the kernel skips is a message that nobody has seen */
    } * programs;
    const char *walk;  /* the kind of walk over the state of sockets; they may also be found among open files */
    bool reads_kernel; /* by bpf_probe_read_kernel(), which lockdown=confidentiality forbids */
};

/* In the order in which they are preferred; ends with NULL. */
extern const struct sj_probe_set *const sj_probe_sets[];

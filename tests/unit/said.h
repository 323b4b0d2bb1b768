// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What is said on a standard descriptor from listen_to() to stop_listening(). */
struct said {
    char text[16384];
    FILE *file;
    int fd;
    int saved;
};

static inline void listen_to(struct said *s, int fd)
{
    s->file = tmpfile();
    if (!s->file)
        abort();
    s->fd = fd;
    s->saved = dup(fd);
    fflush(NULL);
    dup2(fileno(s->file), fd);
}

static inline void stop_listening(struct said *s)
{
    fflush(NULL);
    dup2(s->saved, s->fd);
    close(s->saved);
    rewind(s->file);
    s->text[fread(s->text, 1, sizeof(s->text) - 1, s->file)] = '\0';
    fclose(s->file);
}

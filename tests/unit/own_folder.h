// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A folder for one test, or one group of them, which is gone afterwards with the files that are in it. */

static char own_folder[32];

static inline int make_own_folder(void **state)
{
    (void)state;
    snprintf(own_folder, sizeof(own_folder), "/tmp/sj-test-XXXXXX");
    return mkdtemp(own_folder) ? 0 : -1;
}

static inline void remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

static inline int drop_own_folder(void **state)
{
    (void)state;
    remove_folder(own_folder);
    return 0;
}

/* The path of a file there. Two of them are good at a time. */
static inline char *path_of(const char *name)
{
    static _Thread_local char paths[2][96];
    static _Thread_local unsigned turn;
    char *path = paths[turn++ % 2];
    snprintf(path, sizeof(paths[0]), "%s/%s", own_folder, name);
    return path;
}

static inline void write_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

#define IN_OWN_FOLDER(name) cmocka_unit_test_setup_teardown(name, make_own_folder, drop_own_folder)

// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Runs a fuzz target on its committed corpus without libFuzzer, as TAP: every input that was once of interest stays a
 * test, under whatever sanitizers the build has. Called replay_<x>, it reads tests/fuzz/corpus/<x>/.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20 };

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* A copy of exactly the input's size lets the sanitizer see the first byte read beyond it. */
static int run_file(const char *path)
{
    sj_autofclose FILE *file = fopen(path, "rb");
    sj_autofree uint8_t *buffer = malloc(INPUT_MAX);
    if (!file || !buffer)
        return -1;
    size_t size = fread(buffer, 1, INPUT_MAX, file);
    if (ferror(file))
        return -1;
    sj_autofree uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        return -1;
    memcpy(exact, buffer, size);
    LLVMFuzzerTestOneInput(exact, size);
    return 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 0 ? strstr(argv[0], "replay_") : NULL;
    if (!name)
        return EXIT_FAILURE;
    char folder[256];
    snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", name + strlen("replay_"));

    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, visible, alphasort);
    if (n < 0)
        n = 0;
    printf("1..%d\n", n + 1);
    sj_autofree uint8_t *nothing = malloc(1);
    if (nothing)
        LLVMFuzzerTestOneInput(nothing, 0);
    printf("ok 1 - nothing at all\n");

    int failed = 0;
    for (int i = 0; i < n; i++) {
        char path[sizeof(folder) + sizeof(entries[i]->d_name) + 2];
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        fflush(stdout);
        int rc = run_file(path);
        printf("%s %d - %s\n", rc ? "not ok" : "ok", i + 2, entries[i]->d_name);
        failed += rc != 0;
        free(entries[i]);
    }
    free(entries);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

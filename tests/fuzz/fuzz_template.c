// SPDX-License-Identifier: GPL-3.0-or-later
/* A webhook's template, and after a NUL what labels say: whatever is put together is JSON. */
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "notify/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(const struct sj_template *t, const char *text, bool firing, double value)
{
    struct sj_label labels[] = {{"alertname", text}, {"service", text}};
    const struct sj_alert alert = {.id = "0123456789abcdef",
                                   .name = text,
                                   .labels = {labels, 2},
                                   .annotations = {labels, 1},
                                   .value = value,
                                   .starts_real_ns = 1795636800000000000,
                                   .ends_real_ns = UINT64_MAX};
    const struct sj_notice notice = {.alert = &alert, .firing = firing, .host = text};
    struct sj_out out;
    expect(sj_out_init(&out, -1, "memory", NULL) == 0);
    sj_template_write(t, &notice, &out);
    expect(!out.error);
    json_t *json = json_loadb(out.buf, out.len, 0, NULL);
    expect(json != NULL);
    json_decref(json);
    sj_out_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sj_template *t = NULL;
    struct sj_err err = {.status = 0};
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - data) : size;
    char *text = calloc(1, size - n + 1);
    char *exact = malloc(n ? n : 1);
    expect(text && exact);
    if (nul)
        memcpy(text, nul + 1, size - n - 1);
    memcpy(exact, data, n);
    if (sj_template_parse(exact, n, "f.json", &t, &err) < 0) {
        expect_told(&err);
        expect(strncmp(err.text, "f.json:", 7) == 0);
    } else {
        fill(t, text, true, 1.5);
        fill(t, text, false, NAN);
        sj_template_free(t);
    }
    free(text);
    free(exact);
    return 0;
}

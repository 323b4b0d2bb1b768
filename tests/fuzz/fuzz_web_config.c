// SPDX-License-Identifier: GPL-3.0-or-later
/* The web configuration file: TLS, users and headers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "web/web_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What goes into the head of a reply breaks no line there. */
static void expect_line(const char *text)
{
    for (; *text; text++)
        expect((unsigned char)*text >= 0x20 && *text != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sj_web_config *c = NULL;
    struct sj_err err = {.status = 0};
    if (sj_web_config_parse((const char *)data, size, "dir/f.yml", &c, &err) < 0) {
        expect(!c);
        expect_told(&err);
        expect(strncmp(err.text, "dir/f.yml:", 10) == 0);
        return 0;
    }
    expect(!c->tls || (c->cert_file[0] && c->key_file[0]));
    expect(c->n_users <= SJ_WEB_USERS_MAX);
    for (size_t i = 0; i < c->n_users; i++)
        expect(c->users[i].name[0] && !strchr(c->users[i].name, ':') && strlen(c->users[i].hash) == 60);
    for (size_t i = 0; i < c->n_headers; i++) {
        expect_line(c->headers[i].name);
        expect_line(c->headers[i].value);
    }
    sj_web_config_free(c);
    return 0;
}

// SPDX-License-Identifier: GPL-3.0-or-later
/* What a client sends to the daemon: the head of a request, whole and in every cut; URLs and what receivers answer. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "net/http_client.h"
#include "net/url.h"
#include "web/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CUTS_MAX = 300 };

static char *copy_of(const uint8_t *data, size_t n)
{
    char *copy = malloc(n + 1);
    expect(copy != NULL);
    memcpy(copy, data, n);
    copy[n] = '\0';
    return copy;
}

static void expect_within(const char *value, const char *begin, const char *end)
{
    expect(!value || (value >= begin && value < end && memchr(value, '\0', (size_t)(end - value))));
}

static int parse(const uint8_t *data, size_t n)
{
    struct sj_http_head head;
    char *bytes = malloc(n ? n : 1); /* of just that size */
    expect(bytes != NULL);
    memcpy(bytes, data, n);
    int rc = sj_http_head_parse(bytes, n, &head);
    expect(rc == 0 || rc == -400 || rc == -414 || rc == -431 || rc == -505 || (rc > 0 && (size_t)rc <= n));
    expect(rc <= SJ_HTTP_HEAD_MAX);
    expect(rc != 0 || memcmp(bytes, data, n) == 0);
    expect(memchr(head.path, '\0', sizeof(head.path)) != NULL);
    if (rc > 0) {
        expect(head.method == SJ_HTTP_OTHER || head.path[0] == '/');
        expect_within(head.accept, bytes, bytes + rc);
        expect_within(head.accept_encoding, bytes, bytes + rc);
        expect_within(head.authorization, bytes, bytes + rc);
        sj_http_list_has(head.accept_encoding, "gzip");
    }
    free(bytes);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sj_url url;
    struct sj_err err = {.status = 0};
    int whole = parse(data, size);
    for (size_t cut = 0; cut < size && cut < CUTS_MAX; cut++) {
        int rc = parse(data, cut);
        /* nothing is decided by a part that the whole does not decide as well */
        expect(rc == 0 || rc == whole);
        expect(whole <= 0 || cut >= (size_t)whole || rc == 0);
    }
    char *text = copy_of(data, size);
    sj_http_list_has(text, "gzip");
    sj_http_retry_after(text, 1795636800);
    if (sj_url_parse(text, &url, &err) == 0) {
        expect(url.host[0] && url.port > 0 && url.target[0] == '/');
        free(url.target);
    } else {
        expect_told(&err);
    }
    free(text);
    return 0;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/endpoint.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "base/timefmt.h"

size_t sj_endpoint_text(char out[SJ_ENDPOINT_SIZE], const struct sj_endpoint *e)
{
    size_t n = 0;
    out[0] = '\0';
    if (e->family == AF_INET) {
        for (int i = 0; i < 4; i++) {
            n += sj_digits(out + n, e->addr[i]);
            out[n++] = i < 3 ? '.' : ':';
        }
    } else if (e->family == AF_INET6 && inet_ntop(AF_INET6, e->addr, out + 1, SJ_ENDPOINT_SIZE - 8)) {
        out[0] = '[';
        n = strlen(out);
        out[n++] = ']';
        out[n++] = ':';
    } else {
        return 0;
    }
    n += sj_digits(out + n, e->port);
    out[n] = '\0';
    return n;
}

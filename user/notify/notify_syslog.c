// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "notify/notify_attempt.h"

#define LINE_MAX_BYTES 1024 /* of RFC 3164 */

static int severity_number(const struct sj_notice *notice)
{
    const char *s = sj_notice_severity(notice);
    return !notice->firing ? 5 : s[0] == 'c' ? 2 : s[0] == 'e' ? 3 : s[0] == 'i' ? 6 : 4;
}

/* One line as RFC 3164 has it on the local socket: without a host's name, which the daemon there adds. */
static int make_line(const struct sj_notice *notice, int facility, char *line, size_t size)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char summary[256], safe[SJ_TEXT_ESCAPE_MAX * sizeof(summary)], name[256];
    time_t now = (time_t)(notice->now_real_ns / SJ_SECOND_NS);
    struct tm t;
    localtime_r(&now, &t);
    sj_text_printable(name, sizeof(name), notice->alert->name, true);
    sj_text_printable(safe, sizeof(safe), sj_notice_summary(notice, summary, sizeof(summary)), true);
    return snprintf(line, size, "<%d>%.3s %2d %02d:%02d:%02d sojourn[%d]: alert %s %s: %s (id %s)",
                    facility | severity_number(notice), months + 3 * t.tm_mon, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec,
                    (int)getpid(), name, sj_notice_status(notice), safe, notice->alert->id);
}

void sj_notify_syslog_send(struct sj_attempt *a, const struct sj_notice *notice)
{
    char line[LINE_MAX_BYTES];
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = a->notify->socket_path;
    int n = make_line(notice, a->notify->facility, line, sizeof(line));
    size_t length = n < 0 ? 0 : (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
    if (strlen(path) >= sizeof(to.sun_path)) {
        sj_attempt_settle(a, SJ_SEND_DOWN, "the path of its socket is too long");
        return;
    }
    memcpy(to.sun_path, path, strlen(path) + 1);
    sj_autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || sendto(fd, line, length, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to)) < 0)
        sj_attempt_settle(a, SJ_SEND_DOWN, "%s: %s", path, strerror(errno));
    else
        sj_attempt_settle(a, SJ_SEND_ACCEPTED, "done");
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "addr.h"
#include "clk.h"
#include "cmds.h"
#include "opt.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Random bytes in strict turns: an ask, then an answer. The first eight bytes of an ask, as random as the rest, say by
 * their hash how long the ask and its answer are and in how many writes they go, so both ends know the border of every
 * turn and nothing else does.
 */

#define LEAD 8
#define LONGEST 65536
#define USUAL 2048
#define MOST_CONNECTIONS 64
#define PATIENCE_NS (10 * SJ_NSEC_PER_SEC)

struct opts {
    bool help;
    const char *listen, *connect;
    uint64_t duration, seed, connections, gap;
};

/* One end of the conversations; the two ends of a process share nothing else. */
struct end {
    struct sj_addr addr;
    int listen_fd;
    uint64_t until, gap_ns;
    _Atomic uint64_t turns, bytes_asked, bytes_answered, broken;
};

struct talk {
    struct end *end;
    pthread_t thread;
    int fd;
    uint64_t random;
    char bytes[LONGEST];
};

/* What the lead of an ask says. */
struct shape {
    size_t ask, answer;
    size_t ask_cut, answer_cut; /* the first write's length */
};

static size_t length(uint64_t *state, size_t least)
{
    uint64_t r = sj_rand_next(state);
    size_t most = r % 16 ? USUAL : LONGEST;
    return least + (size_t)(r >> 8) % (most - least);
}

static struct shape shape_of(const char lead[static LEAD])
{
    uint64_t state;
    memcpy(&state, lead, sizeof(state));
    struct shape s = {.ask = length(&state, LEAD), .answer = length(&state, 1)};
    s.ask_cut = sj_rand_next(&state) % 4 ? s.ask : s.ask / 2;
    s.answer_cut = sj_rand_next(&state) % 4 ? s.answer : s.answer / 2;
    return s;
}

static void scramble(struct talk *talk, size_t from, size_t len)
{
    for (size_t i = from; i < from + len; i++)
        talk->bytes[i] = (char)(sj_rand_next(&talk->random) >> 32);
}

static bool send_exactly(int fd, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, bytes + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* 1: all of them, 0: the peer had closed before the first, -1: something else. */
static int recv_exactly(int fd, char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, bytes + at, len - at, 0);
        if (n <= 0)
            return n == 0 && at == 0 ? 0 : -1;
        at += (size_t)n;
    }
    return 1;
}

static bool send_in_two(const struct talk *talk, size_t len, size_t cut)
{
    return send_exactly(talk->fd, talk->bytes, cut) && send_exactly(talk->fd, talk->bytes + cut, len - cut);
}

static bool ask(struct talk *talk)
{
    scramble(talk, 0, LEAD);
    struct shape s = shape_of(talk->bytes);
    scramble(talk, LEAD, s.ask - LEAD);
    if (!send_in_two(talk, s.ask, s.ask_cut) || recv_exactly(talk->fd, talk->bytes, s.answer) != 1)
        return false;
    atomic_fetch_add(&talk->end->bytes_asked, s.ask);
    atomic_fetch_add(&talk->end->bytes_answered, s.answer);
    return true;
}

/* Like recv_exactly(), for one ask and its answer. */
static int answer(struct talk *talk)
{
    int rc = recv_exactly(talk->fd, talk->bytes, LEAD);
    if (rc != 1)
        return rc;
    struct shape s = shape_of(talk->bytes);
    if (s.ask > LEAD && recv_exactly(talk->fd, talk->bytes, s.ask - LEAD) != 1)
        return -1;
    scramble(talk, 0, s.answer);
    return send_in_two(talk, s.answer, s.answer_cut) ? 1 : -1;
}

static void *asking(void *arg)
{
    struct talk *talk = arg;
    while (sj_clk_now() < talk->end->until) {
        if (!ask(talk)) {
            atomic_fetch_add(&talk->end->broken, 1);
            break;
        }
        atomic_fetch_add(&talk->end->turns, 1);
        if (talk->end->gap_ns)
            sj_clk_sleep_until(sj_clk_now() + talk->end->gap_ns);
    }
    close(talk->fd);
    return NULL;
}

static void *answering(void *arg)
{
    struct talk *talk = arg;
    int rc;
    while ((rc = answer(talk)) == 1)
        atomic_fetch_add(&talk->end->turns, 1);
    if (rc < 0)
        atomic_fetch_add(&talk->end->broken, 1);
    close(talk->fd);
    return NULL;
}

/* Starts a conversation on fd in a thread of its own; owns fd from here on. */
static struct talk *start(struct end *end, int fd, uint64_t seed, void *(*run)(void *))
{
    struct talk *talk = malloc(sizeof(*talk));
    if (talk) {
        talk->end = end;
        talk->fd = fd;
        talk->random = seed;
        sj_addr_no_delay(fd, &end->addr);
        sj_addr_bound(fd, PATIENCE_NS);
        if (pthread_create(&talk->thread, NULL, run, talk) == 0)
            return talk;
    }
    free(talk);
    close(fd);
    return NULL;
}

static void join_all(struct talk **talks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pthread_join(talks[i]->thread, NULL);
        free(talks[i]);
    }
}

/* Accepts until the time is over, then waits for the conversations to end. */
static void *serve(void *arg)
{
    struct end *end = arg;
    struct talk *talks[MOST_CONNECTIONS];
    size_t n = 0;
    for (uint64_t now = sj_clk_now(); now < end->until && n < MOST_CONNECTIONS; now = sj_clk_now()) {
        struct pollfd p = {.fd = end->listen_fd, .events = POLLIN};
        if (poll(&p, 1, (int)((end->until - now) / 1000000) + 1) <= 0)
            continue;
        int fd = accept4(end->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        talks[n] = start(end, fd, end->until + n, answering);
        n += talks[n] != NULL;
    }
    join_all(talks, n);
    return NULL;
}

static int call(struct end *end, const struct opts *o, struct sj_err *err)
{
    struct talk *talks[MOST_CONNECTIONS];
    char text[SJ_ADDR_TEXT];
    size_t n = 0;
    int rc = 0;
    for (uint64_t i = 0; i < o->connections && !rc; i++) {
        uint64_t seed = o->seed + (i << 32);
        int fd = sj_addr_connect(&end->addr, 0);
        sj_addr_text(&end->addr, text);
        if (fd < 0)
            rc = sj_fail(err, EX_UNAVAILABLE, "cannot connect to %s: %s", text, strerror(-fd));
        else
            talks[n] = start(end, fd, sj_rand_next(&seed), asking);
        n += fd >= 0 && talks[n] != NULL;
    }
    join_all(talks, n);
    return rc;
}

static int parse(struct opts *o, int argc, char *const *argv, struct sj_err *err)
{
    static const struct sj_opt table[] = {
        SJ_OPT_ROW(struct opts, "listen", TEXT, listen, "ADDR", "be the answering end there [both ends, 127.0.0.1:0]"),
        SJ_OPT_ROW(struct opts, "connect", TEXT, connect, "ADDR", "be the asking end of a `load garbage --listen`"),
        SJ_OPT_ROW(struct opts, "seconds", DURATION, duration, "S", "how long [10]"),
        SJ_OPT_ROW(struct opts, "connections", COUNT, connections, "C", "[4]", .max = MOST_CONNECTIONS),
        SJ_OPT_ROW(struct opts, "gap", DURATION, gap, "T", "pause between the turns of a connection"),
        SJ_OPT_ROW(struct opts, "seed", COUNT, seed, "N", "of the bytes that are asked [1]"),
        SJ_OPT_ROW(struct opts, "help", FLAG, help, NULL, "this text"),
        {.name = NULL},
    };
    *o = (struct opts){.duration = 10 * SJ_NSEC_PER_SEC, .connections = 4, .seed = 1};
    if (sj_opt_parse(table, o, argc, argv, err))
        return -1;
    if (o->listen && o->connect)
        return sj_fail(err, EX_USAGE, "--listen and --connect exclude each other");
    if (o->help) {
        puts("load garbage [OPTION...]: random bytes in strict turns of ask and answer, counted as JSON\n");
        sj_opt_help(stdout, table);
    }
    return 0;
}

static int print_result(const struct end *end, bool asks, double seconds, struct sj_err *err)
{
    printf("{\"role\":\"%s\",\"turns\":%llu,\"broken\":%llu,\"seconds\":%.3f", asks ? "client" : "server",
           (unsigned long long)atomic_load(&end->turns), (unsigned long long)atomic_load(&end->broken), seconds);
    if (asks)
        printf(",\"bytes_asked\":%llu,\"bytes_answered\":%llu", (unsigned long long)atomic_load(&end->bytes_asked),
               (unsigned long long)atomic_load(&end->bytes_answered));
    puts("}");
    if (fflush(stdout))
        return sj_fail(err, EX_IOERR, "cannot write the result: %s", strerror(errno));
    return atomic_load(&end->broken) ? 1 : 0;
}

int sj_cmd_garbage(int argc, char *const *argv, struct sj_err *err)
{
    struct opts o;
    struct end server = {.listen_fd = -1}, client = {.listen_fd = -1};
    pthread_t thread;
    if (parse(&o, argc, argv, err))
        return -1;
    if (o.help)
        return 0;
    signal(SIGPIPE, SIG_IGN);
    uint64_t start_ns = sj_clk_now();
    server.until = client.until = start_ns + o.duration;
    client.gap_ns = o.gap;
    if (sj_addr_parse(o.connect ? o.connect : o.listen ? o.listen : "127.0.0.1:0", &server.addr, err))
        return -1;
    if (!o.connect) {
        char text[SJ_ADDR_TEXT];
        server.listen_fd = sj_addr_listen(&server.addr, MOST_CONNECTIONS, err);
        if (server.listen_fd < 0)
            return -1;
        sj_addr_text(&server.addr, text);
        fprintf(stderr, "listening %s\n", text);
        if (pthread_create(&thread, NULL, serve, &server))
            return sj_fail(err, EX_OSERR, "cannot start a thread");
    }
    client.addr = server.addr;
    int rc = o.listen ? 0 : call(&client, &o, err);
    if (!o.connect) {
        pthread_join(thread, NULL);
        close(server.listen_fd);
        sj_addr_unlink(&server.addr);
    }
    if (rc)
        return rc;
    return print_result(o.listen ? &server : &client, !o.listen, (double)(sj_clk_now() - start_ns) / 1e9, err);
}

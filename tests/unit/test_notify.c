// SPDX-License-Identifier: GPL-3.0-or-later
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/files.h"
#include "made_notice.h"
#include "notify/notify_attempt.h"
#include "own_folder.h"

/* A receiver that speaks HTTP, in the same event loop, and what it was sent. */
struct world {
    struct event_base *base;
    struct evhttp *http;
    uint16_t port;
    int status; /* of its answers; 0: none at all */
    const char *answer, *retry_after;
    char uri[256], authorization[256], type[64], further[64];
    char *body;
    unsigned requests;
    struct sj_notify_env env;
    struct sj_send_result result; /* of the latest attempt */
    bool over;
};

static char *word(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

static void keep(char *to, size_t size, struct evhttp_request *r, const char *field)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(r), field);
    snprintf(to, size, "%s", value ? value : "");
}

static void on_request(struct evhttp_request *r, void *arg)
{
    struct world *w = arg;
    struct evbuffer *in = evhttp_request_get_input_buffer(r), *out;
    size_t n = evbuffer_get_length(in);
    w->requests++;
    assert_int_equal(evhttp_request_get_command(r), EVHTTP_REQ_POST);
    snprintf(w->uri, sizeof(w->uri), "%s", evhttp_request_get_uri(r));
    keep(w->authorization, sizeof(w->authorization), r, "Authorization");
    keep(w->type, sizeof(w->type), r, "Content-Type");
    keep(w->further, sizeof(w->further), r, "X-Further");
    free(w->body);
    w->body = calloc(1, n + 1);
    assert_non_null(w->body);
    evbuffer_remove(in, w->body, n);
    if (w->status == 0)
        return;
    if (w->retry_after)
        evhttp_add_header(evhttp_request_get_output_headers(r), "Retry-After", w->retry_after);
    out = evbuffer_new();
    evbuffer_add_printf(out, "%s", w->answer ? w->answer : "");
    evhttp_send_reply(r, w->status, "whatever", out);
    evbuffer_free(out);
}

static struct world *made_world(void)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->base = event_base_new();
    w->http = evhttp_new(w->base);
    struct evhttp_bound_socket *s = evhttp_bind_socket_with_handle(w->http, "127.0.0.1", 0);
    assert_non_null(s);
    struct sockaddr_in a;
    socklen_t n = sizeof(a);
    assert_int_equal(getsockname(evhttp_bound_socket_get_fd(s), (struct sockaddr *)&a, &n), 0);
    w->port = ntohs(a.sin_port);
    evhttp_set_gencb(w->http, on_request, w);
    w->status = 200;
    w->env = (struct sj_notify_env){
        .base = w->base, .config_path = path_of("f.yaml"), .host = "node1", .resend_ns = 60 * SJ_SECOND_NS};
    return w;
}

static void free_world(struct world *w)
{
    evhttp_free(w->http);
    event_base_free(w->base);
    free(w->body);
    free(w);
}

static struct sj_notify *made(struct world *w, struct sj_notifier config)
{
    struct sj_notify *n = NULL;
    struct sj_err err = {.text = ""};
    config.name = config.name ? config.name : "name";
    config.line = 7;
    if (sj_notify_new(&w->env, &config, &n, &err) < 0)
        fail_msg("%s", err.text);
    return n;
}

static void on_sent(void *ctx, const struct sj_send_result *result)
{
    struct world *w = ctx;
    assert_false(w->over);
    w->result = *result;
    w->over = true;
}

static enum sj_send_outcome sent(struct world *w, struct sj_notify *n, const struct sj_notice *notices, size_t count)
{
    w->over = false;
    assert_non_null(sj_notify_send(n, notices, count, on_sent, w));
    assert_false(w->over); /* never before it returns */
    while (!w->over)
        event_base_loop(w->base, EVLOOP_ONCE);
    return w->result.outcome;
}

static enum sj_send_outcome sent_one(struct world *w, struct sj_notify *n, bool firing)
{
    struct made_notice m;
    made_notice(&m, firing);
    return sent(w, n, &m.notice, 1);
}

static const char *url_of(const struct world *w, const char *rest)
{
    static _Thread_local char url[128];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", w->port, rest);
    return url;
}

static json_t *body_of(const struct world *w)
{
    json_error_t why;
    json_t *j = json_loads(w->body, JSON_REJECT_DUPLICATES, &why);
    if (!j)
        fail_msg("%s in %s", why.text, w->body);
    return j;
}

static void a_webhook_gets_its_document(void **state)
{
    (void)state;
    struct world *w = made_world();
    struct sj_label further = {"X-Further", "yes"};
    write_text("token", "hunter2\n");
    struct sj_notify *n = made(w, (struct sj_notifier){.kind = SJ_NOTIFY_WEBHOOK,
                                                       .url = url_of(w, "/hook?a=b"),
                                                       .bearer_token_file = "token",
                                                       .headers = {&further, 1}});
    assert_int_equal(sent_one(w, n, true), SJ_SEND_ACCEPTED);
    assert_string_equal(w->uri, "/hook?a=b");
    assert_string_equal(w->authorization, "Bearer hunter2");
    assert_string_equal(w->type, "application/json");
    assert_string_equal(w->further, "yes");
    json_t *j = body_of(w);
    assert_string_equal(made_at(j, "alerts.0.status"), "firing");
    json_decref(j);
    write_text("token", "another\n"); /* changed while the program runs */
    assert_int_equal(sent_one(w, n, false), SJ_SEND_ACCEPTED);
    assert_string_equal(w->authorization, "Bearer another");
    unlink(path_of("token"));
    assert_int_equal(sent_one(w, n, false), SJ_SEND_DOWN);
    assert_non_null(strstr(w->result.text, path_of("token")));
    assert_int_equal(w->requests, 2);
    sj_notify_unref(n);
    write_text("t.json", "{\"text\": \"{{ $name }} is {{ $status }}\"}");
    write_text("url", url_of(w, "/secret"));
    n = made(w, (struct sj_notifier){.kind = SJ_NOTIFY_WEBHOOK, .url_file = "url", .template_file = "t.json"});
    assert_int_equal(sent_one(w, n, true), SJ_SEND_ACCEPTED);
    assert_string_equal(w->uri, "/secret");
    assert_string_equal(w->body, "{\"text\": \"slow is firing\"}");
    assert_null(strstr(sj_notify_name(n), "/secret"));
    sj_notify_unref(n);
    free_world(w);
}

static void alertmanager_gets_many_at_once(void **state)
{
    (void)state;
    struct world *w = made_world();
    struct made_notice m[2];
    write_text("password", "a:b\n");
    struct sj_notify *n = made(w, (struct sj_notifier){.kind = SJ_NOTIFY_ALERTMANAGER,
                                                       .url = url_of(w, "/prefix/"),
                                                       .username = "u",
                                                       .password_file = "password"});
    assert_int_equal(sj_notify_batch(n), 64);
    assert_int_equal(sj_notify_resend_ns(n), 60 * SJ_SECOND_NS);
    made_notice(&m[0], true);
    made_notice(&m[1], false);
    m[0].notice.valid_ns = 60 * SJ_SECOND_NS;
    const struct sj_notice both[] = {m[0].notice, m[1].notice};
    assert_int_equal(sent(w, n, both, 2), SJ_SEND_ACCEPTED);
    assert_string_equal(w->uri, "/prefix/api/v2/alerts");
    assert_string_equal(w->authorization, "Basic dTphOmI=");
    json_t *j = body_of(w);
    assert_int_equal(json_array_size(j), 2);
    assert_string_equal(made_at(j, "0.endsAt"), "2026-11-25T20:05:40.000000000Z"); /* in four times the minute */
    assert_string_equal(made_at(j, "1.endsAt"), "2026-11-25T20:01:01.500000000Z");
    json_decref(j);
    sj_notify_unref(n);
    free_world(w);
}

static void pagerduty_gets_its_key_from_a_file(void **state)
{
    (void)state;
    struct world *w = made_world();
    write_text("key", "R0UT1NG\n");
    struct sj_notify *n =
        made(w, (struct sj_notifier){.kind = SJ_NOTIFY_PAGERDUTY, .url = url_of(w, ""), .routing_key_file = "key"});
    w->status = 202;
    assert_int_equal(sent_one(w, n, true), SJ_SEND_ACCEPTED);
    assert_string_equal(w->uri, "/v2/enqueue");
    json_t *j = body_of(w);
    assert_string_equal(made_at(j, "routing_key"), "R0UT1NG");
    assert_string_equal(made_at(j, "event_action"), "trigger");
    json_decref(j);
    sj_notify_unref(n);
    free_world(w);
}

static void answers_are_taken_as_they_are_meant(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum sj_send_outcome outcome;
    } all[] = {{200, SJ_SEND_ACCEPTED}, {202, SJ_SEND_ACCEPTED}, {204, SJ_SEND_ACCEPTED}, {299, SJ_SEND_ACCEPTED},
               {301, SJ_SEND_DOWN},     {400, SJ_SEND_REFUSED},  {401, SJ_SEND_DOWN},     {403, SJ_SEND_DOWN},
               {404, SJ_SEND_DOWN},     {408, SJ_SEND_DOWN},     {413, SJ_SEND_REFUSED},  {415, SJ_SEND_REFUSED},
               {422, SJ_SEND_REFUSED},  {429, SJ_SEND_DOWN},     {500, SJ_SEND_FAILED},   {502, SJ_SEND_DOWN},
               {503, SJ_SEND_DOWN}};
    struct world *w = made_world();
    struct sj_notify *n = made(w, (struct sj_notifier){.kind = SJ_NOTIFY_WEBHOOK, .url = url_of(w, "/secret")});
    w->answer = "because\nof that";
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char said[64];
        w->status = all[i].status;
        if (sent_one(w, n, true) != all[i].outcome)
            fail_msg("%d", all[i].status);
        snprintf(said, sizeof(said), "it answered %d", all[i].status);
        assert_non_null(strstr(w->result.text, said));
        assert_true(w->result.retry_after_ns == 0);
        assert_null(strstr(w->result.text, "/secret"));
    }
    w->status = 429;
    w->retry_after = "17";
    assert_int_equal(sent_one(w, n, true), SJ_SEND_DOWN);
    assert_true(w->result.retry_after_ns == 17 * SJ_SECOND_NS);
    assert_non_null(strstr(w->result.text, "because"));
    sj_notify_unref(n);
    free_world(w);
}

static void nobody_there_and_no_answer(void **state)
{
    (void)state;
    struct world *w = made_world();
    struct sj_notify *n =
        made(w, (struct sj_notifier){.kind = SJ_NOTIFY_WEBHOOK, .url = url_of(w, "/"), .timeout_ns = SJ_SECOND_NS / 5});
    w->status = 0;
    assert_int_equal(sent_one(w, n, true), SJ_SEND_DOWN);
    assert_non_null(strstr(w->result.text, "no answer in time"));
    assert_int_equal(w->requests, 1);
    evhttp_free(w->http); /* the socket is closed */
    w->http = evhttp_new(w->base);
    assert_int_equal(sent_one(w, n, true), SJ_SEND_DOWN);
    assert_true(w->result.text[0]);
    struct made_notice m;
    made_notice(&m, true);
    w->over = true; /* what is called off is never heard of again */
    struct sj_attempt *a = sj_notify_send(n, &m.notice, 1, on_sent, w);
    assert_non_null(a);
    sj_notify_unref(n);
    sj_attempt_cancel(a); /* which had a reference of its own */
    event_base_loop(w->base, EVLOOP_NONBLOCK);
    free_world(w);
}

static enum sj_send_outcome run_command(struct world *w, const char *program, const char *script)
{
    char *words[] = {word(program), word("-c"), word(script), NULL};
    struct sj_notify *n =
        made(w, (struct sj_notifier){.kind = SJ_NOTIFY_EXEC, .command = words, .timeout_ns = 3 * SJ_SECOND_NS});
    enum sj_send_outcome outcome = sent_one(w, n, false);
    sj_notify_unref(n);
    for (int i = 0; i < 3; i++)
        free(words[i]);
    return outcome;
}

static void a_command_gets_the_alert_and_little_else(void **state)
{
    (void)state;
    struct world *w = made_world();
    char script[512], said[1024] = "";
    setenv("SECRET", "hunter2", 1);
    snprintf(script, sizeof(script), "cat > %s/out; env | sort >> %s/out; ls /proc/self/fd | wc -l >> %s/out",
             own_folder, own_folder, own_folder);
    assert_int_equal(run_command(w, "/bin/sh", script), SJ_SEND_ACCEPTED);
    FILE *f = fopen(path_of("out"), "r");
    assert_non_null(f);
    size_t n = fread(said, 1, sizeof(said) - 1, f);
    fclose(f);
    said[n] = '\0';
    assert_non_null(strstr(said, "\"schema\": \"sojourn.alert/1\""));
    assert_non_null(strstr(said, "SOJOURN_ALERT=slow\nSOJOURN_ALERT_ID=0123456789abcdef0123456789abcdef\n"
                                 "SOJOURN_STATUS=resolved\n"));
    assert_null(strstr(said, "hunter2"));
    assert_non_null(strstr(said, "\n4\n")); /* three descriptors, and the one by which they are counted */
    assert_int_equal(run_command(w, "/bin/sh", "exit 3"), SJ_SEND_FAILED);
    assert_int_equal(run_command(w, "/bin/sh", "kill -9 $$"), SJ_SEND_FAILED);
    assert_int_equal(run_command(w, "/nothing/here", ""), SJ_SEND_DOWN);
    assert_non_null(strstr(w->result.text, "No such file"));
    assert_int_equal(run_command(w, "/bin/sh", "sleep 1000 & sleep 1000"), SJ_SEND_FAILED);
    assert_non_null(strstr(w->result.text, "was killed"));
    free_world(w);
}

static void syslog_gets_a_line(void **state)
{
    (void)state;
    struct world *w = made_world();
    struct sj_notify *n = made(w, (struct sj_notifier){.kind = SJ_NOTIFY_SYSLOG, .facility = LOG_LOCAL3});
    assert_string_equal(sj_notify_name(n), "name");
    assert_int_equal(sj_notify_batch(n), 1);
    assert_true(sj_notify_resend_ns(n) == 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char line[2048] = "";
    struct made_notice m;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path_of("log"));
    free(n->socket_path);
    n->socket_path = word(to.sun_path);
    assert_int_equal(sent_one(w, n, true), SJ_SEND_DOWN); /* nobody listens */
    assert_non_null(strstr(w->result.text, to.sun_path));
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    made_notice(&m, true);
    m.annotations[1].value = "one\ntwo\x1b[31m";
    assert_int_equal(sent(w, n, &m.notice, 1), SJ_SEND_ACCEPTED);
    assert_true(recv(fd, line, sizeof(line) - 1, MSG_DONTWAIT) > 0);
    assert_int_equal(strncmp(line, "<154>Nov 2", 10), 0); /* local3 and critical */
    assert_non_null(strstr(line, ": alert slow firing: one\\ntwo\\e[31m (id 0123456789abcdef0123456789abcdef)"));
    assert_int_equal(sent_one(w, n, false), SJ_SEND_ACCEPTED);
    memset(line, 0, sizeof(line));
    assert_true(recv(fd, line, sizeof(line) - 1, MSG_DONTWAIT) > 0);
    assert_int_equal(strncmp(line, "<157>", 5), 0); /* that it is over is a notice */
    assert_non_null(strstr(line, "alert slow resolved: p99 is 1.2 s (id"));
    close(fd);
    sj_notify_unref(n);
    free_world(w);
}

/* A receiver is who its kind and name say, however it is reached. */
static void a_receiver_stays_who_it_is(void **state)
{
    (void)state;
    struct world *w = made_world();
    char first[64];
    struct sj_label only = {"severity", "p*"}, page = {"severity", "page"}, ticket = {"severity", "ticket"};
    struct sj_notify *n = made(w, (struct sj_notifier){.kind = SJ_NOTIFY_WEBHOOK, .url = url_of(w, "/a"), .name = "x"});
    snprintf(first, sizeof(first), "%s", sj_notify_key(n));
    assert_int_equal(strlen(first), 32);
    assert_true(sj_notify_wants(n, &(struct sj_labels){&ticket, 1}));
    sj_notify_unref(n);
    n = made(w, (struct sj_notifier){
                    .kind = SJ_NOTIFY_WEBHOOK, .url = "https://elsewhere/b", .name = "x", .only = {&only, 1}});
    assert_string_equal(sj_notify_key(n), first);
    assert_string_equal(sj_notify_name(n), "x (https://elsewhere)");
    assert_true(sj_notify_wants(n, &(struct sj_labels){&page, 1}));
    assert_false(sj_notify_wants(n, &(struct sj_labels){&ticket, 1}));
    assert_false(sj_notify_wants(n, &(struct sj_labels){0}));
    sj_notify_unref(n);
    n = made(w, (struct sj_notifier){.kind = SJ_NOTIFY_WEBHOOK, .url = url_of(w, "/a"), .name = "y"});
    assert_string_not_equal(sj_notify_key(n), first);
    sj_notify_unref(n);
    n = made(w, (struct sj_notifier){.kind = SJ_NOTIFY_ALERTMANAGER, .url = url_of(w, "/a"), .name = "x"});
    assert_string_not_equal(sj_notify_key(n), first);
    sj_notify_unref(n);
    struct sj_err err = {.text = ""};
    n = NULL;
    const struct sj_notifier bad = {.kind = SJ_NOTIFY_WEBHOOK, .url = "http://h:secret/", .name = "x", .line = 12};
    assert_int_equal(sj_notify_new(&w->env, &bad, &n, &err), -1);
    assert_null(n);
    assert_non_null(strstr(err.text, "f.yaml:12: webhook: the URL's port"));
    assert_null(strstr(err.text, "secret"));
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_OWN_FOLDER(a_webhook_gets_its_document),
        IN_OWN_FOLDER(alertmanager_gets_many_at_once),
        IN_OWN_FOLDER(pagerduty_gets_its_key_from_a_file),
        IN_OWN_FOLDER(answers_are_taken_as_they_are_meant),
        IN_OWN_FOLDER(nobody_there_and_no_answer),
        IN_OWN_FOLDER(a_command_gets_the_alert_and_little_else),
        IN_OWN_FOLDER(syslog_gets_a_line),
        IN_OWN_FOLDER(a_receiver_stays_who_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

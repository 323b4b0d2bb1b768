// SPDX-License-Identifier: GPL-3.0-or-later
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/out.h"
#include "base/units.h"

#define RING_MIN (4ULL << 10)
#define RING_MAX (1ULL << 30)

/* An option of the measuring commands. help: what it does, one line each. */
struct row {
    const char *name;
    char letter;     /* 0: none */
    char group;      /* a letter of `accepts`; '*': every measuring command; '=': a filter */
    const char *arg; /* NULL: none */
    const char *help;
    int (*apply)(struct sj_measure_options *o, const char *value, struct sj_err *err); /* NULL for filters */
};

static int set_duration(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    if (sj_parse_duration(value, &o->duration_ns) < 0 || o->duration_ns == 0)
        return sj_fail(err, EX_USAGE, "--duration takes a time such as 500ms, 10s or 2m, not '%s'", value);
    return 0;
}

static int set_from(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    if (!*value)
        return sj_fail(err, EX_USAGE, "--from takes the name of a file, or - for standard input");
    o->from = value;
    return 0;
}

static int set_json(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    (void)value;
    (void)err;
    o->json = true;
    return 0;
}

static int set_output(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    if (!*value)
        return sj_fail(err, EX_USAGE, "--output takes the name of a file");
    o->output = value;
    return 0;
}

static int set_fit(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    if (strcmp(value, "none") != 0)
        return sj_fail(err, EX_USAGE, "--fit takes none, not '%s'", value);
    o->fit = value;
    return 0;
}

static int set_stages(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    static const char *const names[] = {"all", "queue", "none"};
    _Static_assert(SJ_STAGES_ALL == 0 && SJ_STAGES_QUEUE == 1 && SJ_STAGES_NONE == 2, "in the order of the names");
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(value, names[i]) == 0) {
            o->stages = (enum sj_stages_mode)i;
            return 0;
        }
    }
    return sj_fail(err, EX_USAGE, "--stages takes none, queue or all, not '%s'", value);
}

static int set_payload(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    o->payload = strcmp(value, "auto") == 0;
    if (!o->payload && strcmp(value, "off") != 0)
        return sj_fail(err, EX_USAGE, "--payload takes auto or off, not '%s'", value);
    return 0;
}

static int set_ring(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    uint64_t bytes;
    if (sj_parse_size(value, &bytes) < 0 || bytes < RING_MIN || bytes > RING_MAX)
        return sj_fail(err, EX_USAGE, "--ring takes a size from 4KiB to 1GiB, such as 256KiB, not '%s'", value);
    o->ring_bytes = (uint32_t)bytes;
    return 0;
}

static int set_probe_set(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    if (strcmp(value, "socket") != 0 && strcmp(value, "syscall") != 0)
        return sj_fail(err, EX_USAGE, "--probe-set takes socket or syscall, not '%s'", value);
    o->probe_set = value;
    return 0;
}

static int set_label(struct sj_measure_options *o, const char *value, struct sj_err *err)
{
    if (!*value || strlen(value) > 63)
        return sj_fail(err, EX_USAGE, "--label takes a name of 1 to 63 bytes, such as the release that is measured");
    o->label = value;
    return 0;
}

static const struct row rows[] = {
    {"duration", 'd', 'd', "TIME", "measure for TIME: 500ms, 1.5s, 2m (default: until interrupted)", set_duration},
    {"from", 0, 'f', "FILE", "read a recording, or what trace --json wrote; - is standard input", set_from},
    {"json", 0, 'j', NULL, "write JSON", set_json},
    {"output", 'o', 'o', "FILE", "write to FILE", set_output},
    {"fit", 0, 't', "none", "fit no distributions", set_fit},
    {"pid", 'p', '=', "PID", "only this process", NULL},
    {"comm", 0, '=', "NAME", "only processes of this name", NULL},
    {"port", 0, '=', "PORT", "only this port of the answering side", NULL},
    {"cgroup", 0, '=', "PATH", "only this cgroup and those below it; a path below /sys/fs/cgroup", NULL},
    {"container", 0, '=', "ID", "only this container: the beginning of its id", NULL},
    {"role", 0, '=', "ROLE", "only the side that answers (server) or that asks (client)", NULL},
    {"protocol", 0, '=', "NAME", "only this protocol: http, tls, unknown", NULL},
    {"operation", 0, '=', "GLOB", "only operations like this: 'GET /users/*'", NULL},
    {"slower", 0, '=', "TIME", "only requests that took at least TIME", NULL},
    {"stages", 0, '*', "MODE", "none, queue, or all (default): how much of a request's time is told apart", set_stages},
    {"payload", 0, '*', "MODE", "auto (default), or off: look at no bytes, every protocol is unknown", set_payload},
    {"ring", 0, '*', "SIZE", "memory for events on their way from the kernel: 256KiB, 8MiB", set_ring},
    {"probe-set", 0, '*', "NAME", "socket or syscall: by default the first that the kernel offers", set_probe_set},
    {"label", 0, '*', "TEXT", "a name for what is measured, such as a release", set_label},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))
#define VAL(i) (256 + (int)(i))
#define VAL_HELP VAL(ROWS)

struct parse {
    const struct sj_command *cmd;
    const char *accepts;
    struct sj_measure_options *out;
    bool given[ROWS];
    const char *last_value;
};

static bool accepted(const char *accepts, const struct row *row)
{
    return row->group == '*' || row->group == '=' || strchr(accepts, row->group) != NULL;
}

static void help_rows(struct sj_out *out, const char *accepts, const char *title, const char *groups)
{
    bool any = false;
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        if (!strchr(groups, r->group) || !accepted(accepts, r))
            continue;
        if (!any)
            sj_out_printf(out, "\n%s:\n", title);
        any = true;
        char left[40];
        snprintf(left, sizeof(left), "%c%c%s --%s %s", r->letter ? '-' : ' ', r->letter ? r->letter : ' ',
                 r->letter ? "," : " ", r->name, r->arg ? r->arg : "");
        sj_out_printf(out, "  %-22s %s\n", left, r->help);
    }
}

static int print_help(const struct sj_command *cmd, const char *accepts)
{
    struct sj_err err = {.status = EX_OK};
    struct sj_out out;
    if (sj_out_init(&out, STDOUT_FILENO, "standard output", &err) < 0)
        return sj_complain(err.status, "%s", err.text);
    sj_out_printf(&out, "Usage: sojourn %s\n\n%s.\n", cmd->usage, cmd->summary);
    help_rows(&out, accepts, "Options", "dfjot");
    if (cmd->options)
        sj_out_text(&out, cmd->options);
    sj_out_printf(&out, "  %-22s %s\n", "-h, --help", "print this");
    if (strchr(accepts, 'c'))
        sj_out_printf(&out, "  %-22s %s\n", "-- COMMAND...", "measure while COMMAND runs, and pass its status on");
    help_rows(&out, accepts, "FILTER", "=");
    help_rows(&out, accepts, "Measuring", "*");
    int failed = sj_out_flush(&out, &err);
    sj_out_fini(&out);
    return failed && err.status != EX_OK ? sj_complain(err.status, "%s", err.text) : EX_OK;
}

/* The tables that getopt_long() wants, of the rows that this command accepts. letters: 2 * ROWS + 8 bytes. */
static void build_tables(const char *accepts, struct option *longs, char *letters)
{
    /* '+': the first word that is no option ends them; ':': a missing value is told apart. */
    static const char first[] = "+:h";
    size_t n = 0, l = strlen(first);
    memcpy(letters, first, l);
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        if (!accepted(accepts, r))
            continue;
        longs[n++] = (struct option){r->name, r->arg ? required_argument : no_argument, NULL, VAL(i)};
        if (r->letter) {
            letters[l++] = r->letter;
            if (r->arg)
                letters[l++] = ':';
        }
    }
    letters[l] = '\0';
    longs[n++] = (struct option){"help", no_argument, NULL, VAL_HELP};
    longs[n] = (struct option){0};
}

static const struct row *row_of(int val)
{
    for (size_t i = 0; i < ROWS; i++)
        if (val == VAL(i) || (val == rows[i].letter && rows[i].letter))
            return &rows[i];
    return NULL;
}

/* What getopt_long() did not understand, said so that the reader sees what is wrong with it. */
static int refuse(const struct parse *p, int result, char **argv)
{
    const struct row *r = row_of(optopt);
    if (result == ':')
        return sj_usage_error(p->cmd, "option '--%s' needs a value", r ? r->name : "?");
    if (optopt != 0 && optopt < 256)
        return sj_usage_error(p->cmd, "unknown option '-%c'", optopt);
    const char *word = argv[optind - 1];
    if (optopt != 0)
        return sj_usage_error(p->cmd, "option '--%s' takes no value", r ? r->name : "help");
    size_t n = strcspn(word, "=");
    unsigned like = 0;
    for (size_t i = 0; i < ROWS && n > 2; i++)
        like += accepted(p->accepts, &rows[i]) && strncmp(word + 2, rows[i].name, n - 2) == 0;
    return sj_usage_error(p->cmd, "%s option '%.*s'", like > 1 ? "ambiguous" : "unknown", (int)n, word);
}

static bool given(const struct parse *p, const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return p->given[i];
    return false;
}

/* Options that contradict each other are refused rather than one of them ignored. */
static int check_contradictions(const struct parse *p)
{
    static const struct {
        const char *a, *b, *why;
    } pairs[] = {
        {"from", "duration", "a recording has its own length"},
        {"from", "stages", "a recording has the stages that were measured"},
        {"from", "payload", "a recording has been decoded already"},
        {"from", "ring", "a recording needs none"},
        {"from", "probe-set", "a recording needs none"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (given(p, pairs[i].a) && given(p, pairs[i].b))
            return sj_usage_error(p->cmd, "--%s cannot go with --%s: %s", pairs[i].b, pairs[i].a, pairs[i].why);
    if (p->out->child && p->out->from)
        return sj_usage_error(p->cmd, "a command cannot go with --from: nothing is measured");
    if (p->out->child && p->out->duration_ns)
        return sj_usage_error(p->cmd, "--duration cannot go with a command: it measures while the command runs");
    if (!p->out->payload && (p->out->filter.operation[0] || p->out->filter.protocol > 0))
        return sj_usage_error(p->cmd, "--%s cannot go with --payload off: no protocol is understood without its bytes",
                              p->out->filter.operation[0] ? "operation" : "protocol");
    return 0;
}

/* What follows the options: nothing, or `-- COMMAND...`. */
static int take_rest(const struct parse *p, int argc, char **argv)
{
    bool dashes = optind > 0 && strcmp(argv[optind - 1], "--") == 0 && argv[optind - 1] != p->last_value;
    if (dashes && !strchr(p->accepts, 'c'))
        return sj_usage_error(p->cmd, "'--': this command runs no other");
    if (dashes && optind == argc)
        return sj_usage_error(p->cmd, "a command is missing after '--'");
    if (dashes)
        p->out->child = argv + optind;
    else if (optind < argc)
        return sj_usage_error(p->cmd, "unexpected argument '%s'%s", argv[optind],
                              strchr(p->accepts, 'c') ? " (a command to run comes after --)" : "");
    return 0;
}

static int apply(struct parse *p, const struct row *r, const char *value)
{
    struct sj_err err = {.status = EX_OK};
    p->given[r - rows] = true;
    p->last_value = value;
    int rc = r->apply ? r->apply(p->out, value, &err) : sj_filter_set(&p->out->filter, r->name, value, &err);
    return rc < 0 ? sj_usage_error(p->cmd, "%s", err.text) : 0;
}

int sj_options_parse(const struct sj_command *cmd, const char *accepts, int argc, char **argv,
                     struct sj_measure_options *out, int *status)
{
    struct option longs[ROWS + 2];
    char letters[2 * ROWS + 8];
    struct parse p = {.cmd = cmd, .accepts = accepts, .out = out};
    *out = (struct sj_measure_options){.stages = SJ_STAGES_ALL, .payload = true, .ring_bytes = SJ_RING_BYTES_DEFAULT};
    sj_filter_init(&out->filter);
    build_tables(accepts, longs, letters);

    int result;
    opterr = 0;
    optind = 0; /* begin anew: getopt keeps its place in static memory */
    while ((result = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const struct row *r = row_of(result);
        if (result == 'h' || result == VAL_HELP) {
            *status = print_help(cmd, accepts);
            return -1;
        }
        *status = r ? apply(&p, r, optarg) : refuse(&p, result, argv);
        if (*status)
            return -1;
    }
    *status = take_rest(&p, argc, argv);
    if (!*status)
        *status = check_contradictions(&p);
    return *status ? -1 : 0;
}

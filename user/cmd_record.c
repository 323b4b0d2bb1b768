// SPDX-License-Identifier: GPL-3.0-or-later
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/timefmt.h"
#include "collect/recording.h"
#include "command.h"
#include "options.h"
#include "source_run.h"

/* One line about what is in the file now, so that nobody has to open it to know whether it is whole. */
static void tell(const char *path, const struct sj_recording_stats *s)
{
    const struct sj_completeness *c = &s->outcome.completeness;
    char requests[SJ_HUMAN_SIZE];
    char bytes[SJ_HUMAN_SIZE];
    char each[48] = "";
    sj_count_human(requests, c->detailed + c->counted_only);
    sj_count_human(bytes, s->bytes);
    if (s->requests > 0)
        snprintf(each, sizeof(each), " (%.1f each)", (double)s->bytes / (double)s->requests);
    sj_complain(EX_OK,
                "%s requests, %s bytes%s in %s: %" PRIu64 " detailed, %" PRIu64 " counted only%s, %" PRIu64
                " unparsed, "
                "%" PRIu64 " cut off, %" PRIu64 " lost",
                requests, bytes, each, strcmp(path, "-") == 0 ? "standard output" : path, c->detailed, c->counted_only,
                c->lower_bound ? " (a lower bound)" : "", c->unparsed, c->cut_off, c->lost);
}

static int run(int argc, char **argv)
{
    struct sj_measure_options opts;
    struct sj_recording_writer *writer;
    struct sj_recording_stats stats;
    struct sj_err err = {.status = EX_OK};
    int status;
    int child_status = -1;
    if (sj_options_parse(&sj_cmd_record, "doc", argc, argv, &opts, &status) < 0)
        return status;
    if (!opts.output)
        return sj_usage_error(&sj_cmd_record, "-o FILE is missing: the file that the recording goes to");
    if (sj_recording_writer_open(opts.output, &writer, &err) < 0)
        return sj_complain(err.status, "%s", err.text);

    struct sj_sink sink = sj_recording_sink(writer);
    bool failed = sj_source_run(&opts, &sink, &child_status, &err) < 0;
    /* What was recorded before a failure is kept; the failure that came first is the one to tell. */
    failed |= sj_recording_writer_close(writer, &stats, failed ? NULL : &err) < 0;
    if (failed)
        return err.text[0] ? sj_complain(err.status, "%s", err.text) : err.status;
    tell(opts.output, &stats);
    return opts.child && child_status >= 0 ? child_status : EX_OK;
}

const struct sj_command sj_cmd_record = {
    .name = "record",
    .summary = "Keep a compact recording of every request, to be read with --from",
    .usage = "record -o FILE [-d TIME] [FILTER...] [-- COMMAND...]",
    .options = NULL,
    .run = run,
};

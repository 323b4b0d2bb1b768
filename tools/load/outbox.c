// SPDX-License-Identifier: GPL-3.0-or-later
#include "outbox.h"

#include "clk.h"

#include <errno.h>
#include <stdlib.h>

void sj_outbox_cut_here(struct sj_outbox *out, uint64_t gap_ns)
{
    if (out->n_cuts == out->cap_cuts) {
        out->cap_cuts = out->cap_cuts ? out->cap_cuts * 2 : 4;
        out->cuts = sj_grown(out->cuts, out->cap_cuts * sizeof(*out->cuts));
    }
    out->cuts[out->n_cuts++] = (struct sj_outbox_cut){.at = out->buf.len, .gap_ns = gap_ns};
}

void sj_outbox_go(struct sj_outbox *out)
{
    if (out->hold_until == SJ_OUTBOX_ON_WORD)
        out->hold_until = 0;
}

/* The bytes up to the next cut, the limit, or the border between head and file. */
static struct sj_io_part next_part(const struct sj_outbox *out)
{
    size_t end = out->next_cut < out->n_cuts ? out->cuts[out->next_cut].at : out->buf.len;
    struct sj_io_part part = {.at = out->buf.at + out->pos, .file = -1};
    if (out->limit && out->limit < end)
        end = out->limit;
    if (out->file >= 0 && out->pos < out->file_from && out->file_from < end) {
        end = out->file_from;
        part.more = out->cork;
    }
    if (out->file >= 0 && out->pos >= out->file_from) {
        part.file = out->file;
        part.offset = (off_t)(out->pos - out->file_from);
    }
    part.len = end - out->pos;
    return part;
}

/* Steps over the cuts at this place; true if the message now has to wait. */
static bool reached_cut(struct sj_outbox *out)
{
    while (out->next_cut < out->n_cuts && out->cuts[out->next_cut].at == out->pos) {
        uint64_t gap = out->cuts[out->next_cut++].gap_ns;
        if (gap == SJ_OUTBOX_ON_WORD)
            out->hold_until = SJ_OUTBOX_ON_WORD;
        else if (gap)
            out->hold_until = sj_clk_now() + gap;
        if (gap)
            return true;
    }
    return false;
}

enum sj_outbox_state sj_outbox_push(struct sj_outbox *out, struct sj_io *io, int fd, int *error)
{
    if (out->hold_until && out->hold_until > sj_clk_now())
        return SJ_OUTBOX_HOLD;
    out->hold_until = 0;
    while (out->pos < out->buf.len) {
        if (out->limit && out->pos >= out->limit)
            return SJ_OUTBOX_LIMIT;
        if (reached_cut(out))
            return SJ_OUTBOX_HOLD;
        struct sj_io_part part = next_part(out);
        ssize_t n = sj_io_send(io, fd, &part);
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN)
            return SJ_OUTBOX_AGAIN;
        if (n <= 0) {
            *error = n ? (int)-n : EIO;
            return SJ_OUTBOX_ERROR;
        }
        out->pos += (size_t)n;
    }
    sj_outbox_clear(out);
    return SJ_OUTBOX_DONE;
}

void sj_outbox_clear(struct sj_outbox *out)
{
    out->buf.len = 0;
    out->pos = out->n_cuts = out->next_cut = 0;
    out->hold_until = 0;
    out->limit = 0;
    out->file = -1;
}

void sj_outbox_free(struct sj_outbox *out)
{
    sj_buf_free(&out->buf);
    free(out->cuts);
    *out = (struct sj_outbox){.file = -1};
}

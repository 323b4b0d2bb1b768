// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "request.h"

/* clang-format off */
/*
 * The recording format, shared by its writer and its reader and by nobody else.
 *
 * A file is a magic number, a version, and blocks. All fixed-width integers are little-endian, "varint" is
 * base/varint.h, a string is a varint length and that many bytes, none of them NUL. Blocks come in this order: one of
 * kind HEADER, any number of REQUESTS, any number of COUNTED, one END. A file without END was cut off; what lies before
 * the cut is valid.
 *
 * A block is a head of five 32-bit integers and a body of `stored` bytes. The head: kind, raw (bytes of the body once
 * inflated), stored, CRC-32 of the stored bytes, CRC-32 of the head before this field. The body is raw DEFLATE (RFC 1951)
 * when stored < raw, and plain when they are equal; stored > raw does not happen.
 *
 * HEADER    strings host, label, probe set; varints stages, real time, monotonic time
 * COUNTED   string service; varints role, protocol, port, lower bound (0 or 1), number of stages, their sums; a
 *           histogram as in model/hist_codec.h
 * END       varints duration, kernel seconds per request, CPU ratio (bits of a double each), detailed, counted only,
 *           unparsed, cut off, lost, lower bound
 * REQUESTS  varints flags (1: all dictionaries are empty again), number of requests, and the length of each column (enum
 *           below); then the columns. What repeats is told once, in DEFS, and named by its number from then on:
 *             who       strings service, comm, container, unix path; varints role, protocol, port, pid, cgroup
 *             endpoint  varints family, port, n, then n bytes of address (the rest of it is zero)
 *             what      strings operation, status; varint flags
 *           WHO, LOCAL, PEER, WHAT hold numbers counted from 1; 0 is the next definition, which gets the next number.
 *           Times are kept as what no stage explains, so that a usual request spends no byte on its total: END is the
 *           end (start + total) less that of the request before, folded; SHAPE a bit mask of the slots that are not 0;
 *           the slots follow, each in a column of its own. All of this arithmetic is modulo 2^64, so any request comes
 *           back.
 */
/* clang-format on */
#define SJ_RECORDING_MAGIC "\x89SJREC\x1a\n"
#define SJ_RECORDING_MAGIC_LEN 8
#define SJ_RECORDING_VERSION 1

enum sj_recording_kind {
    SJ_RECORDING_HEADER = 1,
    SJ_RECORDING_REQUESTS,
    SJ_RECORDING_COUNTED,
    SJ_RECORDING_END,
    SJ_RECORDING_MAX_
};

/*
 * Slots of a request's time: the stages (of BLOCKED only what its causes do not explain, folded), the causes, and what
 * the stages leave of the total, folded.
 */
enum {
    SJ_SLOT_CAUSE = SJ_STAGE_MAX_,
    SJ_SLOT_RESIDUAL = SJ_SLOT_CAUSE + SJ_CAUSE_MAX_,
    SJ_SLOT_MAX_,
};

enum sj_recording_column {
    SJ_COL_DEFS = 0,
    SJ_COL_WHO,
    SJ_COL_LOCAL,
    SJ_COL_PEER,
    SJ_COL_WHAT,
    SJ_COL_TID, /* less the pid, folded */
    SJ_COL_BYTES_IN,
    SJ_COL_BYTES_OUT,
    SJ_COL_SHAPE,
    SJ_COL_SLOT, /* the first of SJ_SLOT_MAX_ */
    SJ_COL_END = SJ_COL_SLOT + SJ_SLOT_MAX_,
    SJ_COL_MAX_
};

#define SJ_RECORDING_FRESH 1 /* flag of a block of requests */

/*
 * Limits. A writer keeps them and a reader refuses what is beyond them, so no file makes it use more memory than these
 * amount to. Longer strings are cut by the writer.
 */
#define SJ_RECORDING_STRING_MAX 4096u
#define SJ_RECORDING_DEFS_MAX 16384u           /* entries of each dictionary */
#define SJ_RECORDING_DEFS_BYTES (1024u * 1024) /* of each dictionary, as it is written */
#define SJ_RECORDING_RAW_MAX (128u * 1024)     /* of a block */

#define SJ_RECORDING_HEAD_LEN 20

struct sj_recording_head {
    uint32_t kind;
    uint32_t raw;
    uint32_t stored;
    uint32_t crc;
};

static inline void sj_put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static inline uint32_t sj_get_le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Request targets at low cardinality: what stays is what a route table would hold, what goes is what fills its holes.
 *
 * 1. Query, fragment and the parameters of a segment (";jsessionid=...") are dropped, and so are scheme and host of an
 *    absolute target ("http://host/a" -> "/a"). A target that has no leading slash is read as if it had one; "*" stays.
 * 2. Repeated slashes become one; "." and ".." are resolved. A trailing slash stays: routers tell /v2 and /v2/ apart.
 * 3. A segment becomes ":id" when it
 *      - has digits and no letters: 42, 2024-11-22, 10.0.0.1;
 *      - has three digits in a row, or three groups of digits: user123, INV-00123, v1.2.3, 9b2f-77aa;
 *        so v1, v2.1, v1beta1, oauth2, s3, utf8 and x86_64 stay;
 *      - is a word, a separator and a number: item-7, user_42;
 *      - is hexadecimal, with or without hyphens: 16 or more characters, or 6 or more of which two are digits (UUIDs,
 *        hashes);
 *      - mixes both cases with two groups of digits in 8 or more characters (dQw4w9WgXcQ), or is 16 or more characters
 *        with a digit and no separator, or 32 or more of one case and no separator (base64, random tokens);
 *      - holds '@' or "%40" (an e-mail address) or '=' (key=value, padded base64);
 *      - holds three or more percent escapes (free text), or is longer than 40 characters (64 for CamelCase names).
 * 4. A file name keeps its extension, and what stands before the changing part: 42.json -> :id.json,
 *    app.3f2a9c1b.js -> app.:id.js, foo-1.2.3.tar.gz -> foo-:id.tar.gz.
 * 5. A key in parentheses goes: Products(17) -> Products(:id).
 * 6. At most SJ_PATH_SEGMENTS segments are kept; a final star stands for the rest, and for what does not fit.
 *
 * Percent escapes are never decoded, and any byte that is not printable ASCII is written as one, so that the result is
 * printable ASCII without blanks.
 */
#define SJ_PATH_SEGMENTS 8

/*
 * Writes the normalised path of the target[0..n) and a NUL to out; size must be at least 4. `cut` says that the target
 * goes on behind n: then its last segment is not trusted. Returns the length written, below size. Linear in n.
 */
size_t sj_path_normalise(const uint8_t *target, size_t n, bool cut, char *out, size_t size);

/* The same for the target of CONNECT, "host:port": the port stays, "*:443"; without one, "*". */
size_t sj_path_authority(const uint8_t *target, size_t n, bool cut, char *out, size_t size);

// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/decoder.h"

#include "decode/http.h"
#include "decode/tls.h"

const struct sj_decoder *const sj_decoders[] = {&sj_http_decoder, &sj_tls_decoder, NULL};

const struct sj_decoder *sj_decoder_probe(enum sj_dir dir, const uint8_t *p, size_t n)
{
    for (const struct sj_decoder *const *d = sj_decoders; *d; d++)
        if ((*d)->probe(dir, p, n))
            return *d;
    return NULL;
}

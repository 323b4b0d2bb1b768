// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/tls.h"
#include "decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_decoder(&sj_tls_decoder, data, size);
    return 0;
}

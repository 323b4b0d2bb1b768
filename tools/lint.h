// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

/*
 * Put in front of every file that clang-tidy reads. It sees one file at a time, so it would follow paths on which a
 * function that fails returns 0, and report what only happens there.
 */
#include "base/err.h"

#ifndef sj_fail
#define sj_fail(...) (sj_fail(__VA_ARGS__), -1)
#endif
#ifndef sj_fail_prefix
#define sj_fail_prefix(...) (sj_fail_prefix(__VA_ARGS__), -1)
#endif

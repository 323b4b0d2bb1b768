// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

/* A packager's flags may say otherwise. */
#ifndef SJ_VERSION
#define SJ_VERSION "0.1.0"
#endif

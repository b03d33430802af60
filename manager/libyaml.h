/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libyaml's own yaml.h, which manager/yaml.h would hide. Include as <libyaml.h>. */
#pragma once

#include_next <yaml.h>

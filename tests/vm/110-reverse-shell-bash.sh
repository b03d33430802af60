#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A reverse shell of bash is seen in monitor mode, and stopped in enforce mode.
# pins: shared
. "$(dirname "$0")/shells.sh"

add_attacker
attacker 4444
test_shell bash /usr/bin/bash /usr/bin/timeout 4 6
finish

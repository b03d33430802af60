#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A reverse shell of nc -e is seen in monitor mode, and stopped in enforce mode.
# kernels: 5.10 7
# pins: shared
. "$(dirname "$0")/shells.sh"

add_attacker
attacker 4444
test_shell nc.traditional /usr/bin/nc.traditional /usr/bin/timeout 4
finish

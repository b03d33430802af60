#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A reverse shell of nc with a fifo is seen in monitor mode, and stopped in enforce mode.
# kernels: 6.1 6.12
# pins: shared
. "$(dirname "$0")/shells.sh"

add_attacker
attacker 4444
test_shell nc.openbsd /usr/bin/nc.openbsd /usr/bin/bash 4 6
finish

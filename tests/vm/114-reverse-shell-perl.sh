#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A reverse shell of Perl is seen in monitor mode, and stopped in enforce mode.
# kernels: 6.1 6.12
# pins: shared
. "$(dirname "$0")/shells.sh"

add_attacker
attacker 4444
test_shell perl /usr/bin/perl /usr/bin/timeout 4 6
finish

# SPDX-License-Identifier: LGPL-2.1-or-later
# Plots matrix-KERNEL.tsv of tools/bench --matrix: what calls cost over the number of policies, and of prefixes.
set terminal svg size 900,540 background 'white'
set key outside right
set grid ytics
set logscale x
set ylabel 'instructions added'
set yrange [0:*]
rows = 'lsm-connect-unconcerned lsm-connect-usual lsm-connect-all lsm-connect-denied lsm-sendto-usual lsm-listen-usual lsm-unix-usual lsm-send-usual fmod-ret-connect-usual kprobe-connect-usual'
# The rows of one name where column has value, x by y.
pick(name, column, value, x) = sprintf( \
	"< awk -F '\\t' '$1 == \"cost\" && $2 \"-\" $3 \"-\" $4 == \"%s\" && $%d == %d {print $%d, $7}' matrix-%s.tsv", \
	name, column, value, x, kernel)

set output sprintf('matrix-%s-policies.svg', kernel)
set title sprintf('%s: 10 prefixes', kernel)
set xlabel 'policies'
plot for [name in rows] pick(name, 6, 10, 5) using 1:2 with linespoints title name

set output sprintf('matrix-%s-prefixes.svg', kernel)
set title sprintf('%s: one policy', kernel)
set xlabel 'prefixes'
plot for [name in rows] pick(name, 5, 1, 6) using 1:2 with linespoints title name

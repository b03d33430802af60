#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest's process 1 for tests with "# init: systemd": puts the package on, and becomes systemd.
set -eu

# systemd.sh COMMAND...: what the last unit of the boot runs; its status is the machine's.
units=/run/systemd/system
mkdir -p "$units"

# The host's files are not those of a machine that boots: nothing of its devices, disks and clocks.
for unit in apt-daily.timer apt-daily-upgrade.timer dev-hugepages.mount dev-mqueue.mount dpkg-db-backup.timer \
	e2scrub_all.timer e2scrub_reap.service fstrim.timer getty.target kmod-static-nodes.service \
	ldconfig.service man-db.timer modprobe@.service polkit.service proc-sys-fs-binfmt_misc.automount \
	systemd-binfmt.service systemd-firstboot.service systemd-hwdb-update.service \
	systemd-journal-catalog-update.service systemd-journal-flush.service systemd-logind.service \
	systemd-machine-id-commit.service systemd-modules-load.service systemd-networkd.service \
	systemd-pstore.service systemd-random-seed.service systemd-remount-fs.service \
	systemd-resolved.service systemd-sysctl.service systemd-sysusers.service \
	systemd-timesyncd.service systemd-tmpfiles-setup-dev.service systemd-udev-settle.service \
	systemd-udev-trigger.service systemd-udevd.service systemd-update-done.service \
	systemd-update-utmp.service systemd-vconsole-setup.service sys-kernel-config.mount \
	sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount; do
	ln -s /dev/null "$units/$unit"
done
# So that systemd does not take the machine for a container.
rm -f /etc/fstab /.dockerenv /usr/sbin/policy-rc.d
# /tmp is new, and the tree may lie below it.
ln -s /dev/null /etc/tmpfiles.d/tmp.conf
# A log of this boot alone, in memory.
rm -rf /var/log/journal

cat >"$units/revshell-test.target" <<END
[Unit]
Requires=basic.target network.target revshell-test.service
After=basic.target network.target
AllowIsolate=yes
END
cat >"$units/revshell-test.service" <<END
[Unit]
After=basic.target network.target dbus.socket
Requires=dbus.socket

[Service]
Environment=HOME=/root LANG=C.UTF-8 TERM=dumb PATH=$PATH VM_STATUS=$VM_STATUS BUILD=$BUILD
ExecStart=/bin/bash -c '"\$\$@" >/run/out 2>&1; echo \$\$? >"\$\$VM_STATUS"; sync; sleep 1; echo b >/proc/sysrq-trigger' - $*
END

# A first start loads all programs, under an emulator.
mkdir "$units/revshelld.service.d"
printf '%s\n' '[Service]' TimeoutStartSec=300 >"$units/revshelld.service.d/slow.conf"

# systemd closes what process 1 had open, and the copier behind the pipe ends with its last writer.
sleep infinity >/run/out &

# Without triggers: the manual's index of the whole host would take a minute.
dpkg --no-triggers -i "$BUILD"/package/revshell_*.deb >/run/dpkg.log 2>&1 || cat /run/dpkg.log
exec /lib/systemd/systemd --unit=revshell-test.target --log-target=journal --show-status=no

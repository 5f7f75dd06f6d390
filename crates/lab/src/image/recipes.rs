//! What the lab's images hold: packages, and the shell that puts them into a root.
//!
//! It deliberately configures no server beyond keeping it from starting: that is a test's.

use super::Kind;

/// What debootstrap installs: the least that boots a systemd.
pub(super) const PACKAGES_BASE: &[&str] = &["systemd", "dbus", "systemd-sysv", "iproute2", "procps", "ca-certificates"];

/// What is added in the root: the real servers, engines and peers that tests and benchmarks need.
const PACKAGES_ADDED: &[&str] = &[
    "nginx-light",
    "postgresql",
    "postfix",
    "sasl2-bin",
    "libsasl2-modules",
    "monit",
    "openssl",
    "podman",
    "runc",
    "logrotate",
    "openssh-server",
];

/// The daemons that the test of daemons is about, and that the base image has not.
const PACKAGES_DAEMONS: &[&str] = &[
    "apache2",
    "at",
    "avahi-daemon",
    "beanstalkd",
    "bind9",
    "chrony",
    "cron",
    "cups-daemon",
    "dnsmasq",
    "dovecot-core",
    "dovecot-imapd",
    "etcd-server",
    "fail2ban",
    "haproxy",
    "influxdb",
    "knot",
    "lighttpd",
    "mariadb-server",
    "memcached",
    "mosquitto",
    "nats-server",
    "pgbouncer",
    "php8.2-fpm",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-node-exporter",
    "rabbitmq-server",
    "redis-server",
    "rsyslog",
    "samba",
    "slapd",
    "snmpd",
    "squid",
    "supervisor",
    "tomcat10",
    "tor",
    "transmission-daemon",
    "unbound",
    "varnish",
    "vsftpd",
];

/// Docker, and what the images of its tests are made of.
const PACKAGES_ENGINES: &[&str] = &["docker.io", "iptables", "busybox-static", "dbus-user-session"];

/// Run in the mount namespace of the build, with the root as `$1` and the packages as the rest.
const PREPARE: &str = r#"
root=$1; shift
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm" 2>/dev/null || true
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/lab"
printf 'path-exclude /usr/share/doc/*\npath-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n' >> "$root/etc/dpkg/dpkg.cfg.d/lab"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C HOME=/root
"#;

const BASE: &str = r#"echo 'postfix postfix/main_mailer_type select No configuration' | chroot "$root" debconf-set-selections
chroot "$root" apt-get -q -o Acquire::Languages=none update
chroot "$root" apt-get -q -y --no-install-recommends install "$@"
for unit in nginx postgresql postfix saslauthd monit e2scrub_reap ssh; do
    chroot "$root" systemctl -q disable "$unit.service" 2>/dev/null || true
done
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer logrotate.timer \
    getty@.service console-getty.service systemd-logind.service systemd-networkd.service systemd-resolved.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
for unit in podman.service podman.socket podman-restart.service podman-auto-update.service podman-auto-update.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
"#;

/// Every daemon's own package is kept, so that it can be installed once more where there is no network.
const DAEMONS: &str = r#"chroot "$root" apt-get -q -o Acquire::Languages=none update
chroot "$root" apt-get -q -y --no-install-recommends install "$@"
mkdir -p "$root/opt/daemons"
chroot "$root" sh -e -c 'cd /opt/daemons; apt-get -q -o APT::Sandbox::User=root download "$@"' download \
    nginx openssh-server postfix postgresql-15 "$@"
for unit in "$root"/etc/systemd/system/*.wants/*.service "$root"/etc/systemd/system/*.wants/*.socket \
    "$root"/etc/systemd/system/*.wants/*.path slapd.service; do
    chroot "$root" systemctl -q disable "${unit##*/}" 2>/dev/null || true
done
"#;

/// Docker is started by the tests that want it, and by nobody who connects to its socket.
const ENGINES: &str = r#"chroot "$root" apt-get -q -o Acquire::Languages=none update
chroot "$root" apt-get -q -y --no-install-recommends install "$@"
for unit in docker.service docker.socket containerd.service; do
    chroot "$root" systemctl -q disable "$unit" 2>/dev/null || true
done
rm -f "$root/etc/systemd/system/podman.service" "$root/etc/systemd/system/podman.socket"
"#;

const FINISH: &str = r#"chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/* "$root/etc/apt/apt.conf.d/00lab"
rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/machine-id" "$root/var/lib/dbus/machine-id" "$root/etc/resolv.conf" "$root/etc/hostname"
: > "$root/etc/machine-id"
printf '127.0.0.1 localhost lab.test\n' > "$root/etc/hosts"
mkdir -p "$root/usr/local/lib/ansai-lab"
umount "$root/proc"
"#;

/// What is installed by apt.
pub(super) const fn packages(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Base => PACKAGES_ADDED,
        Kind::Daemons => PACKAGES_DAEMONS,
        Kind::Engines => PACKAGES_ENGINES,
    }
}

/// The shell that installs them.
pub(super) fn script(kind: Kind) -> String {
    let installs = match kind {
        Kind::Base => BASE,
        Kind::Daemons => DAEMONS,
        Kind::Engines => ENGINES,
    };
    [PREPARE, installs, FINISH].concat()
}
